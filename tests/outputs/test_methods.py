"""The survey on detectors from chosen APs: averages, costs, matches in trained values, holes, ranks and the figure."""

from dataclasses import replace

import pytest

from cones.outputs import methods, methods_ranks
from cones.outputs.cells import ExpectedCell, collect_cells
from cones.outputs.files import read_csv, to_csv
from cones.outputs.methods_rows import NO_MATCH, NOTHING_TRAINS, OWN
from cones.outputs.reads.costs import CostedCells
from cones.outputs.records import Record
from cones.outputs.sheet import sheet_markdown
from tests.outputs.worlds import metrics_path, write_done, write_skipped

GROUPS = {"raccoon": "natural", "vehicles_openimages": "natural", "bccd": "non_radiology"}
CLASSES = {"raccoon": 1, "vehicles_openimages": 5, "bccd": 3}
D, N = 8, 3
BLOCKS = {"zero_shot": "zero_shot", "cones": "peft", "coop": "text_prompts", "taskres": "adapters"}
TRAINED = {
    "zero_shot": lambda k: 0,
    "coop": lambda k: N * D,
    "coop-matched": lambda k: min(k, 2) * N * D,  # ends at two classes' worth
    "taskres": lambda k: k * D,
    "textual_inversion": lambda k: k * N * D,
    "cones": lambda k: k * N * D,
    "full_finetuning": lambda k: 4000,
    "cones_finetuned": lambda k: 3900,
}


def source_of(folder, ap_of, arms=tuple(TRAINED), seeds=(0,), matches=None, model="glip_nano"):
    """Cells of every arm and dataset; `ap_of(arm, dataset, seed)` is an AP, or a text: skipped, with reason."""
    expected, paths, records, stored = [], {}, {}, {}
    for dataset, group in GROUPS.items():
        for arm in arms:
            for seed in seeds:
                method = arm.partition("-")[0]
                cell = replace(ExpectedCell(model, dataset, group, arm, method, seed), block=BLOCKS.get(method, "peft"))
                expected.append(cell)
                paths[cell] = metrics_path(folder, "mini", cell)
                key, run = (model, dataset, arm, seed), run_of(arm, dataset)
                if isinstance(ap := ap_of(arm, dataset, seed), str):
                    write_skipped(paths[cell], "mini", cell, ap)
                else:
                    write_done(paths[cell], "mini", cell, ap, trained=TRAINED[arm](CLASSES[dataset]), total=5000)
                    stored[key] = 100 + TRAINED[arm](CLASSES[dataset])
                records[key] = (cell, run)
    cells = collect_cells(expected, paths, suite="mini")
    rows = {(row["model"], row["dataset"], row["arm"], int(row["seed"])): row for row in texts(cells)}
    found = {key: Record(rows[key], run if rows[key]["status"] == "done" else {}) for key, (_, run) in records.items()}
    given = {"coop-matched": "cones"} if matches is None else matches
    return CostedCells(cells, found, stored, given)


def texts(cells):
    import csv
    import io

    return list(csv.DictReader(io.StringIO(to_csv(cells))))


def run_of(arm, dataset):
    tuned = arm != "zero_shot"
    return {
        "device": "cpu",
        "settings": {"learning_rate": 0.5 if tuned else 0.0},
        "tuning": {"steps": 10 * tuned, "seconds": 2.0 * tuned, "history": [], "best_epoch": 0, "peak_memory_bytes": 7},
        "inference": {
            "seconds_per_image": 0.25,
            "peak_memory_bytes": 9,
            "text_encoder_parameters": 11 if arm == "coop" else 0,
        },
    }


def by_dataset(arm, dataset, seed):
    return 10.0 * list(GROUPS).index(dataset) + list(TRAINED).index(arm)


def rows_by_arm(source):
    table = methods.frame(source, suite="mini")
    assert table["arm"].is_unique
    return table.set_index("arm")


