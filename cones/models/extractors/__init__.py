"""Image features that generated pictures are measured by: CLIP, DINO, and the icon world's own classifier."""
