"""Differences between methods with intervals over drawn test images: of chosen numbers, and of detections on disk."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from cones.experiment.outputs import OUTPUTS
from cones.outputs import methods_differences
from cones.outputs.cells import ExpectedCell, collect_cells
from cones.outputs.files import read_csv, to_csv
from cones.outputs.methods_differences import _over_seeds
from cones.outputs.reads import detections
from cones.outputs.reads.detections import DRAWS, DrawnImages
from cones.outputs.sheet import sheet_markdown
from cones.outputs.wording import NO_NUMBER
from cones.runtime.artifacts import read_json, sha256, write_json
from cones.runtime.errors import ConesError
from cones.steps.compare import compare_arms
from tests.outputs.test_segmentation_suite import plan  # noqa: F401 (a fixture)
from tests.outputs.worlds import metrics_path, write_done, write_skipped

GROUPS = {"raccoon": "natural", "bccd": "non_radiology"}
GAINS = {"zero_shot": 0.0, "taskres": 0.5, "lora": -9.0, "cones": 6.0, "cones_finetuned": 20.0}


def source_of(folder, seeds=(0, 1), missing=()):
    """Cells whose AP on a draw is 30 + what the draw makes of all arms + the arm's gain + its own noise of up to 1."""
    expected, paths, aps = [], {}, {}
    for dataset, group in GROUPS.items():
        shared = np.random.default_rng(len(dataset)).normal(0, 10, DRAWS)
        for number, (arm, gain) in enumerate(GAINS.items()):
            for seed in seeds:
                cell = ExpectedCell("glip_nano", dataset, group, arm, arm, seed)
                expected.append(cell := replace(cell, block="peft"))
                paths[cell] = metrics_path(folder, "mini", cell)
                if (dataset, arm) in missing:
                    write_skipped(paths[cell], "mini", cell, "needs a form")
                    continue
                write_done(paths[cell], "mini", cell, 30 + gain)
                noise = np.random.default_rng([number, seed, len(dataset)]).uniform(-1, 1, DRAWS)
                aps["glip_nano", dataset, arm, seed] = np.concatenate([[30 + gain], 30 + gain + shared + noise])
    return DrawnImages(collect_cells(expected, paths, suite="mini"), aps, {})


def rows_of(source):
    return methods_differences.frame(source, suite="mini").set_index(["arm", "against"])


def test_a_difference_is_paired_over_the_draws_and_conestwo_meets_what_trains_the_image_encoder(tmp_path):
    table = rows_of(source_of(tmp_path))
    assert ("lora", "cones_finetuned") in table.index and ("taskres", "cones") in table.index
    assert ("lora", "cones") not in table.index and ("cones", "cones") not in table.index
    small = table.loc[("taskres", "zero_shot")]
    assert small["all_difference"] == pytest.approx(0.5) and small["all_low"] < 0 < small["all_high"]
    large = table.loc[("cones", "zero_shot")]
    assert (
        large["natural_difference"] == pytest.approx(6.0) and 4 < large["natural_low"] < 6 < large["natural_high"] < 8
    )
    assert large["all_high"] - large["all_low"] < large["natural_high"] - large["natural_low"], "of two datasets"
    assert large["all_datasets"] == "2/2" and table["notes"].isna().all()


def test_the_sheet_says_noise_and_over_how_many_datasets(tmp_path):
    source = source_of(tmp_path, missing={("bccd", "lora")})
    path = tmp_path / "t.csv"
    path.write_text(to_csv(methods_differences.frame(source, suite="mini")))
    text = "\n".join(map(sheet_markdown, methods_differences.sheet(*read_csv(path), suite="mini")))
    assert "glip_nano, minus Zero-shot" in text and "glip_nano, minus ConES (stage 2)" in text
    line = next(one for one in text.splitlines() if "| TaskRes |" in one)
    assert "noise: +0.5 (" in line
    (line,) = [one for one in text.splitlines() if "| LoRA |" in one and "-9.0" in one]
    assert "(1/2)" in line and "noise" not in line and NO_NUMBER in line
    assert "needs a form" in text


def test_a_table_without_rows_is_one_too(tmp_path):
    sheets = methods_differences.sheet(["suite", "all_difference", "notes"], [], suite="mini")
    assert "Differences on detectors" in sheet_markdown(sheets[0])


@pytest.fixture
def recorded(plan):  # noqa: F811
    for cell in plan.cells("table2"):
        run = read_json(cell.folder / "run.json")
        run["sha256"] = {path.name: sha256(path) for path in cell.folder.iterdir() if path.name != "run.json"}
        write_json(cell.folder / "run.json", run)
    return plan, OUTPUTS["methods_differences"].model_copy(update={"grids": ("table2",), "also": ()})


def test_detections_on_disk_give_what_compare_says(recorded):
    plan, output = recorded  # noqa: F811
    source = detections.read(plan, output)
    found = [_over_seeds(source, "uninext_nano", "fuseg", arm) for arm in ("cones", "zero_shot")]
    assert all(one.shape == (1 + DRAWS,) for one in found)
    ((_, expected),) = compare_arms(plan, ("cones", "zero_shot"), model=None, datasets=[], seed=0, draws=20)
    assert (found[0][0], found[1][0]) == (expected.ap_a, expected.ap_b)
    assert all(path.exists() for path in detections.inputs(plan, output))


def test_other_detections_than_those_recorded_are_refused(recorded):
    plan, output = recorded  # noqa: F811
    write_json(next(plan.cells("table2")).folder / "predictions.json", [])
    with pytest.raises(ConesError, match="not the detections that were recorded"):
        detections.read(plan, output)


def test_of_an_unfinished_run_the_reason_stands_beside_what_is_there(recorded):
    plan, output = recorded  # noqa: F811
    path = plan.cell("uninext_nano", "fuseg", "cones", 0).folder / "predictions.json"
    cells = path.parents[4] / "table2_cells.csv"
    shutil.copy(cells, cells.with_name("table2_cells.partial.csv"))
    path.unlink()
    with pytest.raises(ConesError, match="the detections are missing"):
        detections.read(plan, output)
    source = detections.read(plan, output, partial=True)
    assert [arm for _, _, arm, _ in source.unread] == ["cones"] and len(source.aps) == len(source.cells) - 1
    rows = methods_differences.frame(source, suite="fuseg").set_index(["arm", "against"])
    assert rows.loc[("full_finetuning", "zero_shot"), "all_datasets"] == "1/1"
    assert rows.loc[("cones", "zero_shot"), "all_datasets"] == "0/1"
    assert "the detections are missing" in rows.loc[("cones", "zero_shot"), "notes"]
