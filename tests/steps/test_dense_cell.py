"""Dense cells by the commands alone, on a tiny set of pictures with class maps and a random model."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from cones.data import dense
from cones.data.class_maps import IGNORED, Numbers, read_class_map
from cones.data.dense import read_mapped_items, whole_picture
from cones.experiment.cell import Plan
from cones.experiment.classification_cells import classification_cell
from cones.methods.classifier import ClassifierMethod
from cones.models.checkpoints import load_dual_encoder
from cones.models.dual_encoder import unit
from cones.outputs.make import make_output
from cones.runtime.artifacts import load_tensors, read_json
from cones.runtime.errors import ConesError
from cones.runtime.sources import ROOT
from cones.steps import dense_cell
from cones.steps.dense_cell import DenseFit, first_choices
from cones.steps.verify import verify
from tests.steps.tiny_cells import fit, run
from tests.tiny_maps import CLASSES, write_tiny_maps

SETTING = "walls-dense4"


@pytest.fixture
def world(tmp_path, monkeypatch):
    """The folder the commands run in, with the prepared set and base weights."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "datasets.yaml").symlink_to(ROOT / "datasets.yaml")
    write_tiny_maps(tmp_path)
    for step in ("fetch", "prepare"):
        run(step, "--dataset", "walls")
    run("weights", "--model", "clip_nano")
    return tmp_path


def cell_fit(arm: str, seed: int = 1) -> DenseFit:
    plan = Plan.load("tiny")
    return DenseFit(plan, classification_cell(plan, "clip_nano", SETTING, arm, seed))


@torch.no_grad()
def by_hand(fitted: DenseFit) -> tuple[dict[str, float], float]:
    """Zero-shot, picture by picture and class by class: IoU and pixel accuracy in per cent."""
    encoder, folder = load_dual_encoder("clip_nano", Path("checkpoints/clip_nano-seed0.safetensors")), fitted.own.folder
    numbers = Numbers(**read_json(folder / "manifest.json")["class_map"])
    text = unit(fitted.texts([f"a photo of a {name}." for name in CLASSES]))
    inter, union, right, total = [0] * 3, [0] * 3, 0, 0
    for item in read_mapped_items(folder)["test"]:
        pixels = whole_picture(folder / item.path, encoder.picture_format, short_side=72, stride=8)
        assert pixels.shape[-2:] == (72, 88)
        found = encoder.encode_positions(pixels, reading="attention")
        scores = found.as_map(unit(found.features) @ text.T)
        answers = F.interpolate(scores, size=(48, 60), mode="bilinear", align_corners=False)[0].argmax(0).numpy()
        truth = read_class_map(folder / item.class_map, numbers)
        known = truth != IGNORED
        right, total = right + int((answers == truth)[known].sum()), total + int(known.sum())
        for label in range(3):
            inter[label] += int(((answers == label) & (truth == label)).sum())
            union[label] += int((((answers == label) | (truth == label)) & known).sum())
    return {name: 100 * i / u for name, i, u in zip(CLASSES, inter, union) if u}, 100 * right / total


def test_zero_shot_is_the_cosine_of_each_position_and_needs_no_picture_to_learn_from(world):
    folder, metrics = fit("zero_shot", SETTING)
    score = metrics.targets["walls"]
    expected, accuracy = by_hand(cell_fit("zero_shot"))
    assert score.dense.per_class == pytest.approx(expected, abs=1e-3)
    assert score.dense.mean_iou == pytest.approx(np.mean([*expected.values()]), abs=1e-3)
    assert score.accuracy == pytest.approx(accuracy, abs=1e-3) and score.images == 4
    assert score.dense.pixels == 4 * (48 * 60 - 60)
    assert (metrics.setting, metrics.shots, metrics.trained.values, metrics.trained.train_images) == ("dense", 4, 0, 0)
    predictions = read_json(folder / "predictions.json")["walls"]
    assert sum(predictions["pixels"]["truth"]) == score.dense.pixels == sum(one[0] for one in predictions["images"])
    assert sum(predictions["pixels"]["right"]) == sum(one[1] for one in predictions["images"])


def test_a_probe_learns_from_positions_and_is_better_on_what_it_saw(world):
    _, plain = fit("zero_shot", SETTING)
    folder, tuned = fit("zs_linear_probe", SETTING)
    assert tuned.trained.values == 3 * 128 and tuned.trained.train_images == 4
    assert tuned.targets["walls"].dense.mean_iou > plain.targets["walls"].dense.mean_iou
    tuning = read_json(folder / "tuning.json")
    assert len(tuning["train"]) == 4 and tuning["steps"] == 8 * 2  # 4 pictures of 9 x 9 positions in batches of 256
    assert load_tensors(folder / "state.safetensors")[0].keys() == {"vectors"}
    assert cell_fit("zs_linear_probe", seed=2).few.train != cell_fit("zs_linear_probe", seed=1).few.train


