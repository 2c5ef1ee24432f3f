"""What the rules know: the plan, the files of a cell, and the digests whose change re-runs a step."""

import json
import os
import sys
import time
from collections.abc import Iterable

from snakemake.io import ancient, local

from cones import warm
from cones.artifacts import write_text
from cones.cell import RESULTS, Cell, Plan
from cones.config import MAIN_GRID
from cones.data.providers import Providers
from cones.data.registry import DRAWN
from cones.errors import ConesError
from cones.experiment import digests
from cones.experiment.outputs import Output, outputs_of, scored_grids
from cones.miniature.pretrained import FOLDER, shipped
from cones.models.official import needed
from cones.models.pretrained import record_file
from cones.outputs.files import cells_file
from cones.outputs.make import reading
from cones.provenance import digest_of_library
from cones.report.files import OF_TABLE1, PAGE
from cones.verification import CELL_FILES as SEALED

CELL_FILES = (*SEALED, "run.json")


class Context:
    """The suite chosen by `--config suite=…`, with everything else in the config laid over its file."""

    def __init__(self, plan: Plan, overrides: dict):
        self.plan, self.overrides, self.providers = plan, overrides, Providers()
        self._tune_digests: dict[tuple, str] = {}

    @classmethod
    def from_config(cls, config: dict) -> "Context":
        """A mistake in config or registry ends the run with its one line, without a traceback."""
        overrides = {key: value for key, value in config.items() if key != "suite"}
        if "CONES_MIRROR" in os.environ:
            overrides.setdefault("mirror", os.environ["CONES_MIRROR"])
        try:
            return cls(Plan.load(config.get("suite", "miniature"), overrides), overrides)
        except ConesError as error:
            sys.exit(f"error: {error}")

    def export(self, *, is_main: bool) -> None:
        """Tell the steps, through the environment, which suite and overrides the run is about, and where to start warm.

        Not through their command lines: Snakemake would re-run everything whenever anything is overridden. What a step
        depends on is in its digests. A process that Snakemake starts for one job (`is_main` is false) parses the
        workflow too: it keeps the address and the digests of plan and library it inherited (the job was planned by that
        one), and for a single job a server of its own would not pay.
        """
        os.environ["CONES_SUITE"] = self.plan.suite.suite
        os.environ["CONES_SET"] = json.dumps(self.overrides, sort_keys=True)
        if is_main:
            os.environ["CONES_PLAN"] = self.plan.digest
            os.environ["CONES_LIBRARY"] = digest_of_library()
            warm.offer()

    # --------------------------------------------------------------------------------------------------- files

    def cell(self, wildcards) -> Cell:
        return Cell(self.plan.suite.suite, wildcards.model, wildcards.dataset, wildcards.arm, int(wildcards.seed))

    def fetch_inputs(self, wildcards) -> list[str]:
        """The miniature source draws its archives first, into the mirror they are fetched from."""
        if wildcards.source != DRAWN:
            return []
        archives = self.plan.registry[wildcards.dataset].source(DRAWN).archives
        return [f"{self.plan.suite.data_dir}/{DRAWN}/mirror/{wildcards.dataset}/{each.filename}" for each in archives]

    def weights_inputs(self, wildcards) -> list[str]:
        if self.plan.suite.models[wildcards.model].initial_seed is None and (files := shipped(wildcards.model)):
            return [local(os.path.relpath(path)) for path in files]
        return self.official_records([wildcards.model])

    def official_records(self, models) -> list[str]:
        """Records of the verified official files behind these models."""
        return [f"checkpoints/official/{name}.json" for name in needed(self.plan.suite, models)]

    def shipped_files(self, model: str) -> list[str]:
        """The files of a generator that ships with the project; none of another."""
        return [local(os.path.relpath(path)) for path in sorted((FOLDER / model).rglob("*")) if path.is_file()]

    def pretrained_records(self) -> list[str]:
        """Of the models that have to be found before anything is drawn."""
        drawn = self.plan.suite.generation
        return [str(record_file(name)) for name in drawn.pretrained] if drawn else []

    @property
    def manifest(self) -> str:
        """A pattern, not a function: those are inspected and called for every job of a large grid."""
        return str(self.plan.data_folder("{dataset}") / "manifest.json")

    def of_datasets(self, name: str) -> list[str]:
        """A file of every dataset of the suite."""
        return [str(self.plan.data_folder(dataset) / name) for dataset in self.plan.suite.all_datasets]

    def tune_inputs(self, wildcards) -> dict[str, str]:
        """The files that the method's registry line names."""
        cell = self.cell(wildcards)
        files = {"weights": str(self.plan.weights(cell.model)), "manifest": self.manifest.format(dataset=cell.dataset)}
        method = self.plan.method(cell.arm)
        inputs = method.inputs
        if "text_states" in inputs:
            files["text"] = str(self.plan.text_states(cell.model, cell.dataset))
        if "stage1" in inputs:
            first = self.plan.stage1(cell).folder
            files |= {"stage1": str(first / "state.safetensors"), "stage1_record": str(first / "tuning.json")}
        if method.is_tuned:
            files |= self.features(wildcards)
        return files

    def features(self, wildcards) -> dict[str, str]:
        """The index of the image features a cell may share. Ancient: they can be made again without re-running a cell,
        since a cell computes what it does not find, to the same bits."""
        index = self.plan.features_of(self.cell(wildcards))
        return {"features": ancient(str(index))} if index else {}

    def cell_files(self, grid: str) -> list[str]:
        """Every file of every cell of a grid: what the list of its cells depends on, directly."""
        cells = list(self.plan.cells(grid))
        text = {
            self.plan.text_states(c.model, c.dataset) for c in cells if "text_states" in self.plan.method(c.arm).inputs
        }
        return [str(path) for path in sorted(text)] + [str(cell.folder / name) for cell in cells for name in CELL_FILES]

    def roll_call(self, grid: str) -> str:
        """A file written while the workflow is parsed if a file of a grid's cells or their list is missing.

        Snakemake leaves a deleted file alone as long as the list made of it exists. The list depends on the roll call,
        and a newer one makes it outdated, so that the file is made again, and the list after it.
        """
        files = [*self.cell_files(grid), *self._in_suite([cells_file(grid)])]
        return self._roll_call(f".roll-call-{grid}_cells", files)

    def report_roll_call(self) -> str:
        """The same for the files of the report, which are copied to where the configured suite's report is."""
        return self._roll_call(".roll-call-report", self._in_suite(self.report_files()))

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
        tables = [f"{output.name}.csv" for output in self.outputs]
        figures = [f"{figure}.pdf" for output in self.outputs for figure in output.figures]
        return [f"results/{name}" for name in (*tables, *figures, *[PAGE] * bool(self.scored_grids))]

    def output_inputs(self, output: Output) -> list[str]:
        """What an output is made of."""
        return [str(path) for path in reading(output).inputs(self.plan, output)]

    def output_settings(self, output: Output) -> object:
        """What else it depends on."""
        return reading(output).settings(self.plan, output)

    def report_files(self) -> list[str]:
        """The page, and the figure that belongs to Table 1."""
        return [PAGE, *(OF_TABLE1 if MAIN_GRID in self.plan.suite.grids else ())]

    def report_inputs(self) -> list[str]:
        """Everything the report shows: tables and figures, the cells behind them and how each of these was made."""
        grids = self.scored_grids
        cells = dict.fromkeys(cell for grid in grids for cell in self.plan.cells(grid))
        files = [name for output in self.outputs for name in output.files]
        return [*self._in_suite([*map(cells_file, grids), *files]), *(str(cell.folder / "run.json") for cell in cells)]

    def analysis_roll_call(self, name: str, inputs: list[str], outputs: Iterable[str]) -> str:
        """The same for an analysis: what it reads and what it leaves."""
        return self._roll_call(f".roll-call-{name}", [*inputs, *self._in_suite(outputs)])

    def _in_suite(self, names: Iterable[str]) -> list[str]:
        return [str(RESULTS / self.plan.suite.suite / name) for name in names]

    def _roll_call(self, name: str, files: Iterable[str]) -> str:
        (path,) = self._in_suite([name])
        if not os.path.exists(path) or not all(map(os.path.exists, files)):
            write_text(path, f"{time.time_ns()}\n")  # Snakemake overlooks a newer file with the same content
        return path

    def studies(self) -> list[str]:
        """The suite's learning-rate studies, files of the project, as far as they are there."""
        return [study for study in self.plan.suite.learning_rate_studies if os.path.exists(study)]

    # -------------------------------------------------------------------------------------------------- digests

    def tune_digest(self, wildcards) -> str:
        cell = self.cell(wildcards)
        place = (cell.model, cell.arm, cell.dataset if cell.dataset in self.plan.suite.dataset_tuning else None)
        if place not in self._tune_digests:
            self._tune_digests[place] = digests.tune(self.plan, cell)
        return self._tune_digests[place]

    def prepare_digest(self, wildcards) -> str:
        return digests.prepare(self.plan, wildcards.source, wildcards.dataset)

    def evaluate_digest(self, wildcards) -> str:
        return digests.cell_code("evaluate", self.plan, self.cell(wildcards))

    def embed_digest(self, wildcards) -> str:
        return digests.cell_code("embed", self.plan, self.cell(wildcards))

    def features_digest(self, wildcards) -> str:
        return digests.features(self.plan, wildcards.model, wildcards.dataset)

    def learning_digest(self, wildcards) -> str:
        return digests.learning(self.plan, wildcards.arm)

    def dataset_digest(self, wildcards) -> str:
        return digests.dataset_entry(self.plan, wildcards.dataset)

    def drop_digest(self, wildcards) -> str:
        return digests.files_given(self.plan, wildcards.source, wildcards.dataset)

    def credentials_digest(self, wildcards) -> str:
        return digests.credentials_missing(self.plan, self.providers, wildcards.source, wildcards.dataset)

    def output_digest(self, output: Output) -> str:
        return digests.output(self.plan, output)

    def report_digest(self) -> str:
        return digests.report(self.plan, self.overrides)
