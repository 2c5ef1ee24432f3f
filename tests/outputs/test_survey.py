"""The survey's tables from made-up metrics: perfect, constant, a class absent, holes, halves, shift, ranks."""

import pytest

from cones.evaluation.classification_metrics import ClassificationMetrics, CurvePoint, TargetScore, Trained
from cones.evaluation.metrics import CellKey
from cones.experiment.cell import Cell
from cones.experiment.classification import Setting
from cones.outputs import (
    classified,
    survey,
    survey_base_to_new,
    survey_few_shot,
    survey_figures,
    survey_hierarchy,
    survey_ranks,
    survey_shift,
    survey_wise_ft,
)
from cones.outputs.classified import ClassifiedCell, cells_table, read_cells_table
from cones.outputs.files import read_csv, to_csv
from cones.runtime.errors import ConesError

RUN = {
    "tuning": {
        "steps": 10,
        "fit_seconds": 2.0,
        "runs": [{"steps": 10, "seconds": 0.9, "timed_steps": 9, "peak_memory_bytes": 1000}],
    },
    "inference": {"seconds_per_image": 2e-6, "peak_memory_bytes": 2000},
    "machine": {"accelerator": None},
    "device": "cpu",
    "sha256": {},
}


def score(accuracy, reason=None, absent=()):
    return TargetScore(accuracy=accuracy, reason=reason, images=20, classes=4, absent=absent)


def cell(arm, dataset, accuracies, *, seed=1, shots=16, kind="few_shot", answers=None, **trained):
    """A done cell: accuracies is {target: accuracy or the reason why there is none}, or one of the dataset's own.
    `answers` stands for the digest of its predictions, for all targets or by target."""
    targets = accuracies if isinstance(accuracies, dict) else {dataset: accuracies}
    place = Cell("s", "m", str(Setting(dataset, kind, shots)), arm, seed)
    known = {"values": 8, "stored_bytes": 32, "text_encoder": 0, "train_images": 64, "val_images": 0}
    known |= {"labels": "train", "selection": "none", **trained}
    absent = known.pop("absent", ())
    scores = {
        target: score(None, value) if isinstance(value, str) else score(value, absent=absent)
        for target, value in targets.items()
    }
    metrics = ClassificationMetrics(
        cell=CellKey(**vars(place), method=arm),
        status="done",
        setting=kind,
        shots=shots,
        targets=scores,
        trained=Trained(**known),
    )
    by_target = answers if isinstance(answers, dict) else dict.fromkeys(targets, answers)
    return ClassifiedCell(place, arm, metrics, {**RUN, "answers": by_target})


def hole(arm, dataset, why="error: out of memory", seed=1, shots=16):
    return ClassifiedCell(Cell("s", "m", str(Setting(dataset, "few_shot", shots)), arm, seed), arm, None, {}, why)


def frame_of(output, cells):
    return output.frame(cells_table(cells), suite="s").set_index("arm")


def shown(output, cells, tmp_path, title=None):
    """The rows of the sheet of a table, by the method's printed name."""
    path = tmp_path / "table.csv"
    path.write_text(to_csv(output.frame(cells_table(cells), suite="s"), 7))
    return output.sheet(*read_csv(path), suite="s", title=title)


def test_a_row_is_the_mean_over_seeds_and_datasets_with_its_interval():
    cells = [cell("cones", data, value, seed=seed) for data, seed, value in
             (("a", 1, 80.0), ("a", 2, 84.0), ("b", 1, 60.0), ("b", 2, 60.0))]  # fmt: skip
    row = frame_of(survey, cells).loc["cones"]
    assert (row["a_accuracy"], row["b_accuracy"], row["all_accuracy"]) == (82.0, 60.0, 71.0)
    assert row["b_spread"] == 0 and row["a_spread"] == pytest.approx(12.706 * 2.8284 / 2**0.5, rel=1e-3)
    assert row["all_spread"] == pytest.approx(row["a_spread"] / 2)
    assert (row["datasets"], row["seeds"], row["trained_values"], row["stored_bytes"]) == ("2/2", 2, 8, 32)
    assert row["seconds_per_step"] == pytest.approx(0.1) and row["fit_seconds"] == 2.0


