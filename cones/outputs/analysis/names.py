"""Names of the contents of a cell's embeddings and of the measures of Table 3; imports no tensor library."""

from typing import NamedTuple

EMBEDDINGS = "embeddings.safetensors"  # the file of a cell
TOGETHER, ISOLATED = "together", "isolated"  # class names in one caption, and each in a caption of its own
FUSED, FPN = "fused", "fpn"  # after and before image and text have met
MEASURES = ("d_l2", "norm_visual", "norm_class", "d_cos", "d_rel", "margin", "gap")
ALL = "all"  # the row over all datasets of a grid


class Place(NamedTuple):
    """A cell of the grid; its arm stands for its method."""

    model: str
    method: str
    dataset: str
    seed: int
