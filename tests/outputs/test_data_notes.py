"""What a table's readers must know of its data: below every table, in Markdown, on the terminal and on the page."""

import io
import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from cones.experiment.cell import Plan
from cones.experiment.outputs import OUTPUTS
from cones.outputs.data_notes import NOT_RECORDED, data_notes, manifests_behind
from cones.outputs.make import make_output
from cones.runtime.artifacts import write_json
from cones.steps.report import write_report
from cones.steps.show import show_table
from tests.outputs.report.suites import finished

SPLITS = ("train", "val", "test")
SAME = "test and val are the same pictures"


def prepare(plan, dataset, *, val=8, same=None, listed=400, **counts):
    """Write a manifest as `prepare` would, with these counts."""
    splits = {split: {"images": count, "boxes": 2 * count} for split, count in zip(SPLITS, (24, val, 16))}
    report = {kind: {"count": count, "examples": []} for kind, count in counts.items()} | {"boxes_listed": listed}
    content = {"status": "ready", "splits": splits, "same_splits": same or {}, "report": report}
    folder = plan.data_folder(dataset)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "manifest.json", content)


def notes_of(plan, name="table1"):
    return data_notes(plan, OUTPUTS[name])


@pytest.fixture
def plan(tmp_path, monkeypatch):
    return finished(tmp_path, monkeypatch, datasets=["pascal_voc", "bccd", "cpm17"], report={"pictures": False})


def test_every_view_of_a_table_says_it_and_the_csv_is_as_before(plan):
    table = Path("results/miniature/table1.csv")
    before = table.read_bytes(), table.with_suffix(".md").read_text()
    prepare(plan, "bccd", dropped=3, clipped=4)
    prepare(plan, "cpm17", dropped=1, clipped=2)  # fewer than one in a hundred
    make_output(plan, "table1")
    notes = ["bccd: 3 of 400 boxes dropped", "bccd: 4 of 400 boxes clipped"]
    assert table.read_bytes() == before[0]
    assert table.with_suffix(".md").read_text() == before[1] + "\nOn the data\n\n- " + "\n- ".join(notes) + "\n"
    console = Console(file=io.StringIO(), width=100)
    show_table(table, console)
    page = write_report(plan)[0].read_text()
    for note in notes:
        assert f"On the data: {note}" in console.file.getvalue()
        assert f"<b>On the data:</b> {note}</li>" in page
    assert "cpm17:" not in console.file.getvalue()


def test_a_copy_of_a_table_is_shown_with_the_notes_of_its_suite_and_a_stray_one_says_that_it_has_none(plan, capsys):
    prepare(plan, "bccd", missing=1)
    make_output(plan, "table1")
    shutil.copy("results/miniature/table1.csv", "results/table1.csv")
    show_table(Path("results/table1.csv"))
    assert "On the data: bccd: 1 listed picture missing" in capsys.readouterr().out
    Path("elsewhere").mkdir()
    shutil.copy("results/table1.csv", "elsewhere/table1.csv")
    show_table(Path("elsewhere/table1.csv"))
    assert NOT_RECORDED in " ".join(capsys.readouterr().out.split())


def test_a_table_speaks_of_the_datasets_that_it_shows(plan):
    prepare(plan, "pascal_voc", leaks=2)
    prepare(plan, "bccd", excluded=1)
    assert notes_of(plan, "table8") == ["pascal_voc: 2 pictures in two splits"]
    assert notes_of(plan, "table10") == ["bccd: 1 item excluded"]
    assert notes_of(plan, "table7") == [] and notes_of(plan, "efficiency") == notes_of(plan)
    assert list(map(str, manifests_behind(plan, OUTPUTS["table8"]))) == ["data/miniature/pascal_voc/manifest.json"]


def test_equal_notes_of_several_datasets_are_one(plan):
    for dataset in ("bccd", "cpm17"):
        prepare(plan, dataset, leaks=1)
    assert notes_of(plan) == ["bccd, cpm17: 1 picture in two splits"]


