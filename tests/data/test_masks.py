import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as rle

from cones.data.formats import instance_maps, isic2016, kvasir_seg, masks, tn3k
from cones.miniature.medical import _matlab as matlab
from cones.runtime.errors import ConesError
from tests.data.native import boxes, encoded, mask, picture, read

ONE, OTHER = (3, 4, 13, 14), (20, 15, 30, 25)


def folders(*masks_of):
    files = {}
    for number, content in enumerate(masks_of):
        files[f"images/a{number}.jpg"] = picture()
        files[f"masks/a{number}.png"] = content
    return files


def test_a_region_is_an_object_with_the_tight_box(tmp_path):
    (record,), notes = read(masks, tmp_path, folders(mask(ONE, OTHER)))
    assert boxes(record) == [(3, 4, 10, 10), (20, 15, 10, 10)]
    assert record.item_id == "a0" and record.image == "images/a0.jpg" and notes == {}
    assert all(one.segmentation is None and one.area is None for one in record.objects)


def test_regions_that_touch_at_a_corner_are_one(tmp_path):
    (record,), _ = read(masks, tmp_path, folders(mask((3, 4, 13, 14), (13, 14, 20, 20))))
    assert boxes(record) == [(3, 4, 17, 16)]


def test_whole_mask_as_one_object(tmp_path):
    (record,), _ = read(masks, tmp_path, folders(mask(ONE, OTHER)), objects="whole")
    assert boxes(record) == [(3, 4, 27, 21)]


def test_small_regions_are_left_out_and_counted(tmp_path):
    files = folders(mask(ONE, (30, 2, 32, 4)))
    assert len(read(masks, tmp_path, files)[0][0].objects) == 2
    for limit in ({"min_area": 5}, {"min_share": 0.05}):
        (record,), notes = read(masks, tmp_path, files, **limit)
        assert boxes(record) == [(3, 4, 10, 10)]
        assert notes == {"a region too small, left out": ["masks/a0.png"]}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 35), st.integers(0, 25), st.integers(1, 9), st.integers(1, 9)), min_size=1))
def test_masks_are_kept_exactly_as_rle(rectangles):
    pixels = np.zeros((30, 40), bool)
    for left, top, width, height in rectangles:
        pixels[top : top + height, left : left + width] = True
    objects = masks.objects_of(pixels, masks.Regions(keep_masks=True), "lesion")
    decoded = [rle.decode(one.segmentation).astype(bool) for one in objects]
    assert (np.sum(decoded, axis=0) == pixels).all()  # every pixel once
    for one, region in zip(objects, decoded):
        assert one.area == region.sum() and tuple(rle.toBbox(one.segmentation)) == one.box


def test_an_empty_mask_is_an_error_unless_allowed(tmp_path):
    files = folders(mask(ONE), mask())
    with pytest.raises(ConesError, match=r"cells: masks/a1\.png: the mask is empty.*allow_empty"):
        read(masks, tmp_path, files)
    records, notes = read(masks, tmp_path, files, allow_empty=True)
    assert [len(record.objects) for record in records] == [1, 0]
    assert notes == {"a mask without a region, kept as a picture without objects": ["masks/a1.png"]}


def test_zero_one_masks_are_explained(tmp_path):
    files = folders(mask(ONE, value=1))
    with pytest.raises(ConesError, match="0/1 masks need `threshold: 0`"):
        read(masks, tmp_path, files)
    assert len(read(masks, tmp_path, files, threshold=0)[0][0].objects) == 1


@pytest.mark.parametrize(
    "change, words",
    [
        ({"masks/a0.png": None}, ["1 of 1 masks are missing", "a0.*"]),
        ({"images/a0.jpg": None}, ["cells: images: ", "no picture here"]),
        ({"masks/b.png": mask(ONE)}, ["masks/b.png", "1 masks have no picture"]),
        ({"masks/a0.png": mask(ONE, width=41)}, ["masks/a0.png", "not of its picture's size", "found 41 x 30"]),
        ({"masks/a0.png": b"no picture"}, ["masks/a0.png", "cannot be decoded"]),
        ({"masks/a0.png": b""}, ["masks/a0.png", "empty (0 bytes)"]),
        ({"images/a0.jpg": b"no picture"}, ["images/a0.jpg", "cannot be decoded"]),
    ],
)
def test_faults_name_dataset_and_file(tmp_path, change, words):
    files = {name: content for name, content in {**folders(mask(ONE)), **change}.items() if content is not None}
    with pytest.raises(ConesError) as caught:
        read(masks, tmp_path, files)
    message = str(caught.value)
    assert message.startswith("dataset cells: ") and "next: " in message and "\n" not in message
    assert all(word in message for word in words), message


