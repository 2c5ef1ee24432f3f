"""What the report shows beside Table 1: the sheets and pictures that the suite's other parts have."""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from cones.analysis.blending_sheet import blending_sheet
from cones.analysis.table3_sheets import table3_sheets
from cones.config import MAIN_GRID
from cones.tables.files import read_csv
from cones.tables.generation_render import generation_sheet
from cones.tables.ranks import ranks_sheet
from cones.tables.sheet import Sheet
from cones.tables.table5 import table5_sheet
from cones.tables.table9 import table9_sheet


@dataclass(frozen=True)
class Section:
    """A section of the page: the part of a suite it needs, its files' stem, how that is shown, its pictures."""

    part: str
    stem: str
    title: str
    said: str
    sheets: Callable[..., Sheet | list[Sheet]]
    pictures: tuple[str, ...] = ()


SECTIONS = (
    Section(
        MAIN_GRID,
        "ranks",
        "Ranks over datasets",
        "Is ConES better than another method, or only on average? Datasets are the sample here.",
        ranks_sheet,
    ),
    Section("table5", "table5", "Table 5: tokens per class", "ConES with one to five vectors per class.", table5_sheet),
    Section(
        "table9",
        "table9",
        "Table 9: deep fusion and pretraining data",
        "The same model without deep fusion, and pretrained on less.",
        table9_sheet,
    ),
    Section(
        "figure4",
        "figure4",
        "Figure 4: where the class vectors lie",
        "Do the vectors of natural and medical classes blend, and would random vectors do the same?",
        blending_sheet,
        ("figure4.png", "figure4_supplement.png"),
    ),
    Section(
        "table3",
        "table3",
        "Table 3 and Figure 5: from class vectors to images",
        "How far the vectors of the classes are from the image features of their boxes.",
        table3_sheets,
        ("figure5.png",),
    ),
    Section(
        "generation",
        "generation",
        "Figures 3 and 6: personalised generation",
        "A few pictures of a subject, learnt by each method: is it the same subject again, and what did that cost?",
        generation_sheet,
        ("figure3.png", "figure6.png"),
    ),
)


@dataclass(frozen=True)
class Shown:
    """A section as the page has it; pictures are (alt text, data URI)."""

    name: str
    title: str
    said: str
    sheets: list[Sheet] = field(default_factory=list)
    pictures: list[tuple[str, str]] = field(default_factory=list)


def analyses(
    folder: Path, parts: Collection[str], *, suite: str, title: str, rename: Callable[[str], str] = str
) -> list[Shown]:
    """The sections whose part the suite has, in the order of the page; empty where its file is not made yet.

    `rename` gives the name of a file in `folder`; pictures are shown under their own name alone.
    """
    shown = []
    for section in SECTIONS:
        if section.part not in parts:
            continue
        path = folder / rename(f"{section.stem}.csv")
        sheets = section.sheets(*read_csv(path), suite=suite, title=title) if path.exists() else []
        pictures = [
            (f"{section.title}, suite {suite}; the numbers are in the table", _data_uri(folder / name))
            for name in section.pictures
            if path.exists() and (folder / name).exists()
        ]
        sheets = sheets if isinstance(sheets, list) else [sheets]
        shown.append(Shown(section.stem, section.title, section.said, sheets, pictures))
    return shown


def _data_uri(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
