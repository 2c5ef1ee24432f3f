"""CLIP-LoRA equals the official code, its dropout too; with B at zero it is zero-shot bit for bit."""

import pytest
import torch
from torch.nn import functional as F

from baselines.weights import clip_lora
from baselines.weights.clip_lora import CLIPLoRA, LowRank
from cones.methods.classifier import Recipe
from cones.models.dual_encoder import scaled_cosines
from cones.runtime.errors import ConesError
from tests.golden.clip import recipe as golden_recipe
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS, golden_images
from tests.methods.classifier.golden_words import with_options
from tests.methods.classifier.inputs_of import inputs_of
from tests.methods.classifier.prompted_images import drawn, pixel_inputs, set_to, steps_hold, trained, vit_b16
from tests.some_fast import first_two_fast

PARTS = "qkv"


def official(name: str) -> tuple[str, str]:
    """Our parameter -> (how the code begins the names of its three, which matrix it is)."""
    place, matrix = name.removeprefix("encoder.").split(".projections.low_rank.")
    return place, {"down": "A", "up": "B"}[matrix]


def made(golden, **options):
    """With the golden start; without dropout unless it is asked for."""
    given = pixel_inputs(golden["in/token_ids"])
    given.recipe = with_options(CLIPLoRA.recipe, **{"dropout": 0.0, **options})
    classifier, start = CLIPLoRA().classifier(given), {}
    for name in trained(classifier):
        place, matrix = official(name)
        width = classifier.get_parameter(name).shape[1 if matrix == "B" else 2]
        shape, scale = ((2, width), width**-0.5) if matrix == "A" else ((width, 2), 0.5)
        start[name] = torch.stack(
            [drawn(f"clip_lora/{place}.{part}_proj.w_lora_{matrix}", shape, scale) for part in PARTS]
        )
    set_to(classifier, start)
    return classifier.eval()


def compare(golden, kind, values, within):
    for name, value in values.items():
        place, matrix = official(name)
        for part, letter in enumerate(PARTS):
            golden.compare(f"{kind}/{place}.{letter}_proj.w_lora_{matrix}", value[part], within=within)


def dropout_holds(golden, monkeypatch):
    """The masks are drawn by the name of the projection, in the code's order (length, batch, width)."""
    classifier = made(golden, dropout=0.25)
    places = {module: name.removesuffix(".projections.low_rank") for name, module in classifier.encoder.named_modules()}
    lengths = {"visual": 17}

    def dropped(self, hidden, part):
        name = f"clip_lora/keep/{places[self]}.{PARTS[part]}_proj"
        length = lengths.get(places[self].split(".")[0], 77)  # rows behind the last end are not computed here
        keep = golden_recipe.normal(name, (length, len(hidden), hidden.shape[-1])) > -0.67448975
        keep = torch.from_numpy(keep)[: hidden.shape[1]].transpose(0, 1)
        return hidden * keep / (1 - self.dropout) if self.training else hidden

    with monkeypatch.context() as patch:
        patch.setattr(LowRank, "dropped", dropped)
        logits = classifier.train()(golden_images("train", 8))
        golden.compare("dropout/logits_train", logits)
        golden.compare("dropout/ce", F.cross_entropy(logits, LABELS), within=1e-5)
        golden.compare("logits/test", classifier.eval()(golden_images("test", 6)))


def numbers_hold(monkeypatch) -> None:
    with GoldenFile("clip_lora") as golden:
        classifier, train, test = made(golden), golden_images("train", 8), golden_images("test", 6)
        assert len(trained(classifier)) == 16 and all(".low_rank." in name for name in trained(classifier))
        golden.compare("mid/text_features", classifier.class_texts())
        golden.compare("mid/image_features", classifier.encoder.encode_image(train).pooled)
        golden.compare("mid/image_features_test", classifier.encoder.encode_image(test).pooled)
        first = classifier.encoder.transformer.resblocks[0].attn.projections.low_rank
        golden.compare("mid/delta_w_text_block0_q_rows_0_1", first.scale * (first.up[0] @ first.down[0])[:2])
        logits = classifier(train)
        golden.compare("logits/train", logits)
        golden.compare("logits/test", classifier(test))
        golden.compare("logits/test_merged_eval", classifier(test))  # theirs with the product added to the weights
        golden.compare("loss/ce_total", F.cross_entropy(logits, LABELS), within=1e-5)
        plain = pixel_inputs(golden["in/token_ids"]).encoder.encode_image(test).pooled
        golden.compare("logits/zero_shot_test", scaled_cosines(plain, texts_of(golden), 10.0))
        start = {name: classifier.get_parameter(name).detach().clone() for name in trained(classifier)}
        steps = steps_hold(golden, "loss/steps_0_1_2_3", CLIPLoRA(), classifier, CLIPLoRA.recipe)
        compare(golden, "grad", steps.gradients[0], 3e-4)
        compare(golden, "step3delta", {name: steps.parameters[2][name] - start[name] for name in start}, 5e-2)
        golden.compare("step3/logits_test_merged", classifier(test))
        dropout_holds(golden, monkeypatch)


