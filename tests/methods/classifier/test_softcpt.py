"""SoftCPT equals the official code, in all variants but CATS, whose file does not exist; a batch is one step here."""

import pytest
import torch

from baselines.text_prompts import softcpt
from baselines.text_prompts.softcpt import SharedPrompts, SoftCPT
from cones.methods.classifier import Task
from cones.methods.recipes import optimiser_of
from cones.models.dual_encoder import ImageFeatures, unit
from cones.models.losses import normalised
from tests.golden.reading import GoldenFile
from tests.methods.classifier.golden_words import GoldenTokenizer, golden_vectors, prompt_inputs, with_options
from tests.methods.classifier.inputs_of import take_steps, tiny_images
from tests.some_fast import first_two_fast

CLASSES = ["cat", "dog", "toy car", "white blood cell", "boat"]
TASKS = [Task("animal", 2), Task("object recognition", 3)]
NAMES = {"task": "task_prompt_learner.ctx", "class_": "class_prompt_learner.ctx", "generator": "prompt_gen.proj"}


def labels_of(golden: GoldenFile) -> torch.Tensor:
    table = golden["input/labels"]
    labels = (table == 1).int().argmax(1)
    task_of = torch.tensor([0, 0, 1, 1, 1])
    expected = torch.where(task_of == task_of[labels][:, None], 0, -1).scatter(1, labels[:, None], 1)
    assert torch.equal(table, expected)
    return labels


def given_of(variant: str, **others):
    golden = GoldenFile("softcpt_nata")
    words = GoldenTokenizer(CLASSES, golden["input/class_tokens_16ctx"], before=16)
    words.learn([task.name for task in TASKS], golden["input/task_tokens"], before=4)
    recipe = with_options(SoftCPT.recipe, variant=variant)
    return prompt_inputs(words, **{"names": CLASSES, "tasks": TASKS, "recipe": recipe, **others})


def started(variant: str) -> SharedPrompts:
    classifier = SoftCPT().classifier(given_of(variant))
    for name, parameter in classifier.learned.items():
        assert parameter.std().item() == pytest.approx(0.02, rel=0.1)
        size = 0.05 if name == "generator" else 0.1
        parameter.data.copy_(golden_vectors(f"softcpt/{NAMES[name]}", parameter.shape, size))
    return classifier


def nata_holds() -> None:
    with GoldenFile("softcpt_nata") as golden:
        assert golden.texts("input/class_names") == CLASSES
        assert golden.texts("input/task_names") == [task.name for task in TASKS]
        assert golden["input/task_tokens"] is not None and golden["input/class_tokens_16ctx"] is not None
        golden.skip("input/registered_names", "names under which the code's one optimiser is kept")
        assert golden.texts("input/trained_parameters") == [NAMES["task"], NAMES["generator"]]
        method, classifier, labels = SoftCPT(), started("NATA"), labels_of(golden)
        train, test = (ImageFeatures(tiny_images(*one)) for one in (("train", 8), ("test", 6)))
        golden.compare("mid/image_features_train", train.pooled)
        golden.compare("mid/task_features", classifier.generator_input())
        golden.compare("mid/generator_input", classifier.generator_input())
        golden.compare("mid/contexts", classifier.contexts())
        golden.compare("mid/text_features", classifier.class_texts())
        golden.compare("start/logits_train", logits := classifier(train))
        golden.compare("start/logits_test", classifier(test))
        golden.compare("start/prob_train_per_task", torch.cat([part.softmax(1) for part in logits.split([2, 3], 1)], 1))
        masked = torch.nn.functional.cross_entropy(classifier.of_own_task(logits, labels), labels, reduction="none")
        own = classifier.task_of[labels]
        golden.compare("loss/per_task_sum", torch.stack([masked[own == task].sum() for task in (0, 1)]))
        loss = sum(normalised(method.loss_terms(classifier, train, labels)).values())
        golden.compare("loss/total", loss, within=1e-5)
        steps_hold(golden, labels, train, test)


