"""Other people's boxes: drawn backwards, as fractions, on a picture that was stored turned or of another size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cones.data.batches import resized
from cones.data.images import load_image
from cones.data.masks import decoded
from cones.data.turning import ORIENTATIONS, Turned, frames
from cones.runtime.errors import ConesError
from tests.data.own import COCO, DIVIDED, coco_json, coco_tree, encoded, noise, prepared


def test_boxes_drawn_backwards_are_put_in_order_and_counted(tmp_path, caplog):
    caplog.set_level("INFO")
    files = coco_tree(boxes=((12, 15, -10, -12), (30, 3, -4, 5)))
    result = prepared(tmp_path, files, format=COCO)
    assert all(found == [("red", (2, 3, 10, 12)), ("red", (26, 3, 4, 5))] for found in result.objects().values())
    assert result.report["reordered"]["count"] == 10 and result.report["dropped"]["count"] == 0
    assert "10 boxes drawn backwards, put in order" in caplog.records[-1].message


def test_voc_corners_in_the_wrong_order_likewise(tmp_path):
    box = "<bndbox><xmin>20</xmin><ymin>25</ymin><xmax>2</xmax><ymax>3</ymax></bndbox>"
    xml = f"<annotation><object><name>red</name>{box}</object></annotation>".encode()
    files = {f"VOC/{n}.xml": xml for n in range(5)} | {f"VOC/{n}.png": noise(n) for n in range(5)}
    voc = {"name": "voc", "root": "VOC", "annotations": ".", "images": "."}
    result = prepared(tmp_path, files, format=voc, split=DIVIDED)
    assert set(map(tuple, result.objects().values())) == {(("red", (2, 3, 18, 22)),)}


def fractions(**changes):
    return coco_tree(boxes=((0.25, 0.1, 0.5, 0.4),), **changes)


def test_fractions_are_refused_with_the_key_that_reads_them(tmp_path):
    with pytest.raises(ConesError, match=r"look like fractions.*found \[0\.25, .*coordinates: relative.*mine\.yaml"):
        prepared(tmp_path, fractions(), format=COCO)
    result = prepared(tmp_path, fractions(), format={**COCO, "coordinates": "relative"})
    assert set(map(tuple, result.objects().values())) == {(("red", (10, 3, 20, 12)),)}


def test_one_picture_with_fractions_among_pixels_is_enough(tmp_path):
    files = coco_tree(counts=(4, 1, 1))
    boxes = [(n, 1, [2, 3, 10, 12]) for n in (1, 2, 3)] + [(4, 1, [0.1, 0.1, 0.5, 0.5])]
    files["train/labels.json"] = coco_json([f"train_{n}.png" for n in range(4)], boxes)
    with pytest.raises(ConesError, match=r"train_3\.png: all boxes of 1 of 6 pictures lie within one pixel"):
        prepared(tmp_path, files, format=COCO)


def test_corners_taken_for_widths_are_refused(tmp_path):
    corners = tuple((10 + n, 8 + n, 35, 28) for n in range(4))
    with pytest.raises(ConesError, match=r"20 of 20 boxes reach out of their pictures.*corners"):
        prepared(tmp_path, coco_tree(boxes=corners), format=COCO)


# ----------------------------------------------------------------------------------- pictures that are stored turned

STORED = 60, 40  # width, height as stored
BOX = (6, 8, 20, 10)  # on the stored picture, where it is white


def turned_tree(orientation, stated, *, boxes=(BOX,), segmentation=None):
    pixels = np.zeros((STORED[1], STORED[0], 3), np.uint8)
    x, y, width, height = BOX
    pixels[y : y + height, x : x + width] = 255
    files = {}
    for number, (split, count) in enumerate((("train", 3), ("val", 1), ("test", 1))):
        images, annotations = [], []
        for n in range(1, count + 1):
            pixels[-1, -1] = number * 10 + n  # so that no two are the same
            files[f"{split}/{n}.png"] = encoded(pixels, "PNG", orientation)
            size = dict(zip(("width", "height"), stated)) if stated else {}
            images.append({"id": n, "file_name": f"{n}.png", **size})
            extra = {"segmentation": segmentation} if segmentation else {}
            annotations += [{"id": n, "image_id": n, "category_id": 1, "bbox": list(box), **extra} for box in boxes]
        files[f"{split}/labels.json"] = coco_json(images, annotations)
    return files


def white_part(path):
    bright = np.asarray(load_image(path).convert("L")) > 200
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    return columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_stated_size_before_the_turn_turns_boxes_and_masks_with_the_picture(tmp_path, orientation):
    x, y, width, height = BOX
    polygon = [[x, y, x + width, y, x + width, y + height, x, y + height]]
    files = turned_tree(orientation, STORED, segmentation=polygon)
    result = prepared(tmp_path, files, format=COCO, task="instance_segmentation")
    document = result.document("test")
    image, one = document["images"][0], document["annotations"][0]
    assert (image["width"], image["height"]) == STORED[::-1]
    assert tuple(one["bbox"]) == white_part(result.folder / "raw" / image["file_name"])
    mask = np.asarray(load_image(result.folder / "raw" / image["file_name"]).convert("L")) > 200
    assert (decoded(one["segmentation"], mask.shape) == mask).all()
    assert result.report["turned"]["count"] == 5 and result.report["size_differs"]["count"] == 0


def test_a_stated_size_after_the_turn_leaves_boxes_as_they_are(tmp_path):
    result = prepared(tmp_path, turned_tree(6, STORED[::-1]), format=COCO)
    assert set(map(tuple, result.objects().values())) == {(("red", BOX),)} and result.report["turned"]["count"] == 0


@pytest.mark.parametrize("orientation, stated", [(3, STORED), (6, None), (2, STORED)])
def test_a_turn_that_nothing_decides_is_refused(tmp_path, orientation, stated):
    with pytest.raises(ConesError, match=r"\.png: the picture is stored turned.*EXIF orientation .*auto-orient"):
        prepared(tmp_path, turned_tree(orientation, stated), format=COCO)


def test_a_half_turn_is_decided_by_the_other_pictures_of_the_dataset():
    half = Turned("a", 3, STORED, STORED, None)
    quarter = Turned("b", 6, STORED, STORED, None)
    assert frames([half, quarter]) == ({"a": "stored", "b": "stored"}, [])
    other_tool = Turned("c", 6, STORED, STORED[::-1], None)
    known, unknown = frames([half, quarter, other_tool])
    assert unknown == ["a"] and known == {"b": "stored", "c": "upright"}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_orientation_turns_a_box_as_pillow_turns_the_picture(tmp_path, orientation):
    from cones.data.turning import turn_box

    (tmp_path / "a.png").write_bytes(turned_tree(orientation, STORED)["train/1.png"])
    assert turn_box(BOX, orientation, STORED) == white_part(tmp_path / "a.png")


def test_a_size_that_is_no_turn_of_the_pictures_is_refused_with_both_sizes(tmp_path):
    files = coco_tree()
    files["train/train_1.png"] = noise(99, 80, 60)
    with pytest.raises(ConesError, match=r"train_1\.png: the picture is not of the size.*expected 40 x 30; found 80 x"):
        prepared(tmp_path, files, format=COCO)


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_strips_keep_at_least_a_pixel(width, height):
    new = resized(width, height, 480, 800)
    assert min(new) >= 1
