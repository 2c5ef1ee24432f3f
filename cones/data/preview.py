"""A look at a prepared dataset: several of its pictures with boxes, masks and class names drawn over them."""

import colorsys
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cones.artifacts import read_json, replacing
from cones.data.download import dataset_dir
from cones.data.images import load_image
from cones.data.masks import decoded
from cones.data.registry import SPLITS, Dataset
from cones.errors import ConesError

TILE = (400, 320)  # of one picture, pixels
MARGIN, CAPTION, LABELLED = 14, 22, 12
INK, PAPER, SOFT = (30, 30, 34), (255, 255, 255), (110, 110, 118)


def preview(dataset: Dataset, source: str, data_dir: str | Path, out: str | Path, *, pictures: int = 9) -> Path:
    """Draw `pictures` pictures (chosen so that every class is shown, always the same ones) into the PNG `out`.

    Up to LABELLED objects of a picture carry their class name; the colours are explained at the top. ConesError if the
    dataset is not prepared.
    """
    folder = dataset_dir(data_dir, source, dataset.id)
    manifest = read_json(folder / "manifest.json")
    if manifest["status"] != "ready":
        raise ConesError(
            "nothing to show: its files are not here",
            where=f"dataset {dataset.id}",
            found=manifest["reason"],
            next_step=f"python -m cones datasets show {dataset.id} says how to get them",
        )
    chosen = _choose(folder, pictures)
    colours = {name: class_colour(number, len(dataset.classes)) for number, name in enumerate(dataset.classes)}
    columns = min(3, len(chosen))
    tiles = [_tile(folder / "raw", *one, colours) for one in chosen]
    width = MARGIN + columns * (TILE[0] + MARGIN)
    head = _head(dataset, source, manifest, colours, width)
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    heights = [max(tile.height for tile in row) for row in rows]
    sheet = Image.new("RGB", (width, head.height + sum(heights) + MARGIN * len(rows)), PAPER)
    sheet.paste(head, (0, 0))
    top = head.height
    for row, height in zip(rows, heights):
        for number, tile in enumerate(row):
            sheet.paste(tile, (MARGIN + number * (TILE[0] + MARGIN), top))
        top += height + MARGIN
    with replacing(out) as temporary:
        sheet.save(temporary, "PNG")
    return Path(out)


def _choose(folder: Path, count: int) -> list[tuple[str, dict, list[dict], dict[int, str]]]:
    """(split, image, its annotations, category names): each next picture shows what has been shown least so far."""
    candidates = []
    for split in SPLITS:
        document = read_json(folder / f"{split}.json")
        names = {category["id"]: category["name"] for category in document["categories"]}
        objects = defaultdict(list)
        for annotation in document["annotations"]:
            objects[annotation["image_id"]].append(annotation)
        candidates += [(split, image, objects[image["id"]], names) for image in document["images"]]
    if not candidates:
        raise ConesError("the dataset has no pictures", where=folder)
    chosen, shown = [], Counter()
    while candidates and len(chosen) < count:
        best = max(
            range(len(candidates)),
            key=lambda index: (
                sum(1 / (1 + shown[category]) ** 2 for category in _classes(candidates[index][2])),
                -shown[Path(candidates[index][1]["file_name"]).parent],
                -shown[candidates[index][0]],
                -index,
            ),
        )
        split, image, objects, names = candidates.pop(best)
        shown.update({one["category_id"] for one in objects} | {split, Path(image["file_name"]).parent})
        chosen.append((split, image, objects, names))
    return chosen


def _classes(objects: Sequence[dict]) -> list[int]:
    return sorted({one["category_id"] for one in objects})