def texts_of(golden):
    given = pixel_inputs(golden["in/token_ids"])
    return given.class_texts()


def test_numbers_are_those_of_the_official_code(monkeypatch):
    numbers_hold(monkeypatch)


def with_recipe(**changes):
    return lambda patch: patch.setattr(CLIPLoRA, "recipe", CLIPLoRA.recipe.model_copy(update=changes))


ORIGINAL_FORWARD = LowRank.forward


def without_keys(self, output, hidden, weight, bias):
    added = ORIGINAL_FORWARD(self, output, hidden, weight, bias) - output
    added = added.clone()
    added[..., hidden.shape[-1] : 2 * hidden.shape[-1]] = 0
    return output + added


MISTAKES = {
    "alpha / r": with_recipe(options={**CLIPLoRA.recipe.options, "form": "paper"}),
    "alpha of 2": with_recipe(options={**CLIPLoRA.recipe.options, "alpha": 2.0}),
    "q and v only": lambda patch: patch.setattr(LowRank, "forward", without_keys),
    "the image encoder alone": lambda patch: patch.setattr(clip_lora, "PLACE", "visual.transformer.x"),
    "another rate": with_recipe(learning_rate=1e-3),
    "decay in the gradient": with_recipe(optimiser="adam"),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold(monkeypatch)


def test_the_start_is_zero_shot_bit_for_bit():
    golden, test = GoldenFile("clip_lora"), golden_images("test", 6)
    given = pixel_inputs(golden["in/token_ids"])
    ids, encoder = golden["in/token_ids"], given.encoder
    texts = encoder.encode_text(encoder.embed_text(ids), ids.argmax(1))
    plain = scaled_cosines(encoder.encode_image(test).pooled, texts, given.logit_scale)
    classifier = CLIPLoRA().classifier(given)
    for mode in (True, False):
        assert torch.equal(classifier.train(mode)(test), plain)


def test_each_of_the_three_has_a_mask_of_its_own_in_training_and_none_at_test():
    low = LowRank(64, rank=2, scale=1.0, dropout=0.25, generator=torch.Generator().manual_seed(0))
    hidden = torch.ones(2, 5, 64)
    masks = [low.train().dropped(hidden, part) for part in range(3)]
    assert not torch.equal(masks[0], masks[1]) and not torch.equal(masks[1], masks[2])
    assert sorted(masks[0].unique().tolist()) == [0.0, pytest.approx(4 / 3)]
    assert torch.equal(low.eval().dropped(hidden, 0), hidden)
    assert low.down.abs().max() <= 1 / 8 and low.down.std().item() == pytest.approx(1 / 8 / 3**0.5, rel=0.1)


def test_texts_are_kept_at_test_until_a_weight_changes():
    classifier = made(GoldenFile("clip_lora"))
    with torch.no_grad():
        first = classifier.class_texts()
        assert classifier.class_texts() is first
        state = {name: value + 0.01 for name, value in classifier.state_dict().items() if "low_rank" in name}
        classifier.load_state_dict(state, strict=False)
        again = classifier.class_texts()
        assert not torch.equal(again, first)
    optimiser = torch.optim.AdamW([p for p in classifier.parameters() if p.requires_grad], lr=1e-2, fused=True)
    classifier(golden_images("train", 2)).sum().backward()
    optimiser.step()
    with torch.no_grad():
        assert not torch.equal(classifier.class_texts(), again)


def test_values_in_vit_b16_are_as_many_as_published():
    encoder = vit_b16()
    given = inputs_of(torch.randn(3, 512), torch.zeros(3, 0), torch.arange(3), encoder=encoder, recipe=Recipe())
    given.tokenizer = lambda texts: (torch.zeros(len(texts), 77, dtype=torch.int64), torch.full((len(texts),), 5))
    classifier = CLIPLoRA().classifier(given)
    assert sum(value.numel() for value in classifier.parameters() if value.requires_grad) == 184_320


def test_other_classes_are_read_by_the_tuned_text_encoder():
    golden = GoldenFile("clip_lora")
    classifier, test = made(golden), golden_images("test", 6)
    given = pixel_inputs(golden["in/token_ids"].flip(0))
    other = CLIPLoRA().for_classes(classifier, given)
    torch.testing.assert_close(other(test), classifier(test).flip(1))
    assert "no sequence" in CLIPLoRA().supports("clip_rn50", "few_shot")
    given.recipe = with_options(CLIPLoRA.recipe, form="rslora")
    with pytest.raises(ConesError, match=r"recipe.options.form: unknown value; expected code or paper; found rslora"):
        CLIPLoRA().classifier(given)
