"""The box head of a query."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F


class MLP(nn.Module):
    """Linear layers with ReLU between."""

    def __init__(self, *widths: int):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


def box_head(width: int) -> MLP:
    """Changes of cx, cy, w, h in logit space, none at first."""
    head = MLP(width, width, width, 4)
    last = head.layers[-1]
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return head
