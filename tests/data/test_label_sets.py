"""Several classes a picture: those of its boxes; what is uncertain is unknown, and a share of labels is drawn."""

import json

import numpy as np
import pytest
import torch
import yaml

from cones.data.captions import UNNAMED, UNNAMING
from cones.data.classification import LabelSetItem, label_matrix, load_pixels, partly_known, read_items
from cones.data.findings import summary
from cones.data.label_sets import NO_AREA, UNCERTAIN, UNSEEN, UNTESTED, WITHOUT
from cones.data.preview import preview
from cones.data.registry import load_registry
from cones.models.dual_encoder import PictureFormat
from cones.runtime.errors import ConesError
from cones.steps.verify import _check_dataset as check_dataset
from tests.data.made_up import voc_files
from tests.data.own import coco_json, encoded, entry, noise, prepared

CLASSES = ("red", "white", "blue")
FORMAT = {"name": "coco", "folders": ["train", "val", "test"], "annotations": ["labels.json"]}
BOX = [2, 3, 10, 12]


def pictures(**splits) -> dict[str, bytes]:
    """Of each split, pictures by the classes (from 1) of their boxes."""
    files, seed = {}, 0
    for split, shown in splits.items():
        boxes = [(number, one, BOX) for number, classes in enumerate(shown, start=1) for one in classes]
        names = [f"{number}.png" for number in range(1, len(shown) + 1)]
        files[f"{split}/labels.json"] = coco_json(names, boxes, CLASSES)
        files |= {f"{split}/{name}": noise(seed := seed + 1) for name in names}
    return files


def set_of(tmp_path, files, **described):
    return prepared(tmp_path, files, task="multi_label", **{"classes": CLASSES, "format": FORMAT, **described})


def test_a_picture_has_the_classes_of_its_boxes(tmp_path):
    made = set_of(tmp_path, pictures(train=[[1, 1, 2], [3], []], val=[[2]], test=[[1, 3], [1]]))
    items = read_items(made.folder)
    assert [item.present for item in items["train"]] == [(0, 1), (2,)]
    assert [item.present for item in items["test"]] == [(0, 2), (0,)]
    assert made.manifest["splits"]["train"]["per_class"] == {"red": 1, "white": 1, "blue": 1}
    notes = {what: found["count"] for what, found in made.manifest["report"]["notes"].items()}
    assert notes == {WITHOUT: 1, UNTESTED: 1}
    assert made.manifest["captions"] is None and made.manifest["template"] == "a photo of a {}."


def test_a_box_of_no_area_is_said(tmp_path):
    files = pictures(train=[[1], [2]], val=[[1]], test=[[3], [1, 2]])
    labels = json.loads(files["test/labels.json"])
    labels["annotations"][0]["bbox"][2:] = [0, 0]
    files["test/labels.json"] = json.dumps(labels).encode()
    made = set_of(tmp_path, files)
    assert made.manifest["report"]["notes"][NO_AREA]["examples"] == ["test/1.png"]
    assert read_items(made.folder)["test"][0].present == (2,)


def test_a_class_that_no_training_picture_shows_is_named(tmp_path):
    made = set_of(tmp_path, pictures(train=[[1], [2]], val=[[1]], test=[[3], [1, 2]]))
    assert made.manifest["report"]["notes"][UNSEEN]["examples"] == ["blue"]


def test_difficult_objects_alone_leave_a_class_unknown(tmp_path):
    files = voc_files(count=6)
    xml = next(name for name in sorted(files) if name.endswith(".xml"))
    one = (
        "<object><name>{}</name><difficult>{}</difficult><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax>"
        "<ymax>9</ymax></bndbox></object>"
    )
    stem = xml.rpartition("/")[2][:-4]
    body = one.format("red", 1) + one.format("white", 1) + one.format("white", 0)
    files[xml] = f"<annotation><filename>{stem}.jpg</filename>{body}</annotation>".encode()
    root = xml.partition("Annotations")[0].rstrip("/")
    files |= {name: noise(number, kind="JPEG") for number, name in enumerate(sorted(files)) if name.endswith(".jpg")}
    made = set_of(
        tmp_path,
        files,
        classes=("white", "red", "blue"),
        format={"name": "voc", "root": root or "."},
        split={"rule": "test20_then_holdout80"},
    )
    items = [item for split in read_items(made.folder).values() for item in split]
    (found,) = [item for item in items if stem in item.path]
    assert (found.present, found.unknown) == ((0,), (1,))
    assert label_matrix([found], 3).tolist() == [[1, -1, 0]]
    assert made.manifest["report"]["notes"][UNCERTAIN]["count"] == 1


def test_difficult_objects_alone_are_nothing_to_test_on(tmp_path):
    body = (
        "<annotation><filename>{0}.jpg</filename><object><name>red</name><difficult>1</difficult><bndbox><xmin>1</xmin>"
        "<ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
    )
    files = {f"Annotations/{number}.xml": body.format(number).encode() for number in range(6)}
    files |= {f"JPEGImages/{number}.jpg": noise(number, kind="JPEG") for number in range(6)}
    split = {"rule": "test20_then_holdout80"}
    with pytest.raises(ConesError, match="no test picture shows any class for certain; found train 4, val 1, test 1"):
        set_of(tmp_path, files, format={"name": "voc"}, split=split)