def test_perfect_and_constant_answers_and_a_class_without_test_images(tmp_path):
    cells = [cell("zero_shot", "a", 100.0), cell("cones", "a", 25.0, absent=("owl",))]
    table = frame_of(survey, cells)
    assert table["a_accuracy"].tolist() == [100.0, 25.0] and table["a_spread"].isna().all()  # one seed has no interval
    assert "no test image of owl" in table.loc["cones", "notes"]
    sheet = shown(survey, cells, tmp_path)
    assert [row[4] for row in sheet.rows] == ["100.0", "25.0"]


def test_a_row_that_answers_as_zero_shot_does_says_where():
    cells = [cell("zero_shot", "a", 50.0, answers="x"), cell("zero_shot", "b", 50.0, answers="y")]
    cells += [cell("wise_ft", "a", 50.0, seed=seed, answers="x") for seed in (2, 3)]
    cells += [cell("wise_ft", "a", 50.0, answers="z"), cell("wise_ft", "b", 50.0, answers="x")]  # of other pictures
    cells += [cell("taskres", "a", 50.0), cell("cones", "b", 50.0, answers="z")]
    notes = frame_of(survey, cells)["notes"]
    assert notes["wise_ft"] == "every answer is zero-shot's: a (seed 2, 3)"
    assert not any("zero-shot" in str(notes[arm]) for arm in ("zero_shot", "taskres", "cones"))


def test_answers_are_compared_target_by_target():
    """A cell of zero-shot may have further targets, which another method's has not."""
    cells = [cell("zero_shot", "a", {"a": 50.0, "b": 40.0}, answers={"a": "x", "b": "y"})]
    cells += [cell("wise_ft", "a", 50.0, answers="x")]
    cells += [cell("taskres", "a", {"a": 60.0, "b": 40.0}, answers={"a": "z", "b": "y"})]
    notes = frame_of(survey_shift, cells)["notes"]
    assert notes["wise_ft"] == "every answer is zero-shot's: a (seed 1)"
    assert notes["taskres"] == "every answer is zero-shot's: a on b (seed 1)"


def test_a_mean_over_some_datasets_says_so_and_a_hole_has_its_reason(tmp_path):
    cells = [cell("zero_shot", "a", 50.0), cell("zero_shot", "b", 70.0), cell("cones", "a", 90.0), hole("cones", "b")]
    table = frame_of(survey, cells)
    assert table.loc["cones", "datasets"] == "1/2" and table.loc["cones", "all_accuracy"] == 90.0
    assert "over 1 of 2 datasets" in table.loc["cones", "notes"]
    assert "b: failed: error: out of memory" in table.loc["cones", "notes"]
    rows = {row[2]: row for row in shown(survey, cells, tmp_path).rows}
    assert rows["ConES (stage 1)"][3] == "90.0 (1/2)" and rows["ConES (stage 1)"][5] == "\u2013"
    assert rows["Zero-shot"][3] == "60.0"


def test_the_suites_title_and_what_it_is_not_comparable_with_stand_above_every_table(tmp_path):
    title = "toy datasets; not comparable with the paper"
    for output in (survey, survey_few_shot, survey_shift, survey_ranks, survey_base_to_new, survey_wise_ft):
        assert title in shown(output, [cell("zero_shot", "a", 50.0)], tmp_path, title).heading


def test_base_and_new_have_a_harmonic_mean_and_a_method_without_new_classes_a_dash(tmp_path):
    def half(arm, data, base, new):
        return cell(arm, data, {"base": base, "new": new}, kind="base_to_new")

    cells = [half("zero_shot", "a", 80.0, 40.0), half("zero_shot", "b", 60.0, 60.0)]
    cells += [half("cones", name, 90.0, "the method has no entry") for name in ("a", "b")]
    table = survey_base_to_new.frame(cells_table(cells), suite="s").set_index(["dataset", "arm"])
    row = table.loc["all", "zero_shot"]
    assert (row["base_accuracy"], row["new_accuracy"]) == (70.0, 50.0)
    assert row["harmonic"] == pytest.approx(2 * 70 * 50 / 120)  # of the means, as published
    assert table.loc["a", "zero_shot"]["harmonic"] == pytest.approx(2 * 80 * 40 / 120)
    assert table.loc["all", "cones"][["new_accuracy", "harmonic"]].isna().all()
    sheet = shown(survey_base_to_new, cells, tmp_path)
    dashes = [row for row in sheet.rows if row[2] == "ConES (stage 1)"]
    assert {(row[4], row[5]) for row in dashes} == {
        ("\u2013", "\u2013")
    } and "new: the method has no entry" in sheet.notes


