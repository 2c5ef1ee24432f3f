"""What the painters of classification share: the side of a picture, and its class as its one object."""

from PIL import Image

from cones.miniature.painter import Drawn, Painted

SIDE = 72  # pixels of a picture; `clip_nano` sees 64


def labelled(picture: Image.Image, class_name: str) -> Painted:
    """A picture that shows `class_name` as a whole."""
    return Painted(picture, [Drawn(class_name, (0, 0, picture.width, picture.height))])
