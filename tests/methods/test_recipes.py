"""Recipes: rates are those of the published schedules, optimisers are PyTorch's with the decay where it belongs."""

import pytest
import torch
from torch import nn

from cones.methods.classifier import ClassifierMethod, Recipe
from cones.methods.recipes import groups_of, optimiser_of, rate_at, steps_of

IMAGES = 70  # three steps an epoch


def rates(**changes):
    recipe = Recipe(batch_size=32, **changes)
    return [rate_at(recipe, step, IMAGES) for step in range(steps_of(recipe, IMAGES))]


def test_cosine_is_dassls_epoch_by_epoch_after_a_constant_warm_up():
    found = rates(epochs=50)
    assert found[:4] == [1e-5, 1e-5, 1e-5, 2e-3]
    # what the published CoOp runs of 50 epochs print for their last one
    assert found[-1] == found[-3] == pytest.approx(7.8853e-6, rel=1e-4)
    assert len(set(found)) == 50


def pytorchs(schedule_type, **numbers):
    """The rates of a schedule of PyTorch over 60 steps from 1e-3."""
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1e-3)
    schedule = schedule_type(optimiser, 60, **numbers)
    found = []
    for _ in range(60):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return found


def test_cosine_per_step_is_that_of_pytorch_over_all_steps():
    recipe = {"epochs": 20, "schedule": "cosine_per_step", "warmup_epochs": 0, "learning_rate": 1e-3}
    assert rates(**recipe) == pytest.approx(pytorchs(torch.optim.lr_scheduler.CosineAnnealingLR))


def test_poly_per_step_is_that_of_pytorch_and_of_mmcv():
    recipe = {"epochs": 20, "schedule": "poly_per_step", "warmup_epochs": 0, "learning_rate": 1e-3}
    expected = pytorchs(torch.optim.lr_scheduler.PolynomialLR, power=0.9)
    assert rates(**recipe) == pytest.approx(expected)
    late = rates(**{**recipe, "warmup_epochs": 2})  # the curve goes on below the warm-up
    assert late[:6] == [1e-5] * 6 and late[6:] == pytest.approx(expected[6:])


def test_a_training_cut_short_ends_its_curve_there():
    assert len(rates(epochs=50, max_steps=30)) == 30
    assert rates(epochs=50, max_steps=30)[-1] == rates(epochs=10)[-1]
    assert set(rates(epochs=2, schedule="constant", warmup_epochs=0)) == {2e-3}


def updated(**changes):
    value = nn.Parameter(torch.tensor([2.0, -3.0]))
    optimiser = optimiser_of(Recipe(learning_rate=0.1, weight_decay=0.5, **changes), [value])
    for _ in range(2):
        value.grad = torch.tensor([1.0, 0.0])
        optimiser.step()
    return value.detach()


def test_decay_passes_through_the_moments_of_sgd_and_adam_and_past_those_of_adamw():
    # sgd by hand: gradient + decay * value, momentum 0.9
    first = torch.tensor([2.0, -3.0])
    momentum = torch.tensor([1.0, 0.0]) + 0.5 * first
    second = first - 0.1 * momentum
    momentum = 0.9 * momentum + torch.tensor([1.0, 0.0]) + 0.5 * second
    torch.testing.assert_close(updated(optimiser="sgd"), second - 0.1 * momentum)
    # without a gradient adam moves by its decay alone, a full step each time; adamw shrinks the value
    torch.testing.assert_close(updated(optimiser="adam")[1], torch.tensor(-2.8), atol=1e-2, rtol=0)
    torch.testing.assert_close(updated(optimiser="adamw")[1], torch.tensor(-3 * 0.95**2))


def test_parameters_may_have_a_share_of_the_rate():
    class Slow(ClassifierMethod):
        classifier = None

        def rate_factor(self, name):
            return 0.1 if name.startswith("slow") else 1.0

    recipe = Recipe(optimiser="sgd", learning_rate=0.5, momentum=0.0, weight_decay=0.0, epochs=2, schedule="constant")
    trained = {name: torch.nn.Parameter(torch.zeros(1)) for name in ("fast", "slow a", "slow b")}
    groups = groups_of(Slow(), recipe, trained)
    assert [(len(group["params"]), group["factor"]) for group in groups] == [(1, 1.0), (2, 0.1)]
    optimiser = optimiser_of(recipe, groups)
    sum(trained.values()).backward()
    optimiser.step()
    assert [round(value.item(), 6) for value in trained.values()] == [-0.5, -0.05, -0.05]
    # the warm-up's rate is for all
    assert [rate_at(recipe, step, 32, factor=0.1) for step in (0, 1)] == [1e-5, pytest.approx(0.05)]
