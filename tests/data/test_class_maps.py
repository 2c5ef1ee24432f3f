"""The format class_maps, through `prepare`: what becomes of pictures with class maps, and what is refused."""

import json
import struct
import zlib

import numpy as np
import pytest
import yaml

from cones.data.class_maps import IGNORED, Numbers, read_class_map
from cones.data.dense import read_mapped_items
from cones.data.download import fetch
from cones.data.findings import summary
from cones.data.labelled import SHARED_TEXT
from cones.data.prepare import prepare
from cones.data.preview import objects_of_map, preview
from cones.data.registry import load_registry
from cones.runtime.errors import ConesError
from cones.steps.verify import _check_dataset
from tests.data.made_up import write_tree
from tests.data.native import encoded
from tests.data.own import SPLITS, entry, noise

CLASSES = ["sky", "wall", "cat"]
FOLDERS = [{"images": f"images/{split}", "masks": f"annotations/{split}", "split": split} for split in SPLITS]
FORMAT = {"name": "class_maps", "first": 1, "unlabelled": [0], "folders": FOLDERS}
SHIPPED = {"rule": "as_shipped", "shipped": {split: split for split in SPLITS}}


def class_map(*numbers, width=24, height=16) -> bytes:
    """Upright stripes of the numbers."""
    columns = np.array(numbers, np.uint8)[np.arange(width) * len(numbers) // width]
    return encoded(np.tile(columns, (height, 1)), "PNG")


def png_of_two_bits(row, height=16) -> bytes:
    """A grey PNG of 2 bits a pixel, which Pillow cannot write, of equal rows."""
    packed = bytes(sum(one << 2 * (3 - at) for at, one in enumerate(row[i : i + 4])) for i in range(0, len(row), 4))
    parts = {b"IHDR": struct.pack(">IIBBBBB", len(row), height, 2, 0, 0, 0, 0)}
    parts |= {b"IDAT": zlib.compress((b"\0" + packed) * height), b"IEND": b""}
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts.items()
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def tree(**maps) -> dict[str, bytes]:
    """One picture in each split, with the stripes that are given or 0 1 2 3."""
    files = {}
    for place, split in enumerate(SPLITS):
        files[f"images/{split}/a.jpg"] = noise(place + 1, 24, 16)
        files[f"annotations/{split}/a.png"] = class_map(*maps.get(split, (0, 1, 2, 3)))
    return files


def registered(tmp_path, files, *, form=FORMAT, split=SHIPPED, **changes):
    folder = write_tree(tmp_path / "pictures", files)
    content = entry(folder, format=form, split=split, classes=CLASSES, task="dense") | {"group": "natural"} | changes
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"my_maps": content}, sort_keys=False), encoding="utf-8")
    return load_registry(tmp_path / "mine.yaml")["my_maps"]


def prepared(tmp_path, files, **given):
    dataset = registered(tmp_path, files, **given)
    fetch(dataset, "official", tmp_path / "data")
    return prepare(dataset, "official", tmp_path / "data"), tmp_path / "data/official/my_maps"


def test_pictures_and_maps_become_items_and_numbers_become_classes(tmp_path):
    manifest, folder = prepared(tmp_path, tree(test=(0, 1, 3)), texts={"cat": "kitten"})
    assert manifest["status"] == "ready" and manifest["texts"] == ["sky", "wall", "kitten"]
    items = read_mapped_items(folder)
    assert {split: len(found) for split, found in items.items()} == dict.fromkeys(SPLITS, 1)
    numbers = Numbers(**json.loads((folder / "manifest.json").read_text())["class_map"])
    found = read_class_map(folder / items["test"][0].class_map, numbers)
    assert found[0, [0, 9, 20]].tolist() == [IGNORED, 0, 2]
    assert manifest["splits"]["test"]["per_class"] == {"sky": 1, "wall": 0, "cat": 1}
    assert manifest["report"]["notes"]["a class that stands in no test picture"]["examples"] == ["wall"]
    assert summary(manifest)[0] == "train 1, val 1, test 1 pictures, 3 classes"


