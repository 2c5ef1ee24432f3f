"""The cells of personalised generation: each subject's numbers, how it was learnt, and its pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cones.evaluation.generation_metrics import read_generation_metrics
from cones.experiment.cell import Cell, Plan
from cones.experiment.generation import Generation
from cones.experiment.outputs import Output
from cones.experiment.pipeline import SUBJECT_STEPS, Pipeline
from cones.experiment.stale import check_of_cells
from cones.methods.method import TuningMethod
from cones.outputs.cells import check_identity, last_line
from cones.outputs.holes import has_numbers, log_of_failure
from cones.outputs.subject_numbers import SubjectCell
from cones.runtime.artifacts import read_json
from cones.runtime.errors import ConesError


@dataclass(frozen=True)
class Subjects:
    """The cells of a suite's generation; `reasons` has the reason of each arm that draws nothing."""

    plan: Plan
    cells: list[SubjectCell]
    reasons: dict[str, str]
    is_partial: bool = False

    @property
    def generation(self) -> Generation:
        return self.plan.generation


def inputs(plan: Plan, output: Output) -> list[Path]:
    """Every file of every subject's cell, and its pictures' index on each track."""
    pipeline = Pipeline(plan)
    jobs = (pipeline.job_of(step, cell) for cell in plan.subject_cells() for step in SUBJECT_STEPS)
    return [file for job in jobs for file in pipeline.files(job)]


def settings(plan: Plan, output: Output) -> object:
    """The subjects and arms that the figures show."""
    return [plan.generation.figure3, plan.generation.shown_arms]


def is_begun(plan: Plan, output: Output) -> bool:
    return any((cell.folder / "metrics.json").exists() for cell in plan.subject_cells())


def read(plan: Plan, output: Output, *, partial: bool = False) -> Subjects:
    """Read all cells; one that is stale or not what its `run.json` says is refused, or with `partial` a hole with the
    reason."""
    generation, pipeline = plan.generation, Pipeline(plan)
    check = check_of_cells(pipeline)
    reasons = {
        arm: TuningMethod.load(generation.method(arm)).supports(generation.model) or "has no context for a generator"
        for arm in generation.arms
        if arm not in generation.drawing_arms
    }
    cells = [_subject_cell(pipeline, cell, check, partial) for cell in plan.subject_cells()]
    return Subjects(plan, cells, reasons, partial)


def _subject_cell(pipeline: Pipeline, cell: Cell, check: Callable[[Cell], None], partial: bool) -> SubjectCell:
    plan = pipeline.plan
    file, key = cell.folder / "metrics.json", (plan.subject_of(cell), cell.arm, cell.seed)
    if not has_numbers(pipeline, cell):
        return SubjectCell(*key, None, {}, last_line(log_of_failure(pipeline, cell)))
    try:
        metrics = read_generation_metrics(file)
        method = plan.generation.method(cell.arm)
        check_identity(metrics.cell.model_dump(), {**vars(cell), "method": method}, file)
        check(cell)
        learning = read_json(cell.folder / "tuning.json")["learning"] if metrics.status == "done" else {}
    except ConesError as error:
        if not partial:
            raise
        return SubjectCell(*key, None, {}, str(error))
    return SubjectCell(*key, metrics, learning)
