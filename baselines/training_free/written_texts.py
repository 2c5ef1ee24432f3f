"""Texts about the classes of a data set, written beforehand: sentences for CuPL, descriptors for VCD.

The published methods take what a large language model answered (GPT-3). Its answers are not shipped: the files in
`texts/` are this project's own words, one file for each list of classes. Another set needs a file of the same form and
a line in FILES; a list of answers in the form of CuPL's or VCD's JSON goes into it class by class. For detectors one
file holds the classes of all sets: DETECTION.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from cones.runtime.errors import ConesError
from cones.runtime.strict import Strict, parse, read_yaml

FILES = {
    "nano_names": "texts/nano_names.yaml",
    "nano_names_negative": "texts/nano_names.yaml",
    "nano_names_thermal": "texts/nano_names.yaml",
    "nano_patterns": "texts/nano_patterns.yaml",
    "nano_places": "texts/nano_places.yaml",
    "nano_cells": "texts/nano_cells.yaml",
    "nano_modality": "texts/nano_modality.yaml",
    "nano_radiograph": "texts/nano_radiograph.yaml",
}
DETECTION = "texts/detection.yaml"


class AboutClass(Strict):
    """sentences    whole ones that name the class, for CuPL
    phrases      of a detector's caption, for CuPL there: {} stands for the name
    descriptors  short ones that do not, for VCD: a part, "has …", "used …"; see `clause` in vcd.py
    """

    sentences: tuple[str, ...] = ()
    phrases: tuple[Annotated[str, Field(pattern=r"^[^{}]*\{\}[^{}]*$")], ...] = ()
    descriptors: tuple[str, ...] = ()


class WrittenTexts(Strict):
    """source   who wrote them
    classes  by name, as it stands in texts (spaces, not underscores)
    """

    source: str
    classes: dict[str, AboutClass]


def texts_about(dataset: str, names: Sequence[str]) -> list[AboutClass]:
    """What is written about each class. ConesError if the set has no file, or its file lacks a class."""
    if dataset not in FILES:
        raise ConesError(
            "no texts are written about the classes of this set",
            where=dataset or "a data set without a name",
            expected=f"a file as baselines/training_free/texts/*.yaml; there are {', '.join(sorted(FILES))}",
            next_step="write one, or take the arms that read texts, such as cupl and vcd, out of the suite",
        )
    return _of_classes(FILES[dataset], names)


def texts_for_detectors(names: Sequence[str]) -> list[AboutClass]:
    """What is written about each class of a detector's caption, by its name as it is or in lower case. ConesError if
    the file lacks one."""
    return _of_classes(DETECTION, names)


def _of_classes(file: str, names: Sequence[str]) -> list[AboutClass]:
    path = Path(__file__).parent / file
    written = parse(WrittenTexts, read_yaml(path), where=path.name).classes
    written = {name: written.get(name, written.get(name.lower())) for name in names}
    if missing := [name for name, about in written.items() if about is None]:
        raise ConesError(
            "no text is written about a class",
            where=f"{path.name}: classes",
            found=", ".join(missing),
            next_step="write sentences and descriptors of it",
        )
    return [written[name] for name in names]