def test_lists_of_names_choose_pictures_that_have_maps(tmp_path):
    files = {f"JPEGImages/{name}.jpg": noise(n + 1, 24, 16) for n, name in enumerate("abcd")}
    files |= {f"Maps/{name}.png": class_map(0, 1, 2, 3) for name in "abc"}
    files |= {"lists/train.txt": b"a\n", "lists/val.txt": b"b\n"}
    lists = {"train": "lists/train.txt", "val": "lists/val.txt"}
    form = {**FORMAT, "folders": [{"images": "JPEGImages", "masks": "Maps"}], "lists": lists}
    split = {"rule": "as_shipped", "shipped": {"train": "train", "test": "val"}}
    manifest, folder = prepared(tmp_path, files, form=form, split=split)
    assert [item.path for item in read_mapped_items(folder)["test"]] == ["raw/JPEGImages/b.jpg"]
    assert manifest["report"]["notes"]["a picture that no annotation names, left out"]["examples"] == ["Maps/c.png"]
    files["lists/val.txt"] = b"b\nd\n"
    with pytest.raises(ConesError, match="1 of 2 listed pictures or their maps are missing; expected d"):
        prepared(tmp_path / "again", files, form=form, split=split)
    files["lists/val.txt"] = b"b\n"
    files |= {"Maps/c.tif": files["Maps/c.png"]}  # no list names it
    prepared(tmp_path / "unlisted", files, form=form, split=split)
    for more, found in (("Maps/b.tif", "Maps/b.png, .*Maps/b.tif"), ("JPEGImages/b.png", "b.jpg, .*b.png")):
        with pytest.raises(ConesError, match=f'the listed name "b" has several files.*found .*{found}; next: move'):
            prepared(tmp_path / found[:4] / more[:4], {**files, more: files["Maps/b.png"]}, form=form, split=split)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"annotations/test/a.png": class_map(0, 1, 4)}, "annotations/test/a.png: .*numbers of no class.*found 4"),
        ({"annotations/test/a.png": class_map(0, 1, width=8)}, "not of its picture's size; expected 24 x 16; found 8"),
        ({"annotations/test/a.png": noise(9, 24, 16)}, "one number of 8 bits a pixel.*found mode RGB"),
        ({"annotations/test/a.png": b"no picture"}, "cannot be decoded"),
        ({"images/test/b.jpg": noise(8, 24, 16)}, "1 of 2 masks are missing; expected annotations/test/b"),
        ({"annotations/train/b.png": class_map(1)}, "b.png"),
        ({"annotations/test/a.png": encoded(np.full((16, 24), 2, np.uint8), "JPEG")}, "exactly.*found a JPEG"),
        ({"annotations/test/a.png": png_of_two_bits([0, 1, 2, 3] * 6)}, "a grey PNG of 2 bits"),
        ({"annotations/test/a.png": class_map(0)}, "no labelled pixel to test on; found train 1, val 1, test 1"),
    ],
)
def test_maps_that_do_not_fit_are_refused(tmp_path, files, message):
    with pytest.raises(ConesError, match=message):
        prepared(tmp_path, tree() | files)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"form": {**FORMAT, "unlabelled": [0, 2]}}, "numbers of classes and of unlabelled pixels do not fit"),
        ({"form": {**FORMAT, "first": 254}}, "254 to 256"),
        ({"form": {**FORMAT, "unlabelled": [300]}}, "unlabelled.0: .*less than or equal to 255; found 300"),
        ({"classes": ["sky"]}, "one class alone, so every pixel would be right"),
        ({"form": {"name": "masks"}}, "no classes of whole pictures or of pixels; found masks with task dense"),
        ({"task": "detection"}, "gives pictures a class map each, and no boxes; found class_maps with task detection"),
        ({"task": "classification"}, "a class map each.*such as class_folders"),
        ({"classes": []}, "`classes` is missing or empty: .*in the order of their numbers"),
        ({"tree": {"a": ["sky", "wall"], "cat": None}}, "`tree` is for one class a picture"),
    ],
)
def test_entries_that_cannot_be_right_are_refused(tmp_path, changes, message):
    with pytest.raises(ConesError, match=message):
        prepared(tmp_path, tree(), **changes)