def test_test_pictures_that_are_those_of_validation_are_said_with_what_follows(plan):
    prepare(plan, "pascal_voc", same={"test": "val"})
    (note,) = notes_of(plan)
    assert note.startswith(f"pascal_voc: {SAME}, so the weights that are best on validation are")
    last = Plan.load("miniature", {"datasets": ["pascal_voc"], "tuning": {"selection": "last"}})
    assert notes_of(last) == [f"pascal_voc: {SAME}; the weights of the last epoch are kept, whatever they score there"]
    untuned = Plan.load("miniature", {"datasets": ["pascal_voc"], "grids": {"table1": {"arms": ["zero_shot"]}}})
    assert notes_of(untuned) == [f"pascal_voc: {SAME}"]


def test_without_validation_the_last_epoch_is_kept_and_said(plan):
    prepare(plan, "bccd", val=0)
    last = Plan.load("miniature", {"datasets": ["bccd"], "tuning": {"selection": "last"}})
    assert notes_of(last) == [
        "bccd: no validation pictures, so the weights of the last epoch are kept (`selection: last`)"
    ]


def test_few_shot_cells_are_named(plan):
    every = Plan.load("miniature", {"datasets": ["bccd"], "tuning": {"shots": 1}})
    assert notes_of(every) == ["few-shot, about 1 image per class in train and val: everything that is tuned here"]
    some = Plan.load("miniature", {"datasets": ["bccd", "cpm17"], "dataset_tuning": {"bccd": {"shots": 5}}})
    (note,) = notes_of(some)
    assert note.startswith("few-shot, about 5 images per class in train and val: linear_probing, textual_inversion")
    assert note.endswith(" on bccd") and "zero_shot" not in note


def test_classes_with_fewer_images_than_shots_are_named(plan):
    prepare(plan, "bccd")
    file = plan.data_folder("bccd") / "manifest.json"
    content = json.loads(file.read_text())
    content["splits"]["train"] |= {"without_boxes": 4, "per_class": {"Platelets": 5, "RBC": 300, "WBC": 10}}
    write_json(file, content)
    notes = {
        shots: notes_of(Plan.load("miniature", {"datasets": ["bccd"], "tuning": {"shots": shots}}))
        for shots in (5, 10, 21)
    }
    said = "bccd: a class has fewer than {} training images, and all of them are taken: {}"
    assert [found[1:] for found in notes.values()] == [
        [],
        [said.format(10, "Platelets")],
        [said.format(21, "Platelets, RBC, WBC")],  # 20 pictures have a box
    ]


def test_what_the_suite_cuts_short_is_said_of_the_cells_that_it_concerns(plan):
    small = {"glip_nano": {"test_short_side": 96, "tuning": {"max_steps": 1}}}
    short = Plan.load("miniature", {"datasets": ["bccd"], "pictures": 4, "models": small})
    of_split = "at most 4 pictures of each split are used, those with objects first, in the order of their ids"
    size = "pictures are tested with a short side of 96 pixels: glip_nano"
    assert notes_of(short) == [of_split, size, "tuning ends after 1 optimiser step at most: glip_nano"]
    assert notes_of(short, "table2") == [of_split]  # another model
    untuned = {"datasets": ["bccd"], "models": small, "grids": {"table1": {"arms": ["zero_shot"]}}}
    assert notes_of(Plan.load("miniature", untuned)) == [size]


def test_the_report_has_a_section_of_what_was_left_out_only_where_something_was(plan):
    prepare(plan, "bccd")
    make_output(plan, "table7")
    assert "left out of the data" not in write_report(plan)[0].read_text()
    prepare(plan, "bccd", dropped=1, reordered=2)
    make_output(plan, "table7")
    section = write_report(plan)[0].read_text().partition('<section id="left-out">')[2].partition("</section>")[0]
    texts = ["1 box dropped, which encloses nothing of its picture", "2 boxes drawn backwards, put in order"]
    assert section.count("<li>") == 1 and f"<li><b>bccd</b>: {'; '.join(texts)}</li>" in section


def test_the_file_beside_a_table_has_a_version(plan):
    make_output(plan, "table1")
    assert json.loads(Path("results/miniature/table1.data.json").read_text()) == {"version": 1, "notes": []}
