"""Masks from COCO's forms to targets: decoded, resized, mirrored, boxed."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from toy import LOWER_RIGHT, STRIDE, ToySegmenter, paint_split

from cones.data.batches import Split, View
from cones.data.masks import boxes_of, decoded, encoded

PREPROCESSING = ToySegmenter.preprocessing


def test_every_form_of_coco_says_the_same_mask():
    mask = np.zeros((9, 13), bool)
    mask[2:6, 3:11] = True
    rle = encoded(mask)
    column = mask.ravel(order="F")
    counts = np.diff(np.flatnonzero(np.diff(column, prepend=~column[0], append=~column[-1]))).tolist()
    if column[0]:
        counts = [0, *counts]
    forms = [
        rle,
        {"size": [9, 13], "counts": counts},
        [[3, 2, 11, 2, 11, 6, 3, 6]],
        [[3, 2, 7, 2, 7, 6, 3, 6], [7, 2, 11, 2, 11, 6, 7, 6]],
    ]
    assert isinstance(rle["counts"], str)
    for form in forms:
        assert np.array_equal(decoded(form, (9, 13)), mask)


def test_boxes_are_tight_and_of_none_there_are_none():
    rng = np.random.default_rng(0)
    masks = rng.random((20, 17, 23)) > 0.97
    masks = masks[masks.any(axis=(1, 2))]
    for mask, (x1, y1, x2, y2) in zip(masks, boxes_of(masks)):
        rows, columns = np.nonzero(mask)
        assert (x1, y1, x2, y2) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert boxes_of(np.zeros((0, 5, 7), bool)).shape == (0, 4)


@pytest.fixture
def folder(tmp_path):
    paint_split(tmp_path, "train", images=4, seed=3, sizes=((64, 64), (32, 64)))
    return tmp_path


def edited(folder, change) -> None:
    content = json.loads((folder / "train.json").read_text())
    change(content)
    (folder / "train.json").write_text(json.dumps(content))


def split_of(folder, *, inclusive=False, masks=True) -> Split:
    return Split(folder, "train", preprocessing=PREPROCESSING, inclusive=inclusive, masks=masks)


@pytest.mark.parametrize("flip", [False, True])
def test_a_target_has_the_mask_of_the_resized_picture_and_the_box_around_it(folder, flip):
    split = split_of(folder)
    for index, image in enumerate(split.images):
        sample = split.sample(View(index, 128, flip))
        target, (height, width) = sample.target, sample.size
        assert target.masks.shape == (1, height, width) and target.masks.dtype == torch.bool
        x, y, _, _ = split.coco["annotations"][index]["bbox"]
        scale = width // image["width"]
        expected = np.zeros((image["height"], image["width"]), bool)
        expected[y : y + STRIDE, x : x + STRIDE] = LOWER_RIGHT
        expected = expected.repeat(scale, axis=0).repeat(scale, axis=1)
        expected = expected[:, ::-1] if flip else expected
        assert scale * image["height"] == height and np.array_equal(target.masks[0].numpy(), expected)
        assert np.array_equal(target.boxes.numpy(), boxes_of(expected[None]))
        bright = sample.pixels.amax(0)[:height, :width] > 0.9
        assert bright[target.masks[0]].float().mean() > 0.85, "the mask lies on what was painted"


def test_inclusive_boxes_end_on_the_last_pixel(folder):
    edges, last = (split_of(folder, inclusive=inclusive).sample(View(0, 64)).target for inclusive in (False, True))
    assert torch.equal(edges.boxes - torch.tensor([0.0, 0, 1, 1]), last.boxes)
    width = edges.masks.shape[2]
    mirrored = split_of(folder, inclusive=True).sample(View(0, 64, flip=True)).target
    assert torch.equal(mirrored.boxes[:, [0, 2]], width - 1 - last.boxes[:, [2, 0]])


def test_a_mask_that_vanishes_is_dropped_with_its_label(folder):
    speck = np.zeros((64, 64), bool)
    speck[1, 1] = True

    def add(content):
        one = content["annotations"][0]
        content["annotations"].append({**one, "id": 99, "category_id": 3, "segmentation": encoded(speck)})

    edited(folder, add)
    split = split_of(folder)
    assert len(split.sample(View(0, 64)).target.labels) == 2
    target = split.sample(View(0, 16)).target
    assert len(target.labels) == len(target.boxes) == len(target.masks) == 1
    assert target.labels[0] == split.coco["annotations"][0]["category_id"] - 1


def test_an_image_without_objects_has_no_masks_of_its_size(folder):
    edited(folder, lambda content: content["annotations"].pop(0))
    target = split_of(folder).sample(View(0, 64)).target
    assert target.masks.shape == (0, 64, 64) and target.boxes.shape == (0, 4)


def test_a_model_without_masks_or_a_split_without_them_has_the_boxes_of_the_file(folder):
    plain = split_of(folder, masks=False)
    assert not plain.has_masks and plain.sample(View(0, 64)).target.masks is None
    edited(folder, lambda content: content["annotations"][1].pop("segmentation"))
    partly = split_of(folder)
    assert not partly.has_masks
    assert torch.equal(partly.sample(View(0, 64)).target.boxes, plain.sample(View(0, 64)).target.boxes)


def test_at_test_a_model_may_want_no_padding(tmp_path):
    (tmp_path / "raw").mkdir()
    Image.new("RGB", (50, 70)).save(tmp_path / "raw" / "a.png")
    image = {"id": 1, "file_name": "a.png", "width": 50, "height": 70}
    (tmp_path / "train.json").write_text(json.dumps({"images": [image], "annotations": [], "categories": []}))
    for pads, expected in ((True, (96, 64)), (False, (70, 50))):
        preprocessing = type(PREPROCESSING)(50, 70, (0, 0, 0), (1, 1, 1), pads_at_test=pads)
        split = Split(tmp_path, "train", preprocessing=preprocessing, inclusive=False)
        assert split.sample(View(0, 50)).pixels.shape[1:] == (96, 64)
        shown = split.sample(View(0, 50), at_test=True)
        assert shown.pixels.shape[1:] == expected and shown.size == (70, 50) and shown.target is None
