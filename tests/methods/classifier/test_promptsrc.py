"""PromptSRC equals the official code: three regularisers and the average over epochs; without them it is IVLP."""

import pytest
import torch
from torch.nn import functional as F

from baselines.joint_prompts import promptsrc
from baselines.joint_prompts.gaussian_average import GaussianAverage, gaussian_weights
from baselines.joint_prompts.ivlp import IVLP
from baselines.joint_prompts.promptsrc import TEMPLATES, WEIGHTS, PromptSRC
from cones.models.clip.tokenizer import load_bpe_tokenizer
from cones.models.dual_encoder import scaled_cosines, unit
from cones.training.classifier_tuner import ClassifierTuner
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS, NAMES, golden_images
from tests.methods.classifier.golden_prompts import (
    golden_inputs,
    independent_by_name,
    independent_start,
    three_steps_hold,
)
from tests.methods.classifier.golden_words import golden_vectors, with_options
from tests.methods.classifier.inputs_of import labelled, normalised, take_steps, tiny_images, tiny_text
from tests.models.clip.test_tokenizer import REAL, needs_the_real_one
from tests.some_fast import first_two_fast

PUBLISHED = {  # key -> epochs, mean, spread
    "base2new_20_15_1": (20, 15, 1),
    "cross_20_6_10": (20, 6, 10),
    "few_50_30_30": (50, 30, 30),
    "few_50_45_5": (50, 45, 5),
}


def given_of(golden, *, epochs=20, **options):
    texts = tiny_text(golden["in/template_token_ids"])
    rows = {t.format(n): row for t, each in zip(TEMPLATES, texts, strict=True) for n, row in zip(NAMES, each)}
    recipe = with_options(PromptSRC.recipe, **{"depth": 3, **options})
    given = golden_inputs(golden, recipe.model_copy(update={"batch_size": 8, "epochs": epochs}))
    given.text = lambda texts, *, truncate=False: torch.stack([rows[one] for one in texts])
    given.train = labelled(torch.zeros(8, 0), LABELS)
    return given


def started(given, method=PromptSRC):
    classifier = method().classifier(given)
    independent_start(classifier, "promptsrc")
    return classifier


def start_holds(golden, classifier) -> None:
    train, test = golden_images("train", 8), golden_images("test", 6)
    for name, value in independent_by_name(dict(classifier.named_parameters())).items():
        golden.compare(f"init/{name}", value, within=1e-6)
    texts, images, frozen = classifier.class_texts(), classifier.encode(train), unit(tiny_images("train", 8))
    golden.compare("mid/text_features", texts)
    golden.compare("mid/text_features_unit", unit(texts))
    golden.compare("mid/image_features", images)
    golden.compare("mid/image_features_unit", unit(images))
    golden.compare("mid/frozen_text_mean_raw", tiny_text(golden["in/template_token_ids"]).mean(0))
    golden.compare("mid/frozen_text_unit", classifier.frozen_texts)
    golden.compare("mid/frozen_image_unit", frozen)
    golden.compare("mid/frozen_logits", scaled_cosines(frozen, classifier.frozen_texts, 10.0))
    golden.compare("mid/logits_train_mode", classifier.train()(train))
    golden.compare("logits/train", classifier.eval()(train))
    golden.compare("logits/test", classifier(test))


def loss_holds(golden, classifier) -> None:
    terms = normalised(PromptSRC().loss_terms(classifier, golden_images("train", 8), LABELS))
    golden.compare("loss/ce", terms["cross_entropy"], within=1e-5)
    golden.compare("loss/scl_text_l1_mean", terms["frozen_text"] / 25, within=1e-5)
    golden.compare("loss/scl_image_l1_mean", terms["frozen_image"] / 10, within=1e-5)
    golden.compare("loss/scl_logits_kl", terms["frozen_answer"], within=5e-5)
    golden.compare("loss/total", sum(terms.values()), within=1e-5)


