import csv
import json

from cones.data.registry import load_registry
from cones.outputs.files import read_csv, to_csv
from cones.outputs.reads.manifests import Datasets
from cones.outputs.reference import paper
from cones.outputs.table7 import frame, paper_row
from cones.outputs.table7 import sheet as table7_sheet
from cones.outputs.wording import NO_NUMBER
from cones.runtime.artifacts import write_text
from tests.data.made_up import cells_entry


def manifest(folder, name, train=0, val=0, test=0, status="ready", **content):
    counts = {"train": train, "val": val, "test": test}
    splits = {split: {"images": count, "boxes": 2 * count} for split, count in counts.items()}
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"status": status, "reason": "needs_request: a form", "splits": splits, **content}))
    return path


def rows_of(tmp_path, entries, manifests, source="official"):
    path = tmp_path / "table7.csv"
    datasets = Datasets(source, tuple((entry, manifests[entry.id]) for entry in entries))
    write_text(path, to_csv(frame(datasets, suite="s")))
    with open(path, newline="") as file:
        return {row["dataset"]: row for row in csv.DictReader(file)}


def test_counts_stand_beside_the_papers_with_what_differs(tmp_path):
    entries = [
        cells_entry(id="cpm17", paper_name="CPM-17", classes=["nucleus"]),
        cells_entry(id="bccd", paper_name="BCCD", classes=["a", "b", "c"], notes=["765 = 3 x 255", "split anew"]),
        cells_entry(id="tn3k", paper_name="TN3k", classes=["nodule"]),
        cells_entry(id="mine", paper_name="Mine"),
    ]
    rows = rows_of(
        tmp_path,
        entries,
        {
            "cpm17": manifest(tmp_path, "cpm17", 25, 7, 32),
            "bccd": manifest(tmp_path, "bccd", 255, 73, 36),
            "tn3k": manifest(tmp_path, "tn3k", status="skipped"),
            "mine": tmp_path / "absent.json",
        },
    )
    assert rows["cpm17"]["agrees"] == "yes" and rows["cpm17"]["paper_test"] == "32" and rows["cpm17"]["boxes"] == "128"
    assert (
        rows["bccd"]["agrees"] == "train 255 instead of 765" and rows["bccd"]["notes"] == "765 = 3 x 255 | split anew"
    )
    assert rows["tn3k"]["status"] == "skipped: needs_request: a form" and rows["tn3k"]["paper_train"] == "2303"
    assert rows["tn3k"]["train"] == "" and rows["tn3k"]["agrees"] == ""
    assert rows["mine"]["status"] == "not prepared yet" and rows["mine"]["paper_row"] == ""


def test_the_papers_shared_row_gets_a_total(tmp_path):
    entries = [cells_entry(id=name, group="natural") for name in ("aquarium", "raccoon")]
    manifests = {"aquarium": manifest(tmp_path, "a", 5, 2, 1), "raccoon": manifest(tmp_path, "r", 6, 3, 2)}
    rows = rows_of(tmp_path, entries, manifests)
    total = rows["all of ODinW13"]
    assert [total[key] for key in ("train", "val", "test", "classes", "paper_classes")] == ["11", "5", "3", "4", "50"]
    manifests["raccoon"] = manifest(tmp_path, "r", status="skipped")
    total = rows_of(tmp_path, entries, manifests)["all of ODinW13"]
    assert total["status"] == "1 of 2 ready" and total["train"] == ""


def test_the_miniature_is_not_held_against_the_paper(tmp_path):
    entries = [cells_entry(id="cpm17", paper_name="CPM-17", classes=["nucleus"])]
    rows = rows_of(tmp_path, entries, {"cpm17": manifest(tmp_path, "c", 24, 8, 16)}, source="miniature")
    assert rows["cpm17"]["agrees"] == "" and rows["cpm17"]["source"] == "miniature"


def test_every_published_row_has_a_dataset_of_ours():
    found = {paper_row(entry, paper())["dataset"] for entry in load_registry().values()}
    assert found == {row["dataset"] for row in paper().rows("table7")}


