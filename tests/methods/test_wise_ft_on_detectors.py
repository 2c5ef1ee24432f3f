"""WiSE-FT on detectors: both ends are those of the cells between which it lies, bit for bit, on every family."""

import pytest
import torch

from cones.experiment.cell_steps import job_of_cell
from cones.experiment.pipeline import Pipeline
from cones.forecast.targets import cells_of
from cones.methods.method import TunedValues, TuningMethod
from cones.models.checkpoints import build_detector
from cones.runtime.artifacts import load_tensors
from cones.runtime.errors import ConesError
from cones.steps.tune import state_file, tune_cell
from cones.training.state import State
from tests.conftest import ROOT
from tests.methods.one_step import prompt_inputs_for
from tests.some_fast import fast
from tests.steps.painted_cells import MODELS, cell_of, plan_of, scored

WAYS = {"wise_ft_full": ("zero_shot", "full_finetuning"), "wise_ft_cones": ("cones", "cones_finetuned")}
ENDS = {f"{way}-{alpha}": {"method": way, "options": {"alpha": alpha}} for way in WAYS for alpha in (0, 1)}
ARMS = {arm: {} for way in WAYS for arm in (*WAYS[way], way)} | ENDS


@pytest.fixture(scope="module", params=fast(MODELS, "glip_nano"))
def world(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        yield plan_of(folder, request.param, ARMS), folder


@pytest.fixture
def plan(world, monkeypatch):
    plan, folder = world
    monkeypatch.chdir(folder)
    return plan


@pytest.mark.parametrize("way", WAYS)
def test_the_ends_are_the_start_and_the_tuned_cell_bit_for_bit(plan, way):
    start, end = WAYS[way]
    found = {arm: scored(plan, arm) for arm in (start, end, f"{way}-0", f"{way}-1", way)}
    assert found[start] and found[f"{way}-0"] == found[start] and found[f"{way}-1"] == found[end]
    assert found[way] not in (found[start], found[end])


@pytest.mark.parametrize("way", WAYS)
def test_every_value_that_was_tuned_is_half_of_each(plan, way):
    arms = {name: cell_of(plan, arm) for name, arm in (("tuned", WAYS[way][1]), ("mixed", way))}
    scored(plan, way)
    base, _ = load_tensors(plan.weights(arms["tuned"].model))
    tuned, mixed = (State.load(state_file(cell)).trained for cell in arms.values())
    assert tuned.keys() == mixed.keys() and any(name.startswith("prompt.") for name in tuned) == (way == "wise_ft_full")
    names = [name for name in tuned if name.startswith("model.")]
    moved = 0
    for name in names:
        start = base[name.removeprefix("model.")]
        assert torch.equal(mixed[name], 0.5 * start + 0.5 * tuned[name]), name
        moved += not torch.equal(start, tuned[name])
    assert moved > 0.9 * len(names)


def test_the_tuned_cell_is_an_input_of_the_job_and_of_what_a_target_needs(plan):
    pipeline, cell = Pipeline(plan), cell_of(plan, "wise_ft_cones")
    inputs = pipeline.inputs(job_of_cell("tune", cell))
    assert inputs["tuned"].job == job_of_cell("tune", cell_of(plan, "cones_finetuned"))
    assert inputs["tuned_record"].job == inputs["tuned"].job
    before = {job.arm for job in pipeline.behind([job_of_cell("evaluate", cell)]) if job.step == "tune"}
    assert before == {"wise_ft_cones", "cones_finetuned", "cones"}
    alone = type(plan)(plan.suite.model_copy(deep=True), plan.registry)
    alone.suite.grids["table1"] = alone.suite.grids["table1"].model_copy(update={"arms": ("wise_ft_cones",)})
    wanted = {cell.arm: jobs for cell, jobs in cells_of(alone, ["table1"]).items()}
    assert wanted["cones_finetuned"] == wanted["cones"] == {"tune"} and "evaluate" in wanted["wise_ft_cones"]


def test_what_it_reads_has_to_be_there_and_of_the_right_method(tmp_path):
    model = "glip_nano"
    for arm, reason in (
        ({"tuned_arm": "cones"}, r'needs an arm of full_finetuning as its tuned_arm; "cones" is one of cones'),
        ({"tuned_arm": "nothing"}, r'needs the arm "nothing", which is not in the suite'),
    ):
        with pytest.raises(ConesError, match=reason):
            plan_of(tmp_path, model, {"wise_ft_full": arm})
    with pytest.raises(ConesError, match=r'names a tuned_arm, and its method "cones" reads none'):
        plan_of(tmp_path, model, {"cones": {"tuned_arm": "full_finetuning"}})
    with pytest.raises(ConesError, match=r'no value for "full_finetuning"'):
        rates = {"learning_rate": {"cones": 1e-3}, "tokens_per_class": 2}
        plan_of(tmp_path, "glip_t", {"wise_ft_full": {}}, models={"glip_t": rates})


def test_a_share_that_is_none_and_a_value_that_would_be_left_out_are_refused():
    model, way = build_detector("glip_nano"), TuningMethod.load("wise_ft_cones")
    given = prompt_inputs_for("glip_nano", "wise_ft_cones")
    for options, reason in (({"alpha": 1.5}, "from 0 to 1"), ({"alfa": 1}, 'no option "alfa".*did you mean "alpha"')):
        given.settings = given.settings.model_copy(update={"options": options})
        with pytest.raises(ConesError, match=reason):
            way.prompt(model, given)
    given.settings = given.settings.model_copy(update={"options": {}})
    given.tuned = TunedValues({**given.tuned.trained, "model.low_rank.a": torch.zeros(1)}, given.tuned.language)
    with pytest.raises(ConesError, match=r"a value that the start does not have.*model\.low_rank\.a"):
        way.prompt(model, given)


def test_other_base_weights_than_those_of_the_tuned_cell_are_refused(plan, monkeypatch):
    cell = cell_of(plan, "wise_ft_cones")
    scored(plan, "wise_ft_cones")
    monkeypatch.setattr("cones.steps.tune.refuse_other_weights", refuse := Refusal())
    tune_cell(plan, cell)
    assert state_file(cell_of(plan, "cones_finetuned")) in refuse.asked


class Refusal:
    """Notes which files were held against the base weights."""

    def __init__(self):
        self.asked = []

    def __call__(self, made_of, base_sha256, *, where):
        assert made_of == base_sha256
        self.asked.append(where)
