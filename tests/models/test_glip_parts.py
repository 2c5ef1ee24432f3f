"""Pieces of GLIP one by one: deformable sampling, overlaps, suppression, coding, losses, train-mode noise."""

import math

import pytest
import torch

from cones.models.glip.anchors import AnchorGenerator, decode, encode
from cones.models.glip.atss import assign, centerness_targets
from cones.models.glip.deformable import Sampling, corners, gather, sampling_plan
from cones.models.glip.dyconv import offsets_for
from cones.models.glip.fpn import DropBlock
from cones.models.glip.postprocess import class_scores
from cones.models.layers.boxes import pairwise_iou
from cones.models.layers.fusion import BiAttention
from cones.models.layers.levels import flatten_maps, unflatten_maps
from cones.models.layers.suppression import class_wise_nms
from cones.models.layers.swin import DropPath, Swin, join_windows, shift_mask, split_windows
from cones.models.losses import giou_loss, sigmoid_focal_loss


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def naive_sample(level, y, x):
    """Bilinear value (C,) of level (C, H, W) at one point; corners outside count as zero."""
    value = torch.zeros(level.shape[0], dtype=level.dtype)
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < level.shape[1] and 0 <= column < level.shape[2]:
                value += level[:, row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return value


def test_sampling_equals_a_naive_loop():
    """Three samplings of two levels and two images; offsets reach far outside."""
    shapes = ((6, 5), (3, 3))
    samplings = (Sampling(1, 1, (3, 3)), Sampling(0, 1, (6, 5)), Sampling(0, 2, (3, 3)))
    maps = [torch.randn(2, 4, *shape, dtype=torch.float64) for shape in shapes]
    rows = sum(2 * s.shape[0] * s.shape[1] for s in samplings)
    offsets = torch.randn(rows, 9, 2, dtype=torch.float64) * 3
    offsets[::7] *= 1e6
    modulation = torch.rand(rows, 9, dtype=torch.float64)
    plan = sampling_plan(samplings, shapes, 2, torch.device("cpu"), torch.float64)
    features = flatten_maps(maps)[0].reshape(-1, 4)  # (B * V, C)
    columns = gather(features, *corners(offsets, modulation, plan)).view(rows, 9, 4)

    row = 0
    for sampling in samplings:
        for image in range(2):
            for oy in range(sampling.shape[0]):
                for ox in range(sampling.shape[1]):
                    for tap in range(9):
                        y = oy * sampling.stride - 1 + tap // 3 + offsets[row, tap, 0].item()
                        x = ox * sampling.stride - 1 + tap % 3 + offsets[row, tap, 1].item()
                        expected = naive_sample(maps[sampling.source][image], y, x) * modulation[row, tap]
                        torch.testing.assert_close(columns[row, tap], expected)
                    row += 1


def test_sampling_has_the_right_gradients():
    shapes, samplings = ((3, 4),), (Sampling(0, 1, (3, 4)),)
    plan = sampling_plan(samplings, shapes, 1, torch.device("cpu"), torch.float64)
    features = torch.randn(12, 2, dtype=torch.float64, requires_grad=True)
    offsets = (torch.rand(12, 9, 2, dtype=torch.float64) * 0.8 + 0.1).requires_grad_(True)  # away from the kinks
    modulation = torch.rand(12, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f, o, m: gather(f, *corners(o, m, plan)), (features, offsets, modulation))


def test_plans_made_in_inference_mode_can_be_trained_with():
    shapes, samplings = ((2, 7),), (Sampling(0, 1, (2, 7)),)
    with torch.inference_mode():
        plan = sampling_plan(samplings, shapes, 1, torch.device("cpu"), torch.float32)
        mask = shift_mask(6, 6, 3, torch.device("cpu"), torch.float32)
        anchors = AnchorGenerator(strides=(8,), scale=8.0)
        made = anchors(shapes)
    assert not any(t.is_inference() for t in (plan.base, plan.limit, plan.width, plan.start, mask, made))


def test_offsets_of_another_size_are_read_flat():
    raw = torch.arange(2 * 3 * 4 * 5).view(2, 3, 4, 5)
    assert torch.equal(offsets_for(raw, (4, 5)), raw.flatten(2))
    expected = raw[1].reshape(-1)[: 3 * 2 * 3].view(3, 6)
    assert torch.equal(offsets_for(raw, (2, 3))[1], expected)


def test_flat_features_and_maps_are_inverse():
    maps = [torch.randn(2, 3, 4, 5), torch.randn(2, 3, 2, 3)]
    flat, shapes = flatten_maps(maps)
    assert flat.shape == (2, 26, 3) and shapes == [(4, 5), (2, 3)]
    assert all(torch.equal(a, b) for a, b in zip(maps, unflatten_maps(flat, shapes)))


def test_windows_are_inverse_and_masks_separate_regions():
    x = torch.randn(2, 6, 9, 4)
    assert torch.equal(join_windows(split_windows(x, 3), 3, 6, 9), x)
    mask = shift_mask(6, 6, 3, torch.device("cpu"), torch.float32)
    assert mask.shape == (4, 9, 9) and set(mask.unique().tolist()) == {-100.0, 0.0}
    assert not mask[0].any() and mask[3].any()


@pytest.mark.parametrize("length", [1, 3, 7])
def test_folded_attention_equals_plain(length):
    attention = BiAttention(visual=12, text=10, inner=16, heads=2, dropout=0.0).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    visual = torch.randn(2, 30, 12, dtype=torch.float64)
    text = torch.randn(2, length, 10, dtype=torch.float64)
    mask = torch.ones(2, length, dtype=torch.bool)
    mask[0, 1:] = False
    for given in (None, mask):
        attention.folded = False
        plain = attention(visual, text, given)
        attention.folded = True
        for ours, theirs in zip(attention(visual, text, given), plain):
            torch.testing.assert_close(ours, theirs)


def test_folded_dropout_keeps_the_plain_form_s_distribution():
    """With dropout the rows of the text side no longer sum to one: the bias is weighted by the row sum."""
    attention = BiAttention(visual=4, text=4, inner=8, heads=2, dropout=0.5, folded=True).double()
    torch.nn.init.zeros_(attention.values_v_proj.weight)
    torch.nn.init.ones_(attention.values_v_proj.bias)
    torch.nn.init.constant_(attention.out_l_proj.weight, 1 / 8)
    visual, text = torch.randn(1, 200, 4, dtype=torch.float64), torch.randn(1, 3, 4, dtype=torch.float64)
    found = torch.stack([attention.train()(visual, text, None)[1] for _ in range(50)])
    assert found.std(dim=0).min() > 0.01  # the row sums vary …
    assert found.mean().item() == pytest.approx(1.0, abs=0.05)  # … around one


def test_iou_and_coding_count_pixels_inclusively():
    box = torch.tensor([[0.0, 0.0, 9.0, 9.0]])
    assert pairwise_iou(box, torch.tensor([[5.0, 0.0, 14.0, 9.0]]), pixel=1).item() == pytest.approx(50 / 150)
    assert pairwise_iou(box, torch.tensor([[9.0, 9.0, 9.0, 9.0]]), pixel=1).item() == pytest.approx(1 / 100)
    anchors = torch.tensor([[-28.0, -28.0, 35.0, 35.0]]).expand(20, 4)
    boxes = torch.rand(20, 4) * 50
    boxes[:, 2:] += boxes[:, :2]
    torch.testing.assert_close(decode(encode(boxes, anchors), anchors), boxes, rtol=1e-4, atol=1e-3)
    huge = decode(torch.tensor([[0.0, 0.0, 100.0, 100.0]]), anchors[:1])
    assert (huge[0, 2] - huge[0, 0] + 1).item() == pytest.approx(64 * 62.5)


def greedy_nms(boxes, scores, labels, threshold):
    kept = []
    for i in scores.argsort(descending=True).tolist():
        same = [j for j in kept if labels[j] == labels[i]]
        if not same or pairwise_iou(boxes[i : i + 1], boxes[same], pixel=1).max() <= threshold:
            kept.append(i)
    return sorted(kept)


@pytest.mark.parametrize("seed", range(5))
def test_nms_equals_the_greedy_loop(seed):
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.rand(300, 4, generator=generator) * 40
    boxes[:, 2:] += boxes[:, :2] + 10
    scores, labels = torch.rand(300, generator=generator), torch.randint(0, 3, (300,), generator=generator)
    assert class_wise_nms(boxes, scores, labels, 0.6, pixel=1).tolist() == greedy_nms(boxes, scores, labels, 0.6)
    assert class_wise_nms(boxes[:0], scores[:0], labels[:0], 0.6).tolist() == []


def test_class_scores_are_means_of_probabilities():
    logits = torch.tensor([[[2.0, -3.0, 0.5, 1.0]]])
    positions = torch.tensor([[[True, True, False, False], [False, False, True, False], [False] * 4]])
    expected = [logits[0, 0, :2].sigmoid().mean().item(), logits[0, 0, 2].sigmoid().item(), 0.0]
    assert class_scores(logits, positions)[0, 0].tolist() == pytest.approx(expected)


def test_focal_loss_is_the_formula():
    logits = torch.tensor([-2.0, 0.3, 4.0, 40.0, -200.0])
    for target in (0.0, 1.0):
        p = logits.double().sigmoid() if target else 1 - logits.double().sigmoid()
        alpha = 0.25 if target else 0.75
        expected = -alpha * (1 - p) ** 2 * p.clamp(min=1e-300).log()
        found = sigmoid_focal_loss(logits, torch.full_like(logits, target))
        torch.testing.assert_close(found[:3].double(), expected[:3], rtol=1e-5, atol=1e-8)
        assert found.isfinite().all()
    assert sigmoid_focal_loss(torch.tensor(-200.0), torch.tensor(1.0)).item() == pytest.approx(50.0)


def test_giou_of_equal_apart_and_inverted_boxes():
    target = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    assert giou_loss(target, target).item() == pytest.approx(0.0, abs=1e-6)
    apart = torch.tensor([[20.0, 0.0, 30.0, 10.0]])
    assert giou_loss(apart, target).item() == pytest.approx(1 + 1 / 3)
    inverted = torch.tensor([[5.0, 5.0, 2.0, 2.0]], requires_grad=True)
    loss = giou_loss(inverted, target)
    loss.sum().backward()
    assert loss.item() == pytest.approx(1.0) and inverted.grad.isfinite().all()


def test_atss_without_boxes_and_with_a_speck():
    anchors = AnchorGenerator(strides=(8, 16), scale=8.0)(((4, 4), (2, 2)))
    assert len(assign(torch.empty(0, 4), anchors, [16, 4]).index) == 0
    between = torch.tensor([[8.0, 8.0, 8.5, 8.5]])  # contains no anchor centre: no forced match
    assert len(assign(between, anchors, [16, 4]).index) == 0


def test_centreness_is_one_in_the_middle():
    anchors = torch.tensor([[4.0, 4.0, 5.0, 5.0], [2.0, 4.0, 3.0, 5.0]])
    boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0]]).expand(2, 4)
    assert centerness_targets(anchors, boxes).tolist() == pytest.approx([1.0, math.sqrt(2.5 / 6.5)])


