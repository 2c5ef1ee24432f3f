"""PLOT++ of FORMAT-B, B.4, computed once more in float64 from the definition, without the library."""

import pytest
import torch
from torch import Tensor

from baselines.text_prompts import plot_pp
from baselines.text_prompts.plot import TransportedTexts
from baselines.text_prompts.plot_pp import PLOTpp, TransportedViews
from cones.models.dual_encoder import BlockTokens
from cones.models.losses import normalised
from cones.runtime.errors import ConesError
from tests.golden import clip_in_float64 as plain
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS, NAMES, TINY_RN, golden_clip, golden_images
from tests.methods.classifier.golden_words import GoldenTokenizer, golden_vectors, prompt_inputs, with_options
from tests.methods.classifier.inputs_of import take_steps
from tests.some_fast import first_two_fast

WIDTH, HEADS, LAYERS, PATCH, SCALE = 192, 3, 4, 8, 10.0
OTHER_PHRASES = {  # any four tokens: which they are is the vocabulary's business
    "this is a photo": [589, 533, 320, 1125],
    "this is picture of": [589, 533, 1674, 539],
    "one picture of a": [637, 1674, 539, 320],
}
SHAPES = {
    "attn.in_proj_weight": (3 * WIDTH, WIDTH),
    "attn.in_proj_bias": (3 * WIDTH,),
    "attn.out_proj.weight": (WIDTH, WIDTH),
    "attn.out_proj.bias": (WIDTH,),
    "mlp.c_fc.weight": (4 * WIDTH, WIDTH),
    "mlp.c_fc.bias": (4 * WIDTH,),
    "mlp.c_proj.weight": (WIDTH, 4 * WIDTH),
    "mlp.c_proj.bias": (WIDTH,),
    **{f"{norm}.{kind}": (WIDTH,) for norm in ("ln_1", "ln_2") for kind in ("weight", "bias")},
}


def words() -> GoldenTokenizer:
    found = GoldenTokenizer(NAMES, GoldenFile("plot")["input/tokens"], before=16)
    found.phrases |= OTHER_PHRASES
    return found


def started() -> TransportedViews:
    classifier = PLOTpp().classifier(prompt_inputs(words(), recipe=PLOTpp.recipe))
    classifier.vision.data.copy_(golden_vectors("plotpp/ctx_vision", (4, 2, WIDTH), 0.3))
    return classifier


def weight(name: str, *shape: int) -> Tensor:
    return plain.weight(f"visual.{name}", *shape)


def norm(x: Tensor, name: str) -> Tensor:
    return plain.norm(x, weight(f"{name}.weight", WIDTH), weight(f"{name}.bias", WIDTH))


