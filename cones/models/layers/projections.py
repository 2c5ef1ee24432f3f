"""The maps of a backbone brought to one width, and further levels below them, as in Deformable DETR."""

from collections.abc import Sequence

from torch import nn


def build_projections(own: Sequence[int], *, width: int, levels: int, groups: int) -> nn.ModuleList:
    """1 x 1 from each map of the backbone, whose widths are `own`; 3 x 3 with stride 2 for each further level, up to
    `levels` in all; GroupNorm after each (docs/spec/uninext.md 3)."""
    convolutions = [nn.Conv2d(each, width, 1) for each in own]
    inputs = own[-1]
    for _ in range(levels - len(own)):
        convolutions.append(nn.Conv2d(inputs, width, 3, stride=2, padding=1))
        inputs = width
    for convolution in convolutions:
        nn.init.xavier_uniform_(convolution.weight)
        nn.init.zeros_(convolution.bias)
    return nn.ModuleList(nn.Sequential(each, nn.GroupNorm(groups, width)) for each in convolutions)
