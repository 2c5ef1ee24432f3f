"""Where a box looks in GLIP's pyramid, and that its vectors are those of the head's own dot product."""

import pytest
import torch

from cones.models.checkpoints import build_detector
from cones.models.glip.box_features import level_of, points_of
from cones.models.glip.config import STRIDES
from tests.models.test_glip_detector import concepts, pictures

SHAPES = tuple((-(-128 // stride), -(-160 // stride)) for stride in STRIDES)


@pytest.fixture(scope="module", params=["glip_nano", "glip_nano_a"])
def detector(request):
    torch.manual_seed(0)
    return build_detector(request.param).eval()


@pytest.fixture(scope="module")
def found(detector):
    with torch.no_grad():
        predictions = detector.ground(detector.encode_image(pictures()), concepts())
        boxes = [torch.tensor([[10.0, 10, 60, 70], [40, 30, 43, 32]]), torch.tensor([[0.0, 0, 100, 90]])]
        return predictions, detector.box_features(predictions, boxes)


def anchors(detector):
    return detector.rpn.anchor_generator(SHAPES)


def test_shapes_and_sources(found):
    _, features = found
    assert list(features) == ["fused", "fpn"]
    for source in features.values():
        assert [tuple(one.visual.shape) for one in source] == [(2, 48), (1, 48)]
        assert [tuple(one.classes.shape) for one in source] == [(3, 48)] * 2
        assert [tuple(one.logits.shape) for one in source] == [(2, 3), (1, 3)]


def test_the_logits_of_a_box_on_one_point_are_those_of_the_head(detector, found):
    predictions, features = found
    share = points_of(torch.tensor([[40.0, 30, 43, 32]]), anchors(detector), SHAPES)
    (point,) = share[0].nonzero().flatten()  # smaller than the distance between points: the nearest one
    expected = predictions.outputs["logits"][0, point] @ predictions.language.class_positions[0].float().t() / 2
    torch.testing.assert_close(features["fused"][0].logits[1], expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(features["fused"][0].visual[1], predictions.outputs["visual"][0, point])


def test_fpn_features_are_the_pyramids_and_know_no_prompt(detector, found):
    _, features = found
    with torch.no_grad():
        other = detector.ground(detector.encode_image(pictures()), concepts(seed=5))
        again = detector.box_features(other, [torch.tensor([[10.0, 10, 60, 70]]), torch.empty(0, 4)])
    torch.testing.assert_close(again["fpn"][0].visual[0], features["fpn"][0].visual[0])
    assert again["fpn"][1].visual.shape == (0, 48)
    assert not torch.allclose(again["fpn"][0].classes, features["fpn"][0].classes)


def test_a_box_is_the_mean_of_the_points_inside_it_on_the_level_of_its_size(detector):
    boxes = torch.tensor([[10.0, 10, 41, 41], [0, 0, 127, 127]])  # 32 and 128 pixels: anchors of strides 8 and 32
    share, level = points_of(boxes, anchors(detector), SHAPES), level_of(SHAPES)
    assert [set(level[row > 0].tolist()) for row in share] == [{0}, {2}]
    torch.testing.assert_close(share.sum(dim=1), torch.ones(2))
    centres = (anchors(detector)[:, :2] + anchors(detector)[:, 2:]) / 2
    inside = centres[share[0] > 0]
    assert len(inside) == 16 and inside.min() >= 10 and inside.max() <= 41  # 4 x 4 points, 8 pixels apart


def test_an_empty_image_has_no_points(detector):
    assert points_of(torch.empty(0, 4), anchors(detector), SHAPES).shape == (0, len(anchors(detector)))
