"""UPL equals the official code: which images get which labels, the runs that train on them, their mean."""

import functools

import pytest
import torch

from baselines.text_prompts import upl
from baselines.text_prompts.upl import UPL, most_confident
from cones.models.dual_encoder import ImageFeatures, scaled_cosines
from cones.runtime.errors import ConesError
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import NAMES, TINY_RN, golden_clip, golden_images
from tests.methods.classifier.golden_words import GoldenTokenizer, golden_vectors, prompt_inputs, with_options
from tests.methods.classifier.inputs_of import labelled, loss_of, losses_hold, take_steps, tiny_images
from tests.some_fast import first_two_fast


@functools.cache
def small_resnet_logits() -> torch.Tensor:
    """(40, K) zero-shot logits of the other backbone."""
    model = golden_clip(TINY_RN)
    ids, ends = words()([f"a photo of a {name}." for name in NAMES])
    with torch.no_grad():
        images = model.encode_image(golden_images("unlabelled", 40, 64)).pooled
        return scaled_cosines(images, model.encode_text(model.embed_text(ids), ends), 10.0)


def words() -> GoldenTokenizer:
    return GoldenTokenizer(NAMES, GoldenFile("upl")["tokens16"], before=16)


def selection_holds(golden: GoldenFile, tag: str, probabilities: list[torch.Tensor]) -> None:
    rows, labels = most_confident(probabilities, 3)
    golden.compare(f"{tag}.index", rows)
    golden.compare(f"{tag}.label", labels)
    sure = torch.stack(probabilities).mean(0)
    for label in range(3):
        chosen = rows[labels == label]
        chosen = chosen[sure[chosen, label].argsort(descending=True)]
        golden.compare(f"{tag}.class{label}.index", chosen)
        torch.testing.assert_close(
            sure[chosen, label], golden[f"{tag}.class{label}.confidence"].reshape(-1), rtol=0, atol=1e-5
        )


def given_of(**others):
    own = {"runs": 2, "images_per_class": 3}
    unlabelled = ImageFeatures(tiny_images("unlabelled", 40))
    return prompt_inputs(words(), recipe=with_options(UPL.recipe, **own), unlabelled=unlabelled, **others)


def training_holds(golden: GoldenFile) -> None:
    method, given = UPL(), given_of()
    train, test = given.unlabelled[golden["single.index"]], ImageFeatures(tiny_images("test", 6))
    classifier, seeds = method.classifier(given), []
    for number, run in enumerate(classifier.runs):
        run.context.data.copy_(golden_vectors(f"upl/ctx{number}", (16, 128), 0.02))

    def tune(run, images):
        key, labels = f"seed{len(seeds)}", golden["single.label"]
        torch.testing.assert_close(images.features.pooled, train.pooled)
        assert torch.equal(images.labels, labels)
        start = run.context.detach().clone()
        golden.compare(f"{key}.logits_sel0", run(images.features))
        steps = take_steps(method, run, images.features, images.labels, method.recipe)
        golden.compare(f"{key}.loss0", torch.tensor(steps.losses[0]), within=1e-5)
        golden.compare(f"{key}.grad0", steps.gradients[0]["context"], within=1e-3)
        golden.compare(f"{key}.update3", steps.parameters[2]["context"] - start, within=1e-3)
        losses_hold(golden, f"{key}.losses", [*steps.losses, loss_of(method, run, images.features, images.labels)])
        golden.compare(f"{key}.logits_test3", run(test))
        seeds.append(key)

    method.fit(classifier, given, tune)
    assert len(seeds) == 2
    golden.compare("ensemble.logits_test3", classifier(test))


def numbers_hold() -> None:
    with GoldenFile("upl") as golden:
        tokenizer = words()
        golden.compare("tokens16", tokenizer([" ".join(["X"] * 16 + [f"{name}."]) for name in NAMES])[0])
        given = given_of()
        logits = scaled_cosines(given.unlabelled.pooled, given.class_texts(), 10.0)
        golden.compare("vit.zs_logits", logits)
        golden.compare("rn.zs_logits", small_resnet_logits(), centred=True, within=5e-4)
        both = [logits.softmax(-1), small_resnet_logits().softmax(-1)]
        selection_holds(golden, "single", both[:1])
        selection_holds(golden, "both", both)
        training_holds(golden)


def test_numbers_are_those_of_the_official_code():
    numbers_hold()


def by_logits(probabilities, per_class):
    """As if logits were ranked: probabilities do not fix them, so those of the two models are taken."""
    logits = [scaled_cosines(given_of().unlabelled.pooled, given_of().class_texts(), 10.0), small_resnet_logits()]
    return most_confident(logits[: len(probabilities)], per_class)


def test_ranking_by_logits_is_seen():
    rows, labels = by_logits([None], 3)
    golden = GoldenFile("upl")
    assert rows[labels == 0].tolist() == [6, 7, 37]  # as FORMAT has it
    assert not torch.equal(rows, golden["single.index"])
    rows, labels = by_logits([None, None], 3)
    assert sorted(rows[labels == 1].tolist()) == [18, 36, 38] and not torch.equal(rows, golden["both.index"])


def true_labels(self, inputs):
    return labelled(inputs.unlabelled[torch.arange(8)], torch.arange(8) % 3)


MISTAKES = {
    "labels are read": lambda patch: patch.setattr(UPL, "pseudo_labelled", true_labels),
    "one run": lambda patch: patch.setattr(upl.AveragedRuns, "forward", lambda self, images: self.runs[0](images)),
    "as many images as there are": lambda patch: patch.setattr(
        upl, "most_confident", lambda found, count: most_confident(found, 40)
    ),
    "no momentum": lambda patch: patch.setattr(UPL, "recipe", UPL.recipe.model_copy(update={"momentum": 0.0})),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold()


def test_runs_start_apart_and_no_label_is_read():
    given = given_of(labels=torch.zeros(8, dtype=torch.int64))
    classifier = UPL().classifier(given)
    assert not torch.equal(classifier.runs[0].context, classifier.runs[1].context)
    golden = GoldenFile("upl")
    assert torch.equal(UPL().pseudo_labelled(given).labels, golden["single.label"]) and UPL.labels == "none"
    given.names = ("toy car", "cat")
    images = ImageFeatures(tiny_images("test", 6))
    torch.testing.assert_close(UPL().for_classes(classifier, given)(images), classifier(images)[:, [1, 0]])


def test_without_unlabelled_images_it_says_so():
    given = prompt_inputs(words(), recipe=UPL.recipe)
    with pytest.raises(ConesError, match="UPL needs unlabelled images"):
        UPL().fit(UPL().classifier(given), given, tune=None)
