"""Feature pyramid: Swin's strides 8, 16, 32 -> five maps of equal width with strides 8 … 128 (docs/spec/glip.md 5)."""

from torch import Tensor, nn
from torch.nn import functional as F


class DropBlock(nn.Module):
    """In train mode zero 3 x 3 blocks of the map (one mask per image, shared by channels) and rescale what is left."""

    def __init__(self, *, rate: float, block: int = 3):
        super().__init__()
        self.rate, self.block = rate, block

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        seeds = x.new_empty(x.shape[0], 1, *x.shape[2:]).bernoulli_(self.rate / self.block**2)  # (B, 1, H, W)
        keep = 1 - F.max_pool2d(seeds, self.block, stride=1, padding=self.block // 2)
        return x * keep * (keep.numel() / keep.sum().clamp(min=1))


class ExtraLevels(nn.Module):
    """P6 from P5 (not from the backbone), P7 from relu(P6)."""

    def __init__(self, *, width: int):
        super().__init__()
        self.p6 = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.p7 = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, p5: Tensor) -> list[Tensor]:
        p6 = self.p6(p5)
        return [p6, self.p7(F.relu(p6))]


class FPN(nn.Module):
    """Laterals, top-down nearest upsampling, 3 x 3 outputs; DropBlock before the two finest outputs in train mode."""

    def __init__(self, *, widths: list[int], out_width: int, drop_block: float):
        super().__init__()
        self.levels = range(2, 2 + len(widths))  # fpn_inner2 belongs to the second Swin stage
        for level, width in zip(self.levels, widths):
            self.add_module(f"fpn_inner{level}", nn.Conv2d(width, out_width, 1))
            self.add_module(f"fpn_layer{level}", nn.Conv2d(out_width, out_width, 3, padding=1))
        self.top_blocks = ExtraLevels(width=out_width)
        self.width = out_width
        self.drop_block = DropBlock(rate=drop_block)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                nn.init.zeros_(module.bias)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """maps of strides 8, 16, 32 -> P3 … P7, each (B, C, H_l, W_l)."""
        merged, outputs = None, []
        for level, features in reversed(list(zip(self.levels, maps))):
            lateral = getattr(self, f"fpn_inner{level}")(features)
            if merged is None:
                merged, dropped = lateral, lateral
            else:
                merged = lateral + F.interpolate(merged, size=lateral.shape[-2:], mode="nearest")
                dropped = self.drop_block(merged)
            outputs.insert(0, getattr(self, f"fpn_layer{level}")(dropped))
        return [*outputs, *self.top_blocks(outputs[-1])]


class Backbone(nn.Module):
    """`body` and `fpn`, named as in the official checkpoints. Stage 1 of the body is not used by the pyramid."""

    def __init__(self, *, body: nn.Module, fpn: FPN):
        super().__init__()
        self.body, self.fpn = body, fpn

    def forward(self, pixels: Tensor) -> list[Tensor]:
        return self.fpn(self.body(pixels)[1:])
