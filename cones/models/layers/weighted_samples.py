"""Weighted sums of bilinear samples of several maps, zero outside: what deformable attention reads.

Two ways to the same numbers (docs/spec/uninext.md 7), equal to rounding. On *grids*: `grid_sample` for each level, for
GPUs. As *rows*: of each place the four cells around it are rows of a table, so that a query's result is one
`embedding_bag` and no sample is ever stored; with the way back it takes a CPU a fifth to a third of the time
(benchmarks/README.md).
"""

import warnings

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

from cones.models.layers.token_levels import Shapes

MARGIN = 2  # cells of zeros around each map, so that a place outside reads four of them wherever it is


def read_grids(value: Tensor, shapes: Shapes, places: Tensor, weights: Tensor) -> Tensor:
    """value (B, N, C) of levels of the given shapes, places (B, Q, heads, levels, points, 2) x, y in shares of each
    level, weights (B, Q, heads, levels * points) -> (B, Q, C); head h reads the h-th part of the channels."""
    batch, queries, heads = places.shape[:3]
    maps = value.unflatten(-1, (heads, -1)).permute(0, 2, 3, 1).flatten(0, 1)  # (B * heads, d, N)
    grids = (2 * places - 1).transpose(1, 2).flatten(0, 1)  # (B * heads, Q, levels, points, 2)
    sampled = [
        F.grid_sample(level.unflatten(-1, shape), grids[:, :, index], align_corners=False)
        for index, (level, shape) in enumerate(zip(maps.split([h * w for h, w in shapes], dim=-1), shapes))
    ]  # (B * heads, d, Q, points) each
    share = weights.transpose(1, 2).reshape(batch * heads, 1, queries, -1)  # (B * heads, 1, Q, levels * points)
    read = (torch.cat(sampled, dim=-1) * share).sum(dim=-1)  # (B * heads, d, Q)
    return read.view(batch, -1, queries).transpose(1, 2)  # (B, Q, C)


def read_rows(value: Tensor, shapes: Shapes, places: Tensor, weights: Tensor) -> Tensor:
    """As `read_grids`."""
    batch, queries, heads = places.shape[:3]
    maps = value.split([height * width for height, width in shapes], dim=1)  # (B, H * W, C) each
    margin = (0, 0, MARGIN, MARGIN, MARGIN, MARGIN)
    framed = [F.pad(level.unflatten(1, shape), margin).flatten(1, 2) for level, shape in zip(maps, shapes)]
    rows = torch.cat(framed, dim=1).unflatten(-1, (heads, -1)).flatten(0, 2)  # (B * cells * heads, d)
    return _WeightedSamples.apply(rows, places.flatten(3, 4), weights, shapes).view(batch, queries, -1)


class _WeightedSamples(torch.autograd.Function):
    """S = levels * points, M = B * Q * heads; rows (R, d), places (B, Q, heads, S, 2), weights (B, Q, heads, S)."""

    @staticmethod
    def forward(ctx: FunctionCtx, rows: Tensor, places: Tensor, weights: Tensor, shapes: Shapes) -> Tensor:
        batch, _, heads, samples = weights.shape
        points = samples // len(shapes)
        height, width = places.new_tensor(shapes).repeat_interleave(points, dim=0).unbind(-1)  # (S,) each
        x, y = (share * size - 0.5 for share, size in zip(places.unbind(-1), (width, height)))  # (B, Q, heads, S)
        x, y = (place.clamp(min=-MARGIN).minimum(size) for place, size in ((x, width), (y, height)))
        column, line = x.floor(), y.floor()
        right, down = x.sub_(column), y.sub_(line)  # shares of the way to the next cell
        index = corner_rows(column, line, shapes, batch, heads)  # (M, 4 * S)
        shares = corner_shares(right, down, weights)  # (M, 4 * S)
        ctx.shapes = shapes
        ctx.save_for_backward(rows, index, right, down, weights, width, height)
        return F.embedding_bag(index, rows, per_sample_weights=shares, mode="sum")  # (M, d)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        rows, index, right, down, weights, width, height = ctx.saved_tensors
        of_rows = of_places = of_weights = None
        grad = grad.contiguous()
        if ctx.needs_input_grad[0]:
            of_rows = spread(grad, index, corner_shares(right, down, weights), len(rows), weights.shape[2])
        if any(ctx.needs_input_grad[1:]):
            said = products(grad, rows, index).view(*weights.shape[:3], 4, -1)  # (B, Q, heads, 4, S)
            top_left, bottom_left, top_right, bottom_right = said.unbind(3)
            along_top, along_bottom = top_right - top_left, bottom_right - bottom_left
            top, bottom = top_left + right * along_top, bottom_left + right * along_bottom
            of_weights = top + down * (bottom - top)
            of_x = weights * (along_top + down * (along_bottom - along_top)) * width
            of_places = torch.stack([of_x, weights * (bottom - top) * height], dim=-1)
        return of_rows, of_places, of_weights, None


