"""CVAT for images 1.1: one annotations.xml that lists the pictures with their shapes, and a folder of pictures.

Boxes, polygons, ellipses, cuboids and masks are objects (a turned box counts by the box around it); points, lines, tags
and skeletons enclose nothing: they are left out and counted. A picture's `subset` is its native split.
"""

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from cones.data.files import PictureFolder, item_names, plain, without_suffix
from cones.data.formats.reading import number_of, read_xml
from cones.data.formats.records import NOT_LISTED, NativeFiles, Object, Record
from cones.data.masks import area_of, bounds_of, encoded, turned
from cones.runtime.strict import Strict

FORMAT = {"name": "cvat"}
VERSION = 1
OPEN = ("points", "polyline", "tag", "skeleton")  # shapes that enclose nothing
ELLIPSE_CORNERS = 64  # of the polygon that stands for an ellipse


class Parameters(Strict):
    root: str = "."
    annotations: str = "annotations.xml"
    images: str = "images"  # folder of the pictures; their names in the XML lead on from there


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per <image>; `item_id` is the picture's path below `images` without suffix."""
    root = native.root(parameters.root)
    file = root / parameters.annotations
    if not file.is_file():
        raise native.fault(
            "the annotation file is missing",
            file,
            found=native.instead(".xml"),
            next_step=native.mend(f"put it there, or correct `root` or `annotations` in {native.registry}"),
        )
    tree = read_xml(file, native)
    _refuse_videos(tree, file, native)
    pictures = PictureFolder(
        native.root((root / parameters.images).relative_to(native.raw).as_posix(), "format.images")
    )
    listed = [(image, _picture(image, pictures, file, native)) for image in tree.findall("image")]
    if not listed:
        raise native.fault("no <image> here", file, next_step=native.mend())
    names = item_names(pictures.relative(path) for _, path in listed if path)
    used = {path for _, path in listed}
    for path in (path for path in pictures.paths if path not in used):
        native.note(NOT_LISTED, path)
    absent, items = [], {}
    for image, path in listed:
        if path is None:
            name = PurePosixPath(plain(image.get("name")))
            if not native.skips(without_suffix(name)):
                absent.append(f"{native.relative(pictures.folder)}/{name}")
        elif not native.skips(item := names[pictures.relative(path)]):
            if (other := items.setdefault(item, image)) is not image:
                raise native.fault(
                    f'the picture "{image.get("name")}" is listed twice',
                    file,
                    found=f"image ids {other.get('id')} and {image.get('id')}",
                    next_step="leave one <image> and put all shapes into it",
                )
            yield Record(
                item_id=item,
                image=native.relative(path),
                objects=tuple(_objects(image, file, native)),
                split=image.get("subset") or None,
                stated_size=_stated_size(image),
            )
    if absent:
        native.leave_out_missing(absent, len(listed), file)


def _refuse_videos(tree: ElementTree.Element, file: Path, native: NativeFiles) -> None:
    if tree.find("track") is not None:
        raise native.fault(
            "this is CVAT for video: its tracks say nothing of pictures",
            file,
            expected="<image> elements",
            next_step="export it as `CVAT for images 1.1`, with the pictures",
        )


def _picture(image: ElementTree.Element, pictures: PictureFolder, file: Path, native: NativeFiles) -> Path | None:
    name, subset = image.get("name"), image.get("subset")
    if not name or not name.strip():
        raise native.fault(f"image {image.get('id')} has no name", file, next_step=native.mend())
    ways = [f"{subset}/{plain(name)}", name] if subset else [name]
    return next(filter(None, map(pictures.named, ways)), None)


def _stated_size(image: ElementTree.Element) -> tuple[int, int] | None:
    width, height = number_of(image.get("width")), number_of(image.get("height"))
    return (int(width), int(height)) if width and height and min(width, height) > 0 else None


