"""MVLPT's text form equals the official code: one data set, several at once, and the target after its sources."""

import pytest
import torch
from torch.nn import functional as F

from baselines.joint_prompts.mvlpt import MVLPT, SharedContext
from cones.methods.classifier import Task
from cones.models.dual_encoder import ImageFeatures, unit
from cones.runtime.errors import ConesError
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS, NAMES, golden_images
from tests.methods.classifier.golden_prompts import BLOCKS
from tests.methods.classifier.golden_words import GoldenTokenizer, golden_vectors, prompt_inputs, with_options
from tests.methods.classifier.inputs_of import losses_hold, take_steps, tiny_clip, tiny_images
from tests.models.clip.seen import outputs_of
from tests.some_fast import first_two_fast

TASKS = (Task("a", 3), Task("b", 2))
ALL_NAMES = (*NAMES, "dog", "stop sign")


def given_of(golden, names=NAMES, **others):
    tokenizer = GoldenTokenizer(names, golden["in/token_ids"], before=4)
    options = {"vectors": 4, **others.pop("options", {})}
    return prompt_inputs(tokenizer, names=names, recipe=with_options(MVLPT.recipe, **options), **others)


def started(golden, names=NAMES, **others):
    classifier = MVLPT().classifier(given_of(golden, names, **others))
    with torch.no_grad():
        classifier.context.copy_(golden_vectors(f"{golden.name}/prompt_learner.ctx", (4, 128), 0.1))
    return classifier


def train_and_test():
    return (ImageFeatures(tiny_images(*one)) for one in (("train", 8), ("test", 6)))


@torch.no_grad()
def images_hold(golden) -> None:
    """The image encoder is as it was."""
    with outputs_of(tiny_clip(), BLOCKS) as seen:
        golden.compare("mid/image_features", tiny_clip().encode_image(golden_images("train", 8)).pooled)
    for i, length in enumerate(golden["mid/vis_seq_len"]):
        assert seen[f"block{i}"].shape[1] == length
        golden.compare(f"mid/vis_block{i}_out_image0_rows_0_1_5", seen[f"block{i}"][0, [0, 1, 5]])
    golden.compare("mid/image_features_test", tiny_images("test", 6))


def texts_hold(golden, classifier) -> None:
    golden.compare("init/ctx", classifier.context, within=1e-6)
    golden.compare("mid/text_context_used", classifier.context)
    golden.compare("mid/prompt_embeddings_rows_0_9", classifier.texts.rows_of(classifier.context)[:, :10])
    texts = classifier.class_texts()
    golden.compare("mid/text_features", texts, within=5e-5)
    golden.compare("mid/text_features_unit", unit(texts), within=5e-5)


def steps_hold(golden, key, classifier, labels):
    """Three steps; the losses before them and behind the last are those of `key`."""
    method, (train, _) = MVLPT(), train_and_test()
    steps = take_steps(method, classifier, train, labels, method.recipe)
    after = take_steps(method, classifier, train, labels, method.recipe.model_copy(update={"learning_rate": 1e-30}), 1)
    losses_hold(golden, key, [*steps.losses, *after.losses])
    return steps


def one_task_holds() -> None:
    with GoldenFile("mvlpt_text") as golden:
        classifier, (train, test) = started(golden), train_and_test()
        images_hold(golden)
        texts_hold(golden, classifier)
        golden.compare("logits/train", logits := classifier(train), within=5e-5)
        golden.compare("logits/test", classifier(test), within=5e-5)
        golden.compare("loss/ce_total", F.cross_entropy(logits, LABELS), within=1e-5)
        start = classifier.context.detach().clone()
        steps = steps_hold(golden, "loss/steps_0_1_2_3", classifier, LABELS)
        golden.compare("grad/ctx", steps.gradients[0]["context"], within=1e-3)
        golden.compare("step3/ctx", steps.parameters[2]["context"], within=5e-5)
        golden.compare("step3delta/ctx", steps.parameters[2]["context"] - start, within=5e-2)
        golden.compare("step3/logits_train", classifier(train), within=5e-5)
        golden.compare("step3/logits_test", classifier(test), within=5e-5)


