"""Which models draw pictures, what measures these, and the tracks on which they are drawn: names, nothing else."""

from typing import Literal

GENERATORS = frozenset({"sd15", "sd_nano"})  # models that draw pictures; all others detect
SHIPPED = "sd_nano"  # pretrained by this project
OWN_OF_SHIPPED = "cones.miniature.icon_features"  # module of the classifier that measures its pictures
METRICS = ("clip_metric", "dino_metric")  # the pretrained models that measure the pictures of every other
Track = Literal["reconstruction", "editing"]
TRACKS: tuple[Track, ...] = ("reconstruction", "editing")
