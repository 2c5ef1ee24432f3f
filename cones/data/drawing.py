"""Pictures with boxes, masks and class names drawn over them, and sheets of such pictures."""

import colorsys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from cones.data.images import load_image
from cones.data.masks import decoded
from cones.runtime.artifacts import replacing

TILE = (400, 320)  # of one picture at most, pixels
LARGE = (1280, 960)  # of a picture that has a file of its own
NARROWEST, LEAST_WIDE = 200, 830  # of a tile and of a sheet, so that captions and head are readable
MARGIN, CAPTION, LABELLED, ALL = 14, 22, 12, 1000
TINT = 0.4  # share of a mask's colour
INK, PAPER, SOFT = (30, 30, 34), (255, 255, 255), (110, 110, 118)

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]  # left, top, right, bottom


def classes_of(objects: Sequence[dict]) -> list[int]:
    return sorted({entry["category_id"] for entry in objects})


def class_colours(classes: Sequence[str]) -> dict[str, Colour]:
    return {name: class_colour(number, len(classes)) for number, name in enumerate(classes)}


def class_colour(number: int, count: int) -> Colour:
    """Hues as far apart as they can be, bright enough for photographs and scans, from cyan, which tissue never is."""
    hue = (0.5 + number / max(count, 1)) % 1
    return tuple(round(255 * value) for value in colorsys.hsv_to_rgb(hue, 0.85, 0.95 if number % 2 else 0.85))


def tile(
    path: Path,
    objects: Sequence[dict],
    colours: Mapping[str, Colour],
    caption: str,
    *,
    room: tuple[int, int] = TILE,
    labelled: int = LABELLED,
) -> Image.Image:
    """The picture fitted into `room`, its objects drawn over it, and a line below.

    `objects` are COCO annotations or results of the picture; `colours` has the classes in the order of the category
    ids 1..K. Up to `labelled` of them carry their class name, with the score if they have one: the first of each class,
    then the others, the largest or the best first.
    """
    picture = load_image(path)
    scale = min(room[0] / picture.width, room[1] / picture.height)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    names = dict(enumerate(colours, start=1))
    ordered = sorted(objects, key=lambda entry: -entry.get("score", entry.get("area", 0)))
    original, picture = picture.size[::-1], picture.resize(size, Image.Resampling.LANCZOS)
    picture = _with_masks(picture, ordered, original, names, colours)
    draw = ImageDraw.Draw(picture)
    for entry in reversed(ordered):
        left, top, width, height = (value * scale for value in entry["bbox"])
        corners = (left, top, max(left + 1, left + width - 1), max(top + 1, top + height - 1))
        draw.rectangle(corners, outline=colours[names[entry["category_id"]]], width=2)
    first = [next(entry for entry in ordered if entry["category_id"] == category) for category in classes_of(ordered)]
    taken: list[Box] = []
    for entry in [*first, *(entry for entry in ordered if entry not in first)][:labelled]:
        name = names[entry["category_id"]]
        text = f"{name} {entry['score']:.2f}" if "score" in entry else name
        taken.append(_label(draw, text, [value * scale for value in entry["bbox"]], colours[name], size, taken))
    if not caption:  # what is drawn stands on a page that says it in letters of its own
        return picture
    drawn = Image.new("RGB", (max(size[0], NARROWEST), size[1] + CAPTION), PAPER)
    drawn.paste(picture, (0, 0))
    ImageDraw.Draw(drawn).text((0, size[1] + 4), _shortened(caption, _font(12), drawn.width), SOFT, font=_font(12))
    return drawn


def write_picture(
    out: str | Path, path: Path, objects: Sequence[dict], colours: Mapping[str, Colour], caption: str
) -> Path:
    """One picture as a PNG of at most LARGE, with all its objects, their class names and scores."""
    drawn = tile(path, objects, colours, caption, room=LARGE, labelled=ALL)
    with replacing(out) as temporary:
        drawn.save(temporary, "PNG")
    return Path(out)


def side_by_side(tiles: Sequence[Image.Image]) -> Image.Image:
    """Several tiles joined in one picture, tops aligned, with a narrower gap than between the tiles of a sheet."""
    gap = MARGIN // 3
    row = Image.new("RGB", (sum(tile.width + gap for tile in tiles) - gap, max(tile.height for tile in tiles)), PAPER)
    left = 0
    for tile in tiles:
        row.paste(tile, (left, 0))
        left += tile.width + gap
    return row


