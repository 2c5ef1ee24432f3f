"""Samples read as rows of a table against `grid_sample`: values, gradients, places outside, places that are NaN."""

import pytest
import torch

from cones.models.layers.deformable_attention import sample
from cones.models.layers.weighted_samples import read_grids, read_rows

SHAPES = ((5, 7), (3, 2), (1, 1))
BATCH, QUERIES, HEADS, POINTS, WIDTH = 2, 6, 3, 2, 12
LEVELS, CELLS = len(SHAPES), sum(height * width for height, width in SHAPES)


@pytest.fixture
def inputs():
    """value, places and weights in float64; some places lie outside, some far, some on borders, some twice."""
    noise = torch.Generator().manual_seed(0)
    value = torch.randn(BATCH, CELLS, WIDTH, dtype=torch.float64, generator=noise)
    places = torch.rand(BATCH, QUERIES, HEADS, LEVELS, POINTS, 2, dtype=torch.float64, generator=noise) * 1.8 - 0.4
    places[0, 0], places[0, 1] = 30.0, -30.0
    places[1, 2, ..., 0], places[1, 3, ..., 1] = 1.0, 0.0
    places[1, 4] = places[1, 5]
    weights = torch.randn(BATCH, QUERIES, HEADS, LEVELS * POINTS, dtype=torch.float64, generator=noise).softmax(dim=-1)
    return [tensor.requires_grad_() for tensor in (value, places, weights)]


def answers(read, value, places, weights, *wanted):
    result = read(value, SHAPES, places, weights)
    heard = torch.randn(result.shape, dtype=result.dtype, generator=torch.Generator().manual_seed(1))
    return result.detach(), torch.autograd.grad(result, wanted, heard)


def test_both_ways_say_the_same_with_the_same_gradients(inputs):
    expected, their_gradients = answers(read_grids, *inputs, *inputs)
    found, gradients = answers(read_rows, *inputs, *inputs)
    assert expected[0, :2].abs().max() == 0 and expected.abs().max() > 0.1
    torch.testing.assert_close(found, expected)
    for mine, theirs in zip(gradients, their_gradients, strict=True):
        assert theirs.abs().max() > 0.1
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("alone", [0, 1, 2], ids=["value", "places", "weights"])
def test_a_gradient_is_the_same_when_nothing_else_has_one(inputs, alone):
    _, (expected,) = answers(read_rows, *inputs, inputs[alone])
    others = [tensor if place == alone else tensor.detach() for place, tensor in enumerate(inputs)]
    _, (found,) = answers(read_rows, *others, others[alone])
    assert torch.equal(found, expected)


def test_twice_the_same_bits(inputs):
    value, gradients = answers(read_rows, *inputs, *inputs)
    again, again_gradients = answers(read_rows, *inputs, *inputs)
    assert torch.equal(value, again)
    assert all(torch.equal(a, b) for a, b in zip(gradients, again_gradients))


def test_a_place_that_is_no_number_makes_its_query_none_and_no_other(inputs):
    value, places, weights = (tensor.detach() for tensor in inputs)
    places[0, 3, 1, 1, 0, 0], weights[1, 4, 2] = torch.nan, torch.nan
    found = read_rows(value, SHAPES, places, weights).unflatten(-1, (HEADS, -1)).isnan()  # (B, Q, heads, d)
    assert found[0, 3, 1].all() and found[1, 4, 2].all()
    assert found.sum() == 2 * WIDTH // HEADS


def test_no_sample_is_kept_for_the_way_back():
    side, heads, points = 16, 2, 4
    value = torch.randn(1, side * side, 64, requires_grad=True)
    places = torch.rand(1, side * side, heads, 1, points, 2, requires_grad=True)
    weights = torch.rand(1, side * side, heads, points, requires_grad=True)

    def kept(read) -> int:
        storages = {}
        hooks = torch.autograd.graph.saved_tensors_hooks
        with hooks(lambda x: storages.setdefault(x.untyped_storage().data_ptr(), x), lambda x: x):
            read(value, ((side, side),), places, weights)
        return sum(tensor.untyped_storage().nbytes() for tensor in storages.values())

    assert kept(sample) == kept(read_rows) < 0.5 * kept(read_grids)
