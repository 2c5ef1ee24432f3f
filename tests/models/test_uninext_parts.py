"""Pieces of UNINEXT one by one: sampling, masks of levels, matchers, denoising, targets, scores."""

import math

import pytest
import torch

from cones.models.detector import Target
from cones.models.layers.boxes import normalised_boxes, pairwise_giou, pairwise_iou, to_centres, to_corners
from cones.models.layers.deformable_attention import sample
from cones.models.layers.matching import one_to_one
from cones.models.layers.proposals import proposal_boxes
from cones.models.layers.token_levels import Levels
from cones.models.uninext import denoising
from cones.models.uninext.criterion import dice_loss, kind_of, mask_targets, paired_iou, term_names
from cones.models.uninext.denoising import denoising_queries, pairs_hidden
from cones.models.uninext.geometry import inverse_sigmoid, level_masks, positional_map
from cones.models.uninext.masks import dynamic_masks
from cones.models.uninext.matching import assign, proposal_cost, simota, simota_table
from cones.models.uninext.postprocess import class_scores


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def naive_sample(level, x, y):
    """Bilinear value (d,) of level (H, W, d) at x, y in [0, 1]; corners outside count as zero."""
    value = torch.zeros(level.shape[-1], dtype=level.dtype)
    column, row = x * level.shape[1] - 0.5, y * level.shape[0] - 0.5
    for i in (math.floor(row), math.floor(row) + 1):
        for j in (math.floor(column), math.floor(column) + 1):
            if 0 <= i < level.shape[0] and 0 <= j < level.shape[1]:
                value += level[i, j] * (1 - abs(row - i)) * (1 - abs(column - j))
    return value


def test_sampling_equals_a_naive_loop():
    shapes, heads, points = ((3, 4), (2, 2)), 2, 3
    value = torch.randn(2, 16, 6, dtype=torch.float64)
    places = torch.rand(2, 5, heads, 2, points, 2, dtype=torch.float64) * 1.6 - 0.3  # some outside
    weights = torch.rand(2, 5, heads, 2 * points, dtype=torch.float64)
    found = sample(value, shapes, places, weights)
    levels = [value[:, :12].view(2, 3, 4, heads, 3), value[:, 12:].view(2, 2, 2, heads, 3)]
    for image in range(2):
        for query in range(5):
            for head in range(heads):
                expected = sum(
                    weights[image, query, head, level * points + point]
                    * naive_sample(levels[level][image, :, :, head], *places[image, query, head, level, point].tolist())
                    for level in range(2)
                    for point in range(points)
                )
                torch.testing.assert_close(found[image, query, head * 3 : head * 3 + 3], expected)


def test_the_fourth_level_s_mask_comes_from_the_first_level():
    padding = torch.zeros(1, 72, 64, dtype=torch.bool)
    padding[:, 33:] = True  # row 4 of the first level begins at pixel 32, the middle of the image is pixel 36
    masks = level_masks(padding, ((9, 8), (5, 4), (3, 2), (2, 1)))
    assert [(~mask[0, :, 0]).sum().item() for mask in masks] == [5, 3, 2, 2]
    directly = torch.nn.functional.interpolate(padding[:, None].float(), size=(2, 1))
    assert (directly == 0).sum().item() == 1


def levels_of(height, width, valid, shapes):
    padding = torch.ones(1, height, width, dtype=torch.bool)
    padding[:, : valid[0], : valid[1]] = False
    masks = level_masks(padding, shapes)
    ratios = [torch.stack([(~m[:, 0]).float().mean(1), (~m[:, :, 0]).float().mean(1)], dim=-1) for m in masks]
    return Levels(shapes, masks, torch.stack(ratios, dim=1))


def test_reference_points_and_proposals_count_valid_cells():
    levels = levels_of(64, 64, (32, 48), ((8, 8), (4, 4), (2, 2)))
    points = levels.reference_points()[0]  # (N, levels, 2)
    # cell (1, 2) of the finest level, 6 x 4 valid of 8 x 8: centre 2.5 / 6 and 1.5 / 4 of the valid part
    expected = torch.tensor([2.5 / 6, 1.5 / 4]) * levels.valid_ratios[0]
    torch.testing.assert_close(points[1 * 8 + 2], expected)
    boxes = proposal_boxes(levels)[0].sigmoid()
    torch.testing.assert_close(boxes[1 * 8 + 2], torch.tensor([2.5 / 6, 1.5 / 4, 0.05, 0.05]))
    assert (boxes[5 * 8] == 1).all()  # padding: infinite before the sigmoid
    assert boxes[64, 2].item() == pytest.approx(0.1)


def test_positional_maps_do_not_see_how_much_is_padded():
    mask = torch.zeros(1, 4, 5, dtype=torch.bool)
    wider = torch.nn.functional.pad(mask, (0, 3, 0, 2), value=True)
    torch.testing.assert_close(positional_map(wider, 16)[:, :, :4, :5], positional_map(mask, 16))


