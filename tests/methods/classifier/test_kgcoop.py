"""KgCoOp equals the official code; with weight 0 it is CoOp."""

import pytest
import torch

from baselines.text_prompts import kgcoop
from baselines.text_prompts.coop import CoOp
from baselines.text_prompts.kgcoop import AnchoredContext, KgCoOp
from cones.models.dual_encoder import ImageFeatures, unit
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS, NAMES
from tests.methods.classifier.golden_words import GoldenTokenizer, prompt_inputs, with_options
from tests.methods.classifier.inputs_of import gradients_of, loss_of, losses_hold, take_steps, tiny_images
from tests.some_fast import first_two_fast


def given_of(golden: GoldenFile, **options):
    tokenizer = GoldenTokenizer(NAMES, golden["tokens"], before=4)
    return prompt_inputs(tokenizer, recipe=with_options(KgCoOp.recipe, **options))


def numbers_hold() -> None:
    with GoldenFile("kgcoop") as golden:
        method, given = KgCoOp(), given_of(golden)
        train, test = given.train.features, ImageFeatures(tiny_images("test", 6))
        assert golden["labels"].tolist() == LABELS.tolist()
        classifier = method.classifier(given)
        golden.compare("init.logits_test", classifier(test))
        assert classifier.distance(classifier.class_texts()) < 1e-5
        trained = {name: value for name, value in classifier.named_parameters() if value.requires_grad}
        assert sum(value.numel() for value in trained.values()) == golden["trainable"]
        golden.compare("anchors_unit", classifier.anchors)
        classifier.context.data.copy_(start := golden["ctx0"])
        texts = classifier.class_texts()
        golden.compare("text0", texts)
        golden.compare("cos0", torch.nn.functional.cosine_similarity(texts, classifier.anchors))
        golden.compare("logits_train0", classifier(train))
        golden.compare("logits_test0", classifier(test))
        golden.compare("score0", classifier.distance(texts), within=1e-5)
        terms = method.loss_terms(classifier, train, LABELS)
        golden.compare("ce0", terms["cross_entropy"].sum / 8, within=1e-5)
        golden.compare("total0", sum(term.sum / term.normaliser for term in terms.values()), within=1e-5)
        for key, loss in (("ce", terms["cross_entropy"].sum / 8), ("score", classifier.distance(texts))):
            golden.compare(f"grad_{key}0", gradients_of(loss, trained)["context"], within=1e-3)
        steps = take_steps(method, classifier, train, LABELS, method.recipe)
        golden.compare("grad_total0", steps.gradients[0]["context"], within=1e-3)
        golden.compare("update3", steps.parameters[2]["context"] - start, within=1e-3)
        losses_hold(golden, "losses", [*steps.losses, loss_of(method, classifier, train, LABELS)])
        golden.compare("score3", classifier.distance(classifier.class_texts()), within=1e-5)
        golden.compare("logits_test3", classifier(test))


def test_numbers_are_those_of_the_official_code():
    numbers_hold()


def summed(patch) -> None:
    mean = AnchoredContext.distance
    patch.setattr(AnchoredContext, "distance", lambda self, texts: len(texts) * mean(self, texts))


def without_full_stop(patch) -> None:
    given = globals()["given_of"]

    def changed(golden, **options):
        inputs = given(golden, **options)
        inputs.template = "a photo of a {}"
        return inputs

    patch.setitem(globals(), "given_of", changed)


def with_options_of(**options):
    return lambda patch: patch.setattr(KgCoOp, "recipe", with_options(KgCoOp.recipe, **options))


MISTAKES = {
    "the weight of the paper's formula": with_options_of(form="paper"),
    "no term": with_options_of(weight=0.0),
    "a sum over the classes": summed,
    "anchors without the full stop": without_full_stop,
    "anchors that are not unit": lambda patch: patch.setattr(kgcoop, "unit", lambda vectors: vectors),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold()


def test_with_weight_zero_it_is_coop():
    golden, found = GoldenFile("kgcoop"), []
    for method, options in ((KgCoOp(), {"weight": 0.0}), (CoOp(), {})):
        given = given_of(golden)
        given.recipe = with_options(method.recipe, words="a photo of a", **options)
        classifier = method.classifier(given)
        classifier.context.data.copy_(golden["ctx0"])
        take_steps(method, classifier, given.train.features, LABELS, KgCoOp.recipe)
        found.append(classifier.context.detach())
    assert torch.equal(*found)


def test_the_paper_writes_squared_distances():
    golden = GoldenFile("kgcoop")
    given = given_of(golden, form="paper")
    classifier = KgCoOp().classifier(given)
    classifier.context.data.copy_(golden["ctx0"])
    texts = unit(classifier.class_texts())
    paper = 8 * (texts - classifier.anchors).square().sum(-1).mean()
    term = KgCoOp().loss_terms(classifier, given.train.features, LABELS)["anchor"]
    torch.testing.assert_close(term.sum / term.normaliser, paper)
