"""Batches without colour: what tells their pictures apart is shape."""

import numpy as np
from PIL import Image

from cones.miniature.canvas import LUMA

KINDS = ("grey", "hue", "colour")


def kind_of_batch(rng: np.random.Generator, bleached: float, grey: float) -> str:
    """One of KINDS: `bleached` is the share of batches that are not in colour, `grey` that of the grey ones of them."""
    return str(rng.choice(KINDS, p=(bleached * grey, bleached * (1 - grey), 1 - bleached)))


def bleach(pixels: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """(h, w, 3) uint8 -> the same in grey, with its hue turned by a random angle, or as it came."""
    if kind == "grey":
        return np.repeat(np.rint(pixels @ LUMA).astype(np.uint8)[..., None], 3, axis=2)
    if kind == "hue":
        turned = np.array(Image.fromarray(pixels).convert("HSV"))
        turned[..., 0] += np.uint8(rng.integers(256))  # wraps around
        return np.asarray(Image.fromarray(turned, "HSV").convert("RGB"))
    return pixels
