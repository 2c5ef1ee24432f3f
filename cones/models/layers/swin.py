"""Swin transformer: image -> four feature maps with strides 4, 8, 16, 32 (docs/spec/glip.md 4)."""

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class DropPath(nn.Module):
    """In train mode a residual branch is dropped per image with probability `rate`, else scaled by 1 / (1 - rate)."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        keep = x.new_empty(x.shape[0], *[1] * (x.dim() - 1)).bernoulli_(1 - self.rate)  # (B, 1, 1, …)
        return x * keep / (1 - self.rate)


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # a cached constant must be usable in training, whoever asked for it first
def shift_mask(height: int, width: int, window: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(windows, T, T) with -100 where two tokens of a shifted window come from different regions of the image.

    height, width: the padded map; T = window²; shift = window // 2 (docs/spec/glip.md 4, nine regions).
    """
    shift = window // 2
    rows = torch.zeros(height, dtype=torch.long, device=device)
    columns = torch.zeros(width, dtype=torch.long, device=device)
    for axis in (rows, columns):
        axis[-window:-shift] = 1
        axis[-shift:] = 2
    region = (rows[:, None] * 3 + columns)[None, :, :, None]  # (1, H, W, 1)
    region = split_windows(region, window).squeeze(-1)  # (windows, T)
    return (region[:, None, :] != region[:, :, None]).to(dtype) * -100.0  # (windows, T, T)