def averages_hold(golden) -> None:
    given = given_of(golden, epochs=3, mean=2.0, spread=1.0)
    classifier, method, test = started(given), PromptSRC(), golden_images("test", 6)

    def tune(tuned):
        golden.compare("gpa_steps/weights", torch.tensor(tuned.average.weights), within=1e-5)
        take_steps(method, tuned, golden_images("train", 8), LABELS, method.recipe)

    method.fit(classifier, given, tune)
    for name, value in independent_by_name(dict(classifier.named_parameters())).items():
        golden.compare(f"gpa_steps/{name}", value, within=5e-5)
    golden.compare("gpa_steps/logits_test", classifier(test))

    classifier, weights = started(given_of(golden)), gaussian_weights(5, mean=3, spread=1.5)
    golden.compare("gpa_given/weights", weights, within=1e-5)
    average = GaussianAverage(classifier.prompts.parameters(), weights, steps_per_epoch=2)
    start = {name: value.detach().clone() for name, value in classifier.named_parameters()}
    places = independent_by_name(dict(classifier.named_parameters()))
    for epoch in range(1, 6):
        for is_last in (False, True):
            average.before_step()
            moved = 0.1 * epoch if is_last else 7.0  # what the first step of an epoch leaves counts nowhere
            for name, begin in independent_by_name(start).items():
                added = golden_vectors(f"promptsrc/gpa/{epoch}/{name}", begin.shape, moved)
                places[name].data.copy_(begin + added)
    average.finish()
    for name, value in places.items():
        golden.compare(f"gpa_given/{name}", value)
    golden.compare("gpa_given/logits_test", classifier(test))
    for key, (epochs, mean, spread) in PUBLISHED.items():
        golden.compare(f"gpa_weights/{key}", gaussian_weights(epochs, mean=mean, spread=spread), within=1e-5)


def numbers_hold() -> None:
    with GoldenFile("promptsrc") as golden:
        golden["in/token_ids"]
        classifier = started(given_of(golden))
        start = {name: value.detach().clone() for name, value in classifier.named_parameters()}
        start_holds(golden, classifier)
        loss_holds(golden, classifier)
        three_steps_hold(golden, PromptSRC(), classifier, start, independent_by_name)
        averages_hold(golden)


def test_numbers_are_those_of_the_official_code():
    numbers_hold()


def teacher(change):
    """Other frozen texts, of the templates' features (60, K, d)."""

    def texts(given):
        each = [given.text([template.format(name) for name in given.names]) for template in TEMPLATES]
        return change(torch.stack(each))

    return lambda patch: patch.setattr(promptsrc, "frozen_texts", texts)


def terms_with(name, change):
    made = PromptSRC.loss_terms

    def loss_terms(self, classifier, images, labels):
        terms = made(self, classifier, images, labels)
        return {**terms, name: change(terms[name])}

    return lambda patch: patch.setattr(PromptSRC, "loss_terms", loss_terms)


def reversed_divergence(patch):
    kl_div = F.kl_div
    patch.setattr(promptsrc.F, "kl_div", lambda p, q, **given: kl_div(q, p, **given))


