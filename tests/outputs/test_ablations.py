"""Tables 5 and 9 from chosen APs: rows, ranges over seeds, slots, and every published row beside ours."""

from dataclasses import replace

import pytest

from cones.experiment.outputs import OUTPUTS
from cones.outputs.cells import ExpectedCell, collect_cells
from cones.outputs.files import read_csv, to_csv
from cones.outputs.reference import paper
from cones.outputs.sheet import sheet_markdown
from cones.outputs.table5 import frame as table5
from cones.outputs.table9 import frame as table9
from cones.runtime.artifacts import read_json, write_json
from tests.outputs.worlds import metrics_path, write_done, write_skipped

GROUP = {"aquarium": "natural", "dfuc2020": "non_radiology", "tbx11k": "radiology"}
CLASSES = {"aquarium": 7, "dfuc2020": 1, "tbx11k": 1}


def token_grid(seeds=(0, 1), model="glip_t", datasets=("aquarium", "dfuc2020")):
    return [
        ExpectedCell(model, dataset, GROUP[dataset], "cones" if n == 3 else f"cones-n{n}", "cones", seed, None, n)
        for dataset in datasets
        for n in (3, 1, 2, 5, 4)
        for seed in seeds
    ]


def fusion_grid(models=("glip_t_a", "glip_t_b", "glip_t_c", "glip_t")):
    return [
        ExpectedCell(model, dataset, GROUP[dataset], arm, arm, 0, None, 3 if arm == "cones" else None)
        for model in models
        for dataset in GROUP
        for arm in ("zero_shot", "cones")
    ]


def collected(folder, expected, ap_of, suite="paper"):
    paths = {}
    for cell in expected:
        paths[cell] = path = metrics_path(folder, suite, cell)
        if isinstance(ap := ap_of(cell), str):
            write_skipped(path, suite, cell, ap)
        else:
            write_done(path, suite, cell, ap)
            content = read_json(path)
            scores = {"category_id": 1, "name": "x", "ap": ap, "ap50": ap}
            content["scores"]["bbox"]["per_class"] = [scores] * CLASSES[cell.dataset]
            write_json(path, content)
    return collect_cells(expected, paths, suite=suite)


def sheet_of(name, frame, tmp_path, suite):
    (tmp_path / "t.csv").write_text(to_csv(frame))
    columns, rows = read_csv(tmp_path / "t.csv")
    return sheet_markdown(OUTPUTS.load(name).sheet(columns, rows, suite=suite, title="a test"))


def test_table_5_has_a_row_per_number_of_tokens_in_rising_order(tmp_path):
    cells = collected(tmp_path, token_grid(), lambda cell: 40.0 + cell.tokens_per_class + 2 * cell.seed)
    table = table5(cells, suite="paper")
    assert list(table["tokens_per_class"]) == [1, 2, 3, 4, 5]
    assert list(table["aquarium_slots"]) == [7, 14, 21, 28, 35] and list(table["dfuc2020_slots"]) == [1, 2, 3, 4, 5]
    third = table.iloc[2]
    assert (third["aquarium_ap"], third["aquarium_ap_low"], third["aquarium_ap_high"]) == (44.0, 43.0, 45.0)
    assert third["aquarium_ap_spread"] > 1 and third["seeds"] == "2"
    assert third["aquarium_ap_difference"] == pytest.approx(44.0 - 53.4)
    assert "keeps increasing" in table.iloc[-1]["notes"]
    page = sheet_of("table5", table, tmp_path, "paper")
    assert "[43.0, 45.0]" in page and "83.6" in page and "AP is flat" in page


def test_no_published_row_of_table_5_stays_unmatched(tmp_path):
    table = table5(collected(tmp_path, token_grid((0,)), lambda cell: 50.0), suite="paper")
    published = {
        row["tokens_per_class"]: {
            c: row[f"{c}_paper"] for c in ("aquarium_ap", "aquarium_ap50", "dfuc2020_ap", "dfuc2020_ap50")
        }
        for row in table.to_dict("records")
    }
    assert published == {
        row["tokens"]: {key.lower(): value for key, value in row.items() if key not in ("model", "tokens")}
        for row in paper().rows("table5")
    }


def test_the_three_token_row_of_table_5_and_the_last_of_table_9_are_those_of_tables_8_and_10():
    for dataset, table in (("aquarium", "table8"), ("dfuc2020", "table10"), ("tbx11k", "table10")):
        value = paper().value(table, "glip_t", "cones", dataset)
        assert paper().rows("table9", checkpoint="glip_t")[0][dataset] == value
        if dataset != "tbx11k":
            assert paper().rows("table5", tokens=3)[0][f"{dataset}_AP"] == value


def test_no_published_row_of_table_9_stays_unmatched(tmp_path):
    cells = collected(tmp_path, fusion_grid(), lambda cell: 50.0 if cell.arm == "cones" else 5.0)
    table = table9(cells, suite="paper")
    for dataset in GROUP:
        assert list(table[f"{dataset}_paper"]) == [row[dataset] for row in paper().rows("table9")]
        assert set(table[f"{dataset}_zero_shot_ap"]) == {5.0} and set(table[f"{dataset}_ap"]) == {50.0}
    assert list(table["deep_fusion"]) == ["no", "yes", "yes", "yes"]
    assert list(table["pretraining"])[1:3] == ["O365", "O365, GoldG"]
    assert "DFUC2020 drops" in table.iloc[-1]["notes"]
    assert "Aquarium, zero-shot" in sheet_of("table9", table, tmp_path, "paper")


def test_holes_have_reasons_and_other_suites_no_published_values(tmp_path):
    models = ("glip_nano_a", "glip_nano")
    cells = collected(
        tmp_path, fusion_grid(models), lambda cell: "needs a form" if cell.dataset == "tbx11k" else 9.0, "miniature"
    )
    table = table9(cells, suite="miniature")
    assert not [column for column in table if "paper" in column] and table["tbx11k_ap"].isna().all()
    assert list(table["deep_fusion"]) == ["no", "yes"]
    assert "ConES: tbx11k: skipped (needs a form)" in table.iloc[0]["notes"]
    page = sheet_of("table9", table, tmp_path, "miniature")
    assert "suite: miniature" in page and "\N{EN DASH}" in page
    empty = collected(tmp_path, token_grid((0,), "glip_nano", ("dfuc2020",)), lambda cell: "needs a form", "miniature")
    five = table5(empty, suite="miniature")
    assert (
        len(five) == 5
        and five["dfuc2020_ap"].isna().all()
        and "needs a form" in sheet_of("table5", five, tmp_path, "miniature")
    )


def test_a_model_that_starts_at_random_is_not_said_to_be_pretrained(tmp_path):
    cells = [replace(cell, initial_seed=4) for cell in fusion_grid(("glip_nano_a",))]
    (seen,) = table9(collected(tmp_path, cells, lambda cell: 1.0, "ci"), suite="ci")["pretraining"]
    assert seen == "nothing: random weights of seed 4"
    (seen,) = table9(collected(tmp_path, fusion_grid(("glip_nano_a",)), lambda cell: 1.0, "ci"), suite="ci")[
        "pretraining"
    ]
    assert "drawn scenes" in seen
