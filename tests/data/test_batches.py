"""Views of a split, resizing, and few-shot subsets."""

import pytest
import torch
from toy import ToyDetector, paint_split

from cones.data.batches import Split, View, resized
from cones.data.fewshot import few_shot


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    paint_split(folder, "train", images=14, seed=0)
    return folder


def test_a_view_scales_clips_and_mirrors_boxes(data):
    model = ToyDetector()
    split = Split(data, "train", preprocessing=model.preprocessing, inclusive=True)
    plain, mirrored = split.sample(View(1, 128)), split.sample(View(1, 128, flip=True))
    (x, y, w, h), width = split.coco["annotations"][1]["bbox"], plain.size[1]
    image = split.images[1]
    scale = torch.tensor([width / image["width"], plain.size[0] / image["height"]] * 2)  # docs/spec/glip.md 1.5
    expected = torch.tensor([[x, y, x + w - 1, y + h - 1]]) * scale
    torch.testing.assert_close(plain.target.boxes, expected)
    torch.testing.assert_close(mirrored.target.boxes[:, [0, 2]], width - 1 - plain.target.boxes[:, [2, 0]])
    bright = mirrored.pixels.sum(0)[: plain.size[0], : plain.size[1]] > 0.9
    x1, _, x2, _ = mirrored.target.boxes[0].round().int().tolist()
    assert bright[:, x1 : x2 + 1].any()


def test_resize_rule():
    assert resized(640, 480, 800, 1333) == (1066, 800)
    assert resized(480, 640, 800, 1333) == (800, 1066)
    assert resized(2000, 500, 800, 1333) == (1332, 333)
    assert resized(800, 900, 800, 1333) == (800, 900)


def test_few_shot_quota_is_taken_by_every_class_an_image_shows():
    coco = {
        "categories": [{"id": 1}, {"id": 2}],
        "annotations": [{"image_id": i, "category_id": c} for i, c in [(1, 1), (1, 2), (2, 1), (3, 2), (4, 2), (5, 1)]],
    }
    assert few_shot(coco, 1) == [1]
    assert few_shot(coco, 2) == [1, 2, 3]
    assert few_shot(coco, 2, seed=3) == few_shot(coco, 2, seed=3)
    assert {tuple(few_shot(coco, 1, seed=seed)) for seed in range(9)} > {(1,)}


def test_a_few_shot_split_has_fewer_images_and_their_boxes_only(data):
    model = ToyDetector()
    split = Split(data, "train", preprocessing=model.preprocessing, inclusive=False, shots=1)
    assert 1 <= len(split) <= 3
    assert {each["image_id"] for each in split.coco["annotations"]} == {image["id"] for image in split.images}
