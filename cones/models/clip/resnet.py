"""CLIP's modified ResNet (openai/CLIP, clip/model.py: ModifiedResNet, AttentionPool2d).

Three convolutions in the stem, average pools instead of strides, and an attention pool at the end.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cones.models.dual_encoder import BlockTokens, ImageFeatures
from cones.runtime.errors import ConesError

EXPANSION = 4  # channels of a block's output over those inside it


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, average pool of `stride`, 1 x 1; all convolutions have stride 1."""

    def __init__(self, *, inputs: int, inner: int, stride: int):
        super().__init__()
        outputs = inner * EXPANSION
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.pool = nn.AvgPool2d(stride)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential()
            self.downsample.add_module("-1", nn.AvgPool2d(stride))  # the released names begin at the convolution
            self.downsample.add_module("0", nn.Conv2d(inputs, outputs, 1, bias=False))
            self.downsample.add_module("1", nn.BatchNorm2d(outputs))
        nn.init.zeros_(self.bn3.weight)  # OpenAI's start: a block begins as its shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        inner = F.relu(self.bn1(self.conv1(x)))
        inner = self.pool(F.relu(self.bn2(self.conv2(inner))))
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn3(self.conv3(inner)) + shortcut)


class AttentionPool(nn.Module):
    """Attention over all positions and their mean; the mean's row is the feature of the image."""

    def __init__(self, *, positions: int, width: int, heads: int, output: int):
        super().__init__()
        self.heads = heads
        self.positional_embedding = nn.Parameter(torch.empty(1 + positions, width))
        self.k_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.c_proj = nn.Linear(width, output)
        nn.init.normal_(self.positional_embedding, std=width**-0.5)
        for linear in (self.k_proj, self.q_proj, self.v_proj, self.c_proj):
            nn.init.normal_(linear.weight, std=width**-0.5)
            nn.init.zeros_(linear.bias)

    def forward(self, features: Tensor, *, patches: bool, positions: Tensor | None = None) -> ImageFeatures:
        """(B, C, H, W) -> features of width d; `patches` asks every position, not only the mean (CALIP's reading).

        `positions` (1 + H W, C) stand for the positional embeddings where a picture has another size.
        """
        rows = with_mean(features) + (self.positional_embedding if positions is None else positions)
        pooled = self.attend(rows if patches else rows[:, :1], rows)
        return ImageFeatures(pooled[:, 0], pooled[:, 1:] if patches else None)

    def attend(self, asked: Tensor, rows: Tensor) -> Tensor:
        """What some rows see of all: (B, A, C), (B, R, C) -> (B, A, d)."""

        def heads(x: Tensor) -> Tensor:
            return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, rows, C / heads)

        context = F.scaled_dot_product_attention(
            heads(self.q_proj(asked)), heads(self.k_proj(rows)), heads(self.v_proj(rows))
        )
        return self.c_proj(context.transpose(1, 2).flatten(2))

    def values(self, rows: Tensor) -> Tensor:
        """Each row by itself, without attention: (B, R, C) -> (B, R, d)."""
        return self.c_proj(self.v_proj(rows))

    def regions(self, features: Tensor, *, placed: bool) -> Tensor:
        """(B, C, H, W) -> (B, 1 + H W, d), as `DualEncoder.encode_regions` says."""
        rows = with_mean(features)
        if placed:
            return self.values(rows + self.positional_embedding)
        return torch.cat([self.attend(rows[:, :1], rows), self.values(rows[:, 1:])], dim=1)


def with_mean(features: Tensor) -> Tensor:
    """(B, C, H, W) -> rows (B, 1 + H W, C), the first of which is the mean of the others."""
    rows = features.flatten(2).transpose(1, 2)
    return torch.cat([rows.mean(1, keepdim=True), rows], dim=1)


class ModifiedResNet(nn.Module):
    """Pixels -> features of width d.

    side    of a picture in pixels; the attention pool sees (side / 32)^2 positions
    width   channels after the stem; the pool gets 32 times as many
    layers  blocks of the four stages
    """

    def __init__(self, *, side: int, width: int, layers: tuple[int, int, int, int], heads: int, output: int):
        super().__init__()
        self.width, self.patch, self.blocks = None, None, 0
        self.side = side
        self.conv1 = nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        inputs = width
        for stage, blocks in enumerate(layers):
            inner = width * 2**stage
            stack = []
            for number in range(blocks):
                stack.append(Bottleneck(inputs=inputs, inner=inner, stride=2 if stage and not number else 1))
                inputs = inner * EXPANSION
            self.add_module(f"layer{stage + 1}", nn.Sequential(*stack))
        self.attnpool = AttentionPool(positions=(side // 32) ** 2, width=inputs, heads=heads, output=output)

    def stem(self, pixels: Tensor) -> Tensor:
        """(B, 3, side, side) -> (B, width, side / 4, side / 4)."""
        x = F.relu(self.bn1(self.conv1(pixels)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.avg_pool2d(F.relu(self.bn3(self.conv3(x))), 2)

    def forward(self, pixels: Tensor, *, patches: bool = False, tokens: BlockTokens | None = None) -> ImageFeatures:
        if tokens is not None:
            raise ConesError(
                "a ResNet reads no sequence that tokens could join",
                where="image encoder",
                next_step="choose a model whose image encoder is a vision transformer, such as clip_vit_b16",
            )
        self._require_own_size(pixels)
        return self.attnpool(self.maps(pixels), patches=patches)

    def regions(self, pixels: Tensor, *, placed: bool) -> Tensor:
        """(B, 1 + P, d), as `DualEncoder.encode_regions` says."""
        self._require_own_size(pixels)
        return self.attnpool.regions(self.maps(pixels), placed=placed)

    def maps(self, pixels: Tensor) -> Tensor:
        """(B, 3, h, w) of any size -> what the attention pool reads (B, 32 width, h / 32, w / 32)."""
        return self.layer4(self.layer3(self.layer2(self.layer1(self.stem(pixels)))))

    def _require_own_size(self, pixels: Tensor) -> None:
        if pixels.shape[-2:] != (self.side, self.side):
            raise ConesError(
                "pictures of another size than the image encoder reads",
                expected=f"{self.side} x {self.side} pixels",
                found=tuple(pixels.shape[-2:]),
                next_step="load the pictures in the `picture_format` of the model",
            )