def test_a_map_is_as_upright_as_its_picture_or_the_set_is_refused(tmp_path):
    """Pictures are turned upright by EXIF; whether their maps are too, sizes say after a quarter turn alone."""

    def with_turn(orientation, width=16, height=24, **size):
        picture = noise(9, width, height, "JPEG", orientation)
        return {"images/test/a.jpg": picture, "annotations/test/a.png": class_map(0, 1, 2, 3, **size)}

    manifest, _ = prepared(tmp_path / "upright", tree() | with_turn(6))
    assert manifest["status"] == "ready"
    with pytest.raises(ConesError, match=r"its class map is of the picture as stored.*EXIF orientation 6.*auto-orient"):
        prepared(tmp_path / "stored", tree() | with_turn(6, 24, 16))
    half = with_turn(3, 24, 16)
    with pytest.raises(ConesError, match=r"nothing says which side of its map is up.*EXIF orientation 3"):
        prepared(tmp_path / "half", tree() | half)
    others = {f"images/train/{name}": content for name, content in (("a.jpg", with_turn(8)["images/test/a.jpg"]),)}
    manifest, _ = prepared(tmp_path / "others", tree() | half | others)  # the same tool drew upright ones
    assert manifest["status"] == "ready"


def test_two_classes_that_a_text_calls_the_same_are_said(tmp_path):
    manifest, _ = prepared(tmp_path, tree(), texts={"cat": "Wall"})
    assert manifest["report"]["notes"][SHARED_TEXT]["examples"] == ["cat (Wall) as wall"]


def test_a_set_without_test_pictures_is_refused(tmp_path):
    split = {"rule": "as_shipped", "shipped": {"train": "train", "val": "val"}}
    files = {name: content for name, content in tree().items() if "/test/" not in name}
    with pytest.raises(ConesError, match="no picture to test on; found train 1, val 1, test 0"):
        prepared(tmp_path, files, form={**FORMAT, "folders": FOLDERS[:2]}, split=split)


def test_a_changed_map_is_found_and_a_picture_of_no_class_is_said(tmp_path):
    manifest, folder = prepared(tmp_path, tree(val=(0,)))
    assert manifest["report"]["notes"]["a picture without a labelled pixel"]["count"] == 1
    _check_dataset(folder / "manifest.json")
    (tmp_path / "pictures/annotations/test/a.png").write_bytes(class_map(3, 2, 1))
    with pytest.raises(ConesError, match="not the one that was prepared"):
        _check_dataset(folder / "manifest.json")


def test_patients_stay_in_one_split(tmp_path):
    names = [f"p{patient}_{number}" for patient in range(5) for number in range(2)]
    files = {f"images/{name}.jpg": noise(place, 24, 16) for place, name in enumerate(names)}
    files |= {f"masks/{name}.png": class_map(0, 1, 2, 3) for name in names}
    form = {"name": "class_maps", "first": 1, "unlabelled": [0]}
    split = {"rule": "test20_then_holdout80", "patients": "(p[0-9])_"}
    manifest, folder = prepared(tmp_path, files, form=form, split=split)
    splits = {split: {item.path.split("_")[0] for item in items} for split, items in read_mapped_items(folder).items()}
    assert [len(found) for found in splits.values()] == [3, 1, 1] and len(set.union(*splits.values())) == 5
    assert manifest["report"]["groups"]["in_two_splits"] == 0


def test_a_preview_shows_each_class_of_a_map(tmp_path):
    dataset = registered(tmp_path, tree())
    fetch(dataset, "official", tmp_path / "data")
    prepare(dataset, "official", tmp_path / "data")
    assert preview(dataset, "official", tmp_path / "data", tmp_path / "sheet.png").stat().st_size > 1000
    shown = objects_of_map(np.array([[0, 2], [IGNORED, 2]], np.uint8))
    assert [(one["category_id"], one["bbox"]) for one in shown] == [(1, [0, 0, 1, 1]), (3, [1, 0, 1, 2])]
    assert objects_of_map(np.full((2, 2), IGNORED, np.uint8)) == []
