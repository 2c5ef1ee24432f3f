"""The frame of learned pixels of VP (vp.py): four parts around nothing; on detectors resized to every picture."""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cones.models.detector import ImageBatch

SIZE, PUBLISHED_SIDE = 30, 224  # of the frame, and of the pictures that it is a part of


def frame_shapes(side: int, size: int) -> dict[str, tuple[int, ...]]:
    rows, columns = (1, 3, size, side), (1, 3, side - 2 * size, size)
    return {"pad_up": rows, "pad_down": rows, "pad_left": columns, "pad_right": columns}


def joined_frame(parts: nn.Module) -> Tensor:
    """The four parts, attributes of `parts`, around nothing: (1, 3, side, side)."""
    middle = parts.pad_left.new_zeros(
        1, 3, parts.pad_left.shape[2], parts.pad_up.shape[3] - 2 * parts.pad_left.shape[3]
    )
    return torch.cat([parts.pad_up, torch.cat([parts.pad_left, middle, parts.pad_right], 3), parts.pad_down], 2)


class ResizedFrame(nn.Module):
    """Pixels of a detector's batch -> the same with the frame on every picture, resized to it; padding stays zero."""

    def __init__(self, side: int, std: float, generator: torch.Generator):
        super().__init__()
        for name, shape in frame_shapes(side, max(1, round(SIZE * side / PUBLISHED_SIDE))).items():
            self.register_parameter(name, nn.Parameter(std * torch.randn(shape, generator=generator)))

    def forward(self, images: ImageBatch) -> ImageBatch:
        frame, (height, width) = joined_frame(self), images.pixels.shape[-2:]
        added = [
            F.pad(F.interpolate(frame, (h, w), mode="bilinear", antialias=True), (0, width - w, 0, height - h))
            for h, w in images.sizes
        ]
        return replace(images, pixels=images.pixels + torch.cat(added).to(images.pixels))
