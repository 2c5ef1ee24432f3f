"""Anchors, box coding and box overlaps with inclusive pixels: width = x2 - x1 + 1 (docs/spec/glip.md 8)."""

import math

import torch
from torch import Tensor, nn

BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
LARGEST_LOG_SCALE = math.log(1000 / 16)


class AnchorGenerator(nn.Module):
    """One square anchor per location: side = scale * stride, centred on the cell of `stride` pixels."""

    def __init__(self, *, strides: tuple[int, ...], scale: float):
        super().__init__()
        self.strides = strides
        self.cell_anchors = nn.Module()  # its buffers are named 0, 1, … as in the official checkpoints
        for level, stride in enumerate(strides):
            centre, half = (stride - 1) / 2, (scale * stride - 1) / 2
            corners = [centre - half, centre - half, centre + half, centre + half]
            self.cell_anchors.register_buffer(str(level), torch.tensor([corners]))
        self._cache: dict[tuple, Tensor] = {}

    def forward(self, shapes: tuple[tuple[int, int], ...]) -> Tensor:
        """Anchors (V, 4) xyxy of levels of the given shapes, row-major, levels concatenated."""
        first = self.cell_anchors.get_buffer("0")
        key = (shapes, first.device, first.dtype)
        if key not in self._cache:
            if len(self._cache) > 64:
                self._cache.clear()
            with torch.inference_mode(False):
                self._cache[key] = torch.cat([self._level(i, shape) for i, shape in enumerate(shapes)])
        return self._cache[key]

    def _level(self, level: int, shape: tuple[int, int]) -> Tensor:
        cell = self.cell_anchors.get_buffer(str(level))  # (1, 4)
        y, x = torch.meshgrid(*(torch.arange(side, device=cell.device) for side in shape), indexing="ij")
        shifts = torch.stack([x, y, x, y], dim=-1).view(-1, 4) * self.strides[level]  # (H * W, 4)
        return cell + shifts


def sizes_and_centres(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """boxes (…, 4) xyxy inclusive -> sizes (…, 2) w, h and centres (…, 2) x, y."""
    return boxes[..., 2:] - boxes[..., :2] + 1, (boxes[..., 2:] + boxes[..., :2]) / 2


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Boxes (…, 4) as the regression targets dx, dy, dw, dh of their anchors (…, 4)."""
    size, centre = sizes_and_centres(boxes)
    anchor_size, anchor_centre = sizes_and_centres(anchors)
    moved = (centre - anchor_centre) / anchor_size * boxes.new_tensor(BOX_WEIGHTS[:2])
    return torch.cat([moved, (size / anchor_size).log() * boxes.new_tensor(BOX_WEIGHTS[2:])], dim=-1)


def decode(deltas: Tensor, anchors: Tensor) -> Tensor:
    """The inverse of `encode`, with the scale factor limited to 1000 / 16: (…, 4) xyxy inclusive."""
    anchor_size, anchor_centre = sizes_and_centres(anchors)
    centre = deltas[..., :2] / BOX_WEIGHTS[0] * anchor_size + anchor_centre
    size = (deltas[..., 2:] / BOX_WEIGHTS[2]).clamp(max=LARGEST_LOG_SCALE).exp() * anchor_size
    return torch.cat([centre - (size - 1) / 2, centre + (size - 1) / 2], dim=-1)