def test_accuracy_over_shots_has_a_mean_only_where_every_dataset_has_a_number():
    cells = [cell("cones", data, 10.0 * shots, shots=shots) for data in ("a", "b") for shots in (1, 2)]
    cells[-1] = hole("cones", "b", shots=2)
    table = survey_few_shot.frame(cells_table(cells), suite="s").set_index("dataset")
    assert (table.loc["all", "1_accuracy"], table.loc["a", "2_accuracy"]) == (10.0, 20.0)
    assert table.loc[["all", "b"], "2_accuracy"].isna().all()


def test_a_shift_shows_each_target_beside_the_source():
    cells = [
        cell("zero_shot", "a", {"a": 70.0, "grey": 50.0, "other": 30.0}),
        cell("cones", "a", {"a": 90.0, "grey": 40.0, "other": "the method has no entry"}),
    ]
    table = frame_of(survey_shift, cells)
    assert table.loc["cones", ["source_accuracy", "grey_accuracy"]].tolist() == [90.0, 40.0]
    assert table.loc["zero_shot", "other_accuracy"] == 30.0 and "other: the method" in table.loc["cones", "notes"]


def test_only_what_chose_nothing_on_test_images_is_ranked_and_small_differences_are_noise():
    values = {"zero_shot": (50.0, 50.0, 50.0), "cones": (80.0, 81.0, 82.0), "taskres": (82.0, 80.0, 82.0)}
    cells = [cell(arm, data, value, seed=seed) for arm, of_seed in values.items()
             for seed, value in enumerate(of_seed) for data in ("a", "b")]  # fmt: skip
    cells += [cell("tip_adapter_f", data, 99.0, selection="test-as-published") for data in ("a", "b")]
    cells += [cell("full_finetuning", "a", 99.0)]
    table = frame_of(survey_ranks, cells)
    assert table["verdict"].dropna().to_dict() == {"taskres": "best", "cones": "noise", "zero_shot": "lower"}
    assert table.loc["taskres", "mean_rank"] == 1.0 and table.loc["zero_shot", "mean_rank"] == 3.0
    assert "chosen on test images" in table.loc["tip_adapter_f", "notes"]
    assert "no accuracy on b" in table.loc["full_finetuning", "notes"]
    assert table.loc[["tip_adapter_f", "full_finetuning"], "mean_rank"].isna().all()


def test_one_seed_alone_proves_no_difference():
    table = frame_of(survey_ranks, [cell("zero_shot", "a", 10.0), cell("cones", "a", 90.0)])
    assert table.loc["zero_shot", "verdict"] == "noise"


def test_the_list_of_cells_is_read_back_as_it_was(tmp_path):
    cells = [cell("cones", "a", 71.2345, short_classes={"owl": 3}, chosen={"C": 0.5}, note="a reconstruction")]
    cells += [hole("taskres", "a"), ClassifiedCell(hole("zero_shot", "a").cell, "zero_shot", None, {})]
    table = cells_table(cells)
    path = tmp_path / "survey_cells.csv"
    path.write_text(to_csv(table, classified.DECIMALS))
    again = read_cells_table(path)
    assert to_csv(again, classified.DECIMALS) == path.read_text()
    assert to_csv(survey.frame(again, suite="s"), 7) == to_csv(survey.frame(table, suite="s"), 7)
    assert again.loc[0, "seconds_per_image"] == 2e-6 and again["status"].tolist() == ["done", "failed", "not run"]
    notes = survey.frame(table, suite="s").set_index("arm")["notes"]
    assert "a: not run" in notes["zero_shot"] and "not run: not run" not in notes["zero_shot"]
    path.write_text(path.read_text().replace("71.2345", "many"))
    with pytest.raises(ConesError, match="not a number"):
        read_cells_table(path)


