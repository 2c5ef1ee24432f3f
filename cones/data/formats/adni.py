"""ADNI hippocampus as the Kaggle copy has it: JPEG slices per subject, left and right masks in folders of their own.

    original/100/<subject>/*.jpg
    label/100label/<subject>/<subject with "ACPC" or "tal_noscale" replaced by L or R>/*.jpg
Names do not match: the i-th file of the three folders belongs together.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field, PositiveInt

from cones.data.formats import masks
from cones.data.formats.records import NativeFiles, Record
from cones.runtime.strict import Strict

FORMAT = {"name": "adni"}
VERSION = 1


class Parameters(masks.Regions):
    root: str = "."
    cohorts: dict[str, str] = Field(
        {"original/100": "label/100label", "original/35": "label/35label"}
    )  # pictures: masks
    markers: tuple[str, ...] = ("ACPC", "tal_noscale")  # in a subject's name, where its masks' folders have L and R
    sides: tuple[str, ...] = ("L", "R")
    min_area: int = 10
    largest: PositiveInt | None = None  # so many slices are kept, those with the smallest foreground are left out


class Slice(Strict):
    """The i-th slice of a subject and its masks."""

    subject: str
    index: int
    picture: Path
    masks: tuple[Path, ...]


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per slice with a visible hippocampus; `item_id` is `<subject>/<index>`, `group` the subject.

    Objects are the regions of the united masks of both sides. Slices without one are left out and counted.
    """
    found: list[tuple[int, Record]] = []
    for piece in slices(native, parameters):
        area, record = _read(piece, native, parameters)
        if record.objects:
            found.append((area, record))
        else:
            native.note("a slice without hippocampus, left out", piece.picture)
    kept = range(len(found))
    if parameters.largest is not None:
        ranked = sorted(kept, key=lambda one: (-found[one][0], found[one][1].item_id))
        kept = sorted(ranked[: parameters.largest])
        for one in sorted(ranked[parameters.largest :]):
            picture = found[one][1].image
            native.note(f"beyond the {parameters.largest} slices with the largest foreground, left out", picture)
    yield from (found[one][1] for one in kept)


def slices(native: NativeFiles, parameters: Parameters) -> Iterator[Slice]:
    """All slices, cohort by cohort, subject by subject, in order; the three folders must agree in number."""
    root = native.root(parameters.root)
    for originals, labels in parameters.cohorts.items():
        subjects = sorted(path for path in (root / originals).glob("[!.]*") if path.is_dir())
        if not subjects:
            raise native.fault("no subject here", root / originals, next_step=native.mend())
        for subject in subjects:
            pictures = _in_order(subject)
            sides = [_mask_folder(root / labels / subject.name, side, native, parameters) for side in parameters.sides]
            columns = [_in_order(side) for side in sides]
            for side, files in zip(sides, columns):
                if len(files) != len(pictures) or not pictures:
                    raise native.fault(
                        "pictures and masks differ in number",
                        side,
                        expected=f"{len(pictures)} as in {native.relative(subject)}",
                        found=len(files),
                        next_step=native.mend("correct the files: the i-th mask belongs to the i-th picture"),
                    )
            for index, (picture, *files) in enumerate(zip(pictures, *columns, strict=True)):
                yield Slice(subject=subject.name, index=index, picture=picture, masks=tuple(files))


def _mask_folder(folder: Path, side: str, native: NativeFiles, parameters: Parameters) -> Path:
    marker = next((marker for marker in parameters.markers if marker in folder.name), None)
    if marker is None:
        raise native.fault(
            "the subject's name does not say where its masks are",
            folder,
            expected=f"a name with {' or '.join(parameters.markers)}",
            next_step=f"correct `markers` of this dataset's `format` in {native.registry}",
        )
    found = folder / folder.name.replace(marker, side)
    if not found.is_dir():
        raise native.fault("a folder of masks is missing", found, next_step=native.mend())
    return found


def _in_order(folder: Path) -> list[Path]:
    """Picture files by name, numbers in it by value: slice2 before slice10."""
    return sorted(masks.files_in(folder), key=lambda path: [int(w) if w.isdecimal() else w for w in _words(path.stem)])


def _words(name: str) -> list[str]:
    return re.split(r"(\d+)", name)


def _read(piece: Slice, native: NativeFiles, parameters: Parameters) -> tuple[int, Record]:
    """(foreground pixels, record) of one slice."""
    sides = [masks.bright(native, file, parameters.threshold, piece.picture) for file in piece.masks]
    united = sides[0]
    for other in sides[1:]:
        united = united | other
    objects = masks.objects_of(united, parameters, native.classes[0])
    record = Record(
        item_id=f"{piece.subject}/{piece.index:03d}",
        image=native.relative(piece.picture),
        objects=objects,
        group=piece.subject,
    )
    return int(united.sum()), record