def _objects(image: ElementTree.Element, file: Path, native: NativeFiles) -> Iterator[Object]:
    size = _stated_size(image)
    for number, shape in enumerate(image):
        name = f"{shape.tag} number {number} of image {image.get('id')} ({image.get('name')})"
        if shape.tag in OPEN:
            native.note(f"a shape that encloses nothing ({shape.tag}), left out", file)
            continue
        if shape.tag not in SHAPES:
            raise native.fault(
                f"{name}: a shape that this format does not know",
                file,
                expected=", ".join((*SHAPES, *OPEN)),
                next_step="convert it to a polygon",
            )
        class_name = native.known_class(shape.get("label") or "", file)
        try:
            outline, is_box = SHAPES[shape.tag](shape, size)
        except (TypeError, ValueError) as error:
            raise native.fault(
                f"{name} is not usable", file, found=error, expected=f"a {shape.tag}", next_step="correct the file"
            ) from None
        yield Object(
            class_name=class_name,
            box=bounds_of(outline),
            area=None if is_box else area_of(outline),
            segmentation=outline if native.wants_masks else None,
        )


def _numbers(shape: ElementTree.Element, *names: str) -> list[float]:
    values = [number_of(shape.get(name)) for name in names]
    if None in values:
        raise ValueError(", ".join(f"{name}={shape.get(name)}" for name in names))
    return values


def _box(shape: ElementTree.Element, size: Any) -> tuple[list, bool]:
    left, top, right, bottom = _numbers(shape, "xtl", "ytl", "xbr", "ybr")
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    degrees = number_of(shape.get("rotation")) or 0.0
    if not degrees:
        return [[value for corner in corners for value in corner]], True
    x, y = (left + right) / 2, (top + bottom) / 2
    return [turned([(a - x, b - y) for a, b in corners], (x, y), degrees)], False


def _points(text: str | None) -> list[float]:
    pairs = [pair.split(",") for pair in (text or "").split(";") if pair.strip()]
    values = [number_of(value) for pair in pairs for value in pair]
    if len(pairs) < 3 or None in values or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f'points="{(text or "")[:60]}"')
    return values


def _polygon(shape: ElementTree.Element, size: Any) -> tuple[list, bool]:
    return [_points(shape.get("points"))], False


def _ellipse(shape: ElementTree.Element, size: Any) -> tuple[list, bool]:
    x, y, across, down = _numbers(shape, "cx", "cy", "rx", "ry")
    angles = [2 * math.pi * step / ELLIPSE_CORNERS for step in range(ELLIPSE_CORNERS)]
    around = [(across * math.cos(angle), down * math.sin(angle)) for angle in angles]
    return [turned(around, (x, y), number_of(shape.get("rotation")) or 0.0)], False


def _cuboid(shape: ElementTree.Element, size: Any) -> tuple[list, bool]:
    names = [f"{axis}{side}{end}" for side in ("tl", "bl", "tr", "br") for end in "12" for axis in "xy"]
    values = _numbers(shape, *names)
    left, top, width, height = bounds_of([values])
    return [[left, top, left + width, top, left + width, top + height, left, top + height]], True


def _mask(shape: ElementTree.Element, size: tuple[int, int] | None) -> tuple[dict, bool]:
    """Runs of 0, then of 1, then of 0 … row by row in the window `left, top, width, height`."""
    import numpy as np

    if size is None:
        raise ValueError("a mask of a picture whose size is not stated")
    left, top, width, height = (int(value) for value in _numbers(shape, "left", "top", "width", "height"))
    lengths = [int(word) for word in (shape.get("rle") or "").replace(",", " ").split()]
    if sum(lengths) != width * height or min(lengths, default=-1) < 0:
        raise ValueError(f"runs of {sum(lengths)} pixels for {width} x {height}")
    piece = np.repeat(np.arange(len(lengths)) % 2, lengths).reshape(height, width).astype(bool)
    whole = np.zeros(size[::-1], bool)
    if left < 0 or top < 0 or left + width > size[0] or top + height > size[1] or not piece.any():
        raise ValueError("a mask that is empty or leaves the picture")
    whole[top : top + height, left : left + width] = piece
    return encoded(whole), False


SHAPES = {"box": _box, "polygon": _polygon, "ellipse": _ellipse, "cuboid": _cuboid, "mask": _mask}
