"""The truth of `tests/data/exports.py` written as masks: pictures of masks, NIfTI and DICOM scans with label volumes.

Pixels have whole numbers and touching ones are one object, so this truth has boxes that do (see `apart`). A scan has
three slices; the picture is the middle one.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from tests.data.exports import CLASSES, SIZES, Export, Item, Kind, truths
from tests.data.own import DIVIDED, SPLITS, encoded
from tests.data.volumes import write_labels_of_series, write_nifti, write_series

VALUES = dict(enumerate(CLASSES, start=1))
MIDDLE = 1  # of three slices


@st.composite
def apart(draw) -> tuple[Item, ...]:
    """The truth with boxes of whole pixels, those that touch an earlier one left out."""
    items = []
    for item in draw(truths()):
        kept: list = []
        for name, box in item.objects:
            box = tuple(float(int(value)) for value in box)
            if min(box[2:]) >= 1 and not any(_touch(box, other) for _, other in kept):
                kept.append((name, box))
        items.append(Item(item.name, item.split, item.size, tuple(kept), item.number))
    return tuple(items)


def _touch(one, other) -> bool:
    return all(one[k] <= other[k] + other[k + 2] and other[k] <= one[k] + one[k + 2] for k in (0, 1))


def numbered(item: Item) -> np.ndarray:
    """(height, width) uint8: the number of the class in each pixel."""
    pixels = np.zeros(item.size[::-1], np.uint8)
    for name, (x, y, width, height) in item.objects:
        pixels[int(y) : int(y + height), int(x) : int(x + width)] = CLASSES.index(name) + 1
    return pixels


def masks(items, quirks) -> Export:
    suffix = "_mask" if "longer names" in quirks else ""
    folders = [{"images": f"{s}/images", "masks": f"{s}/masks", "split": s, "prefix": f"{s}/"} for s in SPLITS]
    form = {"name": "masks", "folders": folders, "mask_suffix": suffix, "values": VALUES | {255: None}}
    export = Export({}, form | {"allow_empty": True, "keep_masks": "masks kept" in quirks}, {})
    for item in items:
        picture = f"{item.split}/images/{item.name}.png"
        export.files[picture], export.pictures[picture] = item.content, item
        ending = "tif" if "another suffix" in quirks else "png"
        export.files[f"{item.split}/masks/{item.name}{suffix}.{ending}"] = _mask(numbered(item), quirks)
    of_masks = [name for name in export.files if "/masks/" in name]
    if "missing mask" in quirks:
        del export.files[of_masks[0]]
    if "lonely mask" in quirks:
        export.files[of_masks[0].replace("/masks/", "/masks/other_")] = export.files[of_masks[0]]
    return export


def _mask(pixels: np.ndarray, quirks) -> bytes:
    if "ignored corner" in quirks:
        pixels = pixels.copy()
        pixels[0, 0] = pixels[0, 0] or 255
    if "unknown value" in quirks:
        pixels = np.where(pixels > 0, pixels + 60, pixels).astype(np.uint8)
    if "another size" in quirks:
        pixels = pixels.repeat(2, axis=0)
    if "colours" in quirks:
        pixels = np.stack([pixels, 0 * pixels, 0 * pixels], axis=2)
    elif "grey as colours" in quirks:
        pixels = np.stack([pixels] * 3, axis=2)
    kind = "TIFF" if "another suffix" in quirks else "PNG"
    return encoded(pixels.astype(np.uint16) if "sixteen bits" in quirks and pixels.ndim == 2 else pixels, kind)


# -------------------------------------------------------------------------------------------------------------- scans


def _scan(item: Item) -> tuple[np.ndarray, np.ndarray]:
    """(values, labels), both (3, H, W); the values are noise of the item's own."""
    values = np.random.default_rng(item.number).integers(0, 1000, (3, *item.size[::-1])).astype(np.int16)
    labels = np.zeros(values.shape, np.uint8)
    labels[MIDDLE] = numbered(item)
    return values, labels


