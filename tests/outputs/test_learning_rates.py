import pandas as pd
import pytest

from cones.outputs.analysis.learning_rates import write_learning_rates
from cones.outputs.report.rates import read_study, study_views
from cones.runtime.errors import ConesError


def grid(tmp_path, rows):
    columns = ["model", "dataset", "arm", "method", "seed", "status", "validation_ap", "reason"]
    path = tmp_path / "table1_cells.csv"
    pd.DataFrame([(*row, None)[:8] for row in rows], columns=columns).to_csv(path, index=False)
    return path


def test_the_best_mean_over_datasets_wins_and_the_smaller_rate_of_equals(tmp_path):
    rows = [
        ("nano", "a", "cones", "cones", 0, "done", 99.0),  # not of the grid: what stage 2 starts from
        *[("nano", "a", f"cones-lr{rate}", "cones", 0, "done", ap) for rate, ap in (("1e-2", 10), ("1e-1", 40))],
        *[("nano", "b", f"cones-lr{rate}", "cones", 0, "done", ap) for rate, ap in (("1e-2", 60), ("1e-1", 30))],
        *[("nano", "a", f"full-lr{rate}", "full", 0, "done", 5) for rate in ("1e-4", "1e-3")],
        *[("nano", "b", f"full-lr{rate}", "full", 0, "done", 5) for rate in ("1e-4", "1e-3")],
    ]
    table = pd.read_csv(write_learning_rates(grid(tmp_path, rows), tmp_path / "rates.csv"))
    assert list(table.columns) == ["model", "method", "learning_rate", "dataset", "validation_ap", "chosen"]
    assert len(table) == 8
    chosen = table[table["chosen"] == "yes"].groupby("method")["learning_rate"].unique()
    assert chosen["cones"].tolist() == [0.01] and chosen["full"].tolist() == [0.0001]


def test_of_starts_and_rates_the_best_pair_wins(tmp_path):
    validation_ap = {("2e-2", "1e-2"): 30, ("2e-2", "1e-1"): 50, ("word", "1e-2"): 60, ("word", "1e-1"): 10}
    rows = [
        ("nano", dataset, f"cones-start_{start}-lr{rate}", "cones", 0, "done", ap + shift)
        for (start, rate), ap in validation_ap.items()
        for dataset, shift in (("a", -5), ("b", 5))
    ]
    path = write_learning_rates(grid(tmp_path, rows), tmp_path / "starts.csv")
    table = pd.read_csv(path)
    assert list(table.columns) == ["model", "method", "start", "learning_rate", "dataset", "validation_ap", "chosen"]
    chosen = table[table["chosen"] == "yes"]
    assert chosen[["start", "learning_rate", "dataset"]].values.tolist() == [["word", 0.01, "a"], ["word", 0.01, "b"]]
    (view,) = study_views(read_study(path))
    shown = {line["label"]: [(cell["text"], cell["chosen"]) for cell in line["cells"]] for line in view["rows"]}
    assert shown == {
        "ConES (stage 1), start 0.02": [("30.0", False), ("50.0", False)],
        "ConES (stage 1), start word": [("60.0", True), ("10.0", False)],
    }


def test_of_subjects_the_lowest_probe_loss_wins_arm_by_arm(tmp_path):
    columns = ["model", "subject", "arm", "method", "status", "reason", "probe_loss"]
    rows = [
        ("sd", one, f"{arm}-lr{rate}", "cones", "done", None, loss + (one == "b") / 8)
        for arm, losses in (("cones", (0.5, 0.25)), ("cones-bos", (0.125, 0.25)))
        for rate, loss in zip(("1e-2", "1e-1"), losses)
        for one in "ab"
    ]
    cells = tmp_path / "generation_cells.csv"
    pd.DataFrame(rows, columns=columns).to_csv(cells, index=False)
    table = pd.read_csv(write_learning_rates(cells, tmp_path / "rates.csv"))
    assert list(table.columns) == ["model", "method", "learning_rate", "subject", "probe_loss", "chosen"]
    chosen = table[table["chosen"] == "yes"].groupby("method")["learning_rate"].unique()
    assert chosen["cones"].tolist() == [0.1] and chosen["cones-bos"].tolist() == [0.01]


def test_a_grid_with_a_hole_chooses_nothing(tmp_path):
    cells = grid(tmp_path, [("nano", "a", "cones-lr1e-2", "cones", 0, "failed", None)])
    with pytest.raises(ConesError, match=r"1 cells of the grid are not done.*cones-lr1e-2"):
        write_learning_rates(cells, tmp_path / "rates.csv")


def test_a_rate_at_which_tuning_diverged_is_tried_and_never_chosen(tmp_path):
    reason = "error: somewhere: the loss is not finite at step 4 (epoch 1); found images [3]"
    rows = [
        ("nano", "a", "cones-lr1e-2", "cones", 0, "done", 0.0),
        ("nano", "a", "cones-lr1e-1", "cones", 0, "failed", None, reason),
    ]
    table = pd.read_csv(write_learning_rates(grid(tmp_path, rows), tmp_path / "rates.csv"))
    assert table["chosen"].fillna("").tolist() == ["yes", ""]
    assert table["validation_ap"].isna().tolist() == [False, True]