def test_boxes_there_and_back_and_their_overlaps():
    corners = torch.tensor([[0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 3.0, 2.0], [5.0, 0.0, 6.0, 2.0]])
    torch.testing.assert_close(to_corners(to_centres(corners)), corners)
    torch.testing.assert_close(pairwise_iou(corners[:1], corners), torch.tensor([[1.0, 1 / 3, 0.0]]))
    torch.testing.assert_close(pairwise_giou(corners[:1], corners), torch.tensor([[1.0, 1 / 3, -(12 - 6) / 12]]))
    centres = to_centres(corners)
    torch.testing.assert_close(paired_iou(centres[[0, 0]], centres[[1, 2]]), torch.tensor([1 / 3, 0.0]))
    x = torch.tensor([0.0, 0.2, 1.0])
    torch.testing.assert_close(inverse_sigmoid(x).sigmoid(), x, atol=2e-5, rtol=0)


def crowd(queries, objects, words=4):
    boxes = to_centres(torch.rand(queries, 2).repeat(1, 2) * 0.7 + torch.tensor([0.0, 0.0, 0.2, 0.3]))
    positive = torch.eye(words, dtype=torch.bool)[torch.arange(objects) % words]
    return torch.randn(queries, words), boxes, positive, boxes[torch.randint(queries, (objects,))] + 0.01


def test_simota_serves_every_object_and_no_query_serves_two():
    logits, boxes, positive, objects = crowd(60, 7)
    ((query, served),) = simota([simota_table(logits, boxes, positive, objects)])
    assert query.tolist() == sorted(set(query.tolist()))
    assert set(served.tolist()) == set(range(7))
    numbers = pairwise_iou(to_corners(boxes), to_corners(objects)).topk(10, dim=0).values.sum(dim=0).int().clamp(min=1)
    assert (torch.bincount(served, minlength=7) <= numbers).all()


@pytest.mark.parametrize("objects", [0, 1, 12, 30])
def test_simota_ends_with_few_queries(objects):
    """Either every object is served or no query is left; no query serves two."""
    logits, boxes, positive, wanted = crowd(12, objects)
    ((query, served),) = simota([simota_table(logits, boxes, positive, wanted)])
    assert len(query) == len(set(query.tolist()))
    assert len(set(served.tolist())) == objects or len(query) == 12


def test_an_object_that_loses_its_query_gets_the_cheapest_free_one():
    cost = torch.tensor([[1.0, 2.0, 9.0], [5.0, 3.0, 9.0], [6.0, 7.0, 0.0]])
    query, served = assign(cost, torch.tensor([1, 1, 1]))
    assert query.tolist() == [0, 1, 2] and served.tolist() == [0, 1, 2]
    cost = torch.tensor([[1.0, 2.0], [5.0, 4.0], [6.0, 3.0]])  # both want query 0; object 1 then takes query 2
    query, served = assign(cost, torch.tensor([1, 1]))
    assert query.tolist() == [0, 2] and served.tolist() == [0, 1]


def test_matching_ends_when_a_model_has_diverged():
    boxes, logits = torch.full((6, 4), torch.nan), torch.full((6, 3), torch.nan)
    objects, positive = torch.tensor([[0.3, 0.3, 0.2, 0.2], [0.6, 0.6, 0.2, 0.2]]), torch.eye(3, dtype=torch.bool)[:2]
    tables, costs = [simota_table(logits, boxes, positive, objects)], [proposal_cost(logits[:, 0], boxes, objects)]
    for _, served in (*simota(tables), *one_to_one(costs)):
        assert sorted(served.tolist()) == [0, 1]


def test_hungarian_gives_every_object_a_token_of_its_own():
    boxes = torch.rand(30, 4) * 0.3 + 0.2
    objects = boxes[[4, 11, 20]]
    costs = [proposal_cost(torch.zeros(30), boxes, each) for each in (objects, objects[:0], objects[1:])]
    (token, served), (none, _), (of_two, _) = one_to_one(costs)
    assert dict(zip(served.tolist(), token.tolist())) == {0: 4, 1: 11, 2: 20}
    assert len(none) == 0 and of_two.tolist() == [11, 20]


def truth(*boxes, size=(100, 200)):
    return Target(torch.tensor(boxes, dtype=torch.float32).view(-1, 4), torch.zeros(len(boxes)).long(), 1), size


