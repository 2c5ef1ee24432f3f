"""Scores on other datasets from made-up files: changes against zero-shot, what was carried, holes, few-shot curves."""

from dataclasses import replace

import pytest

from cones.evaluation.elsewhere import Elsewhere, OtherScore
from cones.evaluation.metrics import CellKey
from cones.outputs import few_shot, forgetting
from cones.outputs.cells import collect_cells
from cones.outputs.files import read_csv, to_csv
from cones.outputs.reads.elsewhere import ScoredElsewhere
from cones.outputs.sheet import sheet_markdown
from tests.outputs.worlds import grid, write_world

OWN = {"zero_shot": 20.0, "cones": 40.0, "full_finetuning": 50.0}
ELSEWHERE = {"zero_shot": (30.0, 10.0), "cones": (30.0, 10.0), "full_finetuning": (12.0, 8.0)}
CARRIED = {"zero_shot": "nothing", "cones": "nothing", "full_finetuning": "weights and prompt"}


def scored_elsewhere(folder, *, lacks=(), failed=(), arms=tuple(OWN), seeds=(0,)):
    cells = grid(models=("glip_nano",), methods=arms, datasets=("raccoon",), seeds=seeds)
    paths = write_world(folder, "mini", cells, lambda cell: OWN[cell.method] + cell.seed)
    others = {}
    for cell in cells:
        key = (cell.model, cell.dataset, cell.arm, cell.seed)
        if cell.method in failed:
            others[key] = "failed (out of memory)"
            continue
        aps = zip(("aquarium", "pistols"), ELSEWHERE[cell.method])
        scores = {
            name: OtherScore(ap=None, reason="pretrained on it")
            if (cell.method, name) in lacks
            else OtherScore(ap=ap + cell.seed, images=3)
            for name, ap in aps
        }
        parts = {"model": cell.model, "dataset": cell.dataset, "arm": cell.arm, "method": cell.method}
        identity = CellKey(suite="mini", seed=cell.seed, **parts)
        others[key] = Elsewhere(cell=identity, state_sha256="0", carried=CARRIED[cell.method], datasets=scores)
    return ScoredElsewhere(collect_cells(cells, paths, suite="mini"), others)


