"""`<table>_cells.csv`: one row per cell of a grid, whether it has numbers or a reason for having none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cones.evaluation.coco_ap import DECIMALS, STATISTICS
from cones.evaluation.metrics import CellMetrics, read_metrics
from cones.outputs.files import read_csv, to_csv
from cones.runtime.errors import ConesError

if TYPE_CHECKING:
    from pandas import DataFrame

KEYS = ("suite", "model", "dataset", "group", "arm", "method", "seed")
ALL_LOSSES = ("all",)
MASK_STATISTICS = ("ap", "ap50", "ap75")
PARAMETER_COLUMNS = tuple(
    f"{part}_{convention}" for convention in ("used", "paper") for part in ("trained", "total", "text_encoder")
)
COLUMNS = (
    *KEYS,
    *(
        "tokens_per_class",
        "losses",
        "initial_seed",
        "block",
        "shots",
        "status",
        "reason",
        "selected_epoch",
        "selected_by",
        "validation_ap",
    ),
    *STATISTICS,
    *(f"mask_{name}" for name in MASK_STATISTICS),
    *("images", "boxes", "detections", "classes", "categories_not_annotated"),
    *PARAMETER_COLUMNS,
)
NUMBERS = ("validation_ap", *STATISTICS, *(f"mask_{name}" for name in MASK_STATISTICS))
WHOLE_NUMBERS = (
    *("tokens_per_class", "initial_seed", "shots", "selected_epoch", "images", "boxes", "detections", "classes"),
    *PARAMETER_COLUMNS,
)
LONGEST_REASON = 200
NO_ERROR_LINE = "no error of its own: killed (out of memory?), or refused by Snakemake"


@dataclass(frozen=True)
class ExpectedCell:
    """A cell that the configuration asks for; any object with these attributes serves."""

    model: str
    dataset: str
    group: str
    arm: str
    method: str
    seed: int
    unsupported_reason: str | None = None  # why this model cannot carry the method, if so
    tokens_per_class: int | None = None  # of the vectors that the cell learns, if it learns any
    losses: tuple[str, ...] | None = None  # the groups of losses that train; None is all
    initial_seed: int | None = None  # of the random weights that the model starts from, if it is not pretrained
    block: str | None = None  # of the tables' rows, where the paper does not know the method
    shots: int | None = None  # about so many images per class are tuned on; None: all, or nothing is tuned


def collect_cells(
    expected: Sequence[ExpectedCell],
    metrics: Mapping[ExpectedCell, Path],
    logs: Mapping[ExpectedCell, Path] | None = None,
    *,
    suite: str,
    check: Callable[[ExpectedCell], None] | None = None,
    partial: bool = False,
) -> DataFrame:
    """One row per expected cell, in the order given; COLUMNS, missing values as pandas' NA.

    `status` is "done", "skipped" (declared in the file, or `unsupported_reason`), "failed" (no metrics file, but a
    log, whose last line is the reason) or "not run". A metrics file that is malformed or belongs to another cell
    raises ConesError, and so does a cell whose files `check` does not believe; with `partial` it makes that cell
    "failed" instead.
    """
    import pandas as pd

    twice = [key for key, count in Counter(_key(suite, cell) for cell in expected).items() if count > 1]
    if twice:
        raise ConesError(
            "a cell is expected twice",
            where=" ".join(map(str, twice[0])),
            next_step="name each model, dataset, arm and seed once in the suite's config",
        )
    rows = []
    for cell in expected:
        identity = dict(zip(KEYS, _key(suite, cell)))
        asked = {
            "tokens_per_class": cell.tokens_per_class,
            "losses": "+".join(cell.losses or ALL_LOSSES),
            "initial_seed": cell.initial_seed,
            "block": cell.block,
            "shots": cell.shots,
        }
        outcome = _outcome(cell, identity, metrics.get(cell), (logs or {}).get(cell), check, partial)
        rows.append({**identity, **asked, **outcome})
    cells = pd.DataFrame(rows, columns=list(COLUMNS))
    return cells.astype(dict.fromkeys(WHOLE_NUMBERS, "Int64"))


def cells_csv(cells: DataFrame) -> str:
    """The text of a `<grid>_cells.csv`: every number as the cells' metrics.json have it, so that nothing is lost on
    the way to a table."""
    return to_csv(cells, decimals=DECIMALS)


def read_cells(path: str | Path) -> DataFrame:
    """The rows of a `<grid>_cells.csv` as `collect_cells` made them; ConesError unless it has their columns."""
    import pandas as pd

    columns, rows = read_csv(path)
    if tuple(columns) != COLUMNS:
        raise ConesError("not a list of cells of this version", where=path, next_step="delete it and run again")
    kinds = {**dict.fromkeys(NUMBERS, float), **dict.fromkeys((*WHOLE_NUMBERS, "seed"), int)}
    try:
        read = [{name: kinds.get(name, str)(text) if text else None for name, text in row.items()} for row in rows]
    except ValueError as error:
        raise ConesError("not a number", where=path, found=error, next_step="delete it and run again") from None
    cells = pd.DataFrame(read, columns=list(COLUMNS))
    return cells.astype({**dict.fromkeys(WHOLE_NUMBERS, "Int64"), **dict.fromkeys(NUMBERS, "float64")})


def _key(suite: str, cell: ExpectedCell) -> tuple:
    return (suite, cell.model, cell.dataset, cell.group, cell.arm, cell.method, cell.seed)


def _outcome(
    cell: ExpectedCell,
    identity: dict,
    metrics: Path | None,
    log: Path | None,
    check: Callable[[ExpectedCell], None] | None,
    partial: bool,
) -> dict:
    """The columns of a cell beyond its key: numbers, or status and reason."""
    if metrics is None or not Path(metrics).exists():
        if cell.unsupported_reason:
            return {"status": "skipped", "reason": cell.unsupported_reason}
        reason = last_line(log)
        return {"status": "failed", "reason": reason} if reason else {"status": "not run", "reason": "not run"}
    try:
        content = read_metrics(metrics)
        check_identity({**content.cell.model_dump(), "group": content.group}, identity, metrics)
        if check:
            check(cell)
    except ConesError as error:
        if not partial:
            raise
        return {"status": "failed", "reason": str(error)}
    return _columns(content)


def check_identity(recorded: dict, identity: dict, path: Path) -> None:
    """Refuse a file copied from another cell, which would put its numbers into the wrong row."""
    for key, value in identity.items():
        if recorded[key] != value:
            raise ConesError(
                f"{key} is that of another cell",
                where=path,
                expected=value,
                found=recorded[key],
                next_step="delete the cell's folder and run again",
            )


def _columns(content: CellMetrics) -> dict:
    reason = " ".join(content.reason.split()) if content.reason else None  # one line, whoever wrote it
    columns: dict = {"status": content.status, "reason": reason}
    if content.selection:
        chosen = content.selection
        columns |= {"selected_epoch": chosen.epoch, "selected_by": chosen.by, "validation_ap": chosen.validation_ap}
    if boxes := content.scores.get("bbox"):
        counts = ("images", "boxes", "detections")
        columns |= {name: getattr(boxes, name) for name in (*STATISTICS, *counts)}
        columns["classes"] = len(boxes.per_class)
        columns["categories_not_annotated"] = ", ".join(boxes.categories_not_annotated) or None
    if masks := content.scores.get("segm"):
        columns |= {f"mask_{name}": getattr(masks, name) for name in MASK_STATISTICS}
    if content.parameters:
        for convention, count in content.parameters.model_dump().items():
            columns |= {f"{part}_{convention}": number for part, number in count.items()}
    return columns


def last_line(log: str | Path | None, longest: int | None = LONGEST_REASON) -> str | None:
    """The last line of a log that says something, without colours, or None where there is no such file.

    A step that fails writes a line with "error"; without one the step was killed from outside, and the text says so.
    """
    if log is None or not Path(log).exists():
        return None
    text = Path(log).read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).splitlines()]
    line = next((line for line in reversed(lines) if line), "nothing")
    if "error" not in line.lower():
        line = f"{NO_ERROR_LINE}; its last line: {line}"
    return line if longest is None or len(line) <= longest else line[: longest - 1] + "…"