def split_windows(x: Tensor, window: int) -> Tensor:
    """(B, H, W, C) -> (B * windows, window², C), windows row-major within each image."""
    batch, height, width, channels = x.shape
    x = x.view(batch, height // window, window, width // window, window, channels)  # (B, nH, w, nW, w, C)
    return x.transpose(2, 3).reshape(-1, window * window, channels)  # (B * nH * nW, w * w, C)


def join_windows(x: Tensor, window: int, height: int, width: int) -> Tensor:
    """The inverse of `split_windows`: (B * windows, window², C) -> (B, H, W, C)."""
    x = x.view(-1, height // window, width // window, window, window, x.shape[-1])  # (B, nH, nW, w, w, C)
    return x.transpose(2, 3).reshape(-1, height, width, x.shape[-1])  # (B, H, W, C)


def relative_position_index(window: int) -> Tensor:
    """(T, T) row of the bias table for each query, key pair: (dy + w - 1)(2w - 1) + (dx + w - 1), d = query - key."""
    y, x = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    y, x = y.flatten(), x.flatten()  # (T,)
    return (y[:, None] - y + window - 1) * (2 * window - 1) + (x[:, None] - x + window - 1)


class WindowAttention(nn.Module):
    """Self-attention inside windows of T = window² tokens, with a relative position bias."""

    def __init__(self, *, width: int, heads: int, window: int):
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.register_buffer("relative_position_index", relative_position_index(window))
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None, further: Tensor | None = None) -> Tensor:
        """x (B * windows, T, C), mask (windows, T, T) additive or None -> (B * windows, T, C).

        further (n, C) are more keys and values of every window, without a place: no bias and no mask applies to them.
        """
        count, tokens, channels = x.shape
        qkv = self.qkv(x).view(count, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (3, B * windows, heads, T, d)
        query, key, value = qkv.unbind(0)
        bias = self.relative_position_bias_table[self.relative_position_index.flatten()]  # (T * T, heads)
        bias = bias.view(tokens, tokens, self.heads).permute(2, 0, 1)  # (heads, T, T)
        if mask is not None:  # one bias per window and head
            bias = bias + mask[:, None]  # (windows, heads, T, T)
            bias = bias.repeat(count // mask.shape[0], 1, 1, 1)  # (B * windows, heads, T, T)
        if further is not None:
            _, *added = self.qkv(further).view(-1, 3, self.heads, key.shape[-1]).permute(1, 2, 0, 3)  # (heads, n, d)
            key, value = (torch.cat([own, more.expand(count, -1, -1, -1)], 2) for own, more in zip((key, value), added))
            bias = F.pad(bias, (0, len(further)))  # (…, heads, T, T + n)
        scores = (query * (channels // self.heads) ** -0.5) @ key.transpose(-1, -2) + bias
        attended = scores.softmax(dim=-1) @ value  # (B * windows, heads, T, d)
        return self.proj(attended.transpose(1, 2).reshape(count, tokens, channels))


class FeedForward(nn.Module):
    def __init__(self, *, width: int, inner: int):
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class SwinBlock(nn.Module):
    """x + attention(norm1 x), then x + mlp(norm2 x). The map is zero-padded to whole windows *after* norm1.

    Tokens (n, C) that a method puts into the block join every window behind norm1, and are dropped behind the block.
    """

    def __init__(self, *, width: int, heads: int, window: int, shifted: bool, mlp_ratio: int, drop_path: float):
        super().__init__()
        self.window, self.shift = window, window // 2 if shifted else 0
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width=width, heads=heads, window=window)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = FeedForward(width=width, inner=width * mlp_ratio)

    def forward(self, x: Tensor, tokens: Tensor | None = None) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        x = x + self.drop_path(self.attend(self.norm1(x), None if tokens is None else self.norm1(tokens)))
        return x + self.drop_path(self.mlp(self.norm2(x)))

    def attend(self, x: Tensor, tokens: Tensor | None = None) -> Tensor:
        _, height, width, _ = x.shape
        bottom, right = -height % self.window, -width % self.window
        if bottom or right:
            x = F.pad(x, (0, 0, 0, right, 0, bottom))  # (B, Hp, Wp, C)
        padded_height, padded_width = height + bottom, width + right
        mask = None
        if self.shift:
            x = x.roll((-self.shift, -self.shift), dims=(1, 2))
            mask = shift_mask(padded_height, padded_width, self.window, x.device, x.dtype)
        read = self.attn(split_windows(x, self.window), mask, tokens)
        x = join_windows(read, self.window, padded_height, padded_width)
        if self.shift:
            x = x.roll((self.shift, self.shift), dims=(1, 2))
        return x[:, :height, :width]  # (B, H, W, C)


class PatchMerging(nn.Module):
    """Halve the map: 2 x 2 neighbours, in the order (0,0) (1,0) (0,1) (1,1) of (row, column), -> one of 2C channels."""

    def __init__(self, *, width: int):
        super().__init__()
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)
        self.norm = nn.LayerNorm(4 * width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, ceil(H / 2), ceil(W / 2), 2C)."""
        _, height, width, _ = x.shape
        if height % 2 or width % 2:
            x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
        corners = [x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]]
        return self.reduction(self.norm(torch.cat(corners, dim=-1)))  # (B, H / 2, W / 2, 4C) -> 2C


class PatchEmbed(nn.Module):
    """4 x 4 patches -> vectors, LayerNorm; the image is zero-padded right and bottom to whole patches."""

    def __init__(self, *, width: int, patch: int = 4):
        super().__init__()
        self.patch = patch
        self.proj = nn.Conv2d(3, width, patch, stride=patch)
        self.norm = nn.LayerNorm(width)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, H / 4, W / 4, C)."""
        height, width = pixels.shape[-2:]
        if height % self.patch or width % self.patch:
            pixels = F.pad(pixels, (0, -width % self.patch, 0, -height % self.patch))
        return self.norm(self.proj(pixels).permute(0, 2, 3, 1))


class SwinStage(nn.Module):
    """Blocks, every odd one shifted, and (but for the last stage) the patch merging that leads to the next stage."""

    def __init__(self, *, width, heads, window, mlp_ratio, drop_paths: list[float], merge: bool):
        super().__init__()
        self.blocks = nn.ModuleList(
            SwinBlock(width=width, heads=heads, window=window, shifted=i % 2 == 1, mlp_ratio=mlp_ratio, drop_path=rate)
            for i, rate in enumerate(drop_paths)
        )
        if merge:
            self.downsample = PatchMerging(width=width)


class Swin(nn.Module):
    """The image backbone. Outputs from `first_normed` on are normalised by norm<s>, those before are raw.

    The first `frozen_stages` parts (1: patch embedding, 2: and stage 0, …) stay in eval mode whatever `train()` says.
    """

    def __init__(
        self, *, embed, depths, heads, window, mlp_ratio=4, drop_path=0.0, frozen_stages=0, first_normed: int = 1
    ):
        super().__init__()
        self.frozen_stages, self.first_normed = frozen_stages, first_normed
        self.patch_embed = PatchEmbed(width=embed)
        total = sum(depths)
        rates = [drop_path * i / max(total - 1, 1) for i in range(total)]
        self.layers = nn.ModuleList()
        for stage, depth in enumerate(depths):
            first = sum(depths[:stage])
            self.layers.append(
                SwinStage(
                    width=embed * 2**stage,
                    heads=heads[stage],
                    window=window,
                    mlp_ratio=mlp_ratio,
                    drop_paths=rates[first : first + depth],
                    merge=stage < len(depths) - 1,
                )
            )
            if stage >= first_normed:
                self.add_module(f"norm{stage}", nn.LayerNorm(embed * 2**stage))
        self.apply(initialise_swin)

    def train(self, mode: bool = True) -> "Swin":
        super().train(mode)
        for part in [self.patch_embed, *self.layers][: self.frozen_stages]:
            part.eval()
        return self

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> maps (B, C * 2^s, H_s, W_s), s = 0 … 3, strides 4 … 32."""
        x, maps = self.patch_embed(pixels), []
        for stage, layer in enumerate(self.layers):
            for block in layer.blocks:
                x = block(x)
            out = x if stage < self.first_normed else getattr(self, f"norm{stage}")(x)
            maps.append(out.permute(0, 3, 1, 2))  # (B, C, H, W)
            if hasattr(layer, "downsample"):
                x = layer.downsample(x)
        return maps


def initialise_swin(module: nn.Module) -> None:
    """Truncated normal 0.02 for matrices and bias tables, zero biases."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, WindowAttention):
        nn.init.trunc_normal_(module.relative_position_bias_table, std=0.02)
