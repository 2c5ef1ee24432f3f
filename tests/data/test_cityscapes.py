import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from cones.data import coco
from cones.data.download import fetch
from cones.data.formats import cityscapes
from cones.data.formats.records import NativeFiles
from cones.data.prepare import prepare
from cones.data.registry import load_registry
from cones.evaluation.coco_ap import evaluate_detections
from cones.miniature.archives import draw
from cones.runtime.errors import ConesError
from tests.data.made_up import write_tree

CITYSCAPES = load_registry()["cityscapes"]
LABEL_IDS = {24: "person", 25: "rider", 26: "car", 27: "truck", 28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle"}
STEM = "ulm_000001_000019"
POLYGONS = f"gtFine/train/ulm/{STEM}_gtFine_polygons.json"


def rectangle(left, top, right, bottom):
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def png(width=64, height=32):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (90, 90, 90)).save(buffer, "PNG")
    return buffer.getvalue()


def tree(objects, **changes):
    document = {"imgHeight": 32, "imgWidth": 64, "objects": objects, **changes}
    return {
        f"leftImg8bit/train/ulm/{STEM}_leftImg8bit.png": png(),
        POLYGONS: json.dumps(document).encode(),
        f"gtFine/train/ulm/{STEM}_gtFine_labelIds.png": png(),
    }


def read(tmp_path, files):
    native = NativeFiles(dataset_id="cityscapes", raw=write_tree(tmp_path, files), classes=CITYSCAPES.classes)
    return list(cityscapes.convert(native, cityscapes.Parameters(splits=("train",))))


def decoded(segmentation):
    from pycocotools import mask

    return mask.decode({**segmentation, "counts": segmentation["counts"].encode()}).astype(bool)


def test_later_polygons_cover_earlier_ones(tmp_path):
    objects = [
        {"label": "sky", "polygon": rectangle(0, 0, 63, 31)},
        {"label": "car", "polygon": rectangle(10, 10, 29, 19)},
        {"label": "person", "polygon": rectangle(20, 5, 24, 24)},
        {"label": "license plate", "polygon": rectangle(12, 16, 15, 18)},
        {"label": "pole", "polygon": rectangle(28, 0, 29, 31)},
        {"label": "bus", "polygon": rectangle(0, 0, 60, 30), "deleted": 1},
    ]
    (record,) = read(tmp_path, tree(objects))
    assert (record.item_id, record.split, record.stated_size) == (STEM, "train", (64, 32))
    car, person = record.objects
    assert (car.class_name, car.box, car.area) == ("car", (10, 10, 18, 10), 18 * 10 - 5 * 10)
    assert (person.class_name, person.box, person.area) == ("person", (20, 5, 5, 20), 5 * 20)
    mask = decoded(car.segmentation)
    assert mask.shape == (32, 64) and mask.sum() == car.area and mask[12, 12] and not mask[12, 22]


def test_groups_of_a_class_are_one_crowd_and_hidden_objects_vanish(tmp_path):
    objects = [
        {"label": "car", "polygon": rectangle(2, 2, 5, 5)},
        {"label": "persongroup", "polygon": rectangle(0, 0, 9, 9)},
        {"label": "persongroup", "polygon": rectangle(20, 0, 29, 9)},
        {"label": "caravan", "polygon": rectangle(40, 0, 49, 9)},
        {"label": "vegetationgroup", "polygon": rectangle(50, 0, 59, 9)},
    ]
    (record,) = read(tmp_path, tree(objects))
    (crowd,) = record.objects
    assert (crowd.class_name, crowd.crowd, crowd.box, crowd.area) == ("person", True, (0, 0, 30, 10), 200)


CAR = {"label": "car", "polygon": rectangle(1, 1, 5, 5)}


def without(name, extra=None):
    files = {**tree([CAR]), **(extra or {})}
    del files[name]
    return files


