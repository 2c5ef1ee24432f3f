"""The sections of the report, one for each table or figure of the suite: its sheets and its pictures."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cones.experiment.outputs import Output
from cones.outputs.files import named
from cones.outputs.make import sheets_of
from cones.outputs.report.origin import command
from cones.outputs.sheet import Sheet, trimmed


@dataclass(frozen=True)
class Section:
    """The part of the page about one output; pictures and supplement are (alt text, data URI)."""

    name: str
    title: str
    about: str
    command: str  # makes it again
    sheets: list[Sheet] = field(default_factory=list)  # none: not made yet
    pictures: list[tuple[str, str]] = field(default_factory=list)
    supplement: list[tuple[str, str]] = field(default_factory=list)  # pictures that the page keeps folded


def sections_of(
    outputs: Iterable[Output], folder: Path, *, suite: str, title: str, overrides: dict, partial: bool = False
) -> list[Section]:
    """A section for each output, empty where its file is not made yet; with `partial` of what a failed run left."""
    return [_section(output, folder, suite, title, overrides, partial) for output in outputs]


def _section(output: Output, folder: Path, suite: str, title: str, overrides: dict, partial: bool) -> Section:
    path, alt = folder / named(f"{output.name}.csv", partial), f"{output.title}, suite {suite}"
    again = command(suite, overrides, target=f"results/{output.name}.csv")
    if not path.exists():
        return Section(output.name, output.title, output.about, again)
    sheets = [trimmed(sheet) for sheet in sheets_of(output, path, suite=suite, title=title)]
    pictures, supplement = (
        [
            (f"{alt}; the numbers are in the table", _data_uri(picture))
            for stem in stems
            if (picture := folder / named(f"{stem}.png", partial)).exists()
        ]
        for stems in (output.figures, output.supplement)
    )
    return Section(output.name, output.title, output.about, again, sheets, pictures, supplement)


def _data_uri(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
