"""Class maps: pictures of numbers, one a pixel, that say which class it is of. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cones.runtime.errors import ConesError

if TYPE_CHECKING:
    import numpy as np

IGNORED = 255  # of a map as it is read here: a pixel that is neither trained on nor scored
MOST_CLASSES = 254  # that 8 bits hold beside it
PNG = b"\x89PNG\r\n\x1a\n"
LOSSY = (b"\xff\xd8\xff", b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51")  # JPEG, and JPEG 2000 in its two forms
MODES = ("L", "P", "1")  # 8 bits: grey values, places in a palette, and masks of two values


@dataclass(frozen=True)
class Numbers:
    """How a dataset's files number its classes: the first of them is `first`, and pixels of `unlabelled` have none."""

    classes: int
    first: int
    unlabelled: tuple[int, ...]

    def table(self) -> np.ndarray:
        """(256,) int16: what each number of a file is here; -1 for numbers that mean nothing."""
        import numpy as np

        found = np.full(256, -1, np.int16)
        found[self.first : self.first + self.classes] = np.arange(self.classes)
        found[list(self.unlabelled)] = IGNORED
        return found


def read_class_map(path: str | Path, numbers: Numbers) -> np.ndarray:
    """(height, width) uint8: classes 0 … K-1 and IGNORED. ConesError for a file of other numbers or of no numbers."""
    import numpy as np

    from cones.data.images import open_upright

    picture = open_upright(path)
    if reason := _inexact(Path(path), picture.info.get("compression")):
        raise ConesError(
            "a class map must hold its numbers exactly",
            where=path,
            expected="a PNG of 8 bits, grey or with a palette",
            found=reason,
            next_step="write it as such a PNG from the numbers themselves",
        )
    if picture.mode not in MODES:
        raise ConesError(
            "a class map must hold one number of 8 bits a pixel",
            where=path,
            expected="a grey or palette PNG",
            found=f"mode {picture.mode}",
            next_step="save it as a PNG of class numbers",
        )
    values = np.asarray(picture, dtype=np.uint8)
    found = numbers.table()[values]
    if (found < 0).any():
        strange = np.unique(values[found < 0]).tolist()
        raise ConesError(
            "a class map holds numbers of no class",
            where=path,
            expected=f"{numbers.first} to {numbers.first + numbers.classes - 1}, and unlabelled "
            f"{', '.join(map(str, numbers.unlabelled))}",
            found=", ".join(map(str, strange[:5])),
            next_step="correct `first` and `unlabelled` of its format, or the classes of the entry",
        )
    return found.astype(np.uint8)


def _inexact(path: Path, compression: str | None) -> str | None:
    """Why the numbers of a file are not those that were drawn: lossy files change them at edges, and grey of 2 or 4
    bits is brightness, 0 to 255 in equal steps, for every reader."""
    with open(path, "rb") as file:
        head = file.read(26)
    if head.startswith(LOSSY) or compression == "jpeg":
        return "a JPEG, which changes numbers"
    if head.startswith(PNG) and head[25] == 0 and head[24] in (2, 4):  # bits, and colour type grey
        return f"a grey PNG of {head[24]} bits, whose readers stretch numbers to 255"
    return None
