"""FGVC-Aircraft: pictures in one folder, lists of pictures with their class, and a list of the classes.

`images_variant_train.txt` has lines "0034309 Boeing 717"; `variants.txt` has the classes in label order (its README at
https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/; KaiyangZhou/CoOp datasets/fgvc_aircraft.py reads it so).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from cones.data.files import PictureFolder
from cones.data.formats.reading import read_text
from cones.data.formats.records import NOT_LISTED, NativeFiles, Record
from cones.runtime.errors import closest
from cones.runtime.strict import Strict

FORMAT = {"name": "fgvc_aircraft"}
VERSION = 1
SPLITS = ("train", "val", "test")
LISTS = {"variant": "variants.txt", "family": "families.txt", "manufacturer": "manufacturers.txt"}


class Parameters(Strict):
    root: str = "."  # folder under raw/ that holds `images` and the lists
    level: Literal["variant", "family", "manufacturer"] = "variant"


def class_names(native: NativeFiles, parameters: Parameters) -> dict[str, None]:
    """The lines of the list of classes."""
    return dict.fromkeys(_lines(native, native.root(parameters.root) / LISTS[parameters.level]))


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per line of the three lists, `item_id` the picture's path below raw/."""
    root = native.root(parameters.root)
    classes, folder = class_names(native, parameters), PictureFolder(native.root(f"{parameters.root}/images"))
    named: set[Path] = set()
    for split in SPLITS:
        file = root / f"images_{parameters.level}_{split}.txt"
        absent, lines = [], _lines(native, file)
        for number, line in enumerate(lines, start=1):
            picture, _, name = line.partition(" ")
            if name.strip() not in classes:
                raise native.fault(
                    f'line {number} names an unknown class "{name.strip()}"',
                    file,
                    expected=f"a line of {LISTS[parameters.level]}",
                    next_step=native.mend(f"{closest(name.strip(), classes)} correct the line"),
                )
            found = folder.named(f"{picture}.jpg") or next(iter(folder.of_stem(picture)), None)
            if found is None:
                absent.append(native.relative(folder.folder / f"{picture}.jpg"))
                continue
            named.add(found)
            image = native.relative(found)
            yield Record(item_id=image, image=image, objects=(), split=split, label=name.strip())
        if absent:
            native.leave_out_missing(absent, len(lines), file)
    for path in folder.paths:
        if path not in named:
            native.note(NOT_LISTED, path)


def _lines(native: NativeFiles, file: Path) -> list[str]:
    if not file.is_file():
        raise native.fault(
            "the list is missing",
            file,
            found=native.instead(".txt") or "no list",
            next_step=native.mend("put it there"),
        )
    return [line.strip() for line in read_text(file, native).splitlines() if line.strip()]