def test_without_test_pictures_it_is_refused(tmp_path):
    with pytest.raises(ConesError, match=r"no picture to test on.*test 0, 2 pictures without an object left out"):
        set_of(tmp_path, pictures(train=[[1], [2]], val=[[1]], test=[[], []]))


def test_captions_of_the_entry_are_read_and_those_of_no_class_are_left_out(tmp_path):
    files = pictures(train=[[1], [2]], val=[[1]], test=[[3], [1, 2]])
    files["captions.json"] = json.dumps(
        {"annotations": [{"caption": "A scarlet and two blues."}, {"caption": "Nothing."}]}
    ).encode()
    made = set_of(tmp_path, files, captions="captions.json")
    assert json.loads((made.folder / "captions.json").read_text()) == [["A scarlet and two blues.", [2]]]
    assert made.manifest["captions"]["without_a_class"] == 1
    notes = made.manifest["report"]["notes"]
    assert notes[UNNAMING]["examples"] == ["Nothing."] and notes[UNNAMED]["examples"] == ["red", "white"]
    files["captions.json"] = b'{"annotations": [{"caption": "Nothing."}]}'
    with pytest.raises(ConesError, match="no caption names a class"):
        set_of(tmp_path / "again", files, captions="captions.json")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"task": "classification", "format": {"name": "class_folders"}, "synonyms": {"red": ["scarlet"]}}, "are for"),
        ({"task": "multi_label", "synonyms": {"green": ["lime"]}}, "names what is no class: green"),
        ({"task": "multi_label", "synonyms": {"red": ["Blue"]}}, '"blue" names two classes'),
        ({"task": "multi_label", "tree": {"red": None}}, "is for one class a picture"),
        ({"task": "multi_label", "classes": []}, "is missing or empty"),
        ({"task": "multi_label", "classes": ["red"]}, "one class alone, which every picture with an object shows"),
        ({"task": "multi_label", "format": {"name": "class_folders"}}, "one class each, and no boxes"),
    ],
)
def test_an_entry_that_does_not_fit_its_task_is_refused(tmp_path, changes, message):
    content = entry(tmp_path, format=changes.get("format", FORMAT), classes=CLASSES, task=changes["task"])
    content |= {"group": "natural"} | {key: value for key, value in changes.items() if key != "format"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"my_pictures": content}), encoding="utf-8")
    with pytest.raises(ConesError, match=message):
        load_registry(tmp_path / "mine.yaml")


ITEMS = [LabelSetItem(f"{number}.jpg", (number % 4,), (3,) if number % 4 < 2 else ()) for number in range(400)]


def test_about_the_share_of_labels_is_known_and_more_labels_are_those_and_others():
    ten, half, all_ = (label_matrix(partly_known(ITEMS, 4, share, seed=1), 4) for share in (10, 50, 100))
    truth = label_matrix(ITEMS, 4)
    assert torch.equal(all_, truth)
    for found in (ten, half):
        assert torch.equal(found[found >= 0], truth[found >= 0])
    assert ((ten >= 0) <= (half >= 0)).all()
    known = (truth >= 0).sum()
    assert (ten >= 0).sum() / known == pytest.approx(0.1, abs=0.03)
    assert (half >= 0).sum() / known == pytest.approx(0.5, abs=0.04)


def test_the_draw_goes_by_seed_and_not_by_the_order_of_the_pictures():
    found = partly_known(ITEMS, 4, 30, seed=1)
    assert partly_known(ITEMS[::-1], 4, 30, seed=1)[::-1] == found != partly_known(ITEMS, 4, 30, seed=2)
    with pytest.raises(ConesError, match="1 to 100 per cent"):
        partly_known(ITEMS, 4, 0, seed=1)


def test_a_whole_picture_keeps_its_edges(tmp_path):
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, :8] = 255
    (tmp_path / "wide.png").write_bytes(encoded(pixels))
    plain = PictureFormat(20, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    whole, middle = (load_pixels([tmp_path / "wide.png"], plain, whole=whole)[0] for whole in (True, False))
    assert whole.shape == middle.shape == (3, 20, 20)
    assert whole[:, :, 0].mean() > 0.9 and middle.max() == 0


def test_a_sheet_of_its_pictures_is_made_and_its_pictures_are_verified(tmp_path, monkeypatch):
    made = set_of(tmp_path, pictures(train=[[1, 2], [3]], val=[[2]], test=[[1, 3], [1]]))
    dataset = load_registry(tmp_path / "mine.yaml")["my_cells"]
    sheet = preview(dataset, "official", tmp_path / "data", tmp_path / "sheet.png", pictures=5)
    assert sheet.stat().st_size > 1000
    check_dataset(made.folder / "manifest.json")
    assert summary(made.manifest)[0] == "train 2, val 1, test 2 pictures, 3 classes"
    (made.folder / "raw/train/1.png").write_bytes(noise(99))
    with pytest.raises(ConesError, match="a picture is not the one that was prepared"):
        check_dataset(made.folder / "manifest.json")