def test_two_classes_need_labels(tmp_path):
    with pytest.raises(ConesError, match="nothing here tells classes apart"):
        read(masks, tmp_path, folders(mask(ONE)), classes=("a", "b"))


# ISIC 2016 ------------------------------------------------------------------------------------------------------------


def isic_files(train="ISIC_0000001,benign\nISIC_0000002,malignant\n", test="ISIC_0000003,1.0\n"):
    files = {"train.csv": train.encode(), "test.csv": test.encode()}
    for folder, stem in (("train", "ISIC_0000001"), ("train", "ISIC_0000002"), ("test", "ISIC_0000003")):
        files[f"{folder}/{stem}.jpg"] = picture()
        files[f"{folder}-gt/{stem}_Segmentation.png"] = mask(ONE)
    return files


def isic(tmp_path, files):
    listed = [
        {"split": split, "images": split, "masks": f"{split}-gt", "labels": f"{split}.csv"}
        for split in ("train", "test")
    ]
    return read(isic2016, tmp_path, files, classes=("skin lesion", "melanoma"), folders=listed)[0]


@pytest.mark.parametrize("header", ["", "img_id,Label\n"])
def test_isic_classes_come_from_words_and_numbers(tmp_path, header):
    records = isic(tmp_path, isic_files(train=header + "ISIC_0000001,benign\nISIC_0000002,malignant\n"))
    assert [(one.item_id, one.split, one.objects[0].class_name) for one in records] == [
        ("ISIC_0000001", "train", "skin lesion"),
        ("ISIC_0000002", "train", "melanoma"),
        ("ISIC_0000003", "test", "melanoma"),
    ]


@pytest.mark.parametrize(
    "files, words",
    [
        (isic_files(train="ISIC_0000001,benign\n"), "no diagnosis of ISIC_0000002"),
        (isic_files(test="ISIC_0000003,2.0\n"), "test.csv: line 1 holds no usable diagnosis"),
        (isic_files(test="ISIC_0000003\n"), "test.csv: line 1 holds no usable diagnosis"),
        ({name: content for name, content in isic_files().items() if name != "test.csv"}, "test.csv: the file of"),
    ],
)
def test_isic_faults(tmp_path, files, words):
    with pytest.raises(ConesError, match=f"dataset cells: .*{words}"):
        isic(tmp_path, files)


# TN3K -----------------------------------------------------------------------------------------------------------------


def tn3k_files(numbers=(0, 1, 3), fold=None):
    files = {"tn3k/test-image/0000.jpg": picture(), "tn3k/test-mask/0000.jpg": mask(ONE, kind="JPEG")}
    for number in numbers:
        files[f"tn3k/trainval-image/{number:04d}.jpg"] = picture()
        files[f"tn3k/trainval-mask/{number:04d}.jpg"] = mask(ONE, OTHER, kind="JPEG")
    text = json.dumps(fold or {"train": [0, 1], "val": [2]}) if not isinstance(fold, bytes) else fold.decode()
    return {**files, "tn3k/tn3k-trainval-fold0.json": text.encode()}


def test_tn3k_folds_hold_positions_not_names(tmp_path):
    records, _ = read(tn3k, tmp_path, tn3k_files(numbers=(0, 2, 10)))
    assert {record.item_id: record.split for record in records} == {
        "test/0000": "test",
        "0000": "train",
        "0002": "train",
        "0010": "val",
    }
    assert all(len(record.objects) == (1 if record.split == "test" else 2) for record in records)


@pytest.mark.parametrize(
    "fold, words",
    [
        ({"train": [0, 1], "val": [3]}, "does not divide these pictures"),
        ({"train": [0, 1]}, "not a fold file"),
        (b"{", "not a fold file"),
    ],
)
def test_tn3k_faults(tmp_path, fold, words):
    with pytest.raises(ConesError, match=f"fold0.json: .*{words}.*next: fetch"):
        read(tn3k, tmp_path, tn3k_files(fold=fold))


