"""One picture of all drawn datasets: a row of samples each, boxes in the colours of their classes."""

import colorsys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from cones.data.registry import DRAWN, LISTED, Dataset
from cones.miniature.archives import DRAWINGS, SEED
from cones.miniature.painter import Painted, generator
from cones.runtime.artifacts import replacing

CELL = (186, 140)  # width and height that a sample is fitted into
CAPTION, GAP = 20, 6
PAPER, INK, FAINT = (252, 252, 250), (24, 24, 28), (110, 110, 116)


def contact_sheet(
    path: str | Path,
    datasets: Sequence[Dataset],
    *,
    samples: int = 6,
    blocks: int = 2,
    boxes: bool = True,
    seed: int = SEED,
) -> Path:
    """Write a PNG with `samples` pictures of every dataset that can be drawn, spread evenly over its splits.

    Datasets nobody can draw are left out. They fill `blocks` columns from left to right, row by row; equal seeds give
    equal pictures. Returns `path`.
    """
    drawable = [dataset for dataset in datasets if dataset.id in DRAWINGS]
    wide = samples * (CELL[0] + GAP) + GAP
    high = CAPTION + CELL[1] + GAP
    rows = -(-len(drawable) // blocks)
    sheet = Image.new("RGB", (blocks * wide, rows * high + GAP), PAPER)
    for number, dataset in enumerate(drawable):
        left, top = (number % blocks) * wide + GAP, (number // blocks) * high + GAP
        _caption(sheet, dataset, left, top)
        for k, painted in enumerate(_samples(dataset, samples, seed)):
            picture = with_boxes(painted, dataset.classes) if boxes else painted.image
            fitted = _fit(picture)
            x = left + k * (CELL[0] + GAP) + (CELL[0] - fitted.width) // 2
            sheet.paste(fitted, (x, top + CAPTION + (CELL[1] - fitted.height) // 2))
    with replacing(path) as temporary:
        sheet.save(temporary, "PNG", optimize=True)
    return Path(path)


def with_boxes(painted: Painted, classes: Sequence[str]) -> Image.Image:
    """A copy of a painted picture with its boxes; crowds are dashed by a thinner, paler line."""
    picture = painted.image.convert("RGB")
    pen = ImageDraw.Draw(picture)
    for one in painted.objects:
        colour = box_colour(list(classes).index(one.class_name), len(classes))
        left, top, right, bottom = one.box
        pen.rectangle((left, top, right - 1, bottom - 1), outline=(240, 240, 240) if one.crowd else colour)
    return picture


def box_colour(number: int, count: int) -> tuple[int, int, int]:
    """The colour of class `number` of `count`: bright, hues evenly spaced, starting at green."""
    red, green, blue = colorsys.hsv_to_rgb((0.36 + number / max(count, 1)) % 1, 0.9, 1)
    return round(255 * red), round(255 * green), round(255 * blue)


def _samples(dataset: Dataset, samples: int, seed: int) -> list[Painted]:
    expected = dataset.source(DRAWN).expected.images
    total = expected.train + expected.val
    if dataset.task in LISTED:  # the first pictures show one class after the other
        total = max(len(dataset.classes), samples)
    indices = sorted({k * total // samples for k in range(samples)})
    painter, _ = DRAWINGS[dataset.id]
    return [painter(generator(dataset.id, seed, index), dataset.classes, index) for index in indices]


def _fit(picture: Image.Image) -> Image.Image:
    scale = min(CELL[0] / picture.width, CELL[1] / picture.height)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _caption(sheet: Image.Image, dataset: Dataset, left: int, top: int) -> None:
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    pen.text((left, top), dataset.id, fill=INK, font=font)
    at = left + pen.textlength(dataset.id, font=font) + 12
    shown = ", ".join(dataset.classes[:9]) + (" …" if len(dataset.classes) > 9 else "")
    pen.text((at, top), shown, fill=FAINT, font=font)
