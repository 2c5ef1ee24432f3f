"""Test pictures of each dataset, annotated beside predicted, from the files of cells and of prepared datasets."""

from __future__ import annotations

import base64
import io
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cones.data.few_pictures import scored_on
from cones.experiment.cell import Cell, Plan
from cones.outputs.records import Record, grouped
from cones.outputs.wording import number
from cones.runtime.artifacts import check_sha256, read_json
from cones.runtime.errors import ConesError
from cones.runtime.verification import AGAIN

if TYPE_CHECKING:
    from cones.evaluation.preview import Pair

PAIRS = 2  # pictures of each dataset
OPEN = 4  # datasets that are shown at first; the others are folded
JPEG = {"format": "JPEG", "quality": 80, "subsampling": 0, "optimize": True}  # without subsampling boxes stay sharp
MOST_BYTES = 6_000_000  # of all pictures of a page


@dataclass(frozen=True)
class Half:
    """A test picture as a data URI, with what is annotated or predicted drawn over it."""

    uri: str
    width: int
    height: int
    caption: str


@dataclass(frozen=True)
class Beside:
    """A test picture twice: annotated, predicted."""

    file: str
    halves: tuple[Half, Half]


@dataclass(frozen=True)
class OfDataset:
    """What the page shows of a dataset's test pictures, or the reason why it shows none."""

    dataset: str
    method: str = ""  # as tables print it
    about: str = ""  # the cell, and its scores on the test split
    rule: str = ""  # which of its detections are drawn
    classes: tuple[tuple[str, str], ...] = ()  # (name, "#rrggbb") of what the pictures show
    pairs: tuple[Beside, ...] = ()
    command: str = ""  # draws more
    reason: str = ""


def inputs(plan: Plan, cells: Mapping[Cell, object]) -> list[Path]:
    """The files that the pictures of these cells may be drawn from; which cells are shown is known with their numbers.

    The pictures themselves belong to the manifest, which holds their sha256.
    """
    folders = [plan.data_folder(name) for name in dict.fromkeys(cell.dataset for cell in cells)]
    data = [folder / name for folder in folders for name in ("manifest.json", "test.json")]
    return [*data, *(cell.folder / "predictions.json" for cell in cells)]


def shown_cells(records: Mapping[Cell, Record]) -> list[Cell]:
    """Of each dataset the cell with the best AP on validation, among those of the first model with numbers there.

    Test scores decide nothing. Without an AP on validation it is the first that was tuned, in the order of the suite.
    """

    def rank(entry: tuple[Cell, Record]) -> tuple[float, bool]:
        row = entry[1].row
        return float(row["validation_ap"] or -1), bool(row["selected_epoch"])

    done = [(cell, record) for cell, record in records.items() if record.is_done]
    shown = []
    for _, mine in grouped(done, lambda entry: entry[0].dataset):
        candidates = [(cell, record) for cell, record in mine if cell.model == mine[0][0].model]
        shown.append(max(candidates, key=rank)[0])
    return shown


def pictures_of(plan: Plan, records: Mapping[Cell, Record], *, partial: bool = False) -> tuple[OfDataset, ...]:
    """The test pictures of each dataset with numbers, at most MOST_BYTES of them.

    A dataset whose files are not on this machine has a reason instead. Files that are not those of the cell raise
    ConesError; with `partial` that is a reason too.
    """
    drawn, size = [], 0
    for cell in shown_cells(records):
        name = plan.registry[cell.dataset].paper_name
        if size >= MOST_BYTES:
            drawn.append(OfDataset(name, command=_command(cell), reason="the page holds as many pictures as it may"))
            continue
        try:
            drawn.append(_of_cell(plan, cell, records[cell], name))
        except ConesError as error:
            if not partial:
                raise
            drawn.append(OfDataset(name, reason=str(error)))
        size += sum(len(half.uri) for pair in drawn[-1].pairs for half in pair.halves)
    return tuple(drawn)


def _of_cell(plan: Plan, cell: Cell, record: Record, name: str) -> OfDataset:
    from cones.data.drawing import class_colours
    from cones.evaluation.preview import pairs_of

    data = plan.data_folder(cell.dataset)
    if reason := _why_absent(data):
        return OfDataset(name, reason=reason)
    _check(data, cell, record)
    pairs, classes, rule = pairs_of(data, cell.folder / "predictions.json", PAIRS, plan.suite.pictures)
    colours = class_colours(classes)
    there = {entry["category_id"] for pair in pairs for entry in (*pair.annotated, *pair.predicted)}
    return OfDataset(
        name,
        method=record.label,
        about=f"suite: {cell.suite} · {cell} · {_scores(record)} on {scored_on(plan.suite.pictures)}",
        rule=rule,
        classes=tuple(
            (classes[place - 1], "#{:02x}{:02x}{:02x}".format(*colours[classes[place - 1]])) for place in sorted(there)
        ),
        pairs=tuple(_drawn(pair, colours) for pair in pairs),
        command=_command(cell),
    )


def _why_absent(data: Path) -> str | None:
    """Why a dataset that cells were made of cannot be shown here, or None."""
    if not (data / "manifest.json").exists():
        return f"its pictures are not on this machine: there is no {data}"
    manifest = read_json(data / "manifest.json")
    return None if manifest["status"] == "ready" else f"its pictures are not here any more: {manifest['reason']}"


def _check(data: Path, cell: Cell, record: Record) -> None:
    """ConesError unless detections and test split are those that the cell's numbers were made of."""
    recorded = {
        cell.folder / "predictions.json": record.said("sha256", "predictions.json"),
        data / "manifest.json": record.said("inputs_sha256", str(data / "manifest.json")),
    }
    for path, digest in recorded.items():
        if not digest:
            raise ConesError(f"records no sha256 of {path}", where=cell.folder / "run.json", next_step=AGAIN)
        check_sha256(path, digest)
    check_sha256(data / "test.json", read_json(data / "manifest.json")["splits"]["test"]["sha256"])


def _drawn(pair: Pair, colours: Mapping) -> Beside:
    return Beside(
        pair.file.name,
        (
            _half(pair.file, pair.annotated, "annotated", colours),
            _half(pair.file, pair.predicted, "predicted", colours),
        ),
    )


def _half(file: Path, objects: Sequence[dict], word: str, colours: Mapping) -> Half:
    from cones.data.drawing import tile

    drawn, written = tile(file, objects, colours, caption=""), io.BytesIO()
    drawn.save(written, **JPEG)
    uri = f"data:image/jpeg;base64,{base64.b64encode(written.getvalue()).decode()}"
    return Half(uri, drawn.width, drawn.height, f"{len(objects)} {word}")


def _scores(record: Record) -> str:
    box, mask = number(record.row["ap"]), record.row["mask_ap"]
    return f"box AP {box}{f', mask AP {number(mask)}' if mask else ''}"


def _command(cell: Cell) -> str:
    """The command that draws more pictures of a cell, and those of any other."""
    named = {"suite": cell.suite, "model": cell.model, "dataset": cell.dataset, "arm": cell.arm, "seed": cell.seed}
    options = [word for key, value in named.items() for word in (f"--{key}", str(value))]
    return shlex.join(["python", "-m", "cones", "preview-predictions", *options])