# Kvasir-SEG -----------------------------------------------------------------------------------------------------------


def kvasir_files(**changes):
    rgb = np.zeros((60, 80, 3), np.uint8)
    rgb[10:40, 20:50] = 255
    files = {
        "Kvasir-SEG/images/cju1.jpg": picture(80, 60),
        "Kvasir-SEG/masks/cju1.jpg": encoded(rgb, "JPEG"),
        "Kvasir-SEG/kavsir_bboxes.json": json.dumps({"cju1": {"bbox": [{"label": "polyp"}]}}).encode(),
    }
    return {**files, **{f"Kvasir-SEG/{name}": content for name, content in changes.items()}}


def test_kvasir_rgb_jpeg_masks_become_instances(tmp_path):
    (record,), notes = read(kvasir_seg, tmp_path, kvasir_files())
    assert boxes(record) == [(20, 10, 30, 30)] and record.objects[0].area == 900 and notes == {}
    assert rle.decode(record.objects[0].segmentation).sum() == 900


def test_kvasir_another_number_of_boxes_is_noted(tmp_path):
    listed = {"kavsir_bboxes.json": json.dumps({"cju1": {"bbox": [{}, {}]}}).encode()}
    _, notes = read(kvasir_seg, tmp_path, kvasir_files(**listed))
    assert list(notes.values()) == [["Kvasir-SEG/images/cju1.jpg"]]
    with pytest.raises(ConesError, match=r"kavsir_bboxes\.json: not the shape"):
        read(kvasir_seg, tmp_path, kvasir_files(**{"kavsir_bboxes.json": b"[]"}))


# instance maps --------------------------------------------------------------------------------------------------------


def numbers():
    found = np.zeros((30, 40), np.float64)
    found[4:14, 3:13] = 7  # numbers need not be consecutive, and touching objects stay apart
    found[4:14, 13:20] = 9
    found[20:22, 20:22] = 12
    return found


def map_files(content, suffix=".mat"):
    return {"x/Images/image_00.png": picture(kind="PNG"), f"x/Labels/image_00{suffix}": content}


def text(array):
    return " ".join(map(str, [array.shape[1], array.shape[0], *array.astype(int).ravel()])).encode()


@pytest.mark.parametrize("suffix", [".mat", "_mask.txt"])
def test_instance_maps_give_a_box_per_number(tmp_path, suffix):
    content = matlab({"inst_map": numbers()}) if suffix == ".mat" else text(numbers())
    (record,), notes = read(instance_maps, tmp_path, map_files(content, suffix), root="x")
    assert boxes(record) == [(3, 4, 10, 10), (13, 4, 7, 10)]
    assert notes == {"an instance below 10 pixels, left out": [f"x/Labels/image_00{suffix}"]}


def test_instance_maps_keep_masks(tmp_path):
    files = map_files(matlab({"inst_map": numbers()}))
    (record,), _ = read(instance_maps, tmp_path, files, root="x", keep_masks=True, min_area=1)
    assert [rle.decode(one.segmentation).sum() for one in record.objects] == [100, 70, 4]


@pytest.mark.parametrize(
    "content, suffix, words",
    [
        (b"no matlab", ".mat", "not a readable instance map"),
        (matlab({"other": numbers()}), ".mat", "not a readable instance map"),
        (matlab({"inst_map": numbers()[:, :39]}), ".mat", "not of its picture's size; expected 40 x 30; found 39 x 30"),
        (matlab({"inst_map": -numbers()}), ".mat", "no object numbers"),
        (matlab({"inst_map": numbers() / 2}), ".mat", "no object numbers"),
        (b"40 30 1 2 3", "_mask.txt", "not a readable instance map"),
        (b"", ".other", "the instance map is missing"),
    ],
)
def test_instance_map_faults(tmp_path, content, suffix, words):
    with pytest.raises(ConesError, match=f"dataset cells: x/Labels.*: .*{words}"):
        read(instance_maps, tmp_path, map_files(content, suffix), root="x")


def test_an_empty_instance_map_is_noted(tmp_path):
    (record,), notes = read(instance_maps, tmp_path, map_files(matlab({"inst_map": numbers() * 0})), root="x")
    assert record.objects == () and list(notes) == ["an instance map without objects"]
