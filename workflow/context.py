"""What the rules know: the plan, how a step is called, and the digests whose change re-runs it."""

import hashlib
import json
import os
import shlex
import sys
from pathlib import Path

from cones.cell import Cell, Plan, settings_digest
from cones.data.providers import Providers
from cones.data.registry import DRAWN
from cones.errors import ConesError
from cones.provenance import code_digest


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

    # ------------------------------------------------------------------------------------------------- commands

    def command(self, step: str, *arguments: str) -> str:
        """The shell command of a step; what Snakemake prints is the recipe to repeat it by hand."""
        words = ["python", "-m", "cones", step, "--suite", self.plan.suite.suite, *arguments]
        if self.overrides:
            words += ["--set", json.dumps(self.overrides, sort_keys=True)]
        return " ".join(map(shlex.quote, words))

    def cell_command(self, step: str, wildcards) -> str:
        return self.command(
            step,
            *("--model", wildcards.model, "--dataset", wildcards.dataset),
            *("--arm", wildcards.arm, "--seed", wildcards.seed),
        )

    # --------------------------------------------------------------------------------------------------- files

    def cell(self, wildcards) -> Cell:
        return Cell(self.plan.suite.suite, wildcards.model, wildcards.dataset, wildcards.arm, int(wildcards.seed))

    def fetch_inputs(self, wildcards) -> list[str]:
        """The miniature source draws its archives first, into the mirror they are fetched from."""
        if wildcards.source != DRAWN:
            return []
        archives = self.plan.registry[wildcards.dataset].source(DRAWN).archives
        return [f"{self.plan.suite.data_dir}/{DRAWN}/mirror/{wildcards.dataset}/{each.filename}" for each in archives]

    def manifest(self, wildcards) -> str:
        return str(self.plan.data_folder(wildcards.dataset) / "manifest.json")

    def tune_inputs(self, wildcards) -> dict[str, str]:
        """The files that the method's registry line names."""
        cell = self.cell(wildcards)
        files = {"weights": str(self.plan.weights(cell.model)), "manifest": self.manifest(wildcards)}
        inputs = self.plan.method(cell.arm).inputs
        if "text_states" in inputs:
            files["text"] = str(self.plan.text_states(cell.model, cell.dataset))
        if "stage1" in inputs:
            files["stage1"] = str(self.plan.stage1(cell).folder / "state.safetensors")
        return files

    def all_metrics(self) -> list[str]:
        return [str(cell.folder / "metrics.json") for cell in self.plan.cells()]

    # -------------------------------------------------------------------------------------------------- digests

    def tune_digest(self, wildcards) -> str:
        """Settings of the cell, and the code of the loop and of this cell's method and model."""
        cell = self.cell(wildcards)
        method = self.plan.method(cell.arm).module
        return f"{settings_digest(self.plan.settings(cell))}-{code_digest('cones.steps.tune', method)}"

    def dataset_digest(self, wildcards) -> str:
        """The dataset's registry entry and the code that reads it."""
        return settings_digest(self.plan.registry[wildcards.dataset])

    def drop_digest(self, wildcards) -> str:
        """What lies in a dataset's mirror, drop or own folder, by name, size and time: a change re-triggers fetch."""
        mirror, data = self.plan.suite.mirror, Path(self.plan.suite.data_dir)
        folder = Path(mirror) / wildcards.dataset if mirror else data / "drop" / wildcards.dataset
        own = self.plan.registry[wildcards.dataset].source(wildcards.source).folder
        paths = sorted(Path(own).expanduser().rglob("*")) if own else sorted(folder.glob("*"))
        if wildcards.source == DRAWN or not paths:
            return ""
        seen = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths if path.exists()]
        return hashlib.sha256(repr(seen).encode()).hexdigest()[:12]

    def credentials_digest(self, wildcards) -> str:
        """What the user has not given for this dataset (never what was given): a new token re-triggers fetch."""
        archives = self.plan.registry[wildcards.dataset].source(wildcards.source).archives
        missing = [self.providers.missing(archive.urls) for archive in archives if not self.plan.suite.mirror]
        return " ".join(sorted({one.status for one in missing if one}))
