"""The context of the rules: inputs, outputs and digests of every step of the chosen suite."""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import fields

from snakemake.io import ancient, local

from cones.experiment import digests
from cones.experiment.cell import RESULTS, Cell, Plan
from cones.experiment.classification_cells import asked_for
from cones.experiment.outputs import Output, grids_of_methods, outputs_of, scored_grids
from cones.experiment.pipeline import Pipeline
from cones.experiment.stale import Staleness
from cones.experiment.step import Input, Job
from cones.experiment.suite import MAIN_GRID
from cones.outputs import digests as output_digests
from cones.outputs.data_notes import manifests_behind
from cones.outputs.files import cells_file
from cones.outputs.make import reading
from cones.outputs.report.files import OF_TABLE1, PAGE
from cones.outputs.report.pictures import inputs as picture_files
from cones.runtime.errors import ConesError
from cones.runtime.provenance import digest_of_library
from cones.runtime.verification import CELL_FILES as SEALED
from cones.runtime.warm.offer import offer
from cones.weights.official import needed
from cones.weights.pretrained import record_file
from workflow.missing_files import sentinel

CELL_FILES = (*SEALED, "run.json")
FIELDS = {field.name for field in fields(Job)}


def with_nulls(value: object) -> object:
    """A value of `--config`, which Snakemake leaves as texts inside lists and mappings: `null` there is None."""
    if isinstance(value, dict):
        return {key: with_nulls(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [with_nulls(entry) for entry in value]
    return None if value == "null" else value


def one_of(names: Iterable[str]) -> str:
    """A regular expression for one of these names; for none if there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


class Context:
    """The suite chosen by `--config suite=…`, with everything else in the config laid over its file."""

    def __init__(self, plan: Plan, overrides: dict, *, is_main: bool = True):
        self.plan, self.overrides, self.pipeline = plan, overrides, Pipeline(plan)
        self.started = time.time()
        self._is_main = is_main  # not a process that Snakemake starts for one job, which parses the workflow too

    @classmethod
    def from_config(cls, config: dict, *, is_main: bool) -> "Context":
        """The context of a run's config; a mistake in config or registry ends the run with one line, no traceback."""
        overrides = {key: with_nulls(value) for key, value in config.items() if key != "suite"}
        if "CONES_MIRROR" in os.environ:
            overrides.setdefault("mirror", os.environ["CONES_MIRROR"])
        try:
            return cls(Plan.load(config.get("suite", "miniature"), overrides), overrides, is_main=is_main)
        except ConesError as error:
            sys.exit(f"error: {error}")

    def export(self) -> None:
        """Pass suite, overrides, digests and the address of the warm server to the steps, in environment variables.

        Not through their command lines: Snakemake would re-run everything whenever anything is overridden. What a step
        depends on is in its digests. A process that Snakemake starts for one job keeps the address and the digests of
        plan and library it inherited (the job was planned by that one), and for a single job a server of its own would
        not pay.
        """
        os.environ["CONES_SUITE"] = self.plan.suite.suite
        os.environ["CONES_SET"] = json.dumps(self.overrides, sort_keys=True)
        if self._is_main:
            os.environ["CONES_PLAN"] = self.plan.digest
            os.environ["CONES_LIBRARY"] = digest_of_library()
            self.pipeline.export_code()
            offer()

    # --------------------------------------------------------------------------------------------------- files

    def job(self, step: str, wildcards) -> Job:
        """The job of a step for the wildcards of its rule; suite and source are the plan's."""
        names = {name: value for name, value in wildcards.items() if name in FIELDS}
        return Job(step, **{**names, "seed": int(names.get("seed", 0))})

    def inputs(self, step: str) -> Callable[[object], dict]:
        """The function that gives a step's rule its inputs, to be unpacked."""

        def inputs_of(wildcards) -> dict:
            inputs = self.pipeline.inputs(self.job(step, wildcards))
            return {key: self._flagged(value) for key, value in inputs.items()}

        return inputs_of

    def _flagged(self, value: Input) -> str | list:
        """An input with Snakemake's flags: files of the project are `local`, wherever results are stored."""
        if isinstance(value, list):
            return [self._flagged(entry) for entry in value]
        if isinstance(value, str):
            return local(value)
        path = str(self.pipeline.path(value))
        return ancient(path) if value.ancient else path

    def digest(self, step: str) -> Callable[[object], str]:
        """The function that gives a step's rule the digest of its settings and code."""
        return lambda wildcards: self.pipeline.digest(self.job(step, wildcards))

    def gpus(self, wildcards) -> int:
        """The GPUs of a job: one, if its model computes on a GPU."""
        return int(self.plan.wants_gpu(getattr(wildcards, "model", None) or self.plan.suite.generation.model))

    def gpus_of_any(self, models: Iterable[str]) -> int:
        """The GPUs of a job that computes where any of these models does."""
        return int(any(map(self.plan.wants_gpu, models)))

    def model_of(self, weights: str) -> str:
        """The model whose base weights a file holds, by the file's stem."""
        return digests.model_of(self.plan, weights)

    def stale_files(self) -> list[str]:
        """The stale files: results that differ from what the plan would make, also if they were made by hand."""
        stale = Staleness(self.pipeline).stale_jobs()
        return [str(file) for job in stale for file in self.pipeline.files(job)]

    def official_records(self, models) -> list[str]:
        """Records of the verified official files behind these models."""
        return [f"checkpoints/official/{name}.json" for name in needed(self.plan.suite, models)]

    def pretrained_records(self) -> list[str]:
        """Records of the pretrained models that generation needs; none if the suite draws no pictures."""
        generation = self.plan.suite.generation
        return [str(record_file(name)) for name in generation.pretrained] if generation else []

    def of_datasets(self, name: str) -> list[str]:
        """A file of every dataset of the suite."""
        return [str(self.plan.data_folder(dataset) / name) for dataset in self.plan.suite.all_datasets]

    def cell_files(self, grid: str) -> list[str]:
        """Every file of every cell of a grid: the inputs of the list of its cells."""
        cells = list(self.plan.cells(grid))
        text = {
            self.plan.text_states(c.model, c.dataset) for c in cells if "text_states" in self.plan.method(c.arm).inputs
        }
        return [str(path) for path in sorted(text)] + [str(cell.folder / name) for cell in cells for name in CELL_FILES]

    def missing_file_sentinel(self, grid: str) -> str | list[str]:
        """The sentinel (`workflow/missing_files.py`) of a grid: of the files of its cells and of their list."""
        return self._sentinel(f"{grid}_cells", [*self.cell_files(grid), *self._in_suite([cells_file(grid)])])

    def report_sentinel(self) -> str | list[str]:
        """The sentinel of the report: of its files in the suite's folder, which are copied to `results/`."""
        return self._sentinel("report", self._in_suite(self.report_files()))

    @property
    def outputs(self) -> list[Output]:
        """The tables and figures of the suite."""
        return outputs_of(self.plan.suite.parts)

    @property
    def scored_grids(self) -> tuple[str, ...]:
        """The grids whose cells are listed with their scores."""
        return scored_grids(self.plan.suite.parts)

    def targets(self) -> list[str]:
        """The tables and figures in `results/` that the suite makes, and the report of its cells."""
        wanted = [output for output in self.outputs if asked_for(self.plan, output)]
        tables = [f"{output.name}.csv" for output in wanted]
        figures = [f"{figure}.pdf" for output in wanted for figure in output.figures]
        return [f"results/{name}" for name in (*tables, *figures, *[PAGE] * self.has_report)]

    @property
    def has_report(self) -> bool:
        """Whether there are cells with scores to report on."""
        return bool(self.scored_grids or self.plan.suite.classification)

    def output_inputs(self, output: Output) -> list[str]:
        """The input files of an output."""
        return [str(path) for path in reading(output).inputs(self.plan, output)]

    def output_manifests(self, output: Output) -> list[str]:
        """The manifests that the notes on an output's data are made of. No sentinel watches them: a dataset that is
        gone asks for nothing as long as the tables are up to date."""
        return [str(path) for path in manifests_behind(self.plan, output)]

    def output_settings(self, output: Output) -> object:
        """The settings that an output depends on."""
        return reading(output).settings(self.plan, output)

    def report_files(self) -> list[str]:
        """The files of the report: its page, and the figure that belongs to Table 1."""
        return [PAGE, *(OF_TABLE1 if MAIN_GRID in self.plan.suite.grids else ())]

    def report_inputs(self) -> list[str]:
        """The input files of the report: tables, figures, lists and provenance of cells, and what pictures show."""
        grids = [grid for grid in self.scored_grids if grid not in self.plan.suite.on_request]
        cells = self._cells(grids)
        files = [name for output in self.outputs if asked_for(self.plan, output) for name in output.files]
        of_methods = [grid for grid in grids_of_methods(self.plan.suite.parts) if grid in grids]
        shown = self._cells(of_methods) if self.plan.suite.report.pictures else {}
        return [
            *self._in_suite([*map(cells_file, grids), *files]),
            *(str(cell.folder / "run.json") for cell in cells),
            *map(str, picture_files(self.plan, shown)),
        ]

    def _cells(self, grids: Iterable[str]) -> dict[Cell, None]:
        """The cells of several grids, each once."""
        return dict.fromkeys(cell for grid in grids for cell in self.plan.cells(grid))

    def output_sentinel(self, name: str, inputs: list[str], outputs: Iterable[str]) -> str | list[str]:
        """The sentinel of an output: of its input files and its own files."""
        return self._sentinel(name, [*inputs, *self._in_suite(outputs)])

    def _in_suite(self, names: Iterable[str]) -> list[str]:
        return [str(RESULTS / self.plan.suite.suite / name) for name in names]

    def _sentinel(self, name: str, files: Iterable[str]) -> str | list[str]:
        return sentinel(f"{self.plan.suite.suite}-{name}", files, is_main=self._is_main)

    def studies(self) -> list[str]:
        """The suite's learning-rate studies, files of the project, as far as they are there."""
        return [study for study in self.plan.suite.learning_rate_studies if os.path.exists(study)]

    # -------------------------------------------------------------------------------------------------- digests

    def output_digest(self, output: Output) -> str:
        return output_digests.output(self.plan, output)

    def report_digest(self) -> str:
        return output_digests.report(self.plan, self.overrides)
