"""Cityscapes: leftImg8bit/<split>/<city>/*.png and gtFine/<split>/<city>/*_gtFine_polygons.json, polygons to masks.

Polygons are drawn in the order of the file, later ones over earlier ones, with the very routine by which the dataset's
own instanceIds.png were made (Pillow's filled polygon), so an instance is what of it stays visible. A label ending in
"group" is a crowd region; deleted objects and licence plates are not drawn; every other label only covers.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cones.data.formats.records import NativeFiles, Object, Record
from cones.runtime.errors import closest, message_of
from cones.runtime.strict import Strict

FORMAT = {"name": "cityscapes"}
VERSION = 1
PICTURE, POLYGONS = "_leftImg8bit.png", "_gtFine_polygons.json"
NOT_DRAWN = "license plate"
LABELS = (  # all that the dataset knows
    *("unlabeled", "ego vehicle", "rectification border", "out of roi", "static", "dynamic", "ground", "road"),
    *("sidewalk", "parking", "rail track", "building", "wall", "fence", "guard rail", "bridge", "tunnel", "pole"),
    *("polegroup", "traffic light", "traffic sign", "vegetation", "terrain", "sky", "person", "rider", "car", "truck"),
    *("bus", "caravan", "trailer", "train", "motorcycle", "bicycle", "license plate"),
)


class Parameters(Strict):
    images: str = "leftImg8bit"
    annotations: str = "gtFine"
    splits: tuple[str, ...] = ("train", "val")  # the labels of test are withheld


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per picture with its visible instances as compressed RLE; `item_id` is `<city>_<seq>_<frame>`.

    A picture without polygons, polygons without their picture, and a label Cityscapes does not know are errors.
    """
    images, annotations = native.root(parameters.images), native.root(parameters.annotations)
    for split in parameters.splits:
        pictures = _stems(images / split, PICTURE)
        polygons = _stems(annotations / split, POLYGONS)
        if not pictures:
            raise native.fault("no picture here", images / split, next_step=native.mend())
        for what, present, other in (("polygons", pictures, polygons), ("picture", polygons, pictures)):
            if lone := sorted(set(present) - set(other)):
                raise native.fault(
                    f"{len(lone)} files have no {what}",
                    present[lone[0]],
                    expected=f"{lone[0]}{POLYGONS if what == 'polygons' else PICTURE} beside the others",
                    next_step=native.mend("complete the folder"),
                )
        for stem in sorted(pictures):
            yield _read(stem, split, pictures[stem], polygons[stem], native)


def _stems(folder: Path, suffix: str) -> dict[str, Path]:
    """`{<city>_<seq>_<frame>: file}` of all cities of a split."""
    return {path.name.removesuffix(suffix): path for path in sorted(folder.glob(f"*/*{suffix}"))}


def _read(stem: str, split: str, picture: Path, file: Path, native: NativeFiles) -> Record:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        size = int(content["imgWidth"]), int(content["imgHeight"])
        drawing = _draw(content["objects"], size, file, native)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise native.fault("broken JSON", file, found=error, next_step=native.mend()) from None
    except (KeyError, TypeError, ValueError) as error:
        raise native.fault(
            "not the shape of Cityscapes polygons",
            file,
            expected="imgWidth, imgHeight, objects: [{label, polygon: [[x, y], …]}]",
            found=message_of(error),
            next_step=native.mend(),
        ) from None
    return Record(
        item_id=stem,
        image=native.relative(picture),
        objects=tuple(drawing.objects()),
        split=split,
        stated_size=size,
    )


@dataclass
class _Drawing:
    """The numbers of the instances as drawn (height, width), 0 = none; `kinds[number] = (class, is a crowd)`."""

    canvas: object
    kinds: dict[int, tuple[str, bool]] = field(default_factory=dict)

    def number(self, class_name: str, crowd: bool) -> int:
        """A new number for an instance; crowds of one class share theirs, as in instanceIds.png."""
        if crowd:
            for number, kind in self.kinds.items():
                if kind == (class_name, True):
                    return number
        self.kinds[len(self.kinds) + 1] = (class_name, crowd)
        return len(self.kinds)

    def objects(self) -> Iterator[Object]:
        import numpy as np
        from pycocotools import mask as rle
        from scipy.ndimage import find_objects

        numbers = np.asarray(self.canvas)
        alone = np.zeros(numbers.shape, np.uint8, order="F")  # one instance at a time: the picture is large
        for number, place in enumerate(find_objects(numbers), start=1):
            if place is None:
                continue  # wholly covered by later objects
            class_name, crowd = self.kinds[number]
            alone[place] = numbers[place] == number
            encoded = rle.encode(alone)
            rows, columns = place
            yield Object(
                class_name=class_name,
                box=(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start),
                area=int(alone[place].sum()),
                segmentation={"size": list(encoded["size"]), "counts": encoded["counts"].decode("ascii")},
                crowd=crowd,
            )
            alone[place] = 0


def _draw(objects: list[dict], size: tuple[int, int], file: Path, native: NativeFiles) -> _Drawing:
    from PIL import Image, ImageDraw

    drawing = _Drawing(Image.new("I", size, 0))
    pen = ImageDraw.Draw(drawing.canvas)
    for one in objects:
        label, crowd = _label(one["label"], file, native)
        if one.get("deleted") or label == NOT_DRAWN:
            continue
        number = drawing.number(label, crowd) if label in native.classes else 0
        pen.polygon([(float(x), float(y)) for x, y in one["polygon"]], fill=number)
    return drawing


def _label(label: str, file: Path, native: NativeFiles) -> tuple[str, bool]:
    """(label, is a crowd)"""
    if label in LABELS:
        return label, False
    if (single := label.removesuffix("group")) in LABELS:
        return single, True
    raise native.fault(
        f'unknown label "{label}"', file, next_step=native.mend(f"{closest(label, LABELS)} correct the file")
    )
