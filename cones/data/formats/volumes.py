"""Volumes of medical pictures as slices: which axis, which window of values becomes grey, which labels become objects.

A volume is an array (S, H, W) in the patient's own directions: from the feet to the head, from the front to the back,
from the patient's right to the left. So an axial slice looks as radiologists have it, and coronal and sagittal ones
stand upright. One voxel is one pixel: nothing is resampled.
"""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import PositiveInt, field_validator

from cones.data.formats import masks
from cones.data.formats.records import NativeFiles, Object, Record

AXES = ("axial", "coronal", "sagittal")  # their place in (S, H, W)


class Slicing(masks.Grouping):
    """How volumes and their label volumes become pictures with objects. Axis and window have no default."""

    root: str = "."
    images: str = "images"  # folder of the volumes
    labels: str = "labels"  # folder of the label volumes, of the same names
    axis: Literal["axial", "coronal", "sagittal"]
    window: tuple[float, float] | Literal["full"]  # values that become black and white; full: the volume's own extremes
    values: dict[int, str | None] | None = None  # {label: class}, null: not annotated; None: all above 0, one class
    slices: Literal["labelled", "all"] = "labelled"
    every: PositiveInt = 1  # of the slices, the first and each n-th after it

    @field_validator("window")
    @classmethod
    def _rises(cls, window: Any) -> Any:
        if isinstance(window, tuple) and window[0] >= window[1]:
            raise ValueError("the window's first value must be below its second, such as [-1000, 400]")
        return window


@dataclass(frozen=True)
class Volume:
    """One volume and its labels, both (S, H, W); `name` begins its item ids, `group` is the patient where known."""

    name: str
    file: Path
    pixels: Any
    labels: Any
    group: str
    split: str | None = None


def reader(name: str, native: NativeFiles) -> Any:
    """Import a library of the extra `medical`; ConesError that says how to install it if it is not there."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise native.fault(
            f"this format needs {name}, which is not installed",
            native.raw,
            next_step="install the extra: python -m pip install 'cones[medical]' (in a checkout: -e '.[medical]')",
        ) from None


def slices_of(volume: Volume, native: NativeFiles, parameters: Slicing) -> Iterator[Record]:
    """One record per chosen slice, written as PNG; `item_id` is `<volume>/<index along the axis>`."""
    import numpy as np

    classes = _classes(volume, native, parameters)
    axis = AXES.index(parameters.axis)
    low, high = _window(volume, native, parameters)
    for index in range(0, volume.pixels.shape[axis], parameters.every):
        item = f"{volume.name}/{index:04d}"
        if native.skips(item):
            continue
        labels = _slice(volume.labels, axis, index)
        objects = _objects(labels, classes, volume, native, parameters)
        if not objects and parameters.slices == "labelled":
            if labels.any():
                native.note("a slice whose labels are too small or left out", volume.file)
            continue
        grey = np.clip((_slice(volume.pixels, axis, index).astype(np.float64) - low) / (high - low), 0, 1)
        picture = _write(grey, native.picture_root / f"{item}.png")
        yield Record(
            item_id=item,
            image=picture.relative_to(native.picture_root).as_posix(),
            objects=objects,
            split=volume.split,
            group=volume.group,
            frame="upright",
        )


def _slice(array: Any, axis: int, index: int) -> Any:
    """(height, width), the head or the front of the patient above."""
    cut = array.take(index, axis=axis)
    return cut if axis == 0 else cut[::-1]


def _write(grey: Any, path: Path) -> Path:
    import numpy as np
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.round(grey * 255).astype(np.uint8)).save(path)
    return path


def _window(volume: Volume, native: NativeFiles, parameters: Slicing) -> tuple[float, float]:
    import numpy as np

    low, high = float(volume.pixels.min()), float(volume.pixels.max())
    if not np.isfinite([low, high]).all():
        raise native.fault("the volume holds values that are no numbers", volume.file, next_step=native.mend())
    if parameters.window == "full":
        return low, max(high, low + 1e-6)
    if high <= parameters.window[0] or low >= parameters.window[1]:
        raise native.fault(
            "no value of the volume lies in the window, so all its pictures would be of one shade",
            volume.file,
            expected=f"values from {parameters.window[0]:g} to {parameters.window[1]:g}",
            found=f"{low:g} to {high:g}",
            next_step=f"correct `window` in {native.registry}, or set `window: full`",
        )
    return parameters.window


def _classes(volume: Volume, native: NativeFiles, parameters: Slicing) -> dict[int, str | None]:
    """`{label: class}` of the labels in this volume; one that nothing names is refused."""
    import numpy as np

    if volume.labels.shape != volume.pixels.shape:
        raise native.fault(
            "volume and labels are not of one size",
            volume.file,
            expected=" x ".join(map(str, volume.pixels.shape)),
            found=" x ".join(map(str, volume.labels.shape)),
            next_step=native.mend("take the labels that were drawn on this volume"),
        )
    found = np.unique(volume.labels)
    if (found != np.round(found)).any():
        raise native.fault(
            "labels that are no whole numbers", volume.file, found=found[:8].tolist(), next_step=native.mend()
        )
    labels = [int(value) for value in found if value]
    if parameters.values is None:
        class_name = masks.only_class(native, parameters.labels)("", None)
        return dict.fromkeys(labels, class_name) if len(labels) <= 1 else _together(labels, class_name, volume, native)
    if unknown := [value for value in labels if value not in parameters.values]:
        raise native.fault(
            f"the label {unknown[0]} has no class",
            volume.file,
            expected=f"0 and {', '.join(map(str, sorted(parameters.values)))}, as `values` says",
            next_step=f"name it in `values` in {native.registry} (null: left out)",
        )
    named = {value: parameters.values[value] for value in labels}
    return {value: name and native.known_class(name, volume.file) for value, name in named.items()}


def _together(labels: list[int], class_name: str, volume: Volume, native: NativeFiles) -> dict[int, str | None]:
    native.note("a volume with several labels, which are one class here", volume.file)
    return dict.fromkeys(labels, class_name)


def _objects(
    labels: Any, classes: dict[int, str | None], volume: Volume, native: NativeFiles, parameters: Slicing
) -> tuple[Object, ...]:
    objects: list[Object] = []
    if parameters.values is None:
        wanted = [(labels > 0, next(iter(classes.values())))] if classes else []
    else:
        wanted = [(labels == value, name) for value, name in sorted(classes.items()) if name]
    for mask, class_name in wanted:
        if mask.any():
            objects += masks.objects_of(
                mask,
                parameters,
                class_name,
                lambda: native.note("a region too small, left out", volume.file),
            )
    return tuple(objects)
