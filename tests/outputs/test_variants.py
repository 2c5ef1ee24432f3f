"""Starts and variants of the protocol: a row per arm, a column per dataset, over the seeds that each arm has."""

import pytest

from cones.experiment.cell import Plan
from cones.experiment.outputs import OUTPUTS
from cones.outputs.cells import ExpectedCell, collect_cells
from cones.outputs.files import read_csv, to_csv
from cones.outputs.sheet import sheet_markdown
from cones.outputs.variants import frame
from tests.outputs.worlds import metrics_path, write_done, write_skipped


def test_a_row_is_an_arm_over_its_own_seeds_and_a_hole_has_its_reason(tmp_path):
    expected, paths = [], {}
    for dataset in ("aquarium", "cpm17_top100"):
        for arm, method, seeds in (("cones", "cones", (0, 1)), ("cones-start_word", "cones", (0,))):
            expected += [ExpectedCell("glip_t", dataset, "natural", arm, method, seed) for seed in seeds]
    for cell in expected:
        paths[cell] = path = metrics_path(tmp_path, "paper", cell)
        if (cell.arm, cell.dataset) == ("cones-start_word", "cpm17_top100"):
            write_skipped(path, "paper", cell, "no login")
        else:
            write_done(path, "paper", cell, 50 + 10 * cell.seed)
    table = frame(collect_cells(expected, paths, suite="paper"), suite="paper")
    assert table["arm"].tolist() == ["cones", "cones-start_word"] and table["seeds"].tolist() == ["2", "1"]
    assert table["aquarium_ap"].tolist() == pytest.approx([55, 50])
    assert table["aquarium_spread"].notna().tolist() == [True, False]
    assert table["cpm17_top100_ap"].isna().tolist() == [False, True]
    (tmp_path / "variants.csv").write_text(to_csv(table))
    shown = sheet_markdown(OUTPUTS.load("variants").sheet(*read_csv(tmp_path / "variants.csv"), suite="paper"))
    assert "Aquarium" in shown and "cpm17_top100" in shown
    assert "ConES (stage 1)" in shown and "no login" in shown


def test_the_paper_suite_has_both_readings_of_what_is_ambiguous_and_three_seeds_of_what_is_cheap():
    plan = Plan.load("paper")
    cells = {(cell.model, cell.dataset, cell.arm, cell.seed) for cell in plan.cells("variants")}
    for dataset in ("cpm17", "cpm17_top100", "dfuc2020", "dfuc2020_2000", "bccd", "bccd_roboflow"):
        assert {("glip_t", dataset, "cones", seed) for seed in (0, 1, 2)} <= cells
        assert ("glip_t", dataset, "full_finetuning-lr1e-5", 0) in cells
    copies = {name: plan.settings(plan.cell("glip_t", name, "cones", 0)).tuning.copies for name in plan.registry
              if name in ("bccd", "bccd_roboflow")}  # fmt: skip
    assert copies == {"bccd": 1, "bccd_roboflow": 3}
    assert plan.settings(plan.cell("glip_t", "bccd", "full_finetuning-lr1e-5", 0)).learning_rate == 1e-5
    table = plan.settings(plan.cell("glip_t", "bccd", "added_table", 0))
    assert (table.learning_rate, table.tuning.weight_decay) == (0.05, 0.25)
    seeds = {arm: plan.suite.seeds_of("table1", arm) for arm in plan.suite.grid("table1")[2]}
    assert {arm for arm, of in seeds.items() if of == (0, 1, 2)} == {
        "linear_probing", "textual_inversion", "prompt_tuning", "added_table", "cones",
    }  # fmt: skip
    starts = {(plan.settings(cell).method, plan.settings(cell).start_std) for cell in plan.cells("starts")}
    methods = ("cones", "textual_inversion", "prompt_tuning")
    assert starts == {(method, start) for method in methods for start in (0.02, 1.0, "word", "output")}