def sheet_of(tmp_path, source):
    entries = [
        cells_entry(id="bccd", paper_name="BCCD", classes=["a", "b", "c"], notes=["765 = 3 x 255"]),
        cells_entry(id="tn3k", paper_name="TN3k", classes=["nodule"]),
    ]
    manifests = {"bccd": manifest(tmp_path, "b", 255, 73, 36), "tn3k": manifest(tmp_path, "t", status="skipped")}
    rows_of(tmp_path, entries, manifests, source)
    return table7_sheet(*read_csv(tmp_path / "table7.csv"), suite="s")


def test_for_people_the_papers_counts_stand_below_those_of_the_official_files(tmp_path):
    sheet = sheet_of(tmp_path, "official")
    ours, theirs, hole, _ = [row[1:] for row in sheet.rows]
    assert ours == ["BCCD", "3", "255", "73", "36", "728", "0", "0", "0", NO_NUMBER, "[1] [2]"]
    assert theirs == ["paper", "3", "765", "73", "36", NO_NUMBER, "", "", "", "", ""]
    assert hole == ["TN3k", "1", *[NO_NUMBER] * 8, "[3]"]
    assert list(sheet.notes) == ["train 255 instead of 765", "765 = 3 x 255", "skipped: needs_request: a form"]


def test_for_people_drawn_datasets_stand_alone(tmp_path):
    sheet = sheet_of(tmp_path, "miniature")
    assert [row[1] for row in sheet.rows] == ["BCCD", "TN3k"] and list(sheet.notes) == [
        "skipped: needs_request: a form"
    ]


def changed_manifest(folder, name, **report):
    counts = {kind: {"count": count, "examples": []} for kind, count in report.items()}
    notes = {"a region too small, left out": {"count": 4, "examples": ["a.png"]}}
    groups = {"count": 9, "in_two_splits": 2, "examples": ["p1"]}
    same = {"test": "val"}
    return manifest(folder, name, 6, 2, 2, report={**counts, "notes": notes, "groups": groups}, same_splits=same)


def test_what_was_left_out_or_changed_is_counted_and_said(tmp_path):
    entries = [cells_entry(id="bccd", paper_name="BCCD"), cells_entry(id="cpm17", paper_name="CPM-17")]
    manifests = {
        "bccd": changed_manifest(tmp_path, "b", dropped=3, clipped=5, missing=1, leaks=2, reordered=7),
        "cpm17": manifest(tmp_path, "c", 24, 8, 16),
    }
    row = rows_of(tmp_path, entries, manifests, source="miniature")["bccd"]
    counts = [row[key] for key in ("left_out", "clipped", "shared", "groups", "torn_groups")]
    assert counts == [
        "8",
        "5",
        "4",
        "9",
        "2",
    ]  # 3 boxes, 1 picture, 4 regions; 2 leaks and 2 test pictures that are val
    sheet = table7_sheet(*read_csv(tmp_path / "table7.csv"), suite="s")
    changed, clean = [row[7:] for row in sheet.rows]
    assert changed == ["8", "5", "4", "9 (2)", "[1] [2] [3] [4] [5] [6] [7] [8]"]
    assert clean == ["0", "0", "0", NO_NUMBER, ""]
    assert list(sheet.notes)[1:3] == ["5 boxes clipped to their pictures", "7 boxes drawn backwards, put in order"]


def test_groups_are_named_by_what_they_are_and_own_data_as_such(tmp_path):
    own = {"folder": "mine", "archives": [], "split": {"rule": "holdout80"}, "expected": None}
    entries = [
        cells_entry(id="raccoon", paper_name="Raccoon", group="natural"),
        cells_entry(id="aquarium", paper_name="Aquarium", group="natural"),
        cells_entry(id="mine", paper_name="Mine", group="natural", source=own),
        cells_entry(id="bccd", paper_name="BCCD"),
    ]
    rows = rows_of(tmp_path, entries, {entry.id: manifest(tmp_path, entry.id, 5, 2, 1) for entry in entries})
    assert rows["all of ODinW13"]["train"] == "10"  # own pictures are no part of the paper's set
    sheet = table7_sheet(*read_csv(tmp_path / "table7.csv"), suite="s")
    groups = {row[1]: row[0] for row in sheet.rows if row[0]}
    assert groups == {"Raccoon": "natural", "Mine": "own data, natural", "BCCD": "non-radiology"}
