"""LabelMe: one JSON file per picture, with shapes in pixels of the picture as shown.

Rectangles, polygons, circles and masks are objects; shapes of one label and one `group_id` are parts of one, as in
LabelMe's own export to COCO. Points and lines enclose nothing: they are left out and counted.
"""

import base64
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from cones.data.files import PictureFolder, files_below, plain, without_suffix
from cones.data.formats.reading import flag, number_of, read_json, shown
from cones.data.formats.records import NativeFiles, Object, Record
from cones.data.masks import area_of, as_rle, bounds_of, encoded, merged
from cones.runtime.strict import Strict

FORMAT = {"name": "labelme"}
VERSION = 1
OPEN = ("point", "points", "line", "linestrip")  # shapes that enclose nothing
POLYGONS = ("polygon", "rotation", "quadrilateral")  # the last two are what X-AnyLabeling calls turned boxes
CIRCLE_CORNERS = 64  # of the polygon that stands for a circle


class Parameters(Strict):
    root: str = "."
    folders: tuple[str, ...] = ()  # split folders below root; their names are the native splits; none: no splits
    annotations: str = "."  # folder of the JSON files in each
    images: str = "."  # folder of the pictures in each
    allow_empty: bool = False  # True: a JSON without shapes is a picture without objects


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per JSON, by name; `item_id` is its path without suffix, behind its split folder where there is one.

    A picture without JSON, or a JSON without its picture, is an error: an unlabelled picture is not an empty one.
    """
    root = native.root(parameters.root)
    for split in parameters.folders or (None,):
        yield from _read_folder(root / (split or "."), split, native, parameters)


def _read_folder(root: Path, split: str | None, native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    place, pictures = root / parameters.annotations, PictureFolder(root / parameters.images)
    files = files_below(place, (".json",))
    if not files:
        raise native.fault(
            "no JSON file here",
            place,
            found=native.instead(".json"),
            next_step=native.mend(f"correct `root`, `folders` or `annotations` of its `format` in {native.registry}"),
        )
    used, absent, owners, inside = set(), [], {}, False
    for file in files:
        stem = without_suffix(file.relative_to(place))
        item = f"{split}/{stem}" if split else stem
        used.update(pictures.of_stem(stem))
        if native.skips(item):
            continue
        content = read_json(file, native)
        if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
            raise native.fault(
                "not a LabelMe file",
                file,
                expected="a mapping with `shapes`",
                next_step=native.mend(f'take it out of the folder, or leave it out: `exclude: ["{item}"]`'),
            )
        picture = _picture(content, stem, pictures, file, native)
        if picture is None:
            absent.append(f"{stem}.* (of {native.relative(file)})")
            inside = inside or bool(content.get("imageData"))
            continue
        if (other := owners.setdefault(picture, file)) != file:
            raise native.fault(
                "two JSON files are of one picture",
                file,
                found=f"{native.relative(picture)}, also of {native.relative(other)}",
                next_step="remove one of them, or correct its `imagePath`",
            )
        used.add(picture)
        yield Record(
            item_id=item,
            image=native.relative(picture),
            objects=_objects(content, picture, file, native, parameters),
            split=split,
            stated_size=_stated_size(content),
        )
    if absent:
        hint = "save the pictures, which are in `imageData` of the JSON files, beside these" if inside else None
        native.leave_out_missing(absent, len(files), place, hint=hint)
    _refuse_unlabelled(pictures, used, split, native)


def _refuse_unlabelled(pictures: PictureFolder, used: set[Path], split: str | None, native: NativeFiles) -> None:
    items = {
        path: without_suffix(PurePosixPath(pictures.relative(path))) for path in pictures.paths if path not in used
    }
    items = {path: f"{split}/{stem}" if split else stem for path, stem in items.items()}
    if alone := [path for path, item in items.items() if not native.skips(item)]:
        raise native.fault(
            f"{len(alone)} pictures have no JSON",
            alone[0],
            expected=f"{alone[0].stem}.json",
            next_step=native.mend(f'label them, remove them, or leave them out: `exclude: ["{items[alone[0]]}"]`'),
        )


def _picture(content: dict, stem: str, pictures: PictureFolder, file: Path, native: NativeFiles) -> Path | None:
    """The picture of the JSON's own name, else the one that `imagePath` names; it also decides between two suffixes."""
    said = PurePosixPath(plain(str(content.get("imagePath") or ""))).name
    candidates = pictures.of_stem(stem)
    if not candidates:
        return pictures.named((PurePosixPath(stem).parent / said).as_posix()) if said else None
    exact = candidates if len(candidates) == 1 else [path for path in candidates if plain(path.name) == said]
    if len(exact) == 1:
        return exact[0]
    if len(candidates) > 1:
        raise native.fault(
            "several pictures may be meant",
            file,
            expected="one picture of the JSON's name, or one that `imagePath` names",
            found=", ".join(native.relative(path) for path in candidates),
            next_step="remove the others, or correct `imagePath`",
        )
    return None


def _stated_size(content: dict) -> tuple[int, int] | None:
    width, height = number_of(content.get("imageWidth")), number_of(content.get("imageHeight"))
    return (int(width), int(height)) if width and height and min(width, height) > 0 else None


