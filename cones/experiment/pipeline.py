"""The pipeline of a suite: all its steps, with the inputs, outputs, log, settings and code of each job.

The rules, the forecast, the reasons for holes and the search for stale results all use it.
"""

import json
import os
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from cones.experiment.cell import Cell, Plan
from cones.experiment.cell_steps import cell_steps, job_of_cell, weights_steps
from cones.experiment.classification_cells import classification_cells
from cones.experiment.classification_steps import classification_steps
from cones.experiment.data_steps import data_steps
from cones.experiment.digests import PLANNED, code, code_modules
from cones.experiment.generation_steps import find_step, generation_steps
from cones.experiment.step import Input, Job, Output, Step
from cones.runtime.provenance import settings_digest

SUBJECT_STEPS = ("learn_subject", "draw_subject", "score_subject")


class Pipeline:
    """The steps of a plan by the names of their rules, in the order of execution."""

    def __init__(self, plan: Plan):
        self.plan = plan
        steps = [*data_steps(plan), *weights_steps(plan), *cell_steps(plan), find_step()]
        if plan.suite.generation:
            steps += generation_steps(plan)
        if plan.suite.classification:
            steps += classification_steps(plan)
        self.steps: dict[str, Step] = {step.name: step for step in steps}
        self._code: dict[tuple, str] = {}

    # ------------------------------------------------------------------------------------------------------ files

    def path(self, output: Output) -> Path:
        return Path(self._filled(self.steps[output.job.step].outputs[output.key], output.job))

    def files(self, job: Job) -> list[Path]:
        """All files that a job writes."""
        return [self.path(Output(job, key)) for key in self.steps[job.step].outputs]

    def last_file(self, job: Job) -> Path:
        """The file that a job writes last."""
        return self.path(Output(job, self.steps[job.step].last_output))

    def log(self, job: Job) -> Path:
        return Path(self._filled(self.steps[job.step].log, job))

    def inputs(self, job: Job) -> dict[str, Input]:
        return self.steps[job.step].inputs(job)

    def _filled(self, pattern: str, job: Job) -> str:
        return pattern.format(suite=self.plan.suite.suite, source=self.plan.suite.source, **vars(job))

    # ------------------------------------------------------------------------------------------------------- jobs

    def job_of(self, step: str, cell: Cell) -> Job:
        """The job of a step for a cell of a grid, of classification or of a subject."""
        if step not in SUBJECT_STEPS:
            return job_of_cell(step, cell)
        return Job(step, subject=self.plan.subject_of(cell), arm=cell.arm, seed=cell.seed)

    def scoring(self, cell: Cell) -> Job:
        """The job that writes a cell's metrics."""
        generation, classification = self.plan.suite.generation, self.plan.suite.classification
        if classification and cell.model in classification.models:
            return self.job_of("classify", cell)
        return self.job_of("score_subject" if generation and cell.model == generation.model else "evaluate", cell)

    def needs(self, job: Job) -> list[Job]:
        """The jobs whose files a job reads."""
        return list(dict.fromkeys(output.job for output in outputs_among(self.inputs(job).values())))

    def behind(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """These jobs and all jobs that they depend on, each once, breadth first."""
        todo = deque(dict.fromkeys(jobs))
        seen = set(todo)
        while todo:
            yield (job := todo.popleft())
            new = [needed for needed in self.needs(job) if needed not in seen]
            todo.extend(new)
            seen.update(new)

    def all_jobs(self) -> list[Job]:
        """Every job of the suite's cells and all jobs that these depend on; not those of tables and figures."""
        cells, subjects = self.plan.all_cells(), self.plan.subject_cells()
        last = [job_of_cell(step, cell) for cell in cells for step in ("evaluate", "embed")]
        shown = dict.fromkeys((cell.model, cell.dataset) for cell in cells)
        last += [Job("preview", model=model, dataset=dataset) for model, dataset in shown]
        last += [job_of_cell("elsewhere", cell) for cell in cells if self.plan.scored_elsewhere(cell)]
        last += [job_of_cell("classify", cell) for cell in classification_cells(self.plan)]
        return list(self.behind([*last, *(self.job_of("score_subject", cell) for cell in subjects)]))

    # ------------------------------------------------------------------------------------------------- what decides

    def settings(self, job: Job) -> object:
        return self.steps[job.step].settings(job)

    def code(self, job: Job) -> str:
        """Digest of a job's code, computed once for all jobs of the same modules."""
        modules = code_modules(self.plan, job)
        if modules not in self._code:
            self._code[modules] = code(self.plan, job)
        return self._code[modules]

    def export_code(self) -> None:
        """Pass the code digests of all jobs to the steps started by this process, in an environment variable."""
        os.environ.pop(PLANNED, None)
        code_digests = {" ".join(code_modules(self.plan, job)): self.code(job) for job in self.all_jobs()}
        os.environ[PLANNED] = json.dumps(code_digests, sort_keys=True)

    def digest(self, job: Job) -> str:
        """Digest of the settings and the code of a job: a parameter of its rule."""
        return f"{settings_digest(self.settings(job))}-{self.code(job)}"


def outputs_among(inputs: Iterable[Input]) -> Iterator[Output]:
    """The files of other jobs among the inputs of a job."""
    for value in inputs:
        if isinstance(value, Output):
            yield value
        elif isinstance(value, list):
            yield from outputs_among(value)
