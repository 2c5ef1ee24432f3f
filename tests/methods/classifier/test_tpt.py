"""TPT equals the official code; an image's answer depends on no other image."""

import pytest
import torch

from baselines.text_prompts import tpt
from baselines.text_prompts.tpt import TPT, TunedOnTheImage, entropies, entropy_of_mean, surest
from cones.methods.classifier import ClassifierMethod
from cones.models.dual_encoder import ImageFeatures, unit
from cones.runtime.errors import ConesError
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import NAMES, golden_images
from tests.methods.classifier.golden_words import GoldenTokenizer, prompt_inputs, with_options
from tests.methods.classifier.inputs_of import tiny_images
from tests.some_fast import first_two_fast


def given_of(golden: GoldenFile, **options):
    words = GoldenTokenizer(NAMES, golden["input/tokens"], before=4)
    return prompt_inputs(words, recipe=with_options(TPT.recipe, **options))


def views_of(number: int) -> torch.Tensor:
    return golden_images(f"tpt/image{number}", 64)


def image_holds(golden: GoldenFile, number: int, gradients: list[torch.Tensor]) -> None:
    key, classifier = f"image{number}", TPT().classifier(given_of(golden))
    features = tiny_images(f"tpt/image{number}", 64)
    start = classifier.context.clone()
    logits = classifier.logits(features, start)
    golden.compare(f"{key}/logits_views", logits)
    golden.compare(f"{key}/entropy_views", entropies(logits), within=2e-4)
    rows = surest(logits, 0.1)
    golden.compare(f"{key}/selected", rows)
    golden.compare(f"{key}/loss", entropy_of_mean(logits[rows]), within=1e-5)
    golden.compare(f"{key}/logits_before", classifier.logits(features[:1], start))
    for steps in (1, 3):
        tuned = TPT().classifier(given_of(golden, steps=steps))
        gradients.clear()
        moved = tuned.tuned(features) - start
        assert len(gradients) == steps
        which = "grad_ctx" if steps == 1 else "grad_ctx_third_step"
        golden.compare(f"{key}/{which}", gradients[-1], within=1e-3)
        golden.compare(f"{key}/ctx_after_{steps}_minus_start", moved, within=1.2e-3)
        golden.compare(f"{key}/logits_after_{steps}", tuned(views_of(number)[None]))


def numbers_hold(patch) -> None:
    gradients: list[torch.Tensor] = []
    step = torch.optim.AdamW.step

    def watched(self, *given):
        gradients.extend(value.grad.clone() for value in self.param_groups[0]["params"])
        return step(self, *given)

    patch.setattr(torch.optim.AdamW, "step", watched)
    with GoldenFile("tpt") as golden:
        classifier = TPT().classifier(given_of(golden))
        golden.compare("input/ctx", classifier.context)
        golden.compare("mid/text_features_unit", unit(classifier.texts(classifier.context)))
        for number in (0, 1):
            image_holds(golden, number, gradients)
    patch.setattr(torch.optim.AdamW, "step", step)


def test_numbers_are_those_of_the_official_code(monkeypatch):
    numbers_hold(monkeypatch)


def chosen_anew(self, features):
    """The views are chosen at each step."""
    context = self.context.clone().requires_grad_()
    optimiser = torch.optim.AdamW([context], lr=self.rate, weight_decay=self.decay)
    with torch.enable_grad():
        for _ in range(self.steps):
            logits = self.logits(features, context)
            context.grad = torch.autograd.grad(entropy_of_mean(logits[surest(logits, 0.1)]), context)[0]
            optimiser.step()
    return context.detach()


MISTAKES = {
    "seven views": lambda patch: patch.setitem(TPT.recipe.options, "share", 7.5 / 64),
    "all views": lambda patch: patch.setitem(TPT.recipe.options, "share", 1.0),
    "the mean of entropies": lambda patch: patch.setattr(tpt, "entropy_of_mean", lambda rows: entropies(rows).mean()),
    "the entropy of mean logits": lambda patch: patch.setattr(
        tpt, "entropy_of_mean", lambda rows: entropies(rows.mean(0, keepdim=True))[0]
    ),
    "no decay": lambda patch: patch.setitem(TPT.recipe.options, "decay", 0.0),
    "views chosen at each step": lambda patch: patch.setattr(TunedOnTheImage, "tuned", chosen_anew),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold(monkeypatch)


def test_answers_do_not_depend_on_the_order_of_images_and_come_without_gradients():
    classifier = TPT().classifier(given_of(GoldenFile("tpt")))
    assert not [name for name, value in classifier.named_parameters() if value.requires_grad]
    views = torch.stack([views_of(number)[:20] for number in (0, 1)])
    with torch.no_grad():
        found = classifier(views)
        assert torch.equal(classifier(views.flip(0)).flip(0), found)
        assert torch.equal(classifier(views[:1]), found[:1])
    assert not found.requires_grad and not torch.equal(found[0], found[1])


def test_without_a_step_it_is_zero_shot_and_pictures_without_views_are_refused():
    given = given_of(GoldenFile("tpt"), steps=0)
    classifier, pixels = TPT().classifier(given), golden_images("test", 6)
    zero_shot = ClassifierMethod.load("zero_shot").classifier(given)(ImageFeatures(tiny_images("test", 6)))
    torch.testing.assert_close(classifier(pixels[:, None]), zero_shot, rtol=1e-5, atol=1e-5)
    with pytest.raises(ConesError, match=r"several views of each test image; expected .* found \(6, 3, 32, 32\)"):
        classifier(pixels)
    given.names = ("toy car", "cat")
    assert TPT().for_classes(classifier, given)(pixels[:, None]).shape == (6, 2)