def write_sheet(
    out: str | Path,
    tiles: Sequence[Image.Image],
    *,
    columns: int,
    title: str,
    about: Sequence[str],
    colours: Mapping[str, Colour],
) -> Path:
    """The tiles (at least one) as a PNG, row by row, below `title`, `about` and what the colours mean."""
    columns, column = min(columns, len(tiles)), max(tile.width for tile in tiles)
    width = max(MARGIN + columns * (column + MARGIN), LEAST_WIDE)
    head = _head(title, about, colours, width)
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    heights = [max(tile.height for tile in row) for row in rows]
    sheet = Image.new("RGB", (width, head.height + sum(heights) + MARGIN * len(rows)), PAPER)
    sheet.paste(head, (0, 0))
    top = head.height
    for row, height in zip(rows, heights):
        for number, tile in enumerate(row):
            sheet.paste(tile, (MARGIN + number * (column + MARGIN), top))
        top += height + MARGIN
    with replacing(out) as temporary:
        sheet.save(temporary, "PNG")
    return Path(out)


def _with_masks(
    picture: Image.Image, objects: Sequence[dict], original: tuple[int, int], names: dict, colours: Mapping
) -> Image.Image:
    """The picture with masks (polygons or RLE) as a tint with an outline; `original` is the masks' (height, width)."""
    masks = [
        (Image.fromarray(decoded(entry["segmentation"], original).astype(np.uint8) * 255).resize(picture.size), entry)
        for entry in objects
        if entry.get("segmentation")
    ]
    tinted = picture.copy()
    for mask, entry in masks:
        tinted.paste(colours[names[entry["category_id"]]], (0, 0), mask)
    picture = Image.blend(picture, tinted, TINT) if masks else picture
    for mask, entry in masks:
        inside = mask.point(lambda value: 255 if value > 127 else 0)
        edge = np.asarray(inside) > np.asarray(inside.filter(ImageFilter.MinFilter(3)))
        picture.paste(colours[names[entry["category_id"]]], (0, 0), Image.fromarray(edge.astype(np.uint8) * 255))
    return picture


def _label(
    draw: ImageDraw.ImageDraw,
    text: str,
    box: Sequence[float],
    colour: Colour,
    size: tuple[int, int],
    taken: Sequence[Box],
) -> Box:
    """Draw the text on its colour and return its place: above the box, inside it at the top, below it, or inside at the
    bottom, whichever comes first that lies in the picture and covers no label in `taken`; where all do, the first that
    lies in the picture."""
    font = _font(12)
    width, height = draw.textlength(text, font) + 6, 16
    left, top, bottom = max(0, min(box[0], size[0] - width)), box[1], box[1] + box[3]
    tops = [each for each in (top - height, top, bottom, bottom - height) if 0 <= each <= size[1] - height]
    places = [(left, each, left + width, each + height) for each in tops or [max(0, min(top, size[1] - height))]]
    place = next((each for each in places if not any(_overlap(each, other) for other in taken)), places[0])
    draw.rectangle(place, fill=colour)
    draw.text((place[0] + 3, place[1] + 1), text, _on(colour), font=font)
    return place


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _head(title: str, about: Sequence[str], colours: Mapping[str, Colour], width: int) -> Image.Image:
    """Title, lines about it and what the colours mean, over as many lines as the classes need."""
    above = 38 + 19 * len(about) + 5
    lines, places, x, y = 1, [], MARGIN, above
    for name in colours:
        room = 16 + _font(13).getlength(name) + 18
        if x + room > width - MARGIN and x > MARGIN:
            lines, x, y = lines + 1, MARGIN, y + 20
        places.append((name, x, y))
        x += room
    head = Image.new("RGB", (width, above + 20 * lines + 10), PAPER)
    draw = ImageDraw.Draw(head)
    draw.text((MARGIN, 10), _shortened(title, _font(20), width - 2 * MARGIN), INK, font=_font(20))
    for number, line in enumerate(about):
        draw.text((MARGIN, 38 + 19 * number), _shortened(line, _font(13), width - 2 * MARGIN), SOFT, font=_font(13))
    for name, x, y in places:
        draw.rectangle((x, y + 3, x + 11, y + 14), fill=colours[name])
        draw.text((x + 16, y), name, INK, font=_font(13))
    return head


def _on(colour: Colour) -> Colour:
    """Black or white, whichever can be read on a colour."""
    return INK if colour[0] * 0.299 + colour[1] * 0.587 + colour[2] * 0.114 > 140 else PAPER


def _shortened(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    while font.getlength(text) > width and len(text) > 2:
        text = text[:-2].rstrip("…") + "…"
    return text


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib: the same on every machine, with more letters than Pillow's own."""
    import matplotlib

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
