"""ResNet with frozen batch norms: pixels -> maps of strides 8, 16, 32 (docs/spec/uninext.md 3)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPS = 1e-5


class FrozenBatchNorm(nn.Module):
    """(x - running_mean) * weight / sqrt(running_var + eps) + bias; all four are buffers, so nothing trains."""

    def __init__(self, channels: int):
        super().__init__()
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        scale = self.weight * (self.running_var + EPS).rsqrt()  # (C,)
        shift = self.bias - self.running_mean * scale
        return x * scale.view(1, -1, 1, 1).to(x.dtype) + shift.view(1, -1, 1, 1).to(x.dtype)


class BatchNorm(nn.Module):
    """The same with weight and bias that train and, in train mode, the batch's own statistics, which it gathers.

    Its state has the names of a `FrozenBatchNorm`, so what was learnt loads as frozen.
    """

    def __init__(self, frozen: FrozenBatchNorm):
        super().__init__()
        self.weight, self.bias = nn.Parameter(frozen.weight.clone()), nn.Parameter(frozen.bias.clone())
        self.register_buffer("running_mean", frozen.running_mean)
        self.register_buffer("running_var", frozen.running_var)

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, self.training, eps=EPS)


def thaw(module: nn.Module) -> None:
    """Put a `BatchNorm` in the place of every `FrozenBatchNorm`: for training from random weights."""
    for name, child in module.named_children():
        if isinstance(child, FrozenBatchNorm):
            setattr(module, name, BatchNorm(child))
        else:
            thaw(child)


class ConvNorm(nn.Conv2d):
    """Convolution without bias, then its norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1):
        super().__init__(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.norm = FrozenBatchNorm(outputs)
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(super().forward(x))


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 (which has the stride), 1 x 1, and a shortcut: a projection where the width changes."""

    def __init__(self, inputs: int, middle: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = ConvNorm(inputs, middle, 1)
        self.conv2 = ConvNorm(middle, middle, 3, stride)
        self.conv3 = ConvNorm(middle, outputs, 1)
        self.shortcut = ConvNorm(inputs, outputs, 1, stride) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return F.relu(self.conv3(F.relu(self.conv2(F.relu(self.conv1(x))))) + shortcut)


class ResNet(nn.Module):
    """stem (stride 4) and res2 … res5.

    depths   blocks of res2 … res5
    middles  widths inside the blocks of each stage
    widths   output widths of each stage
    """

    def __init__(self, *, stem: int, depths: tuple[int, ...], middles: tuple[int, ...], widths: tuple[int, ...]):
        super().__init__()
        self.stem = nn.ModuleDict({"conv1": ConvNorm(3, stem, 7, 2)})
        inputs = stem
        for stage, (depth, middle, width) in enumerate(zip(depths, middles, widths), start=2):
            blocks = []
            for block in range(depth):
                stride = 2 if block == 0 and stage > 2 else 1
                blocks.append(Bottleneck(inputs, middle, width, stride))
                inputs = width
            setattr(self, f"res{stage}", nn.Sequential(*blocks))

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """pixels (B, 3, H, W) -> res3, res4, res5: (B, C, ceil(H / 8), …), strides 8, 16, 32."""
        x = F.max_pool2d(F.relu(self.stem["conv1"](pixels)), 3, stride=2, padding=1)
        outputs = []
        for stage in (self.res2, self.res3, self.res4, self.res5):
            x = stage(x)
            outputs.append(x)
        return outputs[1:]
