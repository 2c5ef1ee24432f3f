"""DenseCLIP: the official code's numbers, and what holds by its definition."""

import pytest
import torch
from torch.nn import functional as F

from baselines.text_prompts import context_decoder, denseclip
from baselines.text_prompts.context_decoder import ContextDecoder
from baselines.text_prompts.denseclip import DenseCLIP, GuidedMap, pixel_cross_entropy
from cones.data.class_maps import IGNORED
from cones.models.dual_encoder import unit
from cones.models.losses import normalised
from cones.models.positions import Positions
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import NAMES, TINY_RN, golden_clip, golden_images
from tests.methods.classifier.golden_words import END, GoldenTokenizer, golden_vectors, prompt_inputs, with_options
from tests.methods.classifier.inputs_of import encodings_at_test, losses_hold, take_steps

TINY = {"width": 32, "dropout": 0.0, "head_width": 0}


def words(ids) -> GoldenTokenizer:
    """Names of a golden file without a full stop."""
    tokenizer = GoldenTokenizer((), ids[:0], before=0)
    tokenizer.phrases |= {name: row[1 : row.index(END)] for name, row in zip(NAMES, ids.tolist())}
    return tokenizer


def golden_start(classifier: GuidedMap) -> None:
    classifier.contexts.data.copy_(golden_vectors("denseclip/contexts", (1, 8, 128), 1.0))
    for name, parameter in classifier.context_decoder.named_parameters():
        scale = parameter.shape[1] ** -0.5 if parameter.ndim == 2 else 0.1
        value = golden_vectors(f"denseclip/context_decoder.{name}", parameter.shape, scale)
        is_norm = parameter.ndim == 1 and name.endswith("weight")
        parameter.data.copy_(value + 1 if is_norm else value)


def tiny(ids, **options) -> tuple[DenseCLIP, GuidedMap]:
    method = DenseCLIP()
    recipe = with_options(method.recipe, **{**TINY, **options})
    encoder = golden_clip(TINY_RN)
    classifier = method.classifier(prompt_inputs(words(ids), encoder=encoder, recipe=recipe)).eval()
    golden_start(classifier)
    return method, classifier


def decoder_holds(golden: GoldenFile, prefix: str, classifier: GuidedMap, images: Positions) -> None:
    """What the decoder makes of texts and picture, part by part."""
    decoder, texts = classifier.context_decoder, classifier.texts(classifier.contexts).expand(len(images), -1, -1)
    picture = torch.cat([images.pooled[:, None], images.features], dim=1)
    memory, rows = decoder.memory_proj(picture), decoder.text_proj(texts)
    golden.compare(f"{prefix}decoder_memory", memory)
    if not prefix:
        golden.compare("decoder_query", rows)
    for number, layer in enumerate(decoder.decoder, start=1):
        rows = layer(rows, memory)
        golden.compare(f"{prefix}decoder_layer{number}", rows)
    golden.compare(f"{prefix}text_diff", decoder(texts, picture))
    golden.compare(f"{prefix}text_embeddings_after", classifier.guided(images))
    golden.compare(f"{prefix}score_map", classifier.score_map(images), within=2e-4)


def pictures_hold(golden: GoldenFile, method: DenseCLIP, classifier: GuidedMap, masks) -> None:
    encoder, pixels = classifier.texts.encoder, golden_images("test", 2, 128)
    images = encoder.encode_positions(pixels, reading="attention", resize=method.grid_resize)
    golden.compare("layer4", encoder.visual.maps(pixels))
    golden.compare("global_feature_raw", images.pooled)
    golden.compare("visual_embeddings_raw", images.as_map(images.features))
    golden.compare("text_embeddings_raw_before", classifier.texts(classifier.contexts)[None])
    decoder_holds(golden, "", classifier, images)
    level = torch.cat([encoder.visual.maps(pixels), classifier.score_map(images)], dim=1)
    golden.compare("decoder_input_level3_last_channels", level[:, -4:])
    golden.compare("loss_identity", sum(normalised(method.loss_terms(classifier, images, masks)).values()), within=1e-5)


