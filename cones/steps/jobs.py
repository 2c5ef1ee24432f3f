"""The jobs of a detector's cells in one process: a job and all that it needs, each recorded as its command does."""

import contextlib
from collections.abc import Callable

from cones.data.registry import DRAWN
from cones.experiment.cell import Plan
from cones.experiment.cell_steps import cell_of
from cones.experiment.digests import model_of
from cones.experiment.made_of import recorded
from cones.experiment.pipeline import Pipeline
from cones.experiment.stale import Staleness
from cones.experiment.step import Job
from cones.steps.data import draw_dataset, fetch_dataset, prepare_dataset
from cones.steps.evaluate import evaluate_cell
from cones.steps.features import compute_features
from cones.steps.text import encode_class_names
from cones.steps.tune import tune_cell
from cones.steps.weights import fetch_checkpoint, make_weights

# step -> what runs one of its jobs; `identity` is the digest of what the job is made of
RUN: dict[str, Callable[[Plan, Job, str], None]] = {
    "draw": lambda plan, job, identity: draw_dataset(plan, job.dataset),
    "fetch": lambda plan, job, identity: fetch_dataset(plan, job.dataset),
    "prepare": lambda plan, job, identity: prepare_dataset(plan, job.dataset),
    "checkpoint": lambda plan, job, identity: fetch_checkpoint(plan, job.name),
    "weights": lambda plan, job, identity: make_weights(plan, model_of(plan, job.weights)),
    "text_states": lambda plan, job, identity: encode_class_names(plan, job.model, job.dataset),
    "features": lambda plan, job, identity: compute_features(plan, job.model, job.dataset),
    "tune": lambda plan, job, identity: tune_cell(plan, cell_of(plan, job), identity=identity),
    "evaluate": lambda plan, job, identity: evaluate_cell(plan, cell_of(plan, job)),
}


def make(plan: Plan, job: Job, *, again: bool = False) -> None:
    """Run a job and, before it, all jobs behind it whose files are missing or stale; `again`: itself in any case."""
    _Maker(plan).make(job, again=again)


class _Maker:
    def __init__(self, plan: Plan):
        self.plan, self.pipeline = plan, Pipeline(plan)
        self.staleness, self._made = Staleness(self.pipeline), set()

    def make(self, job: Job, *, again: bool = False) -> None:
        if job in self._made:
            return
        for needed in self.pipeline.needs(job):
            self.make(needed)
        is_there = all(file.exists() for file in self.pipeline.files(job))
        if again or not is_there or self.staleness.reason(job):
            self._run(job)
        self._made.add(job)

    def _run(self, job: Job) -> None:
        with contextlib.ExitStack() as records:
            identities = [records.enter_context(recorded(self.plan, each)) for each in self._together(job)]
            RUN[job.step](self.plan, job, identities[0])

    def _together(self, job: Job) -> list[Job]:
        """The jobs that one run does: all archives of a dataset are drawn at once."""
        if job.step != "draw":
            return [job]
        archives = self.plan.registry[job.dataset].source(DRAWN).archives
        jobs = [Job("draw", dataset=job.dataset, archive=archive.filename) for archive in archives]
        self._made.update(jobs)
        return jobs
