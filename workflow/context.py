"""What the rules know: the plan, the files of a cell, and the digests whose change re-runs a step."""

import json
import os
import sys
import time
from collections.abc import Iterable

from snakemake.io import ancient, local

from cones import warm
from cones.analysis.files import EFFICIENCY, FILES_OF, GRID_OF, PUBLISHED, SHOWN
from cones.artifacts import write_text
from cones.cell import RESULTS, Cell, Plan, settings_digest
from cones.config import CONFIG_FOLDER, MAIN_GRID
from cones.data.providers import Providers
from cones.data.registry import DRAWN
from cones.errors import ConesError
from cones.experiment import digests
from cones.miniature.pretrained import FOLDER, shipped
from cones.models.official import needed
from cones.models.pretrained import record_file
from cones.provenance import code_digest, digest_of_library
from cones.report.files import REPORT_FILES, TEMPLATES
from cones.tables.files import DATASETS, METHOD_GRIDS, TABLE7, TABLES_OF, cells_file, files_of
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

    def subject_files(self) -> list[str]:
        """Every file of every subject's cell, and its pictures' index on each track."""
        tracks = [f"images/{track}/prompts.json" for track in self.plan.suite.generation.pictures]
        names = ("metrics.json", "run.json", "state.safetensors", "tuning.json", "drawing.json", *tracks)
        return [str(cell.folder / name) for cell in self.plan.subject_cells() for name in names]

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
        """Every file of every cell of a grid: what its tables depend on, directly."""
        cells = list(self.plan.cells(grid))
        text = {
            self.plan.text_states(c.model, c.dataset) for c in cells if "text_states" in self.plan.method(c.arm).inputs
        }
        return [str(path) for path in sorted(text)] + [str(cell.folder / name) for cell in cells for name in CELL_FILES]

    def roll_call(self, grid: str) -> str:
        """A file written while the workflow is parsed if a file of a grid's cells or tables is missing.

        Snakemake leaves a deleted file alone as long as the table made of it exists. The tables depend on the roll
        call, and a newer one makes them outdated, so that the file is made again, and the table after it.
        """
        return self._roll_call(f".roll-call-{grid}", [*self.cell_files(grid), *self._in_suite(files_of(grid))])

    def report_roll_call(self) -> str:
        """The same for the files of the report, which are copied to where the configured suite's report is."""
        return self._roll_call(".roll-call-report", self._in_suite(REPORT_FILES))

    def targets(self) -> list[str]:
        """The tables and figures in `results/` that the suite's grids make."""
        grids = self.plan.suite.grids
        tables = [table for grid in grids for table in TABLES_OF.get(grid, ())]
        names = [f"{table}.csv" for table in [*tables, DATASETS, *["efficiency"] * bool(self.method_cells())]]
        made = self.plan.suite.parts
        names += [f"{name}.csv" for name in PUBLISHED if name in made]
        names += [f"{figure}.pdf" for figure in SHOWN if GRID_OF[figure] in made]
        return [f"results/{name}" for name in names]

    def analyses(self) -> list[str]:
        """Everything else that the report shows: datasets, costs, and the files of the grids beside Table 1's."""
        others = [name for name in self.plan.suite.parts if name != MAIN_GRID]
        tables = [name for grid in others if grid in TABLES_OF for name in files_of(grid)]
        figures = [name for grid in others for name in FILES_OF.get(grid, ())]
        return self._in_suite([*tables, *figures, *TABLE7, *EFFICIENCY])

    def method_cells(self) -> list[str]:
        """The lists of cells that the costs are taken from: those of the tables whose rows are methods."""
        grids = [grid for grid in METHOD_GRIDS if grid in self.plan.suite.grids]
        return self._in_suite(cells_file(grid) for grid in grids)

    def runs(self, grids: Iterable[str]) -> list[str]:
        """How each cell of those grids was made."""
        cells = dict.fromkeys(cell for grid in grids if grid in self.plan.suite.grids for cell in self.plan.cells(grid))
        return [str(cell.folder / "run.json") for cell in cells]

    def embeddings(self, *grids: str) -> list[str]:
        """What an analysis reads: the class vectors and box features of the cells of those grids the suite has."""
        there = [grid for grid in grids if grid in self.plan.suite.grids]
        cells = dict.fromkeys(cell for grid in there for cell in self.plan.cells(grid))
        return [str(cell.folder / "embeddings.safetensors") for cell in cells]

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

    def report_inputs(self) -> list[str]:
        """What the report reads besides the tables: how each cell was made."""
        return self.runs(TABLES_OF)

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

    def report_digest(self) -> str:
        """The code and the templates of the report, and what it shows of the config: the suite's file and overrides."""
        config = CONFIG_FOLDER / f"{self.plan.suite.suite}.yaml"
        shown = [path.read_text(encoding="utf-8") for path in (*TEMPLATES, config)]
        return f"{code_digest('cones.steps.report')}-{settings_digest([shown, self.overrides])}"