def training_holds(golden: GoldenFile, method: DenseCLIP, classifier: GuidedMap, masks) -> None:
    local = golden_vectors("denseclip/local", (2, 64, 4, 4), 1.0)
    pooled = golden_vectors("denseclip/global", (2, 64), 1.0)
    images = Positions(local.flatten(2).transpose(1, 2), (4, 4), pooled=pooled)
    classifier.gamma.data.copy_(golden_vectors("denseclip/gamma", (64,), 0.5))
    with torch.no_grad():
        decoder_holds(golden, "s_", classifier, images)
    start = {name: value.detach().clone() for name, value in classifier.named_parameters()}
    steps = take_steps(method, classifier, images, masks, method.recipe)
    golden.compare("s_loss_identity", torch.tensor(steps.losses[0]), within=1e-5)
    losses_hold(golden, "s_losses", steps.losses)
    gradients = {key.removeprefix("s_grad."): key for key in golden.keys("s_grad.")}
    assert set(gradients) == set(steps.gradients[0])
    for name, key in gradients.items():
        golden.compare(key, steps.gradients[0][name], within=2e-3)
    for step in (1, 3):
        for key in golden.keys(f"s_param_step{step}."):
            name = key.split(".", 1)[1]
            golden.compare(key, steps.parameters[step - 1][name], within=2e-5)
            assert not torch.equal(steps.parameters[step - 1][name], start[name])
    with torch.no_grad():
        golden.compare("s_score_map_step3", classifier.score_map(images))


def numbers_hold(**options) -> None:
    with GoldenFile("denseclip") as golden:
        masks = golden["masks"][:, 0]
        method, classifier = tiny(golden["token_ids"], **options)
        with torch.no_grad():
            pictures_hold(golden, method, classifier, masks)
        training_holds(golden, method, classifier, masks)


def test_numbers_are_those_of_the_official_code():
    numbers_hold()


class WithoutCompare(context_decoder.DecoderLayer):
    def forward(self, texts, memory):
        texts = texts + self.cross_attn(self.norm2(texts), memory)
        return texts + self.mlp(self.norm3(texts))


class MemoryNormed(context_decoder.DecoderLayer):
    def forward(self, texts, memory):
        return super().forward(texts, self.norm2(memory))


class UnitTexts(GuidedMap):
    def guided(self, images):
        texts, old = self.texts, self.texts.forward
        texts.forward = lambda context: unit(old(context))
        try:
            return super().guided(images)
        finally:
            texts.forward = old


class NoPooledRow(GuidedMap):
    def guided(self, images):
        return super().guided(Positions(images.features, images.grid, pooled=images.features[:, 0]))


def over_labelled_pixels(logits, labels):
    term = pixel_cross_entropy(logits, labels)
    return term._replace(normaliser=(labels != IGNORED).sum().float())