def test_methods_of_maps_are_fitted_and_a_cell_keeps_no_encoder(world):
    folder, metrics = fit("denseclip", SETTING)
    state = load_tensors(folder / "state.safetensors")[0]
    assert {name.split(".")[0] for name in state} == {"contexts", "gamma", "context_decoder", "head"}
    assert metrics.trained.values == sum(value.numel() for value in state.values())
    assert metrics.trained.note.startswith("image encoder frozen") and metrics.trained.text_encoder == 0
    assert read_json(folder / "tuning.json")["steps"] == 2
    _, free = fit("maskclip", SETTING)
    assert free.trained.values == 0 and free.trained.labels == "none"


def test_a_method_of_another_task_is_a_hole_with_that_reason(world):
    _, metrics = fit("taskres", SETTING)
    assert metrics.status == "skipped"
    assert metrics.reason == "has no form for a class for every pixel"
    assert "dense" in ClassifierMethod.load("zero_shot").serves
    assert ClassifierMethod.load("maskclip").serves == {"dense"}


def test_fewer_pictures_than_asked_for_are_said_and_none_is_a_hole(world, monkeypatch):
    _, metrics = fit("zs_linear_probe", "walls-dense16")
    assert metrics.trained.train_images == 6 and "6 training pictures of 16: there are no more" in metrics.trained.note
    read = dense_cell.read_mapped_items
    monkeypatch.setattr(dense_cell, "read_mapped_items", lambda folder: {**read(folder), "train": [], "val": []})
    _, metrics = fit("zs_linear_probe", SETTING)
    assert metrics.reason == "the data set has no pictures to learn from"
    assert fit("zero_shot", SETTING)[1].status == "done"


def test_training_pictures_without_a_labelled_pixel_teach_nothing(world, monkeypatch):
    """Nothing would train, and zero-shot's answers would stand there as the method's."""
    at_the_edge = np.full((48, 60), IGNORED, np.uint8)
    at_the_edge[:, :4] = 1  # outside of the middle square
    for module in (dense_cell, dense):
        monkeypatch.setattr(module, "read_class_map", lambda path, numbers: at_the_edge)
    for arm in ("zs_linear_probe", "denseclip"):
        assert cell_fit(arm).reason == "no labelled pixel in the middle squares of its training pictures"
    assert cell_fit("zero_shot").reason is None


def test_classes_that_a_method_has_nothing_to_learn_from_are_named(world, monkeypatch):
    """Of a position counts the class of most of its pixels, of a map every pixel."""
    spotted = np.zeros((48, 60), np.uint8)
    spotted[4::9, 4::9] = 1
    spotted[:, :4] = 2
    for module in (dense_cell, dense):
        monkeypatch.setattr(module, "read_class_map", lambda path, numbers: spotted)
    assert list(cell_fit("denseclip").few.short) == ["blue box"]
    assert list(cell_fit("zs_linear_probe").few.short) == ["red disc", "blue box"]
    assert cell_fit("maskclip").few.short == {}


def test_cells_are_equal_bit_for_bit_when_fitted_again(world):
    folder, _ = fit("denseclip", SETTING)
    first = {name: (folder / name).read_bytes() for name in ("metrics.json", "state.safetensors", "predictions.json")}
    fit("denseclip", SETTING)
    assert {name: (folder / name).read_bytes() for name in first} == first


def test_the_table_shows_rows_and_holes_and_verifies(world):
    for arm in ("zero_shot", "zs_linear_probe", "taskres"):
        fit(arm, SETTING)
    make_output(Plan.load("tiny"), "survey_dense")
    text = Path("results/tiny/survey_dense.md").read_text()
    assert "mIoU" in text and "has no form for a class for every pixel" in text
    found = verify(world / "results")
    assert found.faults == [] and found.cells == 3 and found.tables >= 1
    cells = Path("results/tiny/survey_dense_cells.csv")
    cells.write_text(cells.read_text().replace("skipped", "failed"))
    assert verify(world / "results").faults


def test_logits_that_are_not_finite_are_refused(world, monkeypatch):
    monkeypatch.setattr(DenseFit, "logits", lambda self, pixels: torch.full((1, 3, 2, 2), torch.nan))
    with pytest.raises(ConesError, match="logits that are not finite"):
        fit("zero_shot", SETTING)


@pytest.mark.parametrize("at_once", [1, 2, 16])
def test_the_choice_of_a_class_does_not_depend_on_how_many_are_resized_at_once(at_once, monkeypatch):
    monkeypatch.setattr(dense_cell, "CLASSES_AT_ONCE", at_once)
    logits = torch.randn(1, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    logits[:, 3] = logits[:, 1]  # of equal ones the first
    whole = F.interpolate(logits, size=(9, 7), mode="bilinear", align_corners=False)[0]
    found = first_choices(logits, (9, 7))
    assert torch.equal(found, whole.argmax(0)) and not (found == 3).any()


def test_what_a_cell_depends_on_is_in_its_record(world):
    folder, _ = fit("maskclip", SETTING)
    settings = json.loads((folder / "run.json").read_text())
    assert "data/official/walls/manifest.json" in json.dumps(settings)
    assert cell_fit("maskclip").short_side == 72
