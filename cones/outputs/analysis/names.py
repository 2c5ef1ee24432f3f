"""The names of what a cell's embeddings hold and of what Table 3 measures; no tensors in sight."""

EMBEDDINGS = "embeddings.safetensors"  # the file of a cell
TOGETHER, ISOLATED = "together", "isolated"  # class names in one caption, and each in a caption of its own
FUSED, FPN = "fused", "fpn"  # after and before image and text have met
MEASURES = ("d_l2", "norm_visual", "norm_class", "d_cos", "d_rel", "margin", "gap")
ALL = "all"  # the row over all datasets of a grid
