"""Ranks, wins and corrected p values over datasets, against published examples and by hand."""

import numpy as np
import pytest

from cones.experiment.outputs import OUTPUTS
from cones.outputs.cells import collect_cells
from cones.outputs.files import read_csv, to_csv
from cones.outputs.ranks import critical_difference, friedman, holm, wilcoxon_p
from cones.outputs.ranks import frame as ranks_table
from cones.outputs.sheet import sheet_markdown
from tests.outputs.worlds import grid, published, write_world


def table_of(folder, ap_of, **options):
    cells = grid(**options)
    return ranks_table(collect_cells(cells, write_world(folder, "paper", cells, ap_of), suite="paper"), suite="paper")


def test_the_papers_own_numbers_give_the_wins_its_remarks_count(tmp_path):
    """Stage 2 strictly beats full fine-tuning on 13 (GLIP-T) and 14 (GLIP-L) of 21 sets."""
    table = table_of(tmp_path, published).set_index(["model", "method"])
    assert set(table["datasets"]) == {21}
    stage_2 = [table.loc[(model, "full_finetuning")] for model in ("glip_t", "glip_l")]
    assert [(row["wins"], row["ties"], row["losses"]) for row in stage_2] == [(13, 2, 6), (14, 1, 6)]
    assert table.loc[("glip_t", "cones_finetuned"), "mean_rank"] == table.loc["glip_t"]["mean_rank"].min()
    assert table.loc[("glip_t", "prompt_tuning"), "wilcoxon_p"] < 0.05
    large = table.loc["glip_l"]
    assert (
        large.loc["prompt_tuning", "holm_p"] == large.loc["prompt_tuning", "wilcoxon_p"] > 0.05
    )  # the weakest of four
    assert large.loc["zero_shot", "holm_p"] > large.loc["zero_shot", "wilcoxon_p"]
    assert table["champion"].isna().sum() == 4  # ConES against itself


def test_ranks_share_places_and_leave_out_incomplete_datasets(tmp_path):
    def ap_of(cell):
        if (cell.method, cell.dataset) == ("cones", "tn3k"):
            return "needs a form"
        return 50.0 if cell.method in ("cones", "prompt_tuning") else 10.0

    methods = ("zero_shot", "prompt_tuning", "cones")
    table = table_of(tmp_path, ap_of, models=("glip_t",), methods=methods).set_index("method")
    assert dict(table["mean_rank"]) == {"zero_shot": 3.0, "prompt_tuning": 1.5, "cones": 1.5}
    assert set(table["datasets"]) == {20} and "leave out tn3k" in table.loc["cones", "notes"]
    assert tuple(table.loc["prompt_tuning", ["wins", "ties", "losses"]]) == (0, 20, 0)
    assert np.isnan(table.loc["prompt_tuning", "wilcoxon_p"]) and table.loc["zero_shot", "wins"] == 20


def test_one_method_or_no_number_is_a_row_without_ranks(tmp_path):
    for outcome in (40.0, "needs a form"):
        table = table_of(tmp_path, lambda cell, o=outcome: o, models=("glip_t",), methods=("cones",))
        assert len(table) == 1 and table["friedman_p"].isna().all() and table["critical_difference"].isna().all()
        (tmp_path / "ranks.csv").write_text(to_csv(table))
        columns, rows = read_csv(tmp_path / "ranks.csv")
        assert "nan" not in sheet_markdown(OUTPUTS.load("ranks").sheet(columns, rows, suite="paper", title="a test"))


def test_the_critical_differences_of_demsar():
    """Table 5 of Demšar (2006): q = 2.343 for 3, 2.949 for 7 classifiers; 4 classifiers on 14 sets: CD 1.25."""
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.01)
    assert critical_difference(7, 21) == pytest.approx(2.949 * (7 * 8 / (6 * 21)) ** 0.5, abs=0.002)


def test_friedman_by_hand():
    table = np.array([[3.0, 3, 3, 3], [2, 2, 2, 2], [1, 1, 1, 1]])
    ranks, p = friedman(table)
    assert ranks == [1, 2, 3] and p == pytest.approx(np.exp(-4))  # chi square of 8 with two degrees of freedom
    assert friedman(np.ones((3, 4)))[1] is None


def test_holm_by_hand():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


def test_signed_ranks_without_a_difference_say_nothing():
    assert wilcoxon_p(np.zeros(5)) is None
    assert wilcoxon_p(np.arange(1.0, 9)) == pytest.approx(2 / 2**8)
