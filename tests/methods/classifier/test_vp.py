"""Pixel prompts equal the official code in all three forms; a prompt of nothing is zero-shot bit for bit."""

import pytest
import torch
from torch import nn

from baselines.visual_prompts import vp
from baselines.visual_prompts.vp import VP, PixelPrompt
from cones.models.dual_encoder import scaled_cosines
from cones.runtime.errors import ConesError
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS, golden_images
from tests.methods.classifier.golden_words import with_options
from tests.methods.classifier.inputs_of import inputs_of, tiny_text
from tests.methods.classifier.prompted_images import drawn, pixel_inputs, set_to, steps_hold, trained, vit_b16
from tests.some_fast import first_two_fast

SIZES = {"padding": 28, "fixed_patch": 56, "random_patch": 56}  # of 224 pixels: 4 and 8 of 32


def prompt(golden, form, **options):
    given = pixel_inputs(golden["in/token_ids"])
    given.recipe = with_options(VP.recipe, form=form, size=SIZES[form], **options)
    return VP().classifier(given)


def form_holds(golden, form) -> None:
    classifier, train, test = prompt(golden, form), golden_images("train", 8), golden_images("test", 6)
    start = {name: drawn(f"vp/{form}/{name}", tuple(getattr(classifier, name).shape), 1.0) for name in classifier.names}
    for name, value in start.items():
        golden.compare(f"init/{form}/{name}", value, within=1e-6)
    set_to(classifier, start)
    if form == "random_patch":
        classifier.place.copy_(golden["in/random_patch_row_col"])
        classifier.moves = False
    golden.compare(f"mid/{form}_added_image", classifier.added()[0])
    golden.compare(f"mid/{form}_image_features", classifier.encode(train))
    logits = classifier(train)
    golden.compare(f"logits/{form}_train", logits)
    golden.compare(f"logits/{form}_test", classifier(test))
    golden.compare(f"loss/{form}_ce", nn.functional.cross_entropy(logits, LABELS), within=1e-5)
    steps = steps_hold(golden, f"loss/{form}_steps_0_1_2_3", VP(), classifier, VP.recipe)
    assert set(steps.parameters[0]) == set(start) == trained(classifier)
    for name in start:
        golden.compare(f"grad/{form}/{name}", steps.gradients[0][name], within=1e-3)
        golden.compare(f"step3/{form}/{name}", steps.parameters[2][name], within=1e-4)
    golden.compare(f"step3/{form}_logits_test", classifier(test))


def numbers_hold() -> None:
    with GoldenFile("vp") as golden:
        texts = tiny_text(golden["in/token_ids"])
        golden.compare("mid/text_features", texts)
        golden.compare("mid/text_features_unit", texts / texts.norm(dim=-1, keepdim=True))
        still = prompt(golden, "padding", start_std=0.0)
        golden.compare("logits/no_prompt_test", still(golden_images("test", 6)))
        for form in SIZES:
            form_holds(golden, form)


def test_numbers_are_those_of_the_official_code():
    numbers_hold()


def replacing(self, images):
    where = (self.added() != 0).expand_as(images)
    return encoded(self, torch.where(where, self.added().expand_as(images), images))


def encoded(self, images):
    return super(PixelPrompt, self).encode(images)


ORIGINAL_ADDED = PixelPrompt.added
MISTAKES = {
    "the frame replaces": lambda patch: patch.setattr(PixelPrompt, "encode", replacing),
    "added before normalisation": lambda patch: patch.setattr(
        PixelPrompt,
        "encode",
        lambda self, images: encoded(
            self, images + self.added() / torch.tensor(self.encoder.picture_format.std).view(1, 3, 1, 1)
        ),
    ),
    "row and column exchanged": lambda patch: patch.setattr(
        PixelPrompt, "added", lambda self: ORIGINAL_ADDED(self).transpose(2, 3)
    ),
    "up and down exchanged": lambda patch: patch.setattr(
        PixelPrompt, "added", lambda self: ORIGINAL_ADDED(self).flip(2)
    ),
    "a decay": lambda patch: patch.setattr(VP, "recipe", VP.recipe.model_copy(update={"weight_decay": 1e-2})),
    "another rate": lambda patch: patch.setattr(VP, "recipe", VP.recipe.model_copy(update={"learning_rate": 4.0})),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold()


@pytest.mark.parametrize("form", SIZES)
def test_pixels_of_nothing_are_zero_shot_bit_for_bit(form):
    golden = GoldenFile("vp")
    classifier, test = prompt(golden, form, start_std=0.0), golden_images("test", 6)
    plain = scaled_cosines(classifier.encoder.encode_image(test).pooled, classifier.text, classifier.scale)
    assert torch.equal(classifier(test), plain)


def test_the_text_has_no_full_stop_and_names_are_plain():
    asked = []
    given = pixel_inputs(GoldenFile("vp")["in/token_ids"])
    given.names = ("Forest_Path", "T-shirt", "cat")
    given.text = lambda texts, *, truncate=False: asked.extend(texts) or torch.ones(3, 64)
    VP().classifier(given)
    assert asked == ["This is a photo of a forest path", "This is a photo of a t shirt", "This is a photo of a cat"]


def test_the_frame_of_vit_b16_has_as_many_values_as_published():
    encoder = vit_b16()
    given = inputs_of(torch.randn(3, 512), torch.zeros(3, 0), torch.arange(3), encoder=encoder)
    given.text = lambda texts, *, truncate=False: torch.randn(len(texts), 512)
    classifier = VP().classifier(given)
    assert sum(value.numel() for value in classifier.parameters() if value.requires_grad) == 69_840


def test_a_random_patch_moves_in_training_never_touches_the_end_and_stands_still_at_test():
    classifier = prompt(GoldenFile("vp"), "random_patch").train()
    torch.manual_seed(0)
    seen = [classifier.added()[0].abs().sum(0).nonzero() for _ in range(400)]
    ends = torch.stack([places.max(0).values for places in seen])
    starts = torch.stack([places.min(0).values for places in seen])
    assert ends.max() == 30 and starts.min() == 0  # of rows 0 to 31
    assert len(starts.unique(dim=0)) > 200
    classifier.eval()
    assert torch.equal(classifier.added(), classifier.added())
    places = {tuple(prompt_of(seed).place.tolist()) for seed in range(20)}
    assert len(places) > 10


def prompt_of(seed):
    given = pixel_inputs(GoldenFile("vp")["in/token_ids"], generator=torch.Generator().manual_seed(seed))
    given.recipe = with_options(VP.recipe, form="random_patch", size=56)
    return VP().classifier(given)


def test_pixels_serve_other_classes_and_an_unknown_form_is_refused():
    given = pixel_inputs(GoldenFile("vp")["in/token_ids"])
    classifier, test = VP().classifier(given), golden_images("test", 2)
    given.text = lambda texts, *, truncate=False: torch.ones(5, 64)
    given.names = tuple("abcde")
    other = VP().for_classes(classifier, given)
    assert other(test).shape == (2, 5) and torch.equal(other.encode(test), classifier.encode(test))
    given.recipe = with_options(VP.recipe, form="frame")
    with pytest.raises(ConesError, match=r"recipe.options.form: unknown value; expected padding or fixed_patch"):
        VP().classifier(given)
    assert vp.plain("A_b-C") == "a b c"