def attention(x: Tensor, part: dict[str, Tensor]) -> Tensor:
    joined = (x @ part["attn.in_proj_weight"].T + part["attn.in_proj_bias"]).unflatten(-1, (3, HEADS, -1))
    query, key, value = joined.permute(2, 0, 3, 1, 4)
    found = (query @ key.transpose(-1, -2) / (WIDTH // HEADS) ** 0.5).softmax(-1) @ value
    return found.transpose(1, 2).flatten(2) @ part["attn.out_proj.weight"].T + part["attn.out_proj.bias"]


def image_features(pixels: Tensor, prompt: Tensor) -> Tensor:
    """Pixels and two vectors (2, WIDTH) behind all patches, before ln_pre -> (B, 64), not normalised."""
    filters = weight("conv1.weight", WIDTH, 3, PATCH, PATCH).flatten(1)
    pieces = torch.nn.functional.unfold(pixels.double(), PATCH, stride=PATCH).transpose(1, 2)
    first = weight("class_embedding", WIDTH).expand(len(pixels), 1, -1)
    x = torch.cat([first, pieces @ filters.T], 1)
    x = x + weight("positional_embedding", x.shape[1], WIDTH)
    x = norm(torch.cat([x, prompt.expand(len(x), -1, -1)], 1), "ln_pre")
    for layer in range(LAYERS):
        name = f"transformer.resblocks.{layer}"
        part = {key: weight(f"{name}.{key}", *shape) for key, shape in SHAPES.items()}
        x = x + attention(norm(x, f"{name}.ln_1"), part)
        inner = norm(x, f"{name}.ln_2") @ part["mlp.c_fc.weight"].T + part["mlp.c_fc.bias"]
        x = x + (inner * torch.sigmoid(1.702 * inner)) @ part["mlp.c_proj.weight"].T + part["mlp.c_proj.bias"]
    return norm(x[:, 0], "ln_post") @ weight("proj", WIDTH, 64)


def text_features(context: Tensor) -> Tensor:
    """Contexts (4, 4, 128) -> (4, K, 64)."""
    ids, ends = words()([f"a photo of a {name}." for name in NAMES])
    rows = plain.words(ids)
    texts = [torch.cat([rows[:, :1], one.expand(len(ids), -1, -1), rows[:, 5:]], 1) for one in context]
    return torch.stack([plain.text_features(one, ends) for one in texts])


def plain_logits(pixels: Tensor, context: Tensor, vision: Tensor, *, is_first: bool) -> Tensor:
    def unit(x):
        return x / x.square().sum(-1, keepdim=True).sqrt()

    images = torch.stack([image_features(pixels, prompt) for prompt in vision])  # (V, B, d)
    texts = text_features(context)
    cosines = torch.einsum("vbd,nkd->bkvn", unit(images), unit(texts))
    with torch.no_grad():
        kernel, rows, columns = (-(1 - cosines) / 0.1).exp(), 1.0, torch.ones((*cosines.shape[:2], 4)).double()
        for _ in range(100):
            before, rows = rows, 0.25 / (kernel * columns[..., None, :]).sum(-1)
            columns = 0.25 / (kernel * rows[..., None]).sum(-2)
            if (rows - before).abs().mean() < 0.01:
                break
        plan = rows[..., None] * kernel * columns[..., None, :]
    logits = SCALE * (plan * cosines).sum((-1, -2))
    return logits + SCALE * unit(images.mean(0)) @ unit(texts.mean(0)).T if is_first else logits


def numbers_hold() -> None:
    classifier, pixels = started(), golden_images("train", 8)
    context = classifier.context.detach().double().requires_grad_()
    vision = classifier.vision.detach().double().requires_grad_()
    for is_first in (True, False):
        classifier.pooled = is_first
        logits = plain_logits(pixels, context, vision, is_first=is_first)
        torch.testing.assert_close(classifier(pixels).double(), logits, rtol=0, atol=2e-4 * logits.std().item())
        loss = torch.nn.functional.cross_entropy(logits, LABELS)
        expected = torch.autograd.grad(loss, [vision, context])
        found = sum(normalised(PLOTpp().loss_terms(classifier, pixels, LABELS)).values())
        torch.testing.assert_close(found.double(), loss, rtol=1e-5, atol=0)
        gradients = torch.autograd.grad(found, [classifier.vision, classifier.context])
        for one, other in zip(gradients, expected, strict=True):
            torch.testing.assert_close(one.double(), other, rtol=0, atol=2e-3 * other.std().item())


def test_logits_and_gradients_of_both_stages_are_those_of_the_definition():
    numbers_hold()


def behind_the_first_norm(patch):
    patch.setattr(plot_pp, "BlockTokens", lambda by_block, before_first_norm: BlockTokens(by_block))


MISTAKES = {
    "prompts behind the first norm": behind_the_first_norm,
    "a uniform plan": lambda patch: patch.setattr(
        "baselines.text_prompts.plot.transport_plan", lambda cost: (torch.full_like(cost, 1 / 16), [])
    ),
    "the first prompt for all": lambda patch: patch.setattr(
        TransportedViews,
        "views",
        lambda self, pixels, views=TransportedViews.views: first_for_all(views(self, pixels)),
    ),
    "no pooled term": lambda patch: patch.setattr(
        TransportedViews, "compare", lambda self, images, texts: not_pooled(self, images, texts)
    ),
}


def first_for_all(images):
    images.patches = images.patches[:, :1].expand_as(images.patches)
    return images


def not_pooled(self, images, texts):
    pooled, self.pooled = self.pooled, False
    logits = TransportedTexts.compare(self, images, texts)
    self.pooled = pooled
    return logits


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold()


def test_the_first_stage_trains_the_vision_prompts_alone_the_second_both():
    method, classifier, pixels, seen = PLOTpp(), started(), golden_images("train", 8), []
    assert sum(one.numel() for one in classifier.parameters() if one.requires_grad) == 4 * 2 * WIDTH + 4 * 4 * 128

    def tune(classifier):
        before = {name: one.detach().clone() for name, one in classifier.named_parameters()}
        take_steps(method, classifier, pixels, LABELS, method.recipe, count=1)
        changed = {name for name, one in classifier.named_parameters() if not torch.equal(one, before[name])}
        seen.append((classifier.pooled, changed))

    method.fit(classifier, prompt_inputs(words(), recipe=method.recipe), tune)
    assert seen == [(True, {"vision"}), (False, {"vision", "context"})]


def test_other_classes_share_the_prompts():
    classifier, pixels = started(), golden_images("test", 6)
    others = prompt_inputs(words(), names=("toy car", "cat", "white blood cell"), recipe=PLOTpp.recipe)
    other = PLOTpp().for_classes(classifier, others)
    torch.testing.assert_close(other(pixels), classifier(pixels)[:, [1, 0, 2]])


def test_a_resnet_and_phrases_of_other_lengths_are_refused():
    with pytest.raises(ConesError, match="reads none"):
        PLOTpp().classifier(prompt_inputs(words(), encoder=golden_clip(TINY_RN), recipe=PLOTpp.recipe))
    uneven = with_options(PLOTpp.recipe, phrases=["a photo of a", "cat"])
    with pytest.raises(ConesError, match="different numbers of tokens"):
        PLOTpp().classifier(prompt_inputs(words(), recipe=uneven))
