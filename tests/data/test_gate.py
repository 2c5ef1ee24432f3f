import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cones.data import coco
from cones.data.formats.records import NativeFiles, Object, Record
from cones.runtime.errors import ConesError
from tests.data.made_up import jpeg

WIDTH, HEIGHT = 40, 30


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    raw = tmp_path_factory.mktemp("raw")
    for name in "abc":
        (raw / f"{name}.jpg").write_bytes(jpeg(WIDTH, HEIGHT))
    return NativeFiles(dataset_id="cells", raw=raw, classes=["red", "white"])


def gate(native, *boxes, **changes):
    objects = tuple(Object(class_name="white", box=box) for box in boxes)
    return coco.gate([Record(item_id="a", image="a.jpg", objects=objects, **changes)], native)


def test_what_pycocotools_trips_over_is_right(native):
    records = [
        Record(item_id=name, image=f"{name}.jpg", objects=(Object("red", (1, 2, 3, 4)), Object("white", (5, 6, 7, 8))))
        for name in "cab"
    ]
    document = coco.gate(records, native).document(["c", "a"])
    assert document["categories"] == [{"id": 1, "name": "red"}, {"id": 2, "name": "white"}]
    assert [(one["id"], one["file_name"]) for one in document["images"]] == [(1, "a.jpg"), (3, "c.jpg")]
    assert [one["id"] for one in document["annotations"]] == [1, 2, 5, 6]  # unique over the dataset, from 1
    first = document["annotations"][0]
    assert first == {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0}


@pytest.mark.parametrize(
    "box, kept",
    [((-5, -5, 10, 10), [0, 0, 5, 5]), ((35, 25, 10, 10), [35, 25, 5, 5]), ((-1, -1, 99, 99), [0, 0, 40, 30])],
)
def test_boxes_are_clipped_and_counted(native, box, kept):
    validated = gate(native, box)
    assert validated.annotations["a"][0]["bbox"] == kept
    assert validated.annotations["a"][0]["area"] == kept[2] * kept[3]
    assert validated.report.clipped == [{"file": "a.jpg", "class": "white", "box": list(box), "kept": kept}]


@pytest.mark.parametrize(
    "box, reason",
    [
        ((5, 5, 0, 0), "no area"),
        ((5, 5, 4, 0), "no area"),
        ((40, 5, 5, 5), "outside the picture"),
        ((-9, 5, 9, 5), "outside the picture"),
    ],
)
def test_boxes_with_nothing_in_the_picture_are_dropped_and_counted(native, box, reason):
    validated = gate(native, box, (1, 1, 2, 2))
    assert len(validated.annotations["a"]) == 1 and validated.annotations["a"][0]["id"] == 1
    assert [(one["file"], one["reason"]) for one in validated.report.dropped] == [("a.jpg", reason)]
    assert validated.report.summary()["dropped"]["count"] == 1 and validated.report.listed == 2


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_box_that_is_not_finite_is_an_error(native, value):
    with pytest.raises(ConesError, match=r"dataset cells: a\.jpg: a box of class white is not finite"):
        gate(native, (1, value, 3, 4))


numbers = st.floats(-200, 200, allow_nan=False, width=32)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(numbers, numbers, numbers, numbers), max_size=6))
def test_whatever_comes_in_only_sound_boxes_come_out(native, boxes):
    validated = gate(native, *boxes)
    annotations = validated.annotations["a"]
    assert [one["id"] for one in annotations] == list(range(1, len(annotations) + 1))
    assert len(annotations) + len(validated.report.dropped) == len(boxes) == validated.report.listed
    for one in annotations:
        x, y, width, height = one["bbox"]
        assert x >= 0 and y >= 0 and width > 0 and height > 0 and one["area"] > 0
        assert x + width <= WIDTH + 0.002 and y + height <= HEIGHT + 0.002


def test_a_stated_size_that_is_wrong_is_reported(native):
    report = gate(native, (1, 1, 2, 2), stated_size=(30, 40)).report
    assert report.size_differs == [{"file": "a.jpg", "stated": [30, 40], "found": [40, 30]}]


def test_two_pictures_of_one_name_are_an_error(native):
    records = [Record(item_id="a", image=f"{name}.jpg", objects=()) for name in "ab"]
    with pytest.raises(ConesError, match='share the item id "a"'):
        coco.gate(records, native)


@pytest.mark.parametrize("content, words", [(b"", "0 bytes"), (jpeg(400, 300)[:-400], "cannot be decoded")])
def test_a_damaged_picture_names_dataset_and_file(native, content, words):
    (native.raw / "broken.jpg").write_bytes(content)
    with pytest.raises(ConesError, match=rf"dataset cells: broken\.jpg.*{words}"):
        coco.gate([Record(item_id="b", image="broken.jpg", objects=())], native)


def test_pycocotools_scores_a_perfect_answer_with_one(native, capsys):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    document = gate(native, (0, 0, 10, 10), (-3, 12, 10, 10), (5, 5, 0, 0)).document(["a"])
    truth = COCO()
    truth.dataset = {"info": {}, **document}
    truth.createIndex()
    answers = truth.loadRes(
        [
            {key: one[key] for key in ("image_id", "category_id", "bbox")} | {"score": 0.9}
            for one in document["annotations"]
        ]
    )
    evaluation = COCOeval(truth, answers, "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)