def _objects(
    content: dict, picture: Path, file: Path, native: NativeFiles, parameters: Parameters
) -> tuple[Object, ...]:
    parts: dict[Any, list[tuple[str, Any, bool]]] = {}
    for number, shape in enumerate(content["shapes"]):
        name = f"shape number {number}"
        if not isinstance(shape, dict) or not isinstance(shape.get("label"), str | int):
            raise native.fault(f"{name} has no label", file, found=shown(shape), next_step="correct the file")
        kind = shape.get("shape_type") or "polygon"
        if kind in OPEN:
            native.note(f"a shape that encloses nothing ({kind}), left out", file)
            continue
        class_name, outline = (
            native.known_class(shape["label"], file),
            _outline(shape, kind, name, picture, file, native),
        )
        flags = shape.get("flags") if isinstance(shape.get("flags"), dict) else {}
        difficult = flag(flags.get("difficult"), what=f"difficult of {name}", file=file, native=native)
        group = shape.get("group_id")
        key = (class_name, group) if group is not None else number
        parts.setdefault(key, []).append((class_name, outline, difficult))
    if not parts and not parameters.allow_empty:
        raise native.fault(
            "JSON without a shape that encloses something",
            file,
            expected="at least one in `shapes`",
            next_step="add the missing shapes; if the picture really shows nothing, set `allow_empty: true` in the "
            f"dataset's `format` in {native.registry}",
        )
    return tuple(_object(of_one, picture, native) for of_one in parts.values())


def _object(parts: Sequence[tuple[str, Any, bool]], picture: Path, native: NativeFiles) -> Object:
    """One object of one or several parts: polygons, or masks where one of them is a mask."""
    class_name, difficult = parts[0][0], any(part[2] for part in parts)
    outlines = [outline for _, outline, _ in parts]
    if any(isinstance(outline, dict) for outline in outlines):
        size = native.size_of(picture)[::-1]
        shape: Any = merged([one if isinstance(one, dict) else as_rle([one], size) for one in outlines])
    else:
        shape = outlines
    plain_box = len(parts) == 1 and isinstance(shape, list) and _is_upright_rectangle(shape[0])
    return Object(
        class_name=class_name,
        box=bounds_of(shape),
        area=None if plain_box else area_of(shape),
        segmentation=shape if native.wants_masks else None,
        difficult=difficult,
    )


def _is_upright_rectangle(ring: list[float]) -> bool:
    return len(ring) == 8 and len(set(ring[::2])) == 2 and len(set(ring[1::2])) == 2


def _outline(shape: dict, kind: str, name: str, picture: Path, file: Path, native: NativeFiles) -> list[float] | dict:
    """A shape as one polygon [x, y, …], or as RLE if it is a mask."""
    points = shape.get("points")
    pairs = (
        [point for point in points if isinstance(point, list) and len(point) == 2] if isinstance(points, list) else []
    )
    values = [number_of(value) for pair in pairs for value in pair]
    wanted_points = {"rectangle": (2, 4), "circle": (2,), "mask": (2,)}
    wanted = wanted_points.get(kind)
    sound = pairs and len(pairs) == len(points) and None not in values
    if not sound or (kind in POLYGONS and len(pairs) < 3) or (wanted and len(pairs) not in wanted):
        raise native.fault(
            f"{name} ({shape['label']}) is no {kind}",
            file,
            expected=f"{' or '.join(map(str, wanted)) if wanted else '3 or more'} points [x, y]",
            found=shown(points),
            next_step="correct the file",
        )
    if kind in POLYGONS or (kind == "rectangle" and len(pairs) == 4):
        return values
    if kind not in wanted_points:
        raise native.fault(
            f"{name} has the shape_type {kind}, which this format does not know",
            file,
            expected=f"polygon, {', '.join(wanted_points)}",
            next_step="convert it to a polygon",
        )
    x1, y1, x2, y2 = values
    if kind == "rectangle":
        return [x1, y1, x2, y1, x2, y2, x1, y2]
    if kind == "circle":  # its centre, and a point on it
        radius, turns = math.hypot(x2 - x1, y2 - y1), range(CIRCLE_CORNERS)
        angles = [2 * math.pi * turn / CIRCLE_CORNERS for turn in turns]
        return [value for angle in angles for value in (x1 + radius * math.cos(angle), y1 + radius * math.sin(angle))]
    return _mask(shape, (x1, y1), picture, name, file, native)


def _mask(shape: dict, corner: tuple[float, float], picture: Path, name: str, file: Path, native: NativeFiles) -> dict:
    """A PNG in base64 whose left and top corner lies at the first point."""
    import numpy as np
    from PIL import Image

    try:
        piece = np.asarray(Image.open(io.BytesIO(base64.b64decode(shape["mask"], validate=True)))).astype(bool)
        width, height = native.size_of(picture)
        whole = np.zeros((height, width), bool)
        left, top = round(corner[0]), round(corner[1])
        whole[top : top + piece.shape[0], left : left + piece.shape[1]] = piece
        if not whole.any():
            raise ValueError("no pixel")
    except (KeyError, OSError, TypeError, ValueError, IndexError) as error:
        raise native.fault(
            f"{name} ({shape['label']}) has no usable mask", file, expected="a PNG in base64 that lies in the picture",
            found=error, next_step="correct the file",
        ) from None  # fmt: skip
    return encoded(whole)