@pytest.mark.parametrize("accuracy", [-1.0, 101.0, float("nan")])
def test_what_is_no_percentage_is_refused(accuracy):
    with pytest.raises(ValueError, match="accuracy"):
        score(accuracy)


def test_a_target_has_an_accuracy_or_a_reason():
    with pytest.raises(ValueError, match="or a reason why not"):
        score(None)


def test_numbers_of_points_that_touch_stand_together_and_the_best_is_number_one():
    import matplotlib.pyplot as plt

    rows = [
        {"arm": arm, "method": arm, "accuracy": accuracy} for arm, accuracy in (("a", 40), ("b", 40.01), ("cones", 70))
    ]
    numbers = survey_figures.numbered(rows, "accuracy")
    assert numbers == {"cones": 1, "b": 2, "a": 3}
    figure, axes = plt.subplots()
    points = [(1.0, row["accuracy"], row) for row in rows]
    survey_figures.draw_points(axes, points)
    figure.draw_without_rendering()
    survey_figures.number_points(axes, points, numbers)
    assert sorted(text.get_text() for text in axes.texts) == ["1", "2, 3"]
    plt.close(figure)


def mixed(seed, own, shifted):
    """A cell of WiSE-FT: accuracies at the shares 0, 0.5 and 1 of its own and of shifted images."""
    one = cell("wise_ft_full", "a", {"a": own[1], "b": shifted[1]}, seed=seed, chosen={"alpha": 0.5})
    for target, values in (("a", own), ("b", shifted)):
        points = tuple(CurvePoint(at=at, accuracy=value) for at, value in zip((0.0, 0.5, 1.0), values))
        one.metrics.targets[target] = one.metrics.targets[target].model_copy(update={"curve": points})
    return one


def test_wise_ft_has_a_row_for_each_target_with_an_accuracy_for_every_share(tmp_path):
    cells = [mixed(1, (40.0, 70.0, 80.0), (30.0, 35.0, 20.0)), mixed(2, (40.0, 72.0, 84.0), (30.0, 37.0, 22.0))]
    cells += [hole("wise_ft", "a"), cell("zero_shot", "a", {"a": 40.0, "b": 30.0})]
    table = survey_wise_ft.frame(cells_table(cells), suite="s").set_index(["arm", "target"])
    own, shifted = table.loc["wise_ft_full", "a"], table.loc["wise_ft_full", "b"]
    assert [own[f"{share}_accuracy"] for share in ("0", "0.5", "1")] == [40.0, 71.0, 82.0]
    assert [shifted[f"{share}_accuracy"] for share in ("0", "0.5", "1")] == [30.0, 36.0, 21.0]
    assert own["0_spread"] == 0 and own["1_spread"] == pytest.approx(12.706 * 2.8284 / 2**0.5, rel=1e-3)
    assert own["taken"] == "0.5"
    rows = {(row[2], row[3]): row for row in shown(survey_wise_ft, cells, tmp_path).rows}
    assert rows["WiSE-FT", "a"][5:8] == ["40.0 \u00b1 0.0", "71 \u00b1 13", "82 \u00b1 26"]
    path = tmp_path / "cells.csv"
    path.write_text(to_csv(cells_table(cells), classified.DECIMALS))
    again = survey_wise_ft.frame(read_cells_table(path), suite="s").set_index(["arm", "target"])
    assert again.loc["wise_ft_full", "b"]["0.5_accuracy"] == 36.0


def test_the_figure_of_mixtures_is_drawn_with_and_without_numbers(tmp_path):
    cells = [mixed(1, (40.0, 70.0, 80.0), (30.0, 35.0, 20.0))]
    for name, content in (("some", cells), ("none", [hole("wise_ft_full", "a")])):
        path = tmp_path / "table.csv"
        path.write_text(to_csv(survey_wise_ft.frame(cells_table(content), suite="s"), 7))
        _, rows = read_csv(path)
        figures = {"survey_wise_ft": tmp_path / f"{name}.png"}
        for file in survey_wise_ft.draw(cells_table(content), rows, figures, suite="s", title="toy"):
            assert file.stat().st_size > 1000


def test_without_a_tree_of_classes_the_table_of_trees_has_no_rows(tmp_path):
    assert shown(survey_hierarchy, [cell("zero_shot", "a", 50.0)], tmp_path).rows == []
