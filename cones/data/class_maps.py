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