@pytest.mark.parametrize(
    "files, words",
    [
        (without(POLYGONS), [f"{STEM}_leftImg8bit.png", "1 files have no polygons", f"{STEM}_gtFine_polygons.json"]),
        (
            {**tree([CAR]), "gtFine/train/ulm/ulm_2_3_gtFine_polygons.json": b"{}"},
            ["ulm_2_3_gtFine_polygons.json", "1 files have no picture"],
        ),
        (tree([{**CAR, "label": "cra"}]), [POLYGONS, 'unknown label "cra"', 'did you mean "car"']),
        (tree([{**CAR, "label": "cragroup"}]), [POLYGONS, 'unknown label "cragroup"']),
        (tree([{"label": "car"}]), [POLYGONS, "not the shape of Cityscapes polygons", "polygon"]),
        (tree([{**CAR, "polygon": [[1, 2]]}]), [POLYGONS, "not the shape of Cityscapes polygons"]),
        (tree([{**CAR, "polygon": [1, 2, 3]}]), [POLYGONS, "not the shape of Cityscapes polygons"]),
        (tree(None), [POLYGONS, "not the shape of Cityscapes polygons"]),
        ({**tree([CAR]), POLYGONS: b"{"}, [POLYGONS, "broken JSON"]),
        ({**tree([CAR]), POLYGONS: b"[]"}, [POLYGONS, "not the shape of Cityscapes polygons"]),
        ({"leftImg8bit/train/ulm/readme.txt": b"", "gtFine/a": b""}, ["leftImg8bit/train", "no picture here"]),
        (
            without(f"leftImg8bit/train/ulm/{STEM}_leftImg8bit.png"),
            ["leftImg8bit", "folder is missing", "found gtFine"],
        ),
    ],
)
def test_faults_name_dataset_and_file(tmp_path, files, words):
    with pytest.raises(ConesError) as caught:
        read(tmp_path, files)
    message = str(caught.value)
    assert message.startswith("dataset cityscapes: ") and "next: " in message
    assert all(word in message for word in words), message


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    archive = draw(CITYSCAPES, folder)
    fetch(CITYSCAPES, "miniature", folder)
    manifest = prepare(CITYSCAPES, "miniature", folder)
    root = folder / "miniature/cityscapes"
    return manifest, {split: json.loads((root / f"{split}.json").read_text()) for split in manifest["splits"]}, archive


def test_masks_are_those_of_the_dataset_s_own_id_images(prepared):
    _, documents, archive = prepared
    names = {category["id"]: category["name"] for category in documents["val"]["categories"]}
    with zipfile.ZipFile(archive) as labels:
        for image in documents["val"]["images"]:
            path = image["file_name"].replace("leftImg8bit/", "gtFine/", 1).replace("leftImg8bit", "gtFine_instanceIds")
            ids = np.asarray(Image.open(io.BytesIO(labels.read(path))))
            values = {int(value) for value in np.unique(ids) if value >= 24}
            found = [one for one in documents["val"]["annotations"] if one["image_id"] == image["id"]]
            assert len(found) == len(values)
            for one in found:
                mask = decoded(one["segmentation"])
                (value,) = {int(value) for value in np.unique(ids[mask])}
                assert np.array_equal(ids == value, mask) and one["area"] == mask.sum()
                assert LABEL_IDS[value if value < 1000 else value // 1000] == names[one["category_id"]]
                assert one["iscrowd"] == (value < 1000)
                rows, columns = np.nonzero(mask)
                left, top = columns.min(), rows.min()
                assert one["bbox"] == [left, top, columns.max() + 1 - left, rows.max() + 1 - top]


def test_test_is_val_and_the_withheld_split_is_left_out(prepared):
    manifest, documents, _ = prepared
    assert manifest["splits"]["val"]["items_sha256"] == manifest["splits"]["test"]["items_sha256"]
    assert documents["val"]["images"] == documents["test"]["images"]
    assert not any("berlin" in image["file_name"] for image in documents["train"]["images"])
    assert any(one["iscrowd"] for one in documents["train"]["annotations"])


def test_the_masks_are_what_the_evaluation_takes(prepared):
    _, documents, _ = prepared
    results = [
        {key: one[key] for key in ("image_id", "category_id", "bbox", "segmentation")} | {"score": 1.0}
        for one in documents["val"]["annotations"]
        if not one["iscrowd"]
    ]
    assert evaluate_detections(documents["val"], results, 100, "segm")["ap"] == 100


def test_a_picture_of_another_size_than_its_masks_is_refused(tmp_path):
    files = tree([CAR], imgWidth=128, imgHeight=64)
    native = NativeFiles(dataset_id="cityscapes", raw=write_tree(tmp_path, files), classes=CITYSCAPES.classes)
    with pytest.raises(ConesError, match="a mask is not of the picture's size; expected 64 x 32; found 128 x 64"):
        coco.gate(cityscapes.convert(native, cityscapes.Parameters(splits=("train",))), native)