def shown(module, source, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(to_csv(module.frame(source, suite="mini")))
    columns, rows = read_csv(path)
    return sheet_markdown(module.sheet(columns, rows, suite="mini", title="a test")), rows


def test_changes_are_against_zero_shot_on_the_same_images(tmp_path):
    table = forgetting.frame(scored_elsewhere(tmp_path), suite="mini").set_index("arm")
    tuned = table.loc["full_finetuning"]
    assert (tuned["own_ap"], tuned["own_change"]) == (50.0, 30.0)
    assert (tuned["aquarium_change"], tuned["pistols_change"]) == (-18.0, -2.0)
    assert (tuned["others_ap"], tuned["others_change"]) == (10.0, -10.0)
    assert tuple(table.loc["cones", ["own_change", "aquarium_change", "others_change"]]) == (20.0, 0.0, 0.0)
    assert list(table["carried"]) == ["nothing", "nothing", "weights and prompt"] and table["notes"].isna().all()


def test_means_are_over_seeds(tmp_path):
    table = forgetting.frame(scored_elsewhere(tmp_path, seeds=(0, 1)), suite="mini").set_index("arm")
    assert tuple(table.loc["full_finetuning", ["own_ap", "aquarium_ap", "aquarium_change"]]) == (50.5, 12.5, -18.0)


def test_a_hole_has_its_reason_and_no_mean_over_the_rest(tmp_path):
    lacks = [("zero_shot", "pistols")]
    table = forgetting.frame(scored_elsewhere(tmp_path, lacks=lacks, failed=("cones",)), suite="mini").set_index("arm")
    assert table.loc["zero_shot", "notes"] == "pistols: pretrained on it"
    assert (
        table.loc["cones", "notes"] == "other datasets: failed (out of memory)" and table.loc["cones", "own_ap"] == 40
    )
    assert table.loc[["zero_shot", "cones"], "others_ap"].isna().all()
    assert table["others_change"].isna().all() and table["pistols_change"].isna().all()
    assert table.loc["full_finetuning", "aquarium_change"] == -18.0


def test_without_zero_shot_no_change_is_given(tmp_path):
    table = forgetting.frame(scored_elsewhere(tmp_path, arms=("cones",)), suite="mini")
    assert table["own_change"].isna().all() and list(table["notes"]) == [forgetting.NO_BASE]


def test_people_read_what_the_other_classes_meet(tmp_path):
    text, _ = shown(forgetting, scored_elsewhere(tmp_path), tmp_path)
    assert "| ConES (stage 1) | nothing that was trained | 40.0 | +20.0 | 20.0 | 0.0 |" in text
    assert "tuned weights, both encoders | 50.0 | +30.0 | 10.0 | -10.0 |" in text


def test_a_score_or_a_reason():
    with pytest.raises(ValueError, match="an AP, or a reason"):
        OtherScore(ap=None)
    with pytest.raises(ValueError, match="an AP, or a reason"):
        OtherScore(ap=1.0, reason="none")


def few(tmp_path, ap_of, seeds=(0, 1)):
    cells = []
    for cell in grid(models=("glip_nano",), methods=("zero_shot", "cones"), datasets=("raccoon", "bccd"), seeds=seeds):
        if cell.method == "zero_shot":
            cells.append(cell)
        cells += [replace(cell, arm=f"cones-{n}shot", shots=n) for n in (10, 1) if cell.method == "cones"]
    return collect_cells(cells, write_world(tmp_path, "mini", cells, ap_of), suite="mini")


def ap_of(cell):
    return 20.0 + (cell.shots or 0) + (10.0 if cell.dataset == "bccd" else 0.0) + cell.seed


def test_a_curve_has_its_number_of_shots_in_order_and_zero_shot_is_flat(tmp_path):
    table = few_shot.frame(few(tmp_path, ap_of), suite="mini").set_index(["dataset", "arm"])
    assert [name for name in table.columns if name.endswith("_ap")] == ["1_ap", "10_ap"]
    assert tuple(table.loc[("bccd", "cones"), ["1_ap", "10_ap"]]) == (31.5, 40.5)
    assert tuple(table.loc[("all", "cones"), ["1_ap", "10_ap"]]) == (26.5, 35.5)
    assert tuple(table.loc[("all", "zero_shot"), ["1_ap", "10_ap"]]) == (25.5, 25.5)
    assert table.loc[("all", "cones"), "1_spread"] == pytest.approx(6.353, abs=1e-3)
    text, _ = shown(few_shot, few(tmp_path, ap_of), tmp_path)
    assert "| model | dataset | method | 1 shot | 10 shots |" in text and "ConES (stage 1)" in text


def test_no_mean_where_a_dataset_is_missing_and_the_reason_is_said(tmp_path):
    cells = few(tmp_path, lambda cell: "too few" if (cell.dataset, cell.shots) == ("bccd", 10) else ap_of(cell))
    table = few_shot.frame(cells, suite="mini").set_index(["dataset", "arm"])
    assert table.loc[("all", "cones"), ["10_ap"]].isna().all() and table.loc[("all", "cones"), "1_ap"] == 26.5
    assert table.loc[("bccd", "cones"), "notes"] == "10 shots: bccd: skipped (too few)"


def test_the_curves_are_drawn(tmp_path):
    cells = few(tmp_path, ap_of)
    _, rows = shown(few_shot, cells, tmp_path)
    for path in few_shot.draw(cells, rows, {"few_shot": tmp_path / "few.png"}, suite="mini", title="a test"):
        assert path.stat().st_size > 1000
