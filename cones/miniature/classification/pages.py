"""What the painters of classification share: the side of a picture, and its class as its one object."""

from collections.abc import Sequence

from PIL import Image

from cones.miniature.painter import Drawn, Painted

SIDE = 64  # pixels of a picture, as `clip_nano` takes them


def turn(classes: Sequence[str], index: int) -> tuple[str, str]:
    """The class of picture `index` and its words: classes take turns; in their names "_" stands for a space."""
    name = classes[index % len(classes)]
    return name, name.replace("_", " ")


def labelled(picture: Image.Image, class_name: str) -> Painted:
    """A picture that shows `class_name` as a whole."""
    return Painted(picture, [Drawn(class_name, (0, 0, picture.width, picture.height))])