def shown(module, source, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(to_csv(module.frame(source, suite="mini")))
    columns, rows = read_csv(path)
    made = module.sheet(columns, rows, suite="mini", title="a test")
    return "\n".join(map(sheet_markdown, made if isinstance(made, list) else [made])), rows


def test_a_row_has_each_dataset_its_groups_and_the_mean_and_a_match_is_no_row(tmp_path):
    table = rows_by_arm(source_of(tmp_path, by_dataset))
    assert list(table.index) == [arm for arm in TRAINED if arm != "coop-matched"]
    row = table.loc["taskres"]
    assert [row[f"{name}_ap"] for name in GROUPS] == [3.0, 13.0, 23.0]
    assert (row["all_ap"], row["natural_ap"], row["non_radiology_ap"]) == (13.0, 8.0, 23.0)
    assert (row["all_datasets"], row["natural_datasets"], row["block"]) == ("3/3", "2/2", "adapters")


def test_costs_are_those_of_the_cells(tmp_path):
    table = rows_by_arm(source_of(tmp_path, by_dataset))
    row = table.loc["coop"]
    assert (row["trained_low"], row["trained_values"], row["stored_bytes"]) == (24, 24, 124)
    assert tuple(table.loc["cones", ["trained_low", "trained_values", "stored_bytes"]]) == (24, 120, 220)
    assert (row["text_encoder"], table.loc["cones", "text_encoder"]) == (11, 0)
    seconds = [row[name] for name in ("seconds_per_step", "tuning_seconds", "seconds_per_image")]
    assert seconds == pytest.approx([0.2, 2.0, 0.25])
    assert (row["learning_rate"], row["peak_memory_bytes"]) == ("0.5", 9)
    assert table["seconds_per_step"].isna()["zero_shot"] and table["learning_rate"].isna()["zero_shot"]


def test_the_match_is_the_arm_of_the_same_method_and_says_what_it_reached(tmp_path):
    table = rows_by_arm(source_of(tmp_path, by_dataset))
    coop = table.loc["coop"]
    assert (coop["matched_arm"], coop["matched_trained_values"]) == ("coop-matched", 48)
    assert (coop["matched_reached_low"], coop["matched_reached_high"]) == (48 / 120, 1.0)
    assert (coop["all_ap"], coop["matched_all_ap"], coop["matched_natural_ap"]) == (11.0, 12.0, 7.0)
    for arm in ("cones", "textual_inversion"):
        assert table.loc[arm, "matched_arm"] == OWN and table.loc[arm, "matched_reached_low"] == 1
        assert table.loc[arm, "matched_all_ap"] == table.loc[arm, "all_ap"]
    assert table.loc["taskres", "matched_arm"] == NO_MATCH and table.loc["zero_shot", "matched_arm"] == NOTHING_TRAINS
    assert table.loc[["taskres", "zero_shot", "full_finetuning"], "matched_all_ap"].isna().all()


def test_equal_on_some_datasets_alone_is_no_match(tmp_path):
    """CoOp trains as many values as ConES where there is one class."""
    table = rows_by_arm(source_of(tmp_path, by_dataset, arms=("coop", "cones", "coop-matched")))
    assert table.loc["coop", "matched_arm"] == "coop-matched"
    alone = rows_by_arm(source_of(tmp_path / "2", by_dataset, arms=("coop", "cones"), matches={"other": "cones"}))
    assert alone.loc["coop", "matched_arm"] == NO_MATCH


def test_without_an_arm_that_is_matched_the_columns_are_empty(tmp_path):
    source = source_of(tmp_path, by_dataset, arms=("zero_shot", "coop", "cones"), matches={})
    table = methods.frame(source, suite="mini")
    assert table[["matched_arm", "matched_all_ap", "matched_trained_values"]].isna().all().all()
    assert "| nan" not in shown(methods, source, tmp_path)[0]


def test_a_hole_has_its_reason_in_the_row_and_of_a_match_in_that_of_its_method(tmp_path):
    def ap_of(arm, dataset, seed):
        lacks = {("taskres", "bccd"), ("coop-matched", "vehicles_openimages")}
        return "does not fit" if (arm, dataset) in lacks else by_dataset(arm, dataset, seed)

    source = source_of(tmp_path, ap_of)
    table = rows_by_arm(source)
    assert (table.loc["taskres", "all_datasets"], table.loc["taskres", "all_ap"]) == ("2/3", 8.0)
    assert table.loc["taskres", "notes"] == "bccd: skipped (does not fit)"
    assert table.loc["coop", "notes"] == "coop-matched: vehicles_openimages: skipped (does not fit)"
    text, _ = shown(methods, source, tmp_path)
    assert "8.0 (2/3)" in text and "2. bccd: skipped (does not fit)" in text
    ranks = methods_ranks.frame(source, suite="mini").set_index("method")
    assert ranks.loc["taskres", "notes"] == "not ranked: no AP on bccd" and ranks["mean_rank"].notna().sum() == 6


def test_what_did_not_run_at_all_is_a_row_without_numbers(tmp_path):
    source = source_of(tmp_path, lambda arm, dataset, seed: "needs a form")
    text, rows = shown(methods, source, tmp_path)
    assert all(not row["all_ap"] and "needs a form" in row["notes"] for row in rows) and "| nan" not in text
    assert methods_ranks.frame(source, suite="mini")["mean_rank"].isna().all()


def test_seeds_give_a_spread_and_ranks_are_of_means(tmp_path):
    source = source_of(tmp_path, lambda arm, dataset, seed: by_dataset(arm, dataset, 0) + seed, seeds=(0, 1))
    table = rows_by_arm(source)
    assert table.loc["cones", "all_ap"] == 15.5 and table.loc["cones", "all_spread"] == pytest.approx(6.353, abs=1e-3)
    assert table.loc["cones", "seeds"] == "2"
    ranks = methods_ranks.frame(source, suite="mini")
    assert list(ranks["method"])[:2] == ["cones_finetuned", "full_finetuning"]
    assert list(ranks["mean_rank"]) == [1, 2, 3, 4, 5, 6, 7]
    of = ranks.set_index("method")
    assert (of.loc["coop", "champion"], of.loc["full_finetuning", "champion"]) == ("cones", "cones_finetuned")
    assert tuple(of.loc["coop", ["wins", "ties", "losses", "median_difference"]]) == (3, 0, 0, 4.0)
    assert of["critical_difference"].nunique() == 1 and of.loc["cones", "critical_difference"] > 3
    text, _ = shown(methods_ranks, source, tmp_path)
    assert "Ranks of the survey on detectors" in text and "differ at 5 %" in text


def test_people_read_what_was_reached_and_that_the_encoder_is_gone(tmp_path):
    text, _ = shown(methods, source_of(tmp_path, by_dataset), tmp_path)
    (coop,) = [line for line in text.splitlines() if "40 %\u2013100 %" in line]
    assert "CoOp" in coop and "| 11 |" in coop and "coop-matched" in coop
    (cones,) = [line for line in text.splitlines() if "24\u2013120" in line and "ConES (stage 1)" in line]
    assert "| no |" in cones and OWN in cones


@pytest.mark.parametrize("outcome", [by_dataset, lambda arm, dataset, seed: "needs a form"])
def test_the_figure_is_drawn_with_and_without_numbers(tmp_path, outcome):
    source = source_of(tmp_path, outcome)
    _, rows = shown(methods, source, tmp_path)
    files = {"methods_pareto": tmp_path / "pareto.png"}
    for written in methods.draw(source, rows, files, suite="mini", title="a test"):
        assert written.stat().st_size > 1000


def test_numbers_that_were_chosen_on_validation_are_said_and_where_none_was(tmp_path):
    source = source_of(tmp_path, by_dataset)
    for (_, dataset, arm, _), record in source.records.items():
        if arm == "taskres":
            chosen = None if dataset == "bccd" else {"taken": {"alpha": 1.17, "beta": 1.0}, "tried": []}
            record.run["tuning"] |= {"may_choose": ["alpha", "beta"], "chosen": chosen}
    notes = rows_by_arm(source)["notes"]
    assert "chosen on validation: raccoon alpha 1.17, beta 1; vehicles_openimages alpha" in notes["taskres"]
    assert "bccd: alpha, beta as given, nothing was chosen" in notes["taskres"]
    assert not isinstance(notes["coop"], str) or "chosen" not in notes["coop"]


def test_a_method_on_its_own_boxes_says_so_and_which_classes_have_none(tmp_path):
    source = source_of(tmp_path, by_dataset)
    for (_, dataset, arm, _), record in source.records.items():
        if arm == "taskres":
            boxes = {"raccoon": 16} if dataset == "raccoon" else {"RBC": 9, "WBC": 0, "Platelets": 0}
            record.run["tuning"]["pseudo_labels"] = {"images": 4, "of": 9, "boxes": boxes}
    notes = rows_by_arm(source)["notes"]
    assert "no given training box is used" in notes["taskres"] and "labels of validation images" in notes["taskres"]
    assert (
        "bccd: no box of its own for WBC, Platelets" in notes["taskres"] and "raccoon: no box" not in notes["taskres"]
    )
    assert not isinstance(notes["coop"], str) or "no given training box" not in notes["coop"]
