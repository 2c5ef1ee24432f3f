"""Methods that change a detector's scores, as cells of every family: their neutral settings, and that scoring says what
was in memory when tuning ended."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from cones.experiment.cell import Plan
from cones.runtime.artifacts import read_json
from cones.runtime.errors import ConesError
from cones.steps import tune
from cones.steps.tune import state_file
from cones.steps.tuned import load_tuned
from cones.training.state import State
from tests.conftest import ROOT
from tests.some_fast import fast
from tests.steps.painted_cells import MODELS, cell_of, plan_of, scored

RATE = {"learning_rate": 1e-2}
NEUTRAL = {  # arm: what it has to be equal to, bit for bit
    "tip_adapter-0": "zero_shot",
    "calip-0": "zero_shot",
    "dualcoop-0": "coop",
}
ARMS = {
    "zero_shot": {},
    "tip_adapter": {},
    "tip_adapter-0": {"method": "tip_adapter", "options": {"alpha": 0.0}, "tuning": {"selection": "last"}},
    "tip_adapter_f": RATE,
    "calip": {},
    "calip-0": {"method": "calip", "tuning": {"selection": "last"}},
    "calip-1": {"method": "calip", "tuning": {"selection": "last"}, "options": {"beta2": 0.1, "beta3": 0.1}},
    "tpt": {},
    "prograd": RATE,
    "lasp": RATE,
    "variational": RATE,
    "plot": RATE,
    "coop": RATE,
    "upl": RATE,
    "dualcoop": RATE,
    "dualcoop-0": {"method": "dualcoop", "options": {"weight": 0.0}, **RATE},
}
POSTERIOR = {
    f"prompt.posterior.{network}.{layer}.{kind}"
    for network in ("mean", "log_variance")
    for layer in (0, 2, 4)
    for kind in ("weight", "bias")
}
TRAINED = {  # arm: what its state holds of what was trained
    "tip_adapter_f": {"prompt.keys"},
    "prograd": {"prompt.vectors"},
    "lasp": {"prompt.caption.vectors", "prompt.correction"},
    "variational": {"prompt.caption.vectors", *POSTERIOR},
    "plot": {"prompt.caption.vectors"},
    "upl": {"prompt.vectors"},
    "dualcoop": {"prompt.caption.vectors"},
}
BUFFERS = {"tip_adapter": {"prompt.keys", "prompt.values", "prompt.alpha", "prompt.beta"}}
BUFFERS |= {"tip_adapter_f": BUFFERS["tip_adapter"], "variational": {"prompt.draws"}}
BUFFERS |= {arm: {"prompt.scale", "prompt.beta2", "prompt.beta3"} for arm in ("calip", "calip-1")}
CHOSEN = ("tip_adapter", "tip_adapter_f", "calip")
LOADED = ("tip_adapter", "tip_adapter_f", "calip-1", "tpt", "prograd", "lasp", "variational", "plot", "upl", "dualcoop")


@dataclass
class World:
    plan: Plan
    folder: Path
    kept: dict[str, dict[str, torch.Tensor]]  # {arm: every value of its prompt when tuning ended}

    def scored(self, arm: str) -> list[dict]:
        found = scored(self.plan, arm)
        if "last" in self.kept:
            self.kept[arm] = self.kept.pop("last")
        return found


@pytest.fixture(scope="module", params=fast(MODELS, "glip_nano"))
def module_world(request, tmp_path_factory):
    folder, kept = tmp_path_factory.mktemp(request.param), {}
    state_of = tune.state_of

    def kept_too(method, model, prompt, *rest, **options):
        kept["last"] = {name: value.clone() for name, value in prompt.state_dict().items()}
        return state_of(method, model, prompt, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(tune, "state_of", kept_too)
        yield World(plan_of(folder, request.param, ARMS), folder, kept)


@pytest.fixture
def world(module_world, monkeypatch):
    monkeypatch.chdir(module_world.folder)
    return module_world


@pytest.mark.parametrize("arm", NEUTRAL)
def test_a_neutral_setting_is_what_it_starts_from_bit_for_bit(world, arm):
    found = world.scored(arm)
    assert found and found == world.scored(NEUTRAL[arm])


@pytest.mark.parametrize("arm", LOADED)
def test_scoring_loads_what_was_in_memory_and_differs_from_zero_shot(world, arm):
    found = world.scored(arm)
    cell = cell_of(world.plan, arm)
    state = State.load(state_file(cell))
    if arm == "plot" and cell.model != "glip_nano":
        assert not found and "a query is one vector" in state.skipped
        return
    assert found and found != world.scored("zero_shot")
    assert TRAINED.get(arm, set()) | BUFFERS.get(arm, set()) == set(state.trained)
    if state.remake is None:  # its language says all
        assert state.language is not None
        return
    again = load_tuned(world.plan, cell, state, torch.device("cpu")).prompt.state_dict()
    assert again.keys() == world.kept[arm].keys()
    assert all(torch.equal(value, world.kept[arm][name]) for name, value in again.items())


def test_a_number_that_a_method_does_not_have_is_refused_whatever_the_method(world):
    plan = world.plan.suite.model_copy(deep=True)
    plan.arms["prograd"].options["lambda"] = 0.5
    with pytest.raises(ConesError, match=r'prograd: options of its arm: the method has no option "lambda"'):
        tune.tune_cell(Plan(plan, world.plan.registry), cell_of(world.plan, "prograd"))


@pytest.mark.parametrize("arm", CHOSEN)
def test_numbers_are_chosen_on_validation_alone_and_said(world, arm):
    world.scored(arm)
    chosen = read_json(cell_of(world.plan, arm).folder / "tuning.json")["chosen"]
    best = max(ap for _, ap in chosen["tried"])
    assert chosen["taken"] == next(candidate for candidate, ap in chosen["tried"] if ap == best)
    state = State.load(state_file(cell_of(world.plan, arm)))
    assert {name: float(state.trained[f"prompt.{name}"]) for name in chosen["taken"]} == pytest.approx(chosen["taken"])
