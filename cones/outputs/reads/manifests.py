"""The manifests that `prepare` wrote of a suite's datasets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cones.data.registry import Dataset
from cones.experiment.cell import Plan
from cones.experiment.outputs import Output
from cones.runtime.provenance import settings_digest


@dataclass(frozen=True)
class Datasets:
    """The datasets of a suite in its order, each with the path of its manifest, which need not be there.

    source  where they come from: official, miniature or sample
    """

    source: str
    manifests: tuple[tuple[Dataset, Path], ...]


def inputs(plan: Plan, output: Output) -> list[Path]:
    return [plan.data_folder(name) / "manifest.json" for name in plan.suite.all_datasets]


def settings(plan: Plan, output: Output) -> object:
    """The registry's entries of the datasets."""
    return [settings_digest(plan.registry[name]) for name in plan.suite.all_datasets]


def is_begun(plan: Plan, output: Output) -> bool:
    return True


def read(plan: Plan, output: Output, *, partial: bool = False) -> Datasets:
    entries = [plan.registry[name] for name in plan.suite.all_datasets]
    return Datasets(plan.suite.source, tuple(zip(entries, inputs(plan, output))))
