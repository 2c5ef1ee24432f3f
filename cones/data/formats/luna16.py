"""LUNA16: CT volumes (.mhd + .raw) and annotations.csv with each nodule's centre and diameter in mm.

One picture per nodule: the axial slice through its centre, a window of Hounsfield units as 8-bit grey, written as PNG.
The volume's direction matrix counts: a few scans run from right to left.
"""

import csv
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cones.data.formats.records import NativeFiles, Object, Record
from cones.runtime.errors import ConesError, message_of
from cones.runtime.strict import Strict

FORMAT = {"name": "luna16"}
VERSION = 1
RENDERS = True
COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm")


class Parameters(Strict):
    root: str = "."
    annotations: str = "annotations.csv"
    window: tuple[float, float] = (-1000, 400)  # Hounsfield units that become black and white
    half_pixel: bool = True  # a voxel's centre lies half a pixel inside its edge; False: boxes around the bare index
    other_nodules: bool = True  # also box other nodules whose sphere crosses the slice, by the chord's length


@dataclass(frozen=True)
class Nodule:
    """A row of the CSV: (x, y, z) of the centre and the diameter, in mm."""

    series: str
    row: int  # within its series, from 0
    centre: tuple[float, float, float]
    diameter: float

    @property
    def item_id(self) -> str:
        return f"{self.series}#{self.row}"


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per nodule, series by series; `item_id` is `<seriesuid>#<row within the series>`, `group` the series.

    Volumes are searched in all folders below `root`; one that holds a nodule and is not there is an error.
    """
    root = native.root(parameters.root)
    series = defaultdict(list)
    for nodule in read_nodules(root / parameters.annotations, native):
        series[nodule.series].append(nodule)
    volumes = {path.stem: path for path in sorted(root.rglob("*.mhd"))}
    if missing := sorted(set(series) - set(volumes)):
        raise native.fault(
            f"{len(missing)} of {len(series)} volumes with nodules are missing",
            root,
            expected=f"subset*/{missing[0]}.mhd",
            next_step=native.mend("complete the folder"),
        )
    for uid in sorted(series):
        yield from _read_series(volumes[uid], series[uid], native, parameters)


def read_nodules(file: Path, native: NativeFiles) -> list[Nodule]:
    """The rows of annotations.csv in their order."""
    try:
        rows = list(csv.DictReader(file.read_text(encoding="utf-8-sig").splitlines()))
    except (FileNotFoundError, UnicodeDecodeError, csv.Error) as error:
        raise native.fault("cannot be read", file, found=error, next_step=native.mend()) from None
    nodules, counts = [], defaultdict(int)
    for number, row in enumerate(rows, start=2):
        try:
            x, y, z, diameter = (float(row[column]) for column in COLUMNS[1:])
            if not (row["seriesuid"] and diameter > 0 and all(map(math.isfinite, (x, y, z, diameter)))):
                raise ValueError("a diameter above 0 and finite numbers are needed")
        except (KeyError, TypeError, ValueError) as error:
            raise native.fault(
                f"line {number} is no nodule",
                file,
                expected=",".join(COLUMNS),
                found=message_of(error),
                next_step=native.mend(),
            ) from None
        nodules.append(Nodule(row["seriesuid"], counts[row["seriesuid"]], (x, y, z), diameter))
        counts[row["seriesuid"]] += 1
    return nodules


def _read_series(path: Path, nodules: list[Nodule], native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    from cones.data.metaimage import read_header

    try:
        volume = read_header(path)
        pixels = volume.slices()
    except ConesError as error:
        raise native.fault(
            error.what, error.where, expected=error.expected, found=error.found, next_step=error.next_step
        ) from None
    centres = {nodule: volume.voxel(nodule.centre) for nodule in nodules}
    for nodule in nodules:
        depth = round(centres[nodule][2])
        level = min(max(depth, 0), volume.size[2] - 1)
        if level != depth:
            native.note("a nodule above or below its volume, the outermost slice is taken", path)
        name = f"{nodule.series}_{nodule.row}.png"
        _write_slice(pixels[level], native.picture_root / name, parameters.window)
        sides = {nodule: nodule.diameter}  # its own first
        if parameters.other_nodules:
            others = (other for other in nodules if other is not nodule)
            sides |= {other: _chord(other, centres[other], level, volume.spacing) for other in others}
        boxes = (_square(centres[one], side, volume.spacing, parameters) for one, side in sides.items() if side > 0)
        yield Record(
            item_id=nodule.item_id,
            image=name,
            objects=tuple(Object(class_name=native.classes[0], box=box) for box in boxes),
            group=nodule.series,
        )


def _chord(nodule: Nodule, centre: tuple, level: int, spacing: tuple) -> float:
    """The diameter in mm of a nodule's cut through slice `level`: 2 sqrt(r² - dz²), 0 if it lies elsewhere."""
    radius, away = nodule.diameter / 2, (level - centre[2]) * spacing[2]
    return 2 * math.sqrt(radius**2 - away**2) if abs(away) < radius else 0.0


def _square(centre: tuple, side: float, spacing: tuple, parameters: Parameters) -> tuple[float, float, float, float]:
    """A square of `side` mm around the voxel `centre`, in pixels whose edges lie at whole numbers."""
    width, height = side / spacing[0], side / spacing[1]
    shift = 0.5 if parameters.half_pixel else 0.0
    return centre[0] + shift - width / 2, centre[1] + shift - height / 2, width, height


def _write_slice(values: Any, path: Path, window: tuple[float, float]) -> None:
    import numpy as np
    from PIL import Image

    low, high = window
    grey = np.clip((np.asarray(values, np.float32) - low) / (high - low), 0, 1) * 255
    Image.fromarray(np.round(grey).astype(np.uint8)).save(path)
