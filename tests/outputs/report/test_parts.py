"""The parts of the page: learning rates and their study, costs, tuning, gaps, and how quantities read."""

import pytest

from cones.experiment.suite import load_suite
from cones.outputs.efficiency import efficiency_rows, frame
from cones.outputs.efficiency import sheet as efficiency_sheet
from cones.outputs.files import read_csv, to_csv
from cones.outputs.quantities import count, memory, seconds, span
from cones.outputs.records import Record
from cones.outputs.report.gaps import gap_rows
from cones.outputs.report.rates import rates_used, read_study, study_views
from cones.outputs.report.tuned import tuned_views
from cones.runtime.errors import ConesError
from cones.steps.report import write_report
from tests.outputs.report.suites import finished

HEAD = "model,method,learning_rate,dataset,validation_ap,chosen\n"
STUDY = HEAD + (
    "glip_nano,cones,0.1,bccd,30,yes\nglip_nano,cones,1e-2,bccd,20,\nglip_nano,cones,0.1,aquarium,40,yes\n"
    "glip_nano,cones,1e-2,aquarium,,\nglip_nano,linear_probing,1e-2,bccd,12.25,yes\n"
)


def record(dataset="bccd", method="cones", seed=0, status="done", reason="", arm=None, **tuning):
    row = {
        "suite": "ci",
        "model": "glip_nano",
        "dataset": dataset,
        "arm": arm or method,
        "method": method,
        "seed": str(seed),
    }
    sizes = {"trained_used": "384", "total_used": "1900000", "text_encoder_used": "0"}
    run = {"settings": {"learning_rate": 0.1, "tuning": {"max_epochs": 10}}, "tuning": tuning}
    return Record({**row, **sizes, "status": status, "reason": reason}, run if tuning else {})


def tuned(best, took, epochs=10, **where):
    history = [{"epoch": n + 1, "steps": 24 * (n + 1)} for n in range(epochs)]
    return record(**where, best_epoch=best, seconds=took, steps=24 * epochs, history=history, peak_memory_bytes=2**30)


def test_a_study_is_a_table_of_methods_and_learning_rates(tmp_path):
    (tmp_path / "study.csv").write_text(STUDY)
    (view,) = study_views(read_study(tmp_path / "study.csv"))
    assert (view["model"], view["rates"], view["datasets"]) == ("glip_nano", ["0.01", "0.1"], "1–2 datasets")  # noqa: RUF001
    cones, probing = view["rows"]
    assert [(cell["text"], cell["chosen"]) for cell in cones["cells"]] == [("20.0", False), ("35.0", True)]
    assert probing["label"] == "Linear probing" and [cell["chosen"] for cell in probing["cells"]] == [True, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [("model,method\n", "a column is missing"), (HEAD + "m,cones,fast,bccd,1,\n", "line 2: not a number")],
)
def test_a_study_of_another_form_is_refused(tmp_path, text, message):
    (tmp_path / "study.csv").write_text(text)
    with pytest.raises(ConesError, match=message):
        read_study(tmp_path / "study.csv")


def test_the_study_of_a_suite_is_shown_and_a_missing_one_is_told(tmp_path, monkeypatch):
    plan = finished(tmp_path, monkeypatch, datasets=["bccd"], learning_rate_studies=["study.csv"])
    page = write_report(plan)[0].read_text()
    assert "How they were chosen" not in page and "study.csv: there is no such file" in page
    (tmp_path / "study.csv").write_text(STUDY)
    page = write_report(plan)[0].read_text()
    assert 'class="chosen">35.0<' in page and "there is no such file" not in page
    (tmp_path / "study.csv").write_text("model\n")
    with pytest.raises(ConesError, match="a column is missing"):
        write_report(plan)


def test_no_suite_names_a_study_unless_it_has_one():
    assert load_suite("ci").learning_rate_studies == ()


def test_how_a_dataset_was_tuned_over_seeds():
    cells = [tuned(3, 10.0), tuned(10, 20.0, seed=1), tuned(2, 5.0, epochs=6, method="full_finetuning")]
    (view,) = tuned_views([record(method="zero_shot", arm="zero_shot"), *cells])
    assert view["methods"] == ["ConES (stage 1)", "Full fine-tuning"]
    ((dataset, (cones, full)),) = view["rows"]
    assert dataset == "bccd"
    assert cones == {"epoch": "3–10 of 10", "steps": "240", "seconds": "15 s", "at_end": True}  # noqa: RUF001
    assert (full["epoch"], full["steps"], full["at_end"]) == ("2 of 6", "144", False)


def test_costs_and_rates_tell_arms_from_methods(tmp_path):
    cells = [tuned(3, 10.0), tuned(3, 30.0, dataset="tn3k"), tuned(1, 7.0, arm="cones-n1")]
    for cell, took in zip(cells, (0.01, 0.03)):
        cell.run["tuning"]["language_seconds"] = took
    rows = efficiency_rows(cells)
    first, second = rows
    assert (first["method"], first["tuning_seconds"], first["tuning_seconds_sum"]) == ("ConES (stage 1)", 20, 40)
    assert (first["trained_low"], first["total_high"], first["tuning_peak_memory_bytes"]) == (384, 1_900_000, 2**30)
    assert (first["steps"], first["steps_to_best"], first["seconds_per_step"]) == (240, 72, 20 / 240)
    assert first["seconds_to_best"] == pytest.approx(20 * 72 / 240)
    assert second["method"] == "cones-n1" and second["inference_seconds_per_image"] is None
    (tmp_path / "efficiency.csv").write_text(to_csv(frame(cells, suite="ci")))
    sheet = efficiency_sheet(*read_csv(tmp_path / "efficiency.csv"), suite="ci")
    assert sheet.rows[0][1:6] == ["ConES (stage 1)", "384", "1.90 M", "1.90 M", "83 ms"]
    assert [row[-2] for row in sheet.rows] == ["20 ms", "–"]  # noqa: RUF001
    assert sheet.rows[1][-3] == "–" and len(sheet.rows) == 2  # noqa: RUF001
    assert rates_used(cells)["rows"][1] == {"label": "cones-n1", "rates": ["0.1"]}


def test_gaps_are_told_once_per_reason():
    skipped = [record(name, method, status="skipped", reason="a form") for name in ("a", "b") for method in ("x", "y")]
    lost = [record("c", "x", seed=1, status="not run", reason="not run"), record("c", "x"), record("c", "y", seed=1)]
    first, second = gap_rows([*skipped, *lost])
    assert (first["datasets"], first["methods"], first["reason"]) == (["a", "b"], "all methods", "a form")
    assert (second["datasets"], second["methods"], second["seeds"]) == (["c"], "x", "seed 1")
    assert (second["status"], second["reason"]) == ("not run", "")


@pytest.mark.parametrize(
    ("form", "values", "text"),
    [
        (seconds, [0.0], "0 s"),
        (seconds, [0.0213], "21 ms"),
        (seconds, [0.8], "0.80 s"),
        (seconds, [12.4, 89.0], "12–89 s"),  # noqa: RUF001
        (seconds, [30.0, 300.0], "30 s–5.0 min"),  # noqa: RUF001
        (seconds, [7200.0], "2.0 h"),
        (memory, [384_491_520], "367 MiB"),
        (memory, [3 * 2**30], "3.0 GiB"),
        (count, [384, 1152], "384–1,152"),  # noqa: RUF001
        (count, [122_560_000], "122.56 M"),
        (count, [], "–"),  # noqa: RUF001
    ],
)
def test_quantities(form, values, text):
    assert span(values, form) == text