def _tile(raw: Path, split: str, image: dict, objects: list[dict], names: dict[int, str], colours: dict) -> Image.Image:
    picture = load_image(raw / image["file_name"])
    scale = min(TILE[0] / picture.width, TILE[1] / picture.height)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    picture = _with_masks(picture, objects, names, colours).resize(size, Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(picture)
    largest = sorted(objects, key=lambda one: -one["area"])
    for one in largest:
        left, top, width, height = (value * scale for value in one["bbox"])
        corners = (left, top, max(left + 1, left + width - 1), max(top + 1, top + height - 1))
        draw.rectangle(corners, outline=colours[names[one["category_id"]]], width=2)
    first = [max((o for o in objects if o["category_id"] == c), key=lambda o: o["area"]) for c in _classes(objects)]
    for one in [*first, *(one for one in largest if one not in first)][:LABELLED]:
        _label(draw, names[one["category_id"]], [value * scale for value in one["bbox"][:2]], colours, size)
    tile = Image.new("RGB", (TILE[0], size[1] + CAPTION), PAPER)
    tile.paste(picture, ((TILE[0] - size[0]) // 2, 0))
    name = Path(image["file_name"])
    boxes = f"{len(objects)} object{'' if len(objects) == 1 else 's'}" if objects else name.parent.name
    caption = _shortened(f"{split} · {boxes} · {name.name}", _font(12), TILE[0])
    ImageDraw.Draw(tile).text((0, size[1] + 4), caption, SOFT, font=_font(12))
    return tile


def _label(draw: ImageDraw.ImageDraw, name: str, corner: Sequence[float], colours: dict, size: tuple[int, int]) -> None:
    """The class name on its colour, above the box where there is room, else inside; never beyond the picture."""
    font = _font(12)
    width, height = draw.textlength(name, font) + 6, 16
    left = max(0, min(corner[0], size[0] - width))
    top = corner[1] - height if corner[1] >= height else max(0, min(corner[1], size[1] - height))
    draw.rectangle((left, top, left + width, top + height), fill=colours[name])
    draw.text((left + 3, top + 1), name, _on(colours[name]), font=font)


def _with_masks(picture: Image.Image, objects: list[dict], names: dict[int, str], colours: dict) -> Image.Image:
    """Masks (polygons or RLE) as a tint of 45 %."""
    masked = [one for one in objects if one.get("segmentation")]
    if not masked:
        return picture
    tint = picture.copy()
    for one in masked:
        mask = decoded(one["segmentation"], picture.size[::-1])
        tint.paste(colours[names[one["category_id"]]], (0, 0), Image.fromarray(mask.astype(np.uint8) * 255))
    return Image.blend(picture, tint, 0.45)


def _head(dataset: Dataset, source: str, manifest: dict, colours: dict, width: int) -> Image.Image:
    """Title, counts and what the colours mean, over as many lines as the classes need."""
    counts = ", ".join(f"{split} {manifest['splits'][split]['images']}" for split in SPLITS)
    boxes = sum(manifest["splits"][split]["boxes"] for split in SPLITS)
    lines, places, x, y = 1, [], MARGIN, 62
    for name in dataset.classes:
        room = 16 + _font(13).getlength(name) + 18
        if x + room > width - MARGIN and x > MARGIN:
            lines, x, y = lines + 1, MARGIN, y + 20
        places.append((name, x, y))
        x += room
    head = Image.new("RGB", (width, 62 + 20 * lines + 10), PAPER)
    draw = ImageDraw.Draw(head)
    draw.text((MARGIN, 10), _shortened(dataset.paper_name, _font(20), width - 2 * MARGIN), INK, font=_font(20))
    about = f"{dataset.id} · source {source} · images: {counts} · {boxes} boxes"
    draw.text((MARGIN, 38), _shortened(about, _font(13), width - 2 * MARGIN), SOFT, font=_font(13))
    for name, x, y in places:
        draw.rectangle((x, y + 3, x + 11, y + 14), fill=colours[name])
        draw.text((x + 16, y), name, INK, font=_font(13))
    return head


def class_colour(number: int, count: int) -> tuple[int, int, int]:
    """Hues as far apart as they can be, bright enough for photographs and scans."""
    hue = (0.02 + number / max(count, 1)) % 1
    return tuple(round(255 * value) for value in colorsys.hsv_to_rgb(hue, 0.85, 0.95 if number % 2 else 0.85))


def _on(colour: tuple[int, int, int]) -> tuple[int, int, int]:
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