def several_tasks_hold() -> None:
    with GoldenFile("mvlpt_multitask") as golden:
        classifier, labels = started(golden, ALL_NAMES, tasks=TASKS), golden["in/labels"]
        ranges = golden["in/class_range_of_task"].tolist()
        assert classifier.task_of.tolist() == [task for task, (a, b) in enumerate(ranges) for _ in range(a, b)]
        assert torch.equal(classifier.task_of[labels], golden["in/task_of_train_image"])
        images_hold(golden)
        texts_hold(golden, classifier)
        for name, across in (("joint", True), ("masked", False)):
            one_softmax_holds(golden, name, across, labels)


def one_softmax_holds(golden, name, across, labels) -> None:
    classifier = started(golden, ALL_NAMES, tasks=TASKS, options={"across_tasks": across})
    train, test = train_and_test()
    first_of_task = golden["in/class_range_of_task"][:, 0][golden["in/task_of_test_image"]]

    def logits(images, labels):
        found = classifier(images)
        return found if across else classifier.of_own_task(found, labels)

    golden.compare(f"logits/{name}_train", logits(train, labels), within=5e-5)
    golden.compare(f"logits/{name}_test", logits(test, first_of_task), within=5e-5)
    loss = MVLPT().loss_terms(classifier, train, labels)["cross_entropy"]
    golden.compare(f"loss/{name}_ce", loss.sum / loss.normaliser, within=1e-5)
    steps = steps_hold(golden, f"loss/{name}_steps_0_1_2_3", classifier, labels)
    golden.compare(f"grad/{name}_ctx", steps.gradients[0]["context"], within=1e-3)
    golden.compare(f"step3/{name}_ctx", steps.parameters[2]["context"], within=5e-5)
    golden.compare(f"step3/{name}_logits_test", logits(test, first_of_task), within=5e-5)


def test_numbers_are_those_of_the_official_code():
    one_task_holds()
    several_tasks_hold()


def at_the_end(patch):
    texts = MVLPT.texts

    def moved(self, inputs, vectors):
        inputs.recipe = with_options(inputs.recipe, position="end")
        return texts(self, inputs, vectors)

    patch.setattr(MVLPT, "texts", moved)


def never_meant(self, logits, labels):
    return logits.masked_fill(self.task_of != self.task_of[labels][:, None], float("-inf"))


MISTAKES = {
    "the name at the end": (one_task_holds, at_the_end),
    "other tasks cannot be meant": (
        several_tasks_hold,
        lambda patch: patch.setattr(SharedContext, "of_own_task", never_meant),
    ),
    "all classes are of one task": (
        several_tasks_hold,
        lambda patch: patch.setattr(SharedContext, "of_own_task", lambda self, logits, labels: logits),
    ),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    holds, change = MISTAKES[mistake]
    change(monkeypatch)
    with pytest.raises(AssertionError):
        holds()


def test_the_target_starts_from_the_mean_of_its_sources_and_leaves_them_alone():
    golden = GoldenFile("mvlpt_text")
    sources = [{"context": torch.full((4, 128), value)} for value in (0.1, 0.3)]
    classifier = MVLPT().classifier(given_of(golden, extra={"sources": sources}))
    torch.testing.assert_close(classifier.context.detach(), torch.full((4, 128), 0.2))
    one = MVLPT().classifier(given_of(golden, extra={"sources": sources[:1]}))
    take_steps(MVLPT(), one, next(train_and_test()), LABELS, MVLPT.recipe, 1)
    left = sources[0]["context"]
    assert torch.equal(left, torch.full((4, 128), 0.1)) and not torch.equal(one.context, left)
    for wrong in ([torch.zeros(4, 64)], [torch.zeros(4, 128), torch.zeros(5, 128)]):
        with pytest.raises(ConesError, match="do not fit"):
            MVLPT().classifier(given_of(golden, extra={"sources": [{"context": one} for one in wrong]}))


def test_an_answer_among_the_classes_of_a_task_is_that_of_a_classifier_of_these_alone():
    golden = GoldenFile("mvlpt_multitask")
    classifier, (_, test) = started(golden, ALL_NAMES, tasks=TASKS), train_and_test()
    target = given_of(golden, ALL_NAMES)
    target.names = ALL_NAMES[3:]
    other = MVLPT().for_classes(classifier, target)
    assert other.context is classifier.context
    torch.testing.assert_close(other(test), classifier(test)[:, 3:])