def corner_rows(column: Tensor, line: Tensor, shapes: Shapes, batch: int, heads: int) -> Tensor:
    """column, line (B, Q, heads, S) of the upper left cell, from -MARGIN -> (M, 4 * S) int32: rows of the four cells:
    upper left, lower left, and to the right of each, which is `heads` rows on."""
    lengths = torch.tensor([width + 2 * MARGIN for _, width in shapes], dtype=torch.int32)  # of a framed line
    cells = lengths * torch.tensor([height + 2 * MARGIN for height, _ in shapes], dtype=torch.int32)
    starts = cells.cumsum(0, dtype=torch.int32) - cells
    points = column.shape[-1] // len(shapes)
    length, start = (each.repeat_interleave(points) for each in (lengths, starts))  # (S,)
    # a place that is no number, of a diverged model, reads some cell of the margin: its weights are no numbers either
    column, line = (each.nan_to_num(nan=-MARGIN).to(torch.int32) + MARGIN for each in (column, line))
    image = torch.arange(batch, dtype=torch.int32).view(-1, 1, 1, 1) * int(cells.sum())
    head = torch.arange(heads, dtype=torch.int32).view(-1, 1)
    first = (line * length + column + (start + image)) * heads + head  # (B, Q, heads, S)
    below = first + length * heads
    return torch.stack([first, below, first + heads, below + heads], dim=3).flatten(3).flatten(0, 2)


def corner_shares(right: Tensor, down: Tensor, weights: Tensor) -> Tensor:
    """(B, Q, heads, S) each -> (M, 4 * S): how much each of the four cells counts."""
    bottom = weights * down
    top = weights - bottom
    top_right, bottom_right = top * right, bottom * right
    corners = [top - top_right, bottom - bottom_right, top_right, bottom_right]
    return torch.stack(corners, dim=3).flatten(3).flatten(0, 2)


def spread(grad: Tensor, index: Tensor, shares: Tensor, rows: int, heads: int) -> Tensor:
    """grad (M, d), index and shares (M, 4 * S) as above -> (rows, d): what each row gets back.

    Each row is the bag of those that read it. Only the readers of left cells are sorted: the right ones are `heads`
    rows on.
    """
    left, right = shares.tensor_split(2, dim=1)  # (M, 2 * S) each
    width = left.shape[1]
    read, order = index[:, :width].flatten().sort(stable=True)
    order = order.to(index.dtype)
    readers = order // width
    counts = torch.bincount(read, minlength=rows)
    begin = (counts.cumsum(0) - counts).to(index.dtype)
    back, back_right = (
        F.embedding_bag(readers, grad, begin, per_sample_weights=side.flatten().index_select(0, order), mode="sum")
        for side in (left, right)
    )  # (rows, d) each
    back[heads:] += back_right[:-heads]
    return back


def products(grad: Tensor, rows: Tensor, index: Tensor) -> Tensor:
    """grad (M, d), rows (R, d), index (M, k) -> (M * k,): of each pair the dot product."""
    begin = torch.arange(0, index.numel() + 1, index.shape[1], dtype=index.dtype)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse")  # "… support is in beta state"
        size = (len(grad), len(rows))
        pairs = torch.sparse_csr_tensor(begin, index.flatten(), grad.new_zeros(index.numel()), size)
    return torch.sparse.sampled_addmm(pairs, grad, rows.t(), beta=0.0).values()
