"""The rows of the tables of methods on detectors: a model and an arm with its cells, and its match in values."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cones.methods.method import METHODS
from cones.outputs.reads.costs import CostedCells
from cones.outputs.records import Record
from cones.outputs.rows import block_of

if TYPE_CHECKING:
    from pandas import DataFrame

NOTHING_TRAINS = "nothing trains"
OWN = "as many by itself"
NO_MATCH = "no arm of it has as many"


@dataclass(frozen=True)
class ArmCells:
    """A model and an arm: its cells as `collect_cells` makes them, and its finished cells' records and bytes."""

    model: str
    arm: str
    method: str
    cells: DataFrame
    records: Sequence[Record]
    stored: Sequence[int]

    @property
    def block(self) -> str:
        return block_of(self.cells)

    def trained(self) -> dict[str, int]:
        """{dataset: values that training changes}, of finished cells; seeds do not change it."""
        done = self.cells.dropna(subset=["trained_used"])
        return {dataset: int(values) for dataset, values in zip(done["dataset"], done["trained_used"])}

    def datasets(self) -> list[str]:
        return list(dict.fromkeys(self.cells["dataset"]))


def arms_of(source: CostedCells) -> Iterator[ArmCells]:
    """Yield every model and arm, matches among them, in the order of the cells."""
    for (model, arm), cells in source.cells.groupby(["model", "arm"], sort=False):
        keys = [(model, row.dataset, arm, row.seed) for row in cells.itertuples() if row.status == "done"]
        yield ArmCells(
            model=str(model),
            arm=str(arm),
            method=str(cells["method"].iloc[0]),
            cells=cells,
            records=[source.records[key] for key in keys if key in source.records],
            stored=[source.stored[key] for key in keys if key in source.stored],
        )


def rows_with_matches(source: CostedCells) -> Iterator[tuple[ArmCells, ArmCells | None, ArmCells | None, str]]:
    """Yield (row, the arm that sets the budget, what the row scores at that budget, in words how).

    The budget is the number of trained values, dataset by dataset, of the arm that others are matched to. A row that
    trains as many is its own match; else it is the arm of the same method that the suite matches to it. An arm that is
    matched is no row of its own.
    """
    arms = list(arms_of(source))
    setting = next(iter(source.matches.values()), None)
    for row in arms:
        if row.arm in source.matches:
            continue
        budget = next((arm for arm in arms if (arm.model, arm.arm) == (row.model, setting)), None)
        match, how = _match(row, budget, arms, source)
        yield row, budget, match, how


def _match(
    row: ArmCells, budget: ArmCells | None, arms: Sequence[ArmCells], source: CostedCells
) -> tuple[ArmCells | None, str]:
    if budget is None:
        return None, ""
    if row.method in METHODS and not METHODS[row.method].is_tuned:
        return None, NOTHING_TRAINS
    mine, theirs = row.trained(), budget.trained()
    if mine and all(theirs.get(dataset) == values for dataset, values in mine.items()):
        return row, OWN
    for arm in arms:
        if arm.model == row.model and arm.method == row.method and source.matches.get(arm.arm) == budget.arm:
            return arm, arm.arm
    return None, NO_MATCH


def champion(method: str, arms: Container[str]) -> str | None:
    """The arm of ConES that a method is compared with, if it is there: stage 2 if it trains the image encoder."""
    trains_all = method in METHODS and METHODS[method].trains_image_encoder
    arm = "cones_finetuned" if trains_all else "cones"
    return arm if arm in arms else None


def reached(match: ArmCells, budget: ArmCells) -> tuple[float, float] | None:
    """(least, most) of the match's trained values over those of the budget, over the datasets that both have."""
    mine, theirs = match.trained(), budget.trained()
    shares = [values / theirs[dataset] for dataset, values in mine.items() if theirs.get(dataset)]
    return (min(shares), max(shares)) if shares else None