def _files_of(write: Callable[[Path], None], place: str) -> dict[str, bytes]:
    """What `write(folder)` leaves there, as files below `place`."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        return {
            f"{place}/{path.relative_to(folder).as_posix()}": path.read_bytes()
            for path in sorted(Path(folder).rglob("*"))
            if path.is_file()
        }


def _described(name: str, items, quirks) -> Export:
    window = [5000, 6000] if "window elsewhere" in quirks else "full" if "full window" in quirks else [0, 1000]
    values = {9: CLASSES[0]} if "unknown value" in quirks else VALUES
    export = Export({}, {"name": name, "axis": "axial", "window": window, "values": values}, {}, split=DIVIDED)
    export.pictures = {f"{one.split}/{one.name}/{MIDDLE:04d}.png": one for one in items if one.objects}
    return export


def nifti(items, quirks) -> Export:
    export = _described("nifti", items, quirks)
    suffix, ending = "_0000" if "channel in names" in quirks else "", "nii" if "not packed" in quirks else "nii.gz"
    export.format["image_suffix"] = suffix
    axes = next((axes for axes in ("LPS", "ASL") if axes in quirks), "RAS")
    for item in items:
        values, labels = _scan(item)
        if "labels as decimals" in quirks:
            labels = labels.astype(np.float32)
        drawn = "LAS" if "labels lie otherwise" in quirks else axes  # the same place, stored along other axes
        labels = labels[:, :, :-1] if "another size" in quirks else labels
        name = f"{item.split}/{item.name}"
        export.files |= _files_of(lambda at: write_nifti(at / f"{name}{suffix}.{ending}", values, axes), "images")  # noqa: B023
        export.files |= _files_of(lambda at: write_nifti(at / f"{name}.{ending}", labels, drawn), "labels")  # noqa: B023
    _lose(export, quirks)
    return export


def dicom(items, quirks) -> Export:
    export = _described("dicom", items, quirks)
    ending = next((one for one in ("nrrd", "mha") if one in quirks), "nii.gz")
    for item in items:
        values, labels = _scan(item)
        labels = labels[:-1] if "another size" in quirks else labels
        name, patient = f"{item.split}/{item.name}", f"P{item.number}"
        series = _files_of(lambda at: write_series(at / name, values, patient), "series")  # noqa: B023
        export.files |= series
        if "two series" in quirks:
            more = _files_of(lambda at: write_series(at / name, values, patient), "series")  # noqa: B023
            export.files |= {path.replace(".dcm", "_.dcm"): content for path, content in more.items()}
        export.files |= _files_of(lambda at: write_labels_of_series(at / f"{name}.{ending}", labels), "labels")  # noqa: B023
    _lose(export, quirks)
    return export


def _lose(export: Export, quirks) -> None:
    if "missing labels" in quirks:
        del export.files[next(name for name in export.files if name.startswith("labels/"))]


assert all(width != height for width, height in SIZES[:2])  # axes that are exchanged are noticed

MASK_KINDS = {
    "masks": Kind(
        masks,
        ("longer names", "another suffix", "ignored corner", "grey as colours", "sixteen bits", "masks kept"),
        ("missing mask", "lonely mask", "unknown value", "another size", "colours"),
        truths=apart,
    ),
    "nifti": Kind(
        nifti,
        ("LPS", "ASL", "not packed", "channel in names", "labels as decimals", "full window", "labels lie otherwise"),
        ("missing labels", "unknown value", "another size", "window elsewhere"),
        truths=apart,
        needs=("nibabel",),
    ),
    "dicom": Kind(
        dicom,
        ("nrrd", "mha", "full window"),
        ("missing labels", "unknown value", "another size", "two series", "window elsewhere"),
        truths=apart,
        needs=("SimpleITK", "pydicom"),
    ),
}