def test_denoising_slots_hold_the_objects_of_their_image(monkeypatch):
    sign = torch.tensor([-1.0, -1.0, 1.0, 1.0])
    monkeypatch.setattr(
        denoising, "draw_noise", lambda rows, device: (sign.expand(rows, 4), torch.full((rows, 4), 0.5))
    )
    two, size = truth((20, 10, 60, 50), (100, 20, 180, 80))
    one, _ = truth((40, 40, 80, 60))
    none, _ = truth()
    content = torch.randn(3, 8)
    made = denoising_queries([two, one, none], [size] * 3, content, positives=5, real_queries=4)
    assert (made.groups, made.slots) == (2, 4) and made.boxes.shape == (3, 8, 4)
    assert [slots.tolist() for slots in made.positives(2)] == [[0, 1, 4, 5], [0, 1, 0, 1]]
    used = (made.content != 0).any(dim=-1)
    assert used.tolist() == [[True] * 8, [True, False] * 4, [False] * 8]
    assert not made.boxes[~used].any() and torch.equal(made.content[0, 3], content[0])
    real = normalised_boxes(two, size)
    torch.testing.assert_close(real[0], torch.tensor([0.2, 0.3, 0.2, 0.4]))
    outwards = torch.tensor([-1.0, -1.0, 1.0, 1.0]) * (real[:, 2:].repeat(1, 2) / 2)  # half a side
    for group in range(2):
        positive, negative = to_corners(made.boxes[0, 4 * group : 4 * group + 4].sigmoid()).view(2, 2, 4)
        torch.testing.assert_close(positive, (to_corners(real) + 0.5 * outwards).clamp(0, 1), atol=1e-4, rtol=0)
        torch.testing.assert_close(negative, (to_corners(real) + 1.5 * outwards).clamp(0, 1), atol=1e-4, rtol=0)
    assert denoising_queries([none], [size], content[:1], positives=5, real_queries=4) is None


def test_noise_is_of_both_signs_and_below_one():
    torch.manual_seed(1)
    sign, share = denoising.draw_noise(500, torch.device("cpu"))
    assert set(sign.unique().tolist()) == {-1.0, 1.0} and share.min() >= 0 and share.max() < 1
    torch.manual_seed(1)
    assert torch.equal(denoising.draw_noise(500, torch.device("cpu"))[1], share)


def test_denoising_groups_see_themselves_and_the_real_queries():
    hidden = pairs_hidden(2, 2, 3, torch.device("cpu"))
    assert (~hidden[0]).nonzero().flatten().tolist() == [0, 1, 4, 5, 6]
    assert (~hidden[3]).nonzero().flatten().tolist() == [2, 3, 4, 5, 6]
    assert (~hidden[5]).nonzero().flatten().tolist() == [4, 5, 6]


def test_mask_targets_are_every_fourth_pixel_from_the_third():
    masks = torch.rand(2, 30, 41) > 0.5
    found = mask_targets(masks, (8, 12), 4)
    assert found.shape == (2, 8, 12)
    assert torch.equal(found[:, :7, :10].bool(), masks[:, 2:30:4, 2:41:4])
    assert not found[:, 7:].any() and not found[:, :, 10:].any()


def test_masks_depend_on_where_the_query_stands():
    """A query whose filters pass on relative x draws a vertical edge through its centre."""
    parameters = torch.zeros(1, 169)
    parameters[0, 0] = parameters[0, 80] = parameters[0, 144] = 1.0  # channel 0 through all three layers
    masks = dynamic_masks(torch.zeros(8, 4, 6), parameters, torch.tensor([[20.0, 10.0]]), 8)[0]  # (8, 12), stride 4
    assert (masks[:, :2] > 0).all() and not masks[:, 6:].any()  # relu(20 - x) at x = 4, 12, 20, …


def test_dice_of_a_perfect_and_of_an_empty_mask():
    target = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    assert dice_loss(target * 200 - 100, target).item() == pytest.approx(0.0, abs=1e-6)
    assert dice_loss(torch.full((1, 4), -100.0), target).item() == pytest.approx(1 - 1 / 3)


def test_logits_of_a_class_are_averaged_before_the_sigmoid():
    logits = torch.tensor([[2.0, -4.0, 1.0]])
    positions = torch.tensor([[True, True, False], [False, False, True], [False, False, False]])
    scores = class_scores(logits, torch.tensor([0.5]), positions)[0]
    quality = torch.tensor(0.5).sigmoid()
    expected = [(torch.tensor(-1.0).sigmoid() * quality).sqrt(), (torch.tensor(1.0).sigmoid() * quality).sqrt(), 0.0]
    assert scores.tolist() == pytest.approx([float(value) for value in expected])


def test_there_are_57_terms_and_three_groups_of_them():
    everything = term_names(6, ("classification", "box", "mask"))
    assert len(everything) == len(set(everything)) == 57
    assert sorted(everything) == sorted(
        name for group in ("classification", "box", "mask") for name in term_names(6, (group,))
    )
    assert {kind_of(name) for name in term_names(6, ("mask",))} == {"loss_mask", "loss_dice"}
    assert len(term_names(6, ("classification",))) == 13 and kind_of("loss_ce_dn_3") == "loss_ce"
