"""Scores and costs of the cells of an output's grids, and which arms have as many trained values as another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cones.experiment.cell import Cell, Plan
from cones.experiment.outputs import Output
from cones.outputs.reads import records, scores
from cones.outputs.records import Record

if TYPE_CHECKING:
    from pandas import DataFrame

STATE = "state.safetensors"


@dataclass(frozen=True)
class CostedCells:
    """Cells with what they cost.

    cells    as `collect_cells` makes them
    records  {(model, dataset, arm, seed): its record}, of every cell
    stored   {the same: bytes of the state that scoring reads beside the base model}, of finished cells
    matches  {arm: the arm whose number of trained values it is given}
    """

    cells: DataFrame
    records: Mapping[tuple, Record]
    stored: Mapping[tuple, int]
    matches: Mapping[str, str]


def inputs(plan: Plan, output: Output) -> list[Path]:
    paths = records.inputs(plan, output)
    return [*paths, *(path.with_name(STATE) for path in paths if path.name == "run.json")]


def settings(plan: Plan, output: Output) -> object:
    """Which arms are whose match."""
    arms = {arm for grid in plan.parts_of(output) for arm in plan.suite.grid(grid)[2]}
    return {arm: plan.suite.arms[arm].matched_to for arm in sorted(arms) if plan.suite.arms[arm].matched_to}


def is_begun(plan: Plan, output: Output) -> bool:
    return scores.is_begun(plan, output)


def read(plan: Plan, output: Output, *, partial: bool = False) -> CostedCells:
    found = records.records_of(plan, plan.parts_of(output), partial=partial)
    states = {cell: cell.folder / STATE for cell, record in found.items() if record.is_done}
    return CostedCells(
        scores.read(plan, output, partial=partial),
        {key_of(cell): record for cell, record in found.items()},
        {key_of(cell): path.stat().st_size for cell, path in states.items() if path.exists()},
        settings(plan, output),
    )


def key_of(cell: Cell) -> tuple:
    return cell.model, cell.dataset, cell.arm, cell.seed
