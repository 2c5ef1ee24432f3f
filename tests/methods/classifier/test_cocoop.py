"""CoCoOp equals the official code: in one batch and image by image."""

import pytest
import torch

from baselines.text_prompts import cocoop
from baselines.text_prompts.cocoop import CoCoOp, MovedContext
from cones.methods.classifier import ClassifierMethod
from cones.models.dual_encoder import ImageFeatures, unit
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS, NAMES
from tests.methods.classifier.golden_words import GoldenTokenizer, golden_vectors, prompt_inputs
from tests.methods.classifier.inputs_of import loss_of, losses_hold, take_steps, tiny_images
from tests.some_fast import first_two_fast

SIZES = {"linear1.weight": 0.5, "linear1.bias": 0.05, "linear2.weight": 0.1, "linear2.bias": 0.02}
ONE = slice(0, 1)


def words() -> GoldenTokenizer:
    return GoldenTokenizer(NAMES, GoldenFile("cocoop")["tokens"], before=4)


def started() -> tuple[MovedContext, ImageFeatures, ImageFeatures]:
    given = prompt_inputs(words(), recipe=CoCoOp.recipe)
    classifier = CoCoOp().classifier(given)
    for name, parameter in classifier.meta_net.named_parameters():
        parameter.data.copy_(golden_vectors(f"cocoop/meta_net.{name}", parameter.shape, SIZES[name]))
    return classifier, given.train.features, ImageFeatures(tiny_images("test", 6))


def updates_hold(golden: GoldenFile, key: str, before: dict, classifier: MovedContext) -> None:
    trained = dict(classifier.named_parameters())
    for name in ours(golden):
        # the first layer moves by less than float32 holds of its size
        within = 3e-2 if name == "meta_net.linear1.weight" else 2.8e-3
        golden.compare(f"{key}.update3.{theirs(name)}", trained[name] - before[name], within=within)


def ours(golden: GoldenFile) -> list[str]:
    return ["context" if name == "ctx" else name for name in golden.texts("param_order")]


def theirs(name: str) -> str:
    return "ctx" if name == "context" else name


def numbers_hold() -> None:
    with GoldenFile("cocoop") as golden:
        method, (classifier, train, test) = CoCoOp(), started()
        assert golden["labels"].tolist() == LABELS.tolist() and golden["tokens"] is not None
        trained = [name for name, value in classifier.named_parameters() if value.requires_grad]
        assert trained == ours(golden)
        golden.compare("hidden_pre_train0", classifier.meta_net.linear1(unit(train.pooled)))
        golden.compare("bias_train0", classifier.meta_net(unit(train.pooled)))
        golden.compare("text_train0", classifier.texts_of_images(train.pooled))
        golden.compare("logits_train0", classifier(train))
        golden.compare("logits_test0", classifier(test))
        before = {name: value.detach().clone() for name, value in classifier.named_parameters()}
        steps = take_steps(method, classifier, train, LABELS, method.recipe)
        golden.compare("loss0", torch.tensor(steps.losses[0]), within=1e-5)
        for name in trained:
            golden.compare(f"grad0.{theirs(name)}", steps.gradients[0][name], within=1e-3)
        losses_hold(golden, "b8.losses", [*steps.losses, loss_of(method, classifier, train, LABELS)])
        updates_hold(golden, "b8", before, classifier)
        golden.compare("b8.logits_test3", classifier(test))
        image_by_image_holds(golden)


def image_by_image_holds(golden: GoldenFile) -> None:
    """Three steps of one image each, with the momentum of those before."""
    classifier, train, test = started()
    before = {name: value.detach().clone() for name, value in classifier.named_parameters()}

    class InTurn(CoCoOp):
        step = -1

        def loss_terms(self, classifier, images, labels):
            self.step += 1
            rows = slice(self.step, self.step + 1)
            return super().loss_terms(classifier, images[rows], labels[rows])

    steps = take_steps(InTurn(), classifier, train, LABELS, CoCoOp.recipe)
    losses_hold(golden, "b1.losses", steps.losses)
    updates_hold(golden, "b1", before, classifier)
    golden.compare("b1.logits_test3", classifier(test))


def test_numbers_are_those_of_the_official_code():
    numbers_hold()


def without_relu(self, pooled):
    net = self.meta_net
    return self.texts((self.context + net.linear2(net.linear1(unit(pooled)))[:, None])[:, None])


def one_shift(self, pooled):
    return self.texts((self.context + self.meta_net(unit(pooled)).mean(0))[None, None].expand(len(pooled), -1, -1, -1))


MISTAKES = {
    "the image feature is not unit": lambda patch: patch.setattr(cocoop, "unit", lambda vectors: vectors),
    "no ReLU": lambda patch: patch.setattr(MovedContext, "texts_of_images", without_relu),
    "one shift for the batch": lambda patch: patch.setattr(MovedContext, "texts_of_images", one_shift),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold()


def test_images_in_parts_have_the_logits_of_all_and_a_still_network_is_zero_shot(monkeypatch):
    classifier, train, test = started()
    whole = classifier(test)
    monkeypatch.setattr(cocoop, "TEXTS_AT_ONCE", 7)
    torch.testing.assert_close(classifier(test), whole)
    other = CoCoOp().for_classes(classifier, prompt_inputs(words(), names=("toy car", "cat"), recipe=CoCoOp.recipe))
    torch.testing.assert_close(other(test), whole[:, [1, 0]])
    for parameter in classifier.meta_net.linear2.parameters():
        parameter.data.zero_()
    zero_shot = ClassifierMethod.load("zero_shot").classifier(prompt_inputs(words(), recipe=CoCoOp.recipe))
    torch.testing.assert_close(classifier(train), zero_shot(train), rtol=0, atol=2e-6)
