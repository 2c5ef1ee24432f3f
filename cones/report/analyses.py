"""What the report shows beside Table 1 and its details: the sheets and pictures of the other tables and figures."""

from __future__ import annotations

import base64
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from cones.report.origin import command
from cones.report.sheets import SHEETS
from cones.tables.files import METHOD_GRIDS, named, read_csv
from cones.tables.sheet import Sheet, trimmed


@dataclass(frozen=True)
class Section:
    """A section of the page: the stem of its CSV file, the parts of a suite of which it needs one, pictures.

    The `supplement` is a picture that the page keeps folded.
    """

    stem: str
    parts: tuple[str, ...]  # none: any suite has it
    title: str
    said: str
    pictures: tuple[str, ...] = ()
    supplement: tuple[str, ...] = ()


SECTIONS = (
    Section(
        "ranks",
        ("table1",),
        "Ranks over datasets",
        "Is ConES better than another method, or only on average? Datasets are the sample here.",
    ),
    Section(
        "table2",
        ("table2",),
        "Table 2: instance segmentation",
        "The same methods on a model that predicts masks.",
    ),
    Section(
        "table3",
        ("table3",),
        "Table 3 and Figure 5: from class vectors to images",
        "How far the vectors of the classes are from the image features of their boxes.",
        ("figure5.png",),
    ),
    Section(
        "figure4",
        ("figure4",),
        "Figure 4: where the class vectors lie",
        "Do the vectors of natural and medical classes blend, and would random vectors do the same?",
        ("figure4.png",),
        ("figure4_supplement.png",),
    ),
    Section("table4", ("table4",), "Table 4: losses", "Which losses the concept embeddings are searched with."),
    Section("table5", ("table5",), "Table 5: tokens per class", "ConES with one to five vectors per class."),
    Section("table7", (), "Table 7: datasets", "What the datasets came to in this suite."),
    Section(
        "table9",
        ("table9",),
        "Table 9: deep fusion and pretraining data",
        "The same model without deep fusion, and pretrained on less.",
    ),
    Section(
        "generation",
        ("generation",),
        "Figures 3 and 6: personalised generation",
        "A few pictures of a subject, learnt by each method: is it the same subject again, and what did that cost?",
        ("figure3.png", "figure6.png"),
    ),
    Section("efficiency", METHOD_GRIDS, "Costs", "What each method needs: parameters, seconds, memory, steps."),
)


@dataclass(frozen=True)
class Shown:
    """A section as the page has it; pictures and supplement are (alt text, data URI)."""

    name: str
    title: str
    said: str
    command: str  # makes it again
    sheets: list[Sheet] = field(default_factory=list)
    pictures: list[tuple[str, str]] = field(default_factory=list)
    supplement: list[tuple[str, str]] = field(default_factory=list)


def analyses(
    folder: Path, parts: Collection[str], *, suite: str, title: str, overrides: dict, partial: bool = False
) -> list[Shown]:
    """The sections that the suite's parts allow, in the order of the page; empty where its file is not made yet.

    With `partial` they are made of the files that a failed run left.
    """
    shown = []
    for section in SECTIONS:
        if section.parts and not set(section.parts) & set(parts):
            continue
        path = folder / named(f"{section.stem}.csv", partial)
        sheets = SHEETS[section.stem](*read_csv(path), suite=suite, title=title) if path.exists() else []
        sheets = [trimmed(sheet) for sheet in (sheets if isinstance(sheets, list) else [sheets])]
        alt = f"{section.title}, suite {suite}; the numbers are in the table"
        pictures, supplement = (
            [
                (alt, _data_uri(picture))
                for name in names
                if path.exists() and (picture := folder / named(name, partial)).exists()
            ]
            for names in (section.pictures, section.supplement)
        )
        again = command(suite, overrides, target=f"results/{section.stem}.csv")
        shown.append(Shown(section.stem, section.title, section.said, again, sheets, pictures, supplement))
    return shown


def _data_uri(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