ADD = GaussianAverage._add
MISTAKES = {
    "a mean of unit texts": teacher(lambda each: unit(unit(each).mean(0))),
    "one template": teacher(lambda each: unit(each[0])),
    "a sum over the width": terms_with("frozen_text", lambda term: term.__class__(term.sum * 64, term.normaliser)),
    "a divergence of images alone": terms_with(
        "frozen_answer", lambda term: term.__class__(term.sum * 3, term.normaliser)
    ),
    "the other divergence": reversed_divergence,
    "epochs counted from nought": lambda patch: patch.setattr(
        GaussianAverage, "_add", lambda self, epoch: ADD(self, max(1, epoch - 1))
    ),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold()


@needs_the_real_one
def test_the_templates_are_those_of_the_official_code():
    texts = [template.format(name) for template in TEMPLATES for name in NAMES]
    ids, _ = load_bpe_tokenizer(REAL.resolve(), 77)(texts)
    expected = GoldenFile("promptsrc")["in/template_token_ids"]
    assert torch.equal(ids[:, :14], expected.flatten(0, 1)) and not ids[:, 14:].any()


def test_with_no_weight_and_no_average_it_is_ivlp():
    golden, found = GoldenFile("promptsrc"), []
    train, test = golden_images("train", 8), golden_images("test", 6)
    for method, given in (
        (PromptSRC(), given_of(golden, **dict.fromkeys(WEIGHTS, 0.0), spread=None)),
        (IVLP(), golden_inputs(golden, with_options(IVLP.recipe, depth=3))),
    ):
        classifier = started(given, type(method))
        method.fit(
            classifier, given, lambda tuned, method=method: take_steps(method, tuned, train, LABELS, IVLP.recipe)
        )
        found.append(classifier(test))
    assert torch.equal(*found)


def test_weights_of_an_average_sum_to_one_even_where_the_density_is_nought():
    for epochs, mean, spread in (*PUBLISHED.values(), (1, 15, 1), (3, 300, 0.5)):
        weights = gaussian_weights(epochs, mean=mean, spread=spread)
        assert weights.sum().item() == pytest.approx(1.0, abs=1e-12) and not weights.isnan().any()
    assert gaussian_weights(3, mean=300, spread=0.5).argmax() == 2


def test_nothing_of_the_average_stays_in_the_state():
    given = given_of(GoldenFile("promptsrc"), epochs=2)
    classifier, method = started(given), PromptSRC()
    seen = []

    def tune(tuned):
        seen.extend(name for name, _ in tuned.named_buffers() if name.startswith("average."))
        assert not any(name.startswith("average.") for name in tuned.state_dict())
        take_steps(method, tuned, golden_images("train", 8), LABELS, method.recipe, 2)

    method.fit(classifier, given, tune)
    assert len(seen) == 4 and not any("average" in name for name, _ in classifier.named_buffers())


def test_a_training_cut_short_is_averaged_over_the_epochs_that_were_begun():
    given = given_of(GoldenFile("promptsrc"), epochs=20)
    given.recipe = given.recipe.model_copy(update={"batch_size": 4, "max_steps": 5})  # two steps an epoch
    classifier, weights = started(given), []
    PromptSRC().fit(classifier, given, lambda tuned: weights.extend(tuned.average.weights))
    assert len(weights) == 3 and sum(weights) == pytest.approx(1.0)


def test_other_classes_need_no_frozen_texts():
    given = given_of(GoldenFile("promptsrc"))
    classifier, pixels = started(given), golden_images("test", 6)
    given.text, given.names = None, ("toy car", "cat")
    other = PromptSRC().for_classes(classifier, given)
    torch.testing.assert_close(other(pixels), classifier(pixels)[:, [1, 0]])


def test_a_batch_in_parts_has_the_loss_of_the_whole():
    classifier, method = started(given_of(GoldenFile("promptsrc"))), PromptSRC()
    train = golden_images("train", 8)
    with torch.no_grad():
        whole = method.loss_terms(classifier, train, LABELS)
        parts = [method.loss_terms(classifier, train[rows], LABELS[rows]) for rows in (slice(0, 3), slice(3, 8))]
    for name, term in whole.items():
        total = sum(part[name].sum for part in parts) / term.normaliser
        torch.testing.assert_close(total, term.sum / term.normaliser, rtol=1e-5, atol=0)


class Pictures:
    """The training pictures as they are, without cutting and turning."""

    at_once = None

    def __len__(self):
        return 8

    def batch(self, rows, epoch):
        return golden_images("train", 8)[list(rows)], LABELS[list(rows)]


def tuner_of(classifier, recipe, folder):
    given = {"images": Pictures(), "seed": 1, "device": torch.device("cpu"), "checkpoint": folder / "resume.pt"}
    return ClassifierTuner(classifier=classifier, method=PromptSRC(), recipe=recipe, **given)


@pytest.mark.parametrize("killed_after", [1, 2, 3])
def test_a_killed_training_has_the_average_of_one_that_was_not(killed_after, tmp_path):
    """Two epochs of two steps each: killed inside the first, behind it, and inside the second."""
    last = []

    def fitted(folder, dies_after=None):
        given = given_of(GoldenFile("promptsrc"), mean=1.0, spread=1.0)
        given.recipe = given.recipe.model_copy(update={"batch_size": 4, "epochs": 2, "warmup_epochs": 0})
        classifier = started(given)

        def tune(tuned):
            tuner = tuner_of(tuned, given.recipe, folder)
            tuner.on_step = lambda step: die(tuner) if step == dies_after else None
            tuner.run()
            last.append(tuned.prompts.tokens.detach().clone())

        PromptSRC().fit(classifier, given, tune)
        return classifier.prompts.tokens.detach()

    def die(tuner):
        tuner.save()
        raise KeyboardInterrupt

    whole = fitted(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "cut", dies_after=killed_after)
    assert torch.equal(fitted(tmp_path / "cut"), whole) and not torch.equal(whole, last[0])
