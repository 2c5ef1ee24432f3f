"""Masks as other people write them: polygons and RLE of COCO, transparency, numbers of classes in the pixels."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as rle

from cones.data import masks as object_masks
from cones.runtime.errors import ConesError
from tests.data.native import mask
from tests.data.own import COCO, DIVIDED, coco_json, coco_tree, noise, prepared

TRIANGLE = [2, 3, 22, 3, 2, 23]
SQUARE = [25, 5, 35, 5, 35, 15, 25, 15]


def coco_with(segmentation, *, box=(2, 3, 20, 20), **changes):
    """A tree whose training picture 1 has an object with the segmentation; the other pictures have one with SQUARE."""
    files = coco_tree()
    for split, count in (("train", 3), ("val", 1), ("test", 1)):
        boxes = [
            {"id": n, "image_id": n, "category_id": 1, "bbox": [25, 5, 10, 10], "segmentation": [SQUARE], "area": 100}
            for n in range(1, count + 1)
        ]
        if split == "train":
            boxes[0] |= {"bbox": list(box), "segmentation": segmentation, **changes}
            boxes[0] = {key: value for key, value in boxes[0].items() if value is not ...}
        files[f"{split}/labels.json"] = coco_json([f"{split}_{n}.png" for n in range(count)], boxes)
    return files


def first(result):
    return result.document("train")["annotations"][0]


def segmented(tmp_path, files):
    return prepared(tmp_path, files, format=COCO, task="instance_segmentation")


def test_polygons_become_masks_and_keep_their_area(tmp_path):
    one = first(segmented(tmp_path, coco_with([TRIANGLE], area=200.5)))
    assert one["bbox"] == [2, 3, 20, 20] and one["area"] == 200.5
    expected = rle.decode(rle.merge(rle.frPyObjects([TRIANGLE], 30, 40)))
    assert one["segmentation"]["size"] == [30, 40] and (rle.decode(one["segmentation"]) == expected).all()


def test_polygons_of_several_parts_without_box_and_area(tmp_path):
    one = first(segmented(tmp_path, coco_with([TRIANGLE, SQUARE], box=(), area=...)))
    assert one["bbox"] == [2, 3, 33, 20] and one["area"] == 200 + 100
    assert rle.area(one["segmentation"]) == pytest.approx(300, rel=0.1)


def test_rle_as_numbers_and_as_text_is_the_same_mask(tmp_path):
    drawn = np.zeros((30, 40), np.uint8)
    drawn[3:23, 2:22] = 1
    packed = rle.encode(np.asfortranarray(drawn))
    text = packed["counts"].decode()
    forms = ({"size": [30, 40], "counts": text}, {"size": [30, 40], "counts": object_masks.run_lengths(text)})
    for number, form in enumerate(forms):
        one = first(segmented(tmp_path / str(number), coco_with(form, area=..., iscrowd=1)))
        assert (rle.decode(one["segmentation"]) == drawn).all() and one["area"] == 400 and one["iscrowd"] == 1


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_run_lengths_are_those_of_pycocotools(pixels):
    drawn = np.array(pixels, np.uint8)[:, None]
    lengths = object_masks.run_lengths(rle.encode(np.asfortranarray(drawn))["counts"].decode())
    rebuilt = np.repeat(np.arange(len(lengths)) % 2, lengths)
    assert (rebuilt == drawn[:, 0]).all()


@pytest.mark.parametrize(
    "segmentation, words",
    [
        ([], "annotation 1 has no segmentation"),
        ([[1, 2, 3, 4]], "annotation 1 has no usable segmentation.*a polygon of 4 numbers"),
        ([[1, 2, 3, 4, 5, "x"]], "annotation 1 has no usable segmentation"),
        ({"size": [30, 40], "counts": [5, 6]}, "runs of 11 pixels for 40 x 30"),
        ({"size": [30, 40], "counts": "\x7f\x7f"}, "a letter that RLE does not have"),
        ({"size": [30, 40], "counts": [1200]}, "RLE without a pixel"),
        (
            {"size": [10, 10], "counts": [50, 50]},
            "a mask is not of the picture's size; expected 40 x 30; found 10 x 10",
        ),
    ],
)
def test_a_segmentation_that_is_none_is_refused(tmp_path, segmentation, words):
    with pytest.raises(ConesError, match=words):
        segmented(tmp_path, coco_with(segmentation))


def test_a_polygon_thinner_than_a_pixel_keeps_pixels(tmp_path):
    strip = [5.1, 10.1, 25.2, 10.1, 25.2, 10.3, 5.1, 10.3]
    one = first(segmented(tmp_path, coco_with([strip], box=(5.1, 10.1, 20.1, 0.2), area=4.0)))
    assert rle.area(one["segmentation"]) >= 20 and one["area"] == 4


def test_detection_reads_the_area_of_polygons_and_no_mask(tmp_path):
    result = prepared(tmp_path, coco_with([TRIANGLE], area=200), format=COCO)
    assert first(result)["area"] == 200 and "segmentation" not in first(result)


def test_boxes_that_are_not_those_of_their_polygons_are_refused(tmp_path):
    files = coco_tree()
    for split, count in (("train", 3), ("val", 1), ("test", 1)):
        boxes = [  # corners instead of width and height
            {"id": n, "image_id": n, "category_id": 1, "bbox": [25, 5, 35, 15], "segmentation": [SQUARE]}
            for n in range(1, count + 1)
        ]
        files[f"{split}/labels.json"] = coco_json([f"{split}_{n}.png" for n in range(count)], boxes)
    with pytest.raises(ConesError, match=r"3 of 3 boxes are not those of their polygons.*annotation 1: box \[25"):
        prepared(tmp_path, files, format=COCO)


# ------------------------------------------------------------------------------------------------------ mask pictures


def masks_of(*pictures):
    files = {}
    for n, content in enumerate(pictures):
        files |= {f"images/{n}.png": noise(n), f"masks/{n}.png": content}
    for n in range(len(pictures), 6):
        files |= {f"images/{n}.png": noise(n), f"masks/{n}.png": mask((5, 6, 15, 20))}
    return files


def with_masks(tmp_path, files, classes=("red",), **form):
    return prepared(tmp_path, files, format={"name": "masks", **form}, split=DIVIDED, classes=classes)


def png(picture: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "inside, outside", [((255, 255, 255, 255), (255, 255, 255, 0)), ((0, 0, 0, 255), (0, 0, 0, 0))]
)
def test_what_is_transparent_in_a_mask_is_background(tmp_path, inside, outside):
    picture = Image.new("RGBA", (40, 30), outside)
    picture.paste(inside, (5, 6, 15, 20))
    result = with_masks(tmp_path, masks_of(png(picture)))
    assert result.objects()["images/0.png"] == [("red", (5, 6, 10, 14))]


def test_a_mask_of_the_upright_size_is_a_mask_of_the_upright_picture(tmp_path):
    turned = {f"images/{n}.png": noise(n, 30, 40, orientation=6) for n in range(6)}
    result = with_masks(tmp_path, masks_of() | turned)
    assert result.objects()["images/0.png"] == [("red", (5, 6, 10, 14))] and result.report["turned"]["count"] == 0


def numbered(dtype=np.uint8, **boxes_of_values):
    pixels = np.zeros((30, 40), dtype)
    for value, (left, top, right, bottom) in boxes_of_values.items():
        pixels[top:bottom, left:right] = int(value[1:])
    return pixels


PIXELS = numbered(v1=(2, 3, 12, 13), v2=(20, 5, 30, 25))
VALUES = {1: "tumour", 2: "necrosis", 255: None}


def palette(pixels):
    picture = Image.fromarray(pixels).convert("P")
    picture.putpalette([n for shade in range(256) for n in (shade, 255 - shade, 7)])
    picture.putdata(pixels.ravel().tolist())
    return png(picture)


@pytest.mark.parametrize(
    "content",
    [
        png(Image.fromarray(PIXELS)),
        palette(PIXELS),
        png(Image.fromarray(np.repeat(PIXELS[..., None], 3, axis=2))),
        png(Image.fromarray(PIXELS.astype(np.uint16))),
    ],
    ids=["grey", "palette", "RGB", "16-bit"],
)
def test_masks_of_several_classes_by_value(tmp_path, content):
    files = masks_of(content) | {f"masks/{n}.png": png(Image.fromarray(PIXELS)) for n in range(1, 6)}
    result = with_masks(tmp_path, files, classes=("tumour", "necrosis"), values=VALUES)
    assert result.objects()["images/0.png"] == [("tumour", (2, 3, 10, 10)), ("necrosis", (20, 5, 10, 20))]


def test_a_value_without_a_class_is_refused_and_one_that_is_left_out_is_counted(tmp_path):
    odd = png(Image.fromarray(numbered(v1=(2, 3, 12, 13), v7=(20, 5, 30, 25))))
    unlabelled = png(Image.fromarray(numbered(v1=(2, 3, 12, 13), v255=(20, 5, 30, 25))))
    good = {f"masks/{n}.png": unlabelled for n in range(6)}
    with pytest.raises(ConesError, match=r"0\.png: the mask holds the value 7; expected 0 and 1, 2, 255.*`values`"):
        described = {"classes": ("tumour", "necrosis"), "values": VALUES}
        with_masks(tmp_path, masks_of() | good | {"masks/0.png": odd}, **described)
    notes = with_masks(tmp_path, masks_of() | good, **described).report["notes"]
    assert notes == {"pixels of the value 255, which `values` leaves out": {"count": 6, "examples": sorted(good)}}


def test_a_coloured_mask_is_not_read_as_numbers(tmp_path):
    colours = np.zeros((30, 40, 3), np.uint8)
    colours[3:9, 3:9] = (200, 0, 0)
    with pytest.raises(ConesError, match="the mask's pixels are colours, not numbers"):
        with_masks(tmp_path, masks_of(png(Image.fromarray(colours))), values={1: "red"})


@pytest.mark.parametrize("allow_empty", [True, False])
def test_masks_of_zero_and_one_are_never_taken_for_empty_ones(tmp_path, allow_empty):
    with pytest.raises(ConesError, match=r"the mask is empty.*nothing brighter than 1.*`threshold: 0`.*`values`"):
        with_masks(tmp_path, masks_of(mask((5, 6, 15, 20), value=1)), allow_empty=allow_empty)


def test_the_manifest_holds_the_values_as_text(tmp_path):
    result = with_masks(tmp_path, masks_of(*[mask((5, 6, 15, 20), value=1)] * 6), values={1: "red"})
    assert result.manifest["converter"]["parameters"]["values"] == {"1": "red"}
