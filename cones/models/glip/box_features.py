"""Where a box looks in GLIP's feature pyramid, and how near the classes are there (Figure 5, Table 3)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from cones.models.detector import BoxFeatures
from cones.models.glip.anchors import sizes_and_centres
from cones.models.glip.head import DyHead, Shapes
from cones.models.layers.alignment import projected_text, token_logits


def features_of(
    boxes: Tensor, visual: Tensor, text: Tensor, class_positions: Tensor, anchors: Tensor, shapes: Shapes, head: DyHead
) -> BoxFeatures:
    """One image: boxes (G, 4) xyxy inclusive, visual (V, C), text (L, D), class_positions (K, L), anchors (V, 4).

    A box's vector is the mean over its points (`points_of`). A class's is the mean over its positions of what the head
    projects their states to. The logits are the head's own, of the box's vector, averaged over a class's positions.
    """
    share = points_of(boxes, anchors, shapes)  # (G, V)
    vectors = share @ visual.float()  # (G, C)
    positions = class_positions.float()
    positions = positions / positions.sum(dim=1, keepdim=True).clamp(min=1)  # (K, L)
    text = text.float()
    classes = positions @ projected_text(head, F.normalize(text, dim=-1))  # (K, C)
    logits = token_logits(head, vectors[None], text[None])[0] @ positions.t()  # (G, K)
    return BoxFeatures(vectors, classes, logits)


def points_of(boxes: Tensor, anchors: Tensor, shapes: Shapes) -> Tensor:
    """(G, V): the share each location has in each box; rows sum to one.

    The level is the one whose anchor is closest to the root of the box's area, in octaves; the locations those of its
    centres that lie inside the box, all alike, or the nearest one if there is none.
    """
    sizes, centres = sizes_and_centres(anchors)  # (V, 2)
    octaves = sizes[:, 0].log2()  # (V,)
    box_sizes, box_centres = sizes_and_centres(boxes)  # (G, 2)
    off = (box_sizes.prod(dim=1).log2()[:, None] / 2 - octaves).abs()  # (G, V), equal within a level
    level = level_of(shapes).to(anchors.device)  # (V,)
    own = level[off.argmin(dim=1)][:, None] == level  # (G, V); of levels equally far the finer one
    inside = ((centres >= boxes[:, None, :2]) & (centres <= boxes[:, None, 2:])).all(dim=2) & own  # (G, V)
    distance = (centres - box_centres[:, None]).square().sum(dim=2).masked_fill(~own, torch.inf)  # (G, V)
    nearest = F.one_hot(distance.argmin(dim=1), len(anchors)).bool()  # (G, V)
    chosen = torch.where(inside.any(dim=1, keepdim=True), inside, nearest).to(anchors.dtype)
    return chosen / chosen.sum(dim=1, keepdim=True)


def level_of(shapes: Shapes) -> Tensor:
    """(V,) the level of each location."""
    return torch.cat([torch.full((height * width,), number) for number, (height, width) in enumerate(shapes)])


def neighbourhoods(shapes: Shapes) -> Tensor:
    """(V, 9) int64: the 3 x 3 locations around each one on its level, row-major; beyond an edge the nearest one."""
    found, start = [], 0
    for height, width in shapes:
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        places = [
            start + (y + down).clamp(0, height - 1) * width + (x + right).clamp(0, width - 1)
            for down in (-1, 0, 1)
            for right in (-1, 0, 1)
        ]
        found.append(torch.stack(places, dim=-1).flatten(0, 1))  # (H_l * W_l, 9)
        start += height * width
    return torch.cat(found)