def steps_hold(golden: GoldenFile, labels, train, test) -> None:
    method, classifier = SoftCPT(), started("NATA")
    before = {name: value.detach().clone() for name, value in classifier.learned.items()}
    steps = take_steps(method, classifier, train, labels, method.recipe)
    for name in before:
        golden.compare(f"grad/{NAMES[name]}", steps.gradients[0][f"learned.{name}"], within=1e-3)
        moved = steps.parameters[2][f"learned.{name}"] - before[name]
        golden.compare(f"steps_once/{NAMES[name]}_minus_start", moved, within=4e-3)
    torch.testing.assert_close(torch.tensor(steps.losses), golden["steps_once/losses"], rtol=2e-4, atol=0)
    golden.compare("steps_once/logits_test_3", classifier(test))
    # the code's optimiser is registered under three names and steps as often for each batch
    classifier, losses = started("NATA"), []
    optimiser = optimiser_of(method.recipe, classifier.learned.values())
    for _ in range(3):
        optimiser.zero_grad()
        loss = sum(normalised(method.loss_terms(classifier, train, labels)).values())
        loss.backward()
        losses.append(loss.item())
        for _ in range(3):
            optimiser.step()
    for name in before:
        moved = classifier.learned[name] - before[name]
        golden.compare(f"steps_official/{NAMES[name]}_minus_start", moved, within=4e-3)
    torch.testing.assert_close(torch.tensor(losses), golden["steps_official/losses"], rtol=2e-4, atol=0)
    golden.compare("steps_official/logits_test_3", classifier(test))


def variants_hold() -> None:
    labels = labels_of(GoldenFile("softcpt_nata"))
    train, test = (ImageFeatures(tiny_images(*one)) for one in (("train", 8), ("test", 6)))
    with GoldenFile("softcpt_variants") as golden:
        for variant in ("NATS", "CATA", "CSTA", "CSTS"):
            classifier = started(variant)
            shapes = {f"{NAMES[name]} {tuple(value.shape)}" for name, value in classifier.learned.items()}
            found = golden.texts(f"{variant}/names_and_shapes")
            assert len(found) == len(shapes) and {plain(one) for one in found} == {plain(one) for one in shapes}
            golden.compare(f"{variant}/logits_test", classifier(test))
            loss = sum(normalised(SoftCPT().loss_terms(classifier, train, labels)).values())
            golden.compare(f"{variant}/loss", loss, within=1e-5)
            names = [name for name in ("task", "class_") if name in classifier.learned]
            gradients = torch.autograd.grad(loss, [classifier.learned[name] for name in names])
            for name, gradient in zip(names, gradients):
                golden.compare(f"{variant}/grad_{name.strip('_')}_ctx", gradient, within=1e-3)


def plain(text: str) -> str:
    return "".join(one for one in text if one.isalnum() or one in "._")


def test_numbers_are_those_of_the_official_code():
    nata_holds()
    variants_hold()


def other_order(self):
    return torch.cat([self.task_texts(self.learned["task"])[self.task_of], self.inner_texts(self.learned["class_"])], 1)


def mean_of_tasks(self, classifier, images, labels):
    logits, own = classifier.of_own_task(classifier(images), labels), classifier.task_of[labels]
    parts = [torch.nn.functional.cross_entropy(logits[own == task], labels[own == task]) for task in (0, 1)]
    return {"cross_entropy": softcpt.LossTerm(8 * sum(parts) / 2, torch.tensor(8.0))}


INPUT = SharedPrompts.generator_input
MISTAKES = {
    "unit features": (nata_holds, SharedPrompts, "generator_input", lambda self: unit(INPUT(self))),
    "the task before the class": (
        variants_hold,
        SharedPrompts,
        "generator_input",
        lambda self: INPUT(self) if self.inner_texts is None else other_order(self),
    ),
    "all classes compete": (nata_holds, SharedPrompts, "of_own_task", lambda self, logits, labels: logits),
    "a mean of the tasks' means": (nata_holds, SoftCPT, "loss_terms", mean_of_tasks),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    holds, *changed = MISTAKES[mistake]
    monkeypatch.setattr(*changed)
    with pytest.raises(AssertionError):
        holds()


def test_one_data_set_is_one_task_and_other_classes_are_scored_where_nothing_is_their_own():
    images = ImageFeatures(tiny_images("test", 6))
    given = given_of("NATA", tasks=(), dataset="object_recognition")
    classifier, labels = SoftCPT().classifier(given), torch.tensor([0, 1, 2, 3, 4, 0])
    logits = classifier(images)
    assert torch.equal(classifier.of_own_task(logits, labels), logits)
    given.names = ("boat", "cat")
    torch.testing.assert_close(SoftCPT().for_classes(classifier, given)(images), logits[:, [4, 0]])
    for variant, is_none in (("CATA", False), ("CSTA", True), ("CATS", False)):
        given = given_of(variant)
        classifier = SoftCPT().classifier(given)
        assert (SoftCPT().for_classes(classifier, given) is None) == is_none
        other = given_of(variant, tasks=(), dataset="animal", names=("dog", "cat"))
        assert (SoftCPT().for_classes(classifier, other) is None) == (variant != "CATA")
