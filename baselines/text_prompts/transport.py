"""Optimal transport by Sinkhorn steps, as PLOT takes them (ICLR 2023, arXiv 2210.01253; code: `plot.py`)."""

import torch
from torch import Tensor


@torch.no_grad()
def transport_plan(
    cost: Tensor, *, sharpness: float = 0.1, tolerance: float = 0.01, most: int = 100
) -> tuple[Tensor, list[float]]:
    """Cost (…, P, N) -> plan (…, P, N) with sums 1/N over positions, and 1/P over texts up to the tolerance; and by how
    much the rows' factors changed in each step, a mean over everything."""
    kernel = (-cost / sharpness).exp()
    positions, texts = kernel.shape[-2:]
    rows, columns, changes = kernel.new_ones(kernel.shape[:-1]), kernel.new_ones(kernel[..., 0, :].shape), []
    while len(changes) < most and (not changes or changes[-1] >= tolerance):
        before = rows
        rows = 1 / positions / torch.einsum("...pn,...n->...p", kernel, columns)
        columns = 1 / texts / torch.einsum("...pn,...p->...n", kernel, rows)
        changes.append((rows - before).abs().mean().item())
    return rows[..., None] * kernel * columns[..., None, :], changes
