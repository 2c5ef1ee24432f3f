"""ISIC 2016: lesion masks (task 1) and a CSV of `image id, diagnosis` per split (task 3) that gives the class.

The CSVs have no header, though re-uploads have one; training labels are words, test labels are 0.0 or 1.0.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from cones.data.formats import masks
from cones.data.formats.records import NativeFiles, Record

FORMAT = {"name": "isic2016"}
VERSION = 1


class Labelled(masks.Folder):
    labels: str  # the CSV of this folder's pictures


class Parameters(masks.Layout):
    folders: tuple[Labelled, ...]
    mask_suffix: str = "_Segmentation"
    min_area: int = 20
    min_share: float = 0.01
    diagnoses: dict[str, str] = Field({"benign": "skin lesion", "malignant": "melanoma"})  # word of the CSV: class
    numbers: tuple[str, ...] = ("benign", "malignant")  # what 0.0 and 1.0 stand for


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per picture, `item_id` its ISIC id, one object per lesion region, of the class of its diagnosis."""
    root = native.root(parameters.root)
    labels: dict[str | None, dict[str, str]] = {}
    for folder in parameters.folders:
        labels.setdefault(folder.split, {}).update(read_labels(root / folder.labels, native, parameters))

    def class_of(stem: str, split: str | None) -> str:
        if stem in labels[split]:
            return labels[split][stem]
        names = ", ".join(folder.labels for folder in parameters.folders if folder.split == split)
        raise native.fault(
            f"no diagnosis of {stem}",
            names,
            next_step=native.mend("correct the files: the CSV is not that of the pictures"),
        )

    yield from masks.read(native, parameters, class_of=class_of)


def read_labels(file: Path, native: NativeFiles, parameters: Parameters) -> dict[str, str]:
    """`{image id: class}`."""
    try:
        rows = list(csv.reader(file.read_text(encoding="utf-8-sig").splitlines()))
    except FileNotFoundError:
        raise native.fault("the file of diagnoses is missing", file, next_step=native.mend()) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise native.fault("not a CSV file", file, found=error, next_step=native.mend()) from None
    found: dict[str, str] = {}
    for number, row in enumerate(rows, start=1):
        if not row or (number == 1 and not row[0].startswith("ISIC_")):
            continue  # a blank line, or the header of a re-upload
        name, word = row[0].strip(), _word(row[1].strip() if len(row) == 2 else "", parameters)
        if word not in parameters.diagnoses or found.get(name, word) != word:
            raise native.fault(
                f"line {number} holds no usable diagnosis, or a second one for {name}",
                file,
                expected=f"{name},{' or '.join(parameters.diagnoses)}, or 0.0 or 1.0",
                found=",".join(row),
                next_step=native.mend("correct the line"),
            )
        found[name] = word
    return {name: native.known_class(parameters.diagnoses[word], file) for name, word in found.items()}


def _word(text: str, parameters: Parameters) -> str:
    """`1.0` as the word it stands for."""
    try:
        value = float(text)
    except ValueError:
        return text.lower()
    return parameters.numbers[int(value)] if value in range(len(parameters.numbers)) else text