def test_drop_block_and_drop_path_only_in_train_mode():
    x = torch.ones(64, 2, 12, 12)
    for module in (DropBlock(rate=0.3), DropPath(0.4)):
        assert torch.equal(module.eval()(x), x)
        found = module.train()(x)
        assert 0.1 < (found == 0).float().mean().item() < 0.6
        assert found.mean().item() == pytest.approx(1.0, abs=0.2)
    dropped = DropBlock(rate=0.3)(x)
    assert torch.equal(dropped[:, 0], dropped[:, 1])  # one mask for all channels


def test_frozen_stages_stay_in_eval_mode():
    swin = Swin(embed=8, depths=(2, 2), heads=(2, 2), window=2, drop_path=0.5, frozen_stages=2).train()
    assert not any(m.training for part in (swin.patch_embed, swin.layers[0]) for m in part.modules())
    assert swin.training and swin.layers[1].blocks[1].drop_path.training


def test_an_offset_that_is_not_a_number_shows_in_the_result_and_never_as_an_index():
    shapes = ((4, 5),)
    plan = sampling_plan((Sampling(0, 1, shapes[0]),), shapes, 1, torch.device("cpu"), torch.float32)
    offsets = torch.zeros(20, 9, 2)
    offsets[3] = torch.nan
    index, weights = corners(offsets, torch.ones(20, 9), plan)
    assert index.min() >= 0 and index.max() < 20
    result = gather(torch.ones(20, 2), index, weights)
    assert result[3].isnan().all() and result[:3].isfinite().all()
