"""Whether a folder is volumes with label volumes: NIfTI files in twin folders, or DICOM series with label volumes."""

import json
import re
from pathlib import Path
from typing import Any

from cones.data.files import plain
from cones.data.formats.dicom import LABELS
from cones.data.formats.nifti import SUFFIXES
from cones.data.formats.volumes import reader
from cones.data.recognise.layout import Recognised, Tree
from cones.runtime.errors import ConesError

LABEL_WORDS = ("label", "mask", "seg", "annotation", "gt")
LOOKED_AT = 10  # label volumes, to see which values they hold
WINDOW = "the window of values that becomes grey is written `full`, from black to white (`window`, such as [-160, 240])"
AXIS = "the axis of the slices is written `axial` (`axis`)"
PATIENT = "two volumes of one patient may fall into two splits: say who is whose in `split.patients`"


def recognise_nifti(tree: Tree) -> Recognised | None:
    volumes = [path for path in tree.files if _ending(path, SUFFIXES)]
    places = sorted({path.parent for path in volumes})
    labels = [place for place in places if _is_of_labels(tree, place)]
    if not volumes or _series_folders(tree):
        return None
    images, labelled = _twins(tree, [place for place in places if place not in labels], labels)
    names = sorted(_stem(path, SUFFIXES) for path in volumes if path.parent == images)
    drawn = sorted(_stem(path, SUFFIXES) for path in volumes if path.parent == labelled)
    channels = sorted({match[0] for name in names if (match := re.search(r"_[0-9]{4}$", name))})
    is_of_channels = bool(channels) and not set(drawn) & set(names)
    values, notes = _values(tree, [path for path in volumes if path.parent == labelled])
    if len(channels) > 1 and is_of_channels:
        notes += (f"of the channels {', '.join(channels)} the first is read (`image_suffix`)",)
    return Recognised(
        format=tree.format(
            "nifti",
            images=tree.name(images),
            labels=tree.name(labelled),
            image_suffix=channels[0] if is_of_channels else None,
            axis="axial",
            window="full",
            values=values,
        ),
        classes=list(dict.fromkeys(values.values())),
        task="detection",
        why=(f"{len(drawn)} NIfTI label volumes in {tree.name(labelled)}, of volumes in {tree.name(images)}",),
        unknown=(AXIS, WINDOW, *notes, PATIENT),
        slices=True,
    )


def recognise_dicom(tree: Tree) -> Recognised | None:
    series = _series_folders(tree)
    if not series:
        return None
    labels = [path for path in tree.files if _ending(path, LABELS)]
    above = [place for place in series[0].parents if all(one.is_relative_to(place) for one in series)]
    images = next(place for place in above if place.is_relative_to(tree.folder))
    names = {plain(place.relative_to(images).as_posix()) for place in series}
    for place in sorted({parent for path in labels for parent in path.parents if parent.is_relative_to(tree.root)}):
        drawn = {_below(path, place): path for path in labels if path.is_relative_to(place)}
        if names & drawn.keys():
            break
    else:
        raise ConesError(
            "these DICOM series have no label volumes",
            where=tree.folder,
            expected=f"labels/{min(names)}.nii.gz, .nrrd or .mha for the series {tree.name(series[0])}",
            found=", ".join(map(tree.name, labels[:3])) or "none",
            next_step="put them there, each named like the folder of its series",
        )
    values, notes = _values(tree, list(drawn.values()))
    return Recognised(
        format=tree.format(
            "dicom",
            images=tree.name(images),
            labels=tree.name(place),
            axis="axial",
            window="full",
            values=values,
        ),
        classes=list(dict.fromkeys(values.values())),
        task="detection",
        why=(f"{len(series)} DICOM series in {tree.name(images)}, {len(drawn)} label volumes in {tree.name(place)}",),
        unknown=(AXIS, WINDOW, *notes, PATIENT),
        slices=True,
    )


def _twins(tree: Tree, images: list[Path], labels: list[Path]) -> tuple[Path, Path]:
    """The folder of volumes and that of their labels; nnU-Net's imagesTs has none and is left out."""
    labels = [place for place in labels if not place.name.endswith("Ts")] or labels
    images = [place for place in images if not place.name.endswith("Ts")]
    if len(images) == len(labels) == 1:
        return images[0], labels[0]
    raise ConesError(
        "NIfTI volumes, but not one folder of volumes and one of labels",
        where=tree.folder,
        expected="images/ and labels/, or imagesTr/ and labelsTr/",
        found=", ".join(map(tree.name, [*images, *labels])),
        next_step="lay them out so",
    )


def _values(tree: Tree, files: list[Path]) -> tuple[dict[int, str], tuple[str, ...]]:
    """({label: class}, what is not said) of nnU-Net's dataset.json, or else of the numbers in label volumes."""
    for file in (path for path in tree.files if path.name == "dataset.json"):
        try:
            named = json.loads(file.read_text("utf-8-sig"))["labels"]
            numbered = {int(key): str(name) for key, name in named.items()} if "0" in named else _inverted(named)
            return {value: name for value, name in sorted(numbered.items()) if value}, ()
        except (OSError, ValueError, KeyError, TypeError):
            continue
    found: set[int] = set()
    for file in files[:: max(1, len(files) // LOOKED_AT)][:LOOKED_AT]:
        found |= _numbers(tree, file)
    found.discard(0)
    if not found:
        raise ConesError(
            "the label volumes are empty", where=tree.folder, next_step="look whether these are the labels"
        )
    note = "the labels hold numbers: their names are written `class 1` …; say them in `classes` and `values`"
    return {value: f"class {value}" for value in sorted(found)}, (note,)


def _inverted(named: dict[str, Any]) -> dict[int, str]:
    return {int(value): name for name, value in named.items()}


def _numbers(tree: Tree, file: Path) -> set[int]:
    import numpy as np

    if _ending(file, SUFFIXES):
        values = np.asanyarray(reader("nibabel", tree.native).load(file).dataobj)
    else:
        itk = reader("SimpleITK", tree.native)
        values = itk.GetArrayFromImage(itk.ReadImage(str(file)))
    return set(np.unique(values).astype(int).tolist())


def _series_folders(tree: Tree) -> list[Path]:
    """The folders that hold DICOM files: one file of each is looked into."""
    first: dict[Path, Path] = {}
    for path in tree.files:
        if path.suffix.lower() in (".dcm", ".ima", ""):
            first.setdefault(path.parent, path)
    return sorted(place for place, path in first.items() if _is_dicom(path))


def _is_dicom(file: Path) -> bool:
    with open(file, "rb") as content:
        return content.read(132)[128:] == b"DICM"


def _is_of_labels(tree: Tree, place: Path) -> bool:
    return any(word in tree.name(place).lower() for word in LABEL_WORDS)


def _ending(path: Path, endings: tuple[str, ...]) -> str | None:
    return next((ending for ending in endings if path.name.lower().endswith(ending)), None)


def _stem(path: Path, endings: tuple[str, ...]) -> str:
    return path.name[: -len(_ending(path, endings))]


def _below(path: Path, place: Path) -> str:
    return plain((path.parent / _stem(path, LABELS)).relative_to(place).as_posix())
