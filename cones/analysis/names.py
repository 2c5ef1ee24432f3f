"""The names of what Table 3 measures and of where the features are taken; no tensors in sight."""

FUSED, FPN = "fused", "fpn"  # after and before image and text have met
MEASURES = ("d_l2", "norm_visual", "norm_class", "d_cos", "d_rel", "margin", "gap")
ALL = "all"  # the row over all datasets of a grid
