"""Training a classifier by its recipe: exact under accumulation, on schedule, resumed bit for bit."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cones.methods.classifier import Classifier, ClassifierMethod, LabelledFeatures
from cones.methods.recipes import rate_at
from cones.methods.settings import Recipe
from cones.models.dual_encoder import ImageFeatures
from cones.models.losses import LossTerm
from cones.runtime.errors import ConesError
from cones.training.classifier_tuner import ClassifierTuner, StoredFeatures

N, WIDTH, CLASSES = 11, 6, 3


class Linear(Classifier):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(CLASSES, WIDTH))
        self.register_buffer("seen", torch.zeros(()))
        self.dropout = nn.Dropout(0.3)

    def forward(self, images):
        if self.training:
            self.seen += len(images)
        return F.linear(self.dropout(images.pooled), self.weight)


class Method(ClassifierMethod):
    def classifier(self, inputs):
        return Linear()


class WithPenalty(Method):
    """A second term with a normaliser of its own: the labels of one class."""

    def loss_terms(self, classifier, images, labels):
        terms = super().loss_terms(classifier, images, labels)
        rows = labels == 0
        penalty = classifier(images)[rows].square().sum()
        return terms | {"penalty": LossTerm(0.1 * penalty, rows.sum().float())}


def images():
    random = torch.Generator().manual_seed(0)
    features = torch.randn(N, WIDTH, generator=random)
    return StoredFeatures(LabelledFeatures(ImageFeatures(features), features[:, :CLASSES].argmax(1)))


def tuner(folder, method=None, recipe=None, **others):
    recipe = recipe or Recipe(learning_rate=0.1, epochs=4, batch_size=4, warmup_epochs=1, warmup_rate=0.01)
    return ClassifierTuner(
        classifier=Linear(),
        method=method or Method(),
        images=images(),
        recipe=recipe,
        seed=1,
        device=torch.device("cpu"),
        checkpoint=folder / "resume.pt",
        **others,
    )


def test_an_epoch_sees_every_image_once_and_the_rate_is_the_recipes(tmp_path):
    run, rates, sizes = tuner(tmp_path), [], []
    run.on_step = lambda step: rates.append(run.optimiser.param_groups[0]["lr"])
    kept, run.losses = run.losses, lambda part, shared: (sizes.append(len(part[1])), kept(part, shared))[1]
    progress = run.run()
    assert progress.step == 12 and sizes == [4, 4, 3] * 4 and float(run.classifier.seen) == 4 * N
    assert rates == [rate_at(run.recipe, step, N) for step in range(12)] and rates[0] == 0.01
    assert [one["steps"] for one in progress.history] == [3, 6, 9, 12]
    assert progress.history[-1]["loss"] < progress.history[0]["loss"] and not run.classifier.training


@pytest.mark.parametrize("method", [Method, WithPenalty])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(tmp_path, method):
    recipe = Recipe(learning_rate=0.1, epochs=1, batch_size=N, warmup_epochs=0)
    gradients = []
    for micro_batch in (N, 3, 1):
        one = tuner(tmp_path, method(), recipe)
        one.classifier.weight.data = torch.linspace(-1, 1, CLASSES * WIDTH).view(CLASSES, WIDTH)
        one.progress.micro_batch = micro_batch
        one.classifier.eval()  # dropout would draw other units for other parts
        one.accumulate(next(one._batches()))
        gradients.append(one.classifier.weight.grad)
    assert gradients[0].abs().max() > 0.01
    for gradient in gradients[1:]:
        torch.testing.assert_close(gradient, gradients[0])


def test_memory_that_runs_out_halves_the_batch_and_changes_no_number(tmp_path):
    whole = tuner(tmp_path / "a", recipe=Recipe(epochs=1, batch_size=8, warmup_epochs=0))
    small = tuner(tmp_path / "b", recipe=Recipe(epochs=1, batch_size=8, warmup_epochs=0))
    for one in (whole, small):
        one.classifier.dropout.p = 0.0
    kept = small.losses

    def scarce(part, shared):
        if len(part[1]) > 2:
            raise torch.OutOfMemoryError
        return kept(part, shared)

    small.losses = scarce
    whole.run(), small.run()
    assert small.progress.micro_batch == 2
    torch.testing.assert_close(small.classifier.weight, whole.classifier.weight)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw"])
def test_a_killed_run_resumes_bit_for_bit(tmp_path, optimiser):
    recipe = Recipe(optimiser=optimiser, learning_rate=0.05, epochs=4, batch_size=4)
    whole = tuner(tmp_path / "whole", recipe=recipe)
    whole.run()

    def die(step):
        if step == 5:
            first.save()
            raise Killed

    first = tuner(tmp_path / "cut", recipe=recipe, on_step=die)
    with pytest.raises(Killed):
        first.run()
    steps = []
    second = tuner(tmp_path / "cut", recipe=recipe, on_step=steps.append)
    second.run()
    assert steps == list(range(6, 13))
    assert torch.equal(second.classifier.weight, whole.classifier.weight)
    assert torch.equal(second.classifier.seen, whole.classifier.seen)
    assert second.progress.history == whole.progress.history


def test_a_checkpoint_of_another_recipe_is_not_resumed(tmp_path):
    first = tuner(tmp_path)
    first.progress.step = 3
    first.save()
    steps = []
    tuner(tmp_path, recipe=Recipe(learning_rate=0.2, epochs=1, batch_size=4), on_step=steps.append).run()
    assert steps == [1, 2, 3]


def test_what_is_not_finite_ends_with_advice(tmp_path):
    run = tuner(tmp_path)
    run.images.images.features.pooled[2, 0] = float("nan")
    with pytest.raises(ConesError, match=r"the loss is not finite at step \d.*lower the learning rate"):
        run.run()


def test_most_steps_end_a_training_early(tmp_path):
    run = tuner(tmp_path, recipe=Recipe(epochs=50, max_steps=5, batch_size=4))
    assert run.run().step == 5 and run.record()["steps"] == 5 and run.progress.history[-1]["steps"] == 5
