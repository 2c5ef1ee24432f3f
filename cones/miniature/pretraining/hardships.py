"""What happens to pictures on their way: grey, negative, faint, blurred, speckled or tinted; seen from the first step.

A detector that only ever saw crisp colours keeps an image encoder without features for greyscale speckle, and no method
that leaves the encoder frozen can mend that.
"""

import numpy as np
from PIL import Image, ImageFilter

from cones.miniature.canvas import LUMA

SHARE = 0.5  # of the pictures meet any of this


def weathered(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(h, w, 3) uint8 -> the same, as it came or through some hardships."""
    if rng.uniform() >= SHARE:
        return pixels
    picture = pixels.astype(np.float32)
    if rng.uniform() < 0.35:
        radius = rng.uniform(0.4, 1.8)
        blurred = Image.fromarray(picture.astype(np.uint8)).filter(ImageFilter.GaussianBlur(radius))
        picture = np.asarray(blurred, np.float32)
    if rng.uniform() < 0.5:
        picture = np.repeat((picture @ LUMA)[..., None], 3, axis=2)
    elif rng.uniform() < 0.3:
        picture = picture * rng.uniform(0.5, 1.1, 3).astype(np.float32)
    if rng.uniform() < 0.3:
        picture = 255 - picture
    if rng.uniform() < 0.5:
        middle = rng.uniform(40, 215)
        picture = middle + (picture - middle) * rng.uniform(0.25, 1)
    if rng.uniform() < 0.35:
        picture = picture * speckle(rng, *picture.shape[:2])[..., None]
    if rng.uniform() < 0.3:
        picture = picture + rng.normal(0, rng.uniform(2, 12), picture.shape[:2])[..., None]
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def speckle(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(height, width) multiplicative noise of mean 1: a smoothed Rayleigh field, as in coherent imaging."""
    grain = np.clip(rng.rayleigh(0.8, (height, width)) * 90, 0, 255).astype(np.uint8)
    soft = Image.fromarray(grain).filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5)))
    field = np.asarray(soft, np.float32)
    field = (field - field.mean()) / field.std()
    return np.clip(1 + rng.uniform(0.08, 0.38) * field, 0.1, 2.5)
