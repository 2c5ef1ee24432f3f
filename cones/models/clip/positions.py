"""CLIP's image encoders read position by position, of pictures of any size.

The value path is MaskCLIP's (arXiv 2112.01071, section 3.2; chongzhou96/MaskCLIP 245d31f, mmseg/models/backbones/vit.py
and decode_heads/maskclip_head.py). Of a vision transformer it keeps the last block's residuals and feed-forward part
and replaces the attention matrix by the identity; of a ResNet it is the value and the output projection of the
attention pool, without positions. The official vision transformer has exact GELU and norms of eps 1e-6, which the
released weights were not trained with: here it is CLIP's own network.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from cones.models.clip.resnet import AttentionPool, ModifiedResNet
from cones.models.clip.vit import VisionTransformer
from cones.models.positions import GridResize, PositionReading, Positions
from cones.runtime.errors import ConesError

RESNET_STRIDE = 32  # of all stages together


def positions_of(
    visual: VisionTransformer | ModifiedResNet, pixels: Tensor, *, reading: PositionReading, resize: GridResize
) -> Positions:
    """Pixels (B, 3, h, w), normalised, both sides multiples of the encoder's stride -> their positions."""
    stride = stride_of(visual)
    if any(side < stride or side % stride for side in pixels.shape[-2:]):
        raise ConesError(
            "the sides of a picture are no multiples of a position",
            where="image encoder",
            expected=f"multiples of {stride} pixels",
            found=tuple(pixels.shape[-2:]),
            next_step="resize the picture",
        )
    if isinstance(visual, ModifiedResNet):
        return _of_resnet(visual, pixels, reading, resize)
    if resize == "none":
        raise ConesError(
            "a vision transformer reads no patches without their places",
            where="image encoder",
            next_step="resize the positional embeddings: bicubic or bilinear",
        )
    return _of_vit(visual, pixels, reading, resize)


def stride_of(visual: VisionTransformer | ModifiedResNet) -> int:
    """Pixels of a side of a position."""
    return visual.patch or RESNET_STRIDE


def resized_positions(embedding: Tensor, grid: tuple[int, int], resize: GridResize) -> Tensor:
    """(1 + P, w) of a square grid -> (1 + H W, w): the first row is kept, the grid resized, corners not aligned."""
    first, rest = embedding[:1], embedding[1:]
    side = round(len(rest) ** 0.5)
    if (side, side) == tuple(grid):
        return embedding
    square = rest.T.reshape(1, -1, side, side)
    resized = F.interpolate(square, size=grid, mode=resize, align_corners=False)
    return torch.cat([first, resized[0].flatten(1).T])


def _of_vit(visual: VisionTransformer, pixels: Tensor, reading: PositionReading, resize: GridResize) -> Positions:
    patches = visual.conv1(pixels)  # (B, D, H, W)
    grid = tuple(patches.shape[-2:])
    first = visual.class_embedding.expand(len(patches), 1, -1)
    rows = torch.cat([first, patches.flatten(2).transpose(1, 2)], dim=1)  # (B, 1 + H W, D)
    hidden = visual.ln_pre(rows + resized_positions(visual.positional_embedding, grid, resize))
    *earlier, last = visual.transformer.resblocks
    for block in earlier:
        hidden = block(hidden)
    if reading == "attention":
        features = visual.ln_post(last(hidden)) @ visual.proj  # (B, 1 + H W, d)
        return Positions(features[:, 1:], grid, pooled=features[:, 0])
    hidden, keys = last.value_path(hidden)
    return Positions((visual.ln_post(hidden) @ visual.proj)[:, 1:], grid, keys=keys[:, 1:])


def _of_resnet(visual: ModifiedResNet, pixels: Tensor, reading: PositionReading, resize: GridResize) -> Positions:
    features = visual.maps(pixels)  # (B, C, H, W)
    grid, pool = tuple(features.shape[-2:]), visual.attnpool
    if reading == "values":
        rows = features.flatten(2).transpose(1, 2)  # (B, H W, C)
        return Positions(pool.values(rows), grid, keys=pool.k_proj(rows))
    found = pool(features, patches=True, positions=_places(pool, grid, resize))
    return Positions(found.patches, grid, pooled=found.pooled)


def _places(pool: AttentionPool, grid: tuple[int, int], resize: GridResize) -> Tensor:
    """(1 + H W, C) or, without places, (1, C) of zeros."""
    if resize == "none":
        return torch.zeros_like(pool.positional_embedding[:1])
    return resized_positions(pool.positional_embedding, grid, resize)
