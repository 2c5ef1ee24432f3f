"""What a painter is: (random numbers, classes, index) -> a picture and its boxes; the same for the same seed."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Drawn:
    """One object: its class and its box (left, top, right, bottom) in whole pixels, right and bottom exclusive.

    `outline` is its polygon and `crowd` says that it is several objects in one, for layouts that have such things.
    `mask` (height, width) bool, where it is visible, for datasets whose annotations are masks.
    """

    class_name: str
    box: tuple[int, int, int, int]
    outline: tuple[tuple[int, int], ...] | None = None
    crowd: bool = False
    mask: np.ndarray | None = None


@dataclass(frozen=True)
class Painted:
    image: Image.Image
    objects: list[Drawn]


# paint(rng, classes, index): `index` counts a dataset's pictures, so that a painter can take turns with its classes
Painter = Callable[[np.random.Generator, list[str], int], Painted]


def generator(dataset_id: str, seed: int, index: int) -> np.random.Generator:
    """Random numbers that depend on nothing but dataset, seed and picture."""
    return generator_of(f"{dataset_id}:{seed}:{index}")


def generator_of(place: str) -> np.random.Generator:
    """Random numbers that depend on nothing but the place's name."""
    digest = hashlib.sha256(place.encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
