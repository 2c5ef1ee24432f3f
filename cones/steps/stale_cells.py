"""The results in a tree that the workflow would make again, by the records of what they were made of."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cones.experiment.cell import Cell, Plan
from cones.experiment.cell_steps import job_of_cell
from cones.experiment.classification_cells import classification_cell
from cones.experiment.pipeline import Pipeline
from cones.experiment.stale import Staleness
from cones.experiment.step import Job
from cones.runtime.artifacts import read_json
from cones.runtime.errors import ConesError


@dataclass
class StaleCells:
    """The stale files with reasons, each once, and the folders of cells that could not be compared, with the reason."""

    files: dict[Path, str] = field(default_factory=dict)
    not_compared: dict[Path, str] = field(default_factory=dict)


def stale_cells(folders: Iterable[Path]) -> StaleCells:
    """Compare the records (`<file>.made_of.json`) of finished cells, and of all that they were made of, with the config
    of the working directory, over which the overrides are laid that each cell's own run had.

    Only cells below `results/` of the working directory are compared, as it has the config.
    """
    found, known = StaleCells(), {}
    for folder in folders:
        try:
            cell = Cell.of_folder(folder)
            staleness = _staleness(cell, known)
            jobs = _jobs(staleness.pipeline, cell)
        except ConesError as error:
            found.not_compared[folder] = str(error)
            continue
        for job in staleness.pipeline.behind(jobs):
            if reason := staleness.reason(job):
                found.files[staleness.pipeline.last_file(job)] = reason
    return found


def _staleness(cell: Cell, known: dict[tuple[str, str], Staleness]) -> Staleness:
    """What compares with the plan of the run that scored a cell, kept for other cells of such a run."""
    overrides = read_json(cell.folder / "run.json").get("overrides") or {}
    key = cell.suite, json.dumps(overrides, sort_keys=True)
    if key not in known:
        known[key] = Staleness(Pipeline(Plan.load(cell.suite, overrides)))
    return known[key]


def _jobs(pipeline: Pipeline, cell: Cell) -> list[Job]:
    """The jobs that made a cell's files; ConesError if the plan has no such cell."""
    plan = pipeline.plan
    if plan.suite.classification and cell.model in plan.suite.classification.models:
        classification_cell(plan, cell.model, cell.dataset, cell.arm, cell.seed)
        return [pipeline.scoring(cell)]
    if plan.suite.generation and cell.model == plan.suite.generation.model:
        plan.subject_cell(plan.subject_of(cell), cell.arm, cell.seed)
        return [pipeline.scoring(cell)]
    plan.cell(cell.model, cell.dataset, cell.arm, cell.seed)
    further = ["elsewhere"] if plan.scored_elsewhere(cell) else []
    return [pipeline.scoring(cell), *(job_of_cell(step, cell) for step in ("embed", *further))]
