"""NIfTI volumes (.nii, .nii.gz) and label volumes of the same names, as slices, read by nibabel (extra `medical`)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cones.data.files import files_below, plain
from cones.data.formats.records import NativeFiles, Record
from cones.data.formats.volumes import Slicing, Volume, reader, slices_of

FORMAT = {"name": "nifti"}
VERSION = 1
RENDERS = True
SUFFIXES = (".nii.gz", ".nii")
APART = 1e-3  # mm between the affine matrices of a volume and its labels: more, and they are of different scans


class Parameters(Slicing):
    image_suffix: str = ""  # what a volume's name has beyond its item's, before .nii: `_0000` of nnU-Net
    label_suffix: str = ""
    channel: int | None = None  # of a volume with four dimensions, from 0


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per chosen slice, volume by volume; `item_id` is `<volume>/<index>`, `group` the volume.

    A volume without labels, labels without a volume, and two that do not lie alike are errors.
    """
    nibabel = reader("nibabel", native)
    root = native.root(parameters.root)
    images = _named(root / parameters.images, parameters.image_suffix)
    labels = _named(root / parameters.labels, parameters.label_suffix)
    if not images:
        raise native.fault("no volume here", root / parameters.images, next_step=native.mend("check the folder"))
    absent = [f"{parameters.labels}/{name}{parameters.label_suffix}.nii.gz" for name in images if name not in labels]
    if absent:
        native.leave_out_missing(absent, len(images), root / parameters.labels, what="label volumes")
    if stray := sorted(set(labels) - set(images)):
        raise native.fault(
            f"{len(stray)} label volumes have no volume", labels[stray[0]], next_step=native.mend("remove them")
        )
    for name in sorted(set(images) & set(labels)):
        pixels, affine = _read(images[name], parameters.channel, nibabel, native)
        drawn, drawn_affine = _read(labels[name], None, nibabel, native)
        if abs(affine - drawn_affine).max() > APART:
            raise native.fault(
                "volume and labels do not lie alike: their affine matrices differ",
                labels[name],
                expected=affine.round(3).tolist(),
                found=drawn_affine.round(3).tolist(),
                next_step=native.mend("take the labels that were drawn on this volume, or resample them to it"),
            )
        yield from slices_of(Volume(name, images[name], pixels, drawn, group=name), native, parameters)


def _named(folder: Path, suffix: str) -> dict[str, Path]:
    """`{path below the folder, without suffixes: file}`"""
    found = {}
    for path in files_below(folder):
        ending = next((one for one in SUFFIXES if path.name.lower().endswith(one)), None)
        if ending and (stem := path.name[: -len(ending)]).endswith(suffix):
            name = plain((path.parent / stem.removesuffix(suffix)).relative_to(folder).as_posix())
            found[name] = path
    return found


def _read(file: Path, channel: int | None, nibabel: Any, native: NativeFiles) -> tuple[Any, Any]:
    """((S, H, W) values, 4 x 4 affine) in the patient's directions; see `cones.data.formats.volumes`."""
    import numpy as np

    try:
        image = nibabel.as_closest_canonical(nibabel.load(file))  # axes to the right, to the front, to the head
        values = np.asanyarray(image.dataobj)
    except Exception as error:  # nibabel raises ImageFileError, OSError, EOFError, zlib.error … on damaged files
        raise native.fault("not a readable NIfTI volume", file, found=error, next_step=native.mend()) from None
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    if values.ndim == 4 and channel is not None and channel < values.shape[3]:
        values = values[..., channel]
    if values.ndim != 3:
        raise native.fault(
            "not a volume of three dimensions",
            file,
            found=" x ".join(map(str, values.shape)),
            next_step=f"choose one with `channel` in the dataset's `format` in {native.registry}",
        )
    return values[::-1, ::-1, :].transpose(2, 1, 0), image.affine
