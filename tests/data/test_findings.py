"""What a manifest says was dropped, changed, left out or shared, in the words that people read."""

import pytest

from cones.data.findings import findings, left_out, of_every_table, summary
from tests.data.own import AS_SHIPPED, COCO, coco_tree, prepared

NOTHING = {"images": 10, "boxes": 400}


def manifest(*, listed=400, notes=None, groups=None, same=None, **counts):
    report = {kind: {"count": count, "examples": [f"{kind}.png"]} for kind, count in counts.items()}
    report |= {"boxes_listed": listed, "notes": notes or {}, "groups": groups}
    return {"report": report, "splits": dict.fromkeys(("train", "val", "test"), NOTHING), "same_splits": same or {}}


def test_each_kind_is_one_line_with_its_count_and_first_pictures(tmp_path):
    boxes = ((2, 3, 10, 12), (35, 20, 10, 20), (5, 5, 0, 3), (30, 3, -4, 5))
    lines = summary(prepared(tmp_path, coco_tree(boxes=boxes, counts=(4, 1, 1)), format=COCO).manifest)
    first = "test_0.png, train_0.png, train_1.png …"
    assert lines == [
        "train 4, val 1, test 1 pictures, 18 boxes",
        f"6 boxes dropped, which enclose nothing of their pictures ({first})",
        f"6 boxes clipped to their pictures ({first})",
        f"6 boxes drawn backwards, put in order ({first})",
    ]


def test_a_clean_set_says_that_nothing_was_changed(tmp_path):
    clean = prepared(tmp_path, coco_tree(), format=COCO, split=AS_SHIPPED).manifest
    assert summary(clean)[1:] == ["nothing dropped, changed or left out"]
    assert findings(clean) == [] and of_every_table(clean) == [] and left_out(clean) == 0


def test_groups_are_said_and_only_torn_ones_are_a_finding():
    whole = manifest(groups={"count": 7, "in_two_splits": 0, "examples": []})
    assert summary(whole)[0].endswith("1200 boxes, 7 groups") and findings(whole) == []
    torn = manifest(groups={"count": 7, "in_two_splits": 2, "examples": ["p1", "p2"]})
    assert summary(torn)[1] == "2 of 7 groups in two splits (p1, p2)"
    assert of_every_table(torn) == ["2 of 7 groups in two splits"]


def test_tables_of_label_sets_and_class_maps_say_what_their_preparation_noted():
    notes = {"a picture without an object, left out": {"count": 2, "examples": ["a.png", "b.png"]}}
    found = manifest(notes=notes)
    assert of_every_table(found) == []
    for task in ("multi_label", "dense"):
        assert of_every_table({**found, "task": task}) == ["a picture without an object, left out: 2"]


def test_what_the_files_list_and_no_split_holds_is_left_out():
    notes = {
        "a region too small, left out": {"count": 5, "examples": ["a.png"]},
        "pixels of the value 3, which `values` leaves out": {"count": 7, "examples": ["a.png"]},
        "a mask without a region, kept as a picture without objects": {"count": 90, "examples": ["a.png"]},
    }
    assert left_out(manifest(notes=notes, dropped=1, missing=2, excluded=3, clipped=50, leaks=4)) == 5 + 7 + 1 + 2 + 3


@pytest.mark.parametrize(
    "dropped, clipped, said",
    [
        (2, 2, []),  # 1 % exactly
        (3, 2, ["3 of 400 boxes dropped", "2 of 400 boxes clipped"]),
        (0, 5, ["5 of 400 boxes clipped"]),
    ],
)
def test_every_table_says_so_where_more_than_one_box_in_a_hundred_changed(dropped, clipped, said):
    assert of_every_table(manifest(dropped=dropped, clipped=clipped)) == said


def test_a_manifest_of_an_earlier_version_and_a_skipped_one_are_read():
    old = {"report": {"dropped": {"count": 1, "examples": [{"file": "a/b.jpg"}]}, "notes": {}}}
    assert [finding.examples for finding in findings(old)] == [("b.jpg",)]
    assert findings({"status": "skipped"}) == []
