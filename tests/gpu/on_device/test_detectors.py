"""Every model family and every method on a GPU: image features, tuning, scoring, class vectors of a cell."""

import math

import pytest
import torch

from cones.data.pyramid_file import PyramidFile
from cones.evaluation.metrics import read_metrics
from cones.methods.method import TuningMethod
from cones.models.glip.detector import GLIP
from cones.outputs.analysis.embeddings import Embeddings
from cones.runtime.artifacts import read_json
from cones.steps.embed import embed_cell
from cones.steps.evaluate import evaluate_cell
from cones.steps.features import compute_features
from cones.steps.tune import tune_cell
from cones.training.state import State
from cones.training.tuner import Tuner
from tests.gpu.on_device.cells import DATASET, SomeKept, painted_plan, tuned
from tests.gpu.on_device.waits import in_words

METHODS = [
    "zero_shot",
    "linear_probing",
    "textual_inversion",
    "prompt_tuning",
    "cones",
    "full_finetuning",
    "cones_finetuned",
    "coop",
    "cocoop",
    "kgcoop",
    "cones_kg",
    "taskres",
    "clip_adapter",
    "bias_only",
    "lora",
    "vp",
    "vpt_deep",
    "maple",
    "sdpt",
    "sdpt_paper",
    "wise_ft_full",
    "wise_ft_cones",
    "tip_adapter",
    "tip_adapter_f",
    "calip",
    "prograd",
    "lasp",
    "variational",
    "plot",
    "upl",
    "dualcoop",
    "tpt",
]
WITH_MASKS = ("uninext_nano",)
QUICK = {
    "glip_nano": ["prompt_tuning", "cones_finetuned"],
    "glip_nano_a": ["cones"],
    "uninext_nano": ["cones"],
    "grounding_dino_nano": ["cones"],
}
PRECISIONS = {  # in training and in scoring, as their families are published
    "glip_nano": ("float16", "float32"),
    "glip_nano_a": ("float16", "float32"),
    "uninext_nano": ("float32", "float32"),
    "grounding_dino_nano": ("bfloat16", "bfloat16"),
}
MATCHED_ON_THE_CPU = {"uninext_nano": 2, "grounding_dino_nano": 1}  # times a pass, whatever layers and images there are
CASES = [
    pytest.param(model, method, marks=() if method in quick else pytest.mark.slow)
    for model, quick in QUICK.items()
    for method in METHODS
    if TuningMethod.load(method).supports(model) is None
]


@pytest.fixture(scope="session")
def plans():
    return {}


@pytest.fixture
def plan_of(plans, tmp_path_factory, monkeypatch):
    """The plan of a model's cells on a painted dataset; its folder is the working directory."""

    def plan_of(model: str):
        if model not in plans:
            folder = tmp_path_factory.mktemp(model)
            plans[model] = folder, painted_plan(folder, model, METHODS, masks=model in WITH_MASKS)
        folder, plan = plans[model]
        monkeypatch.chdir(folder)
        return plan

    return plan_of


@pytest.fixture(autouse=True)
def _past_the_budget_of_features(monkeypatch):
    monkeypatch.setattr("cones.training.tuner.FrozenPyramids", SomeKept)


@pytest.mark.parametrize(("model", "method"), CASES)
def test_a_cell(plan_of, waits, model, method):
    plan = plan_of(model)
    cell = plan.cell(model, DATASET, method, 0)
    record = tuned(plan, cell)
    assert record["device"] == "cuda:0"
    assert (record["precision"], record["scoring_precision"]) == PRECISIONS[model]
    if plan.method(method).is_tuned:
        assert all(math.isfinite(loss) for epoch in record["history"] for loss in epoch["losses"].values())
        assert len(record["history"]) == 2 and record["micro_batch"] == 2
        if (model, method) == ("glip_nano_a", "cones"):
            assert "copy to the GPU" not in waits[-1] and "copy to the CPU" not in waits[-1]
        if method == "cones" and model in MATCHED_ON_THE_CPU:
            assert waits[-1]["copy to the CPU"] <= 2 * MATCHED_ON_THE_CPU[model]  # a step of two passes
        print(f"\n{model}, {method}: a step waits for the GPU {in_words(waits[-1])}")
    evaluate_cell(plan, cell)
    metrics = read_metrics(cell.folder / "metrics.json")
    assert set(metrics.scores) == ({"bbox", "segm"} if model in WITH_MASKS else {"bbox"})
    assert metrics.scores["bbox"].ap is not None
    assert read_json(cell.folder / "run.json")["inference"]["precision"] == PRECISIONS[model][1]
    embed_cell(plan, cell)
    embeddings = Embeddings.load(cell.folder / "embeddings.safetensors")
    assert all(torch.isfinite(vectors).all() for vectors in embeddings.classes.values())


def test_image_features_are_made_once_and_read_by_cells(plan_of):
    plan = plan_of("glip_nano")
    plan = type(plan)(plan.suite.model_copy(update={"feature_cache_gb": 0.1}), plan.registry)
    compute_features(plan, "glip_nano", DATASET)
    views = PyramidFile(plan.features("glip_nano", DATASET)).views
    cell = plan.cell("glip_nano", DATASET, "cones", 0)
    tune_cell(plan, cell)
    evaluate_cell(plan, cell)
    assert read_json(cell.folder / "tuning.json")["shared_views"] == len(views) == 3 + 5 + 2 * 4  # test, val, train


def test_a_lack_of_memory_halves_the_pass_and_keeps_the_loss(plan_of, monkeypatch):
    plan = plan_of("glip_nano")
    cell = plan.cell("glip_nano", DATASET, "cones", 0)
    expected = tuned(plan, cell)["history"][0]["losses"]
    ground = GLIP.ground

    def scarce(self, pyramid, language, targets=None):
        if len(pyramid.sizes) > 1:
            raise torch.OutOfMemoryError("made up")
        return ground(self, pyramid, language, targets)

    monkeypatch.setattr(GLIP, "ground", scarce)
    tune_cell(plan, cell)
    record = read_json(cell.folder / "tuning.json")
    assert record["micro_batch"] == 1
    assert record["history"][0]["losses"] == pytest.approx(expected, rel=0.02)


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_the_same_vectors(plan_of, monkeypatch, caplog):
    caplog.set_level("INFO", "cones")
    plan = plan_of("glip_nano")
    cell = plan.cell("glip_nano", DATASET, "cones", 0)
    tune_cell(plan, cell)
    expected = State.load(cell.folder / "state.safetensors").trained
    validate = Tuner._validate

    def dies_in_the_second_epoch(self):
        if self.progress.epoch == 1:
            raise KeyboardInterrupt
        validate(self)

    monkeypatch.setattr(Tuner, "_validate", dies_in_the_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        tune_cell(plan, cell)
    monkeypatch.setattr(Tuner, "_validate", validate)
    tune_cell(plan, cell)
    assert "resumed at step" in caplog.text
    actual = State.load(cell.folder / "state.safetensors").trained
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-3)  # a GPU does not repeat its last bits
