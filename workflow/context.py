"""What the rules know: the plan, the files of a cell, and the digests whose change re-runs a step."""

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from snakemake.io import ancient

from cones import warm
from cones.analysis.files import FILES_OF, GRID_OF, PUBLISHED, SHOWN
from cones.artifacts import write_text
from cones.cell import RESULTS, Cell, Plan, settings_digest
from cones.config import CONFIG_FOLDER, MAIN_GRID
from cones.data.download import own_folder
from cones.data.providers import Providers
from cones.data.registry import DRAWN
from cones.errors import ConesError
from cones.miniature.pretrained import shipped
from cones.models.official import VOCABULARY
from cones.provenance import code_digest
from cones.report.files import REPORT_FILES, TEMPLATES
from cones.tables.files import TABLES_OF, files_of

CELL_FILES = ("metrics.json", "predictions.json", "run.json", "state.safetensors", "tuning.json")


class Context:
    """The suite chosen by `--config suite=…`, with everything else in the config laid over its file."""

    def __init__(self, plan: Plan, overrides: dict):
        self.plan, self.overrides, self.providers = plan, overrides, Providers()

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
        workflow too: it keeps the address it inherited, and for a single job a server of its own would not pay.
        """
        os.environ["CONES_SUITE"] = self.plan.suite.suite
        os.environ["CONES_SET"] = json.dumps(self.overrides, sort_keys=True)
        if is_main:
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
            return [os.path.relpath(path) for path in files]
        return self.official_records([wildcards.model])

    def official_records(self, models) -> list[str]:
        """Records of the verified official files, for models that neither start at random nor ship with the project."""
        official = [name for name in models if self.plan.suite.models[name].initial_seed is None and not shipped(name)]
        return [f"checkpoints/official/{name}.json" for name in [*official, VOCABULARY] if official]

    def manifest(self, wildcards) -> str:
        return str(self.plan.data_folder(wildcards.dataset) / "manifest.json")

    def tune_inputs(self, wildcards) -> dict[str, str]:
        """The files that the method's registry line names."""
        cell = self.cell(wildcards)
        files = {"weights": str(self.plan.weights(cell.model)), "manifest": self.manifest(wildcards)}
        method = self.plan.method(cell.arm)
        inputs = method.inputs
        if "text_states" in inputs:
            files["text"] = str(self.plan.text_states(cell.model, cell.dataset))
        if "stage1" in inputs:
            files["stage1"] = str(self.plan.stage1(cell).folder / "state.safetensors")
        if method.is_tuned:
            files |= self.features(wildcards)
        return files

    def features(self, wildcards) -> dict[str, str]:
        """The index of the image features a cell may share. Ancient: they can be made again without re-running a cell,
        since a cell computes what it does not find, to the same bits."""
        cell = self.cell(wildcards)
        index = self.plan.features(cell.model, cell.dataset)
        is_read = index is not None and not self.plan.method(cell.arm).trains_image_encoder
        return {"features": ancient(str(index))} if is_read else {}

    def features_digest(self, wildcards) -> str:
        """What decides which views are computed, how many fit, and how."""
        cells = self.plan.sharing[wildcards.model, wildcards.dataset]
        settings = sorted({settings_digest(self.plan.settings(cell).tuning) for cell in cells})
        return settings_digest([settings, self.plan.feature_budget(), code_digest("cones.steps.features")])

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
        names = [f"{table}.csv" for table in [*tables, *(["efficiency"] if MAIN_GRID in grids else [])]]
        names += [f"{figure}.csv" for figure in PUBLISHED if figure in grids]
        names += [f"{figure}.pdf" for figure in SHOWN if GRID_OF[figure] in grids]
        return [f"results/{name}" for name in names]

    def analyses(self) -> list[str]:
        """Everything else that the report shows: the files of the grids beside Table 1's."""
        others = [grid for grid in self.plan.suite.grids if grid != MAIN_GRID]
        tables = [name for grid in others if grid in TABLES_OF for name in files_of(grid)]
        return self._in_suite([*tables, *(name for grid in others for name in FILES_OF.get(grid, ()))])

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
        """What the report reads besides the tables: how each cell was made, and the suite's learning-rate study."""
        runs = [str(cell.folder / "run.json") for cell in self.plan.cells(MAIN_GRID)]
        study = self.plan.suite.learning_rate_study
        return [*runs, *([study] if study and os.path.exists(study) else [])]

    # -------------------------------------------------------------------------------------------------- digests

    def tune_digest(self, wildcards) -> str:
        """Settings of the cell, and the code of the loop and of this cell's method and model."""
        cell = self.cell(wildcards)
        method = self.plan.method(cell.arm).module
        return f"{settings_digest(self.plan.settings(cell))}-{code_digest('cones.steps.tune', method)}"

    def report_digest(self) -> str:
        """The code and the templates of the report, and what it shows of the config: the suite's file and overrides."""
        config = CONFIG_FOLDER / f"{self.plan.suite.suite}.yaml"
        shown = [path.read_text(encoding="utf-8") for path in (*TEMPLATES, config)]
        return f"{code_digest('cones.steps.report')}-{settings_digest([shown, self.overrides])}"

    def dataset_digest(self, wildcards) -> str:
        """The dataset's registry entry and the code that reads it."""
        return settings_digest(self.plan.registry[wildcards.dataset])

    def drop_digest(self, wildcards) -> str:
        """What lies in a dataset's mirror, drop or own folder, by name, size and time: a change re-triggers fetch."""
        mirror, data = self.plan.suite.mirror, Path(self.plan.suite.data_dir)
        folder = Path(mirror) / wildcards.dataset if mirror else data / "drop" / wildcards.dataset
        own = own_folder(self.plan.registry[wildcards.dataset].source(wildcards.source))
        paths = sorted(own.rglob("*")) if own else sorted(folder.glob("*"))
        if wildcards.source == DRAWN or not paths:
            return ""
        seen = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths if path.exists()]
        return hashlib.sha256(repr(seen).encode()).hexdigest()[:12]

    def credentials_digest(self, wildcards) -> str:
        """What the user has not given for this dataset (never what was given): a new token re-triggers fetch."""
        archives = self.plan.registry[wildcards.dataset].source(wildcards.source).archives
        missing = [self.providers.missing(archive.urls) for archive in archives if not self.plan.suite.mirror]
        return " ".join(sorted({one.status for one in missing if one}))