MISTAKES = {
    "no attention among classes": lambda patch: patch.setattr(context_decoder, "DecoderLayer", WithoutCompare),
    "memory normed again": lambda patch: patch.setattr(context_decoder, "DecoderLayer", MemoryNormed),
    "unit texts": lambda patch: patch.setattr(denseclip, "GuidedMap", UnitTexts),
    "no pooled row": lambda patch: patch.setattr(denseclip, "GuidedMap", NoPooledRow),
    "the loss over labelled pixels": lambda patch: patch.setattr(
        denseclip, "pixel_cross_entropy", over_labelled_pixels
    ),
    "positions resized bicubically": lambda patch: patch.setattr(DenseCLIP, "grid_resize", "bicubic"),
    "another temperature": lambda patch: patch.setattr(denseclip, "TEMPERATURE", 0.1),
    "gamma starts at one": lambda patch: patch.setattr(denseclip, "GAMMA", 1.0),
    "quick GELU": lambda patch: patch.setattr(
        torch.nn.GELU, "forward", lambda self, rows: rows * torch.sigmoid(1.702 * rows)
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold()


@pytest.mark.parametrize("options", [{"auxiliary": 0.5}, {"heads": 2}], ids=str)
def test_another_option_is_seen(options):
    with pytest.raises(AssertionError):
        numbers_hold(**options)


# ------------------------------------------------------------------------------------------------------- invariants


@pytest.fixture
def ids():
    return GoldenFile("denseclip")["token_ids"]


def some_positions(count: int = 3) -> Positions:
    random = torch.Generator().manual_seed(2)
    rows = torch.randn(count, 6, 64, generator=random)
    return Positions(rows, (2, 3), pooled=torch.randn(count, 64, generator=random))


@torch.no_grad()
def test_without_gamma_the_score_map_is_the_cosine_of_positions_and_the_prompted_names(ids):
    _, classifier = tiny(ids)
    classifier.gamma.zero_()
    images = some_positions()
    texts = classifier.texts(classifier.contexts)
    expected = F.cosine_similarity(images.features[:, :, None], texts[None, None], dim=-1)  # (B, P, K)
    torch.testing.assert_close(classifier.score_map(images)[:, 1, 1, 2], expected[:, 5, 1])
    torch.testing.assert_close(classifier(images), classifier.score_map(images) / 0.07)


def test_one_picture_s_answers_do_not_depend_on_another_and_a_batch_may_be_cut(ids):
    method, classifier = tiny(ids, head_width=16)
    images, labels = some_positions(), torch.arange(3 * 8 * 12).view(3, 8, 12) % 3
    labels[0, :3] = IGNORED
    torch.testing.assert_close(classifier(images)[:1], classifier(images[:1]))
    whole = method.loss_terms(classifier, images, labels)
    assert set(whole) == {"cross_entropy", "score_map"}
    divisors = {name: term.normaliser for name, term in whole.items()}
    parts = [method.loss_terms(classifier, images[rows], labels[rows]) for rows in (slice(0, 1), slice(1, 3))]
    total = sum(sum(normalised(part, divisors).values()) for part in parts)
    torch.testing.assert_close(total, sum(normalised(whole).values()))


def test_the_loss_of_pixels_is_a_plain_loop_and_pixels_without_a_class_count_as_right():
    logits, labels = torch.randn(1, 3, 2, 2), torch.tensor([[[0, 1, 2], [IGNORED, 1, 1]]])
    resized = F.interpolate(logits, size=(2, 3), mode="bilinear", align_corners=False)[0]
    total = 0.0
    for y in range(2):
        for x in range(3):
            if labels[0, y, x] != IGNORED:
                total -= resized[:, y, x].log_softmax(0)[labels[0, y, x]].item()
    found = pixel_cross_entropy(logits, labels)
    assert (found.sum / found.normaliser).item() == pytest.approx(total / 6, rel=1e-5)


def test_vectors_decoder_gamma_and_head_train_and_norms_do_not_decay(ids):
    method, classifier = tiny(ids, head_width=16)
    images, labels = some_positions(), torch.zeros(3, 8, 12, dtype=torch.int64)
    trained = {name for name, value in classifier.named_parameters() if value.requires_grad}
    assert {name.split(".")[0] for name in trained} == {"contexts", "gamma", "context_decoder", "head"}
    steps = take_steps(method, classifier, images, labels, method.recipe, 4)
    assert steps.losses[-1] < steps.losses[0] and set(steps.gradients[0]) == trained
    undecayed = {name for name in trained if not method.decays(name)}
    assert undecayed and all(".norm" in name for name in undecayed)


def test_a_start_is_drawn_from_its_generator_with_the_published_spread(ids):
    method = DenseCLIP()
    made = []
    for elsewhere in (1, 2):
        torch.manual_seed(elsewhere)
        made.append(method.classifier(prompt_inputs(words(ids), recipe=method.recipe)))
    first, second = (one.state_dict() for one in made)
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    contexts, decoder = made[0].contexts, made[0].context_decoder
    assert isinstance(decoder, ContextDecoder) and contexts.abs().max() <= 2
    assert contexts.std().item() == pytest.approx(0.88, abs=0.05)  # a normal distribution that is cut at ±2
    assert decoder.decoder[0].mlp[0].weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert not decoder.decoder[0].mlp[0].bias.any() and (made[0].gamma == 1e-4).all()


def test_class_texts_are_made_once_at_test_and_ask_each_picture(monkeypatch):
    _, classifier = tiny(GoldenFile("denseclip")["token_ids"])
    encoder = classifier.texts.encoder
    with torch.no_grad():
        images = encoder.encode_positions(golden_images("test", 2, 128), reading="attention", resize="bilinear")
        expected = classifier(images)
    counts = encodings_at_test(monkeypatch, encoder, classifier, images[:1], images[1:])
    with torch.no_grad():
        assert classifier.keeps_texts and counts == [0, 0] and torch.equal(classifier(images), expected)
        assert not torch.equal(classifier.guided(images)[0], classifier.guided(images)[1])
