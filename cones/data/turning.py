"""Pictures with an EXIF turn: whether annotations are of the stored or the upright picture, and how they turn.

Every picture is turned upright before it is used. Some tools draw on the upright picture, others on the stored one; the
size that an annotation states says which, where a turn swaps width and height. Where it cannot, the other pictures of
the dataset do; where these cannot either, nobody knows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Frame = Literal["upright", "stored"]
QUARTER_TURNS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
ORIENTATIONS = (2, 3, 4, *QUARTER_TURNS)  # those that change anything

# orientation: corner (x, y) of a stored picture of `width` x `height` -> corner of the upright one
_CORNERS = {
    2: lambda x, y, width, height: (width - x, y),
    3: lambda x, y, width, height: (width - x, height - y),
    4: lambda x, y, width, height: (x, height - y),
    5: lambda x, y, width, height: (y, x),
    6: lambda x, y, width, height: (height - y, x),
    7: lambda x, y, width, height: (height - y, width - x),
    8: lambda x, y, width, height: (y, width - x),
}


@dataclass(frozen=True)
class Turned:
    """A picture with an EXIF turn: its orientation, its stored (width, height), and what its annotation says of it."""

    item_id: str
    orientation: int
    stored: tuple[int, int]
    stated: tuple[int, int] | None
    frame: Frame | None

    @property
    def upright(self) -> tuple[int, int]:
        return self.stored[::-1] if self.orientation in QUARTER_TURNS else self.stored

    def decided(self) -> Frame | None:
        """The frame by the picture's own annotation: its frame, or a stated size that fits only one; else None."""
        if self.frame or self.stored == self.upright:
            return self.frame
        return {self.stored: "stored", self.upright: "upright"}.get(self.stated)


def frames(pictures: Sequence[Turned]) -> tuple[dict[str, Frame], list[str]]:
    """`{item id: frame}` of the pictures with a known frame, and the items of the others."""
    known = {picture.item_id: frame for picture in pictures if (frame := picture.decided())}
    unknown = [picture.item_id for picture in pictures if picture.item_id not in known]
    seen = {known[picture.item_id] for picture in pictures if picture.item_id in known and picture.frame is None}
    if len(seen) == 1:  # one tool drew them all
        return known | dict.fromkeys(unknown, seen.pop()), []
    return known, unknown


def turn_box(
    box: tuple[float, float, float, float], orientation: int, stored: tuple[int, int]
) -> tuple[float, float, float, float]:
    """A box (x, y, width, height) of the stored picture as a box of the upright one."""
    x, y, width, height = box
    (a, b), (c, d) = (_CORNERS[orientation](*corner, *stored) for corner in ((x, y), (x + width, y + height)))
    return min(a, c), min(b, d), abs(c - a), abs(d - b)


def turn_segmentation(segmentation: Any, orientation: int, stored: tuple[int, int]) -> Any:
    """COCO polygons or RLE of the stored picture, of the upright one."""
    if isinstance(segmentation, list):
        return [list(_turn_points(ring, orientation, stored)) for ring in segmentation]
    import numpy as np
    from PIL import Image, ImageOps

    from cones.data.masks import decoded, encoded

    mask = Image.fromarray(decoded(segmentation, stored[::-1]).astype(np.uint8))
    mask.getexif()[0x0112] = orientation
    return encoded(np.asarray(ImageOps.exif_transpose(mask)).astype(bool))


def _turn_points(ring: Sequence[float], orientation: int, stored: tuple[int, int]) -> Iterable[float]:
    for x, y in zip(ring[::2], ring[1::2]):
        yield from _CORNERS[orientation](x, y, *stored)
