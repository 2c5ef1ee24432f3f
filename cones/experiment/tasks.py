"""The tasks of a suite's datasets: detectors and classifiers get those of their own, grids those of their setting."""

from collections.abc import Mapping
from pathlib import Path

from cones.data.registry import Dataset
from cones.data.task_rules import LABELLED
from cones.experiment.classification import Classification, task_of
from cones.experiment.suite import Suite
from cones.runtime.errors import ConesError


def with_datasets_of_tasks(suite: Suite, registry: Mapping[str, Dataset]) -> Suite:
    """The suite, in which a grid of `classification` that names no datasets has those of its setting's task."""
    if suite.classification is None:
        return suite
    section, grids = suite.classification, {}
    for name, grid in section.grids.items():
        found = tuple(one for one in section.datasets if registry[one].task == task_of(grid.setting))
        is_said = grid.datasets or grid.targets or not found
        grids[name] = grid if is_said else grid.model_copy(update={"datasets": found})
    return suite.model_copy(update={"classification": section.model_copy(update={"grids": grids})})


def check_tasks(suite: Suite, registry: Mapping[str, Dataset], file: Path) -> None:
    """ConesError if a detector is asked for a dataset of another task than its own, or a classifier for one."""
    detected = {one for grid in suite.grids for one in (*suite.grid(grid)[1], *suite.grids[grid].others)}
    classified = set(suite.classification.datasets) if suite.classification else set()
    for dataset in (*detected, *classified):
        task, is_classified = registry[dataset].task, dataset in classified
        if (task in LABELLED) != is_classified or dataset in detected & classified:
            raise ConesError(
                f'dataset "{dataset}" is of the task {task}',
                where=f"{file}: {'classification.datasets' if is_classified else 'datasets'}",
                next_step="name it under `classification.datasets`" if task in LABELLED else "take it out there",
            )
    if suite.classification:
        _check_settings(suite.classification, registry, file)


def _check_settings(section: Classification, registry: Mapping[str, Dataset], file: Path) -> None:
    """ConesError for a grid whose datasets are of another task than its setting, or for a group of such."""
    asked = [(f"grids.{name}", grid.setting, section.datasets_of(name)) for name, grid in section.grids.items()]
    asked += [(f"joint.{name}", "joint", group) for name, group in section.joint.items()]
    asked += [(f"source_groups.{name}", "joint", group) for name, group in section.source_groups.items()]
    for place, setting, datasets in asked:
        for dataset in datasets:
            if (task := registry[dataset].task) != (wanted := task_of(setting)):
                raise ConesError(
                    f'dataset "{dataset}" is of the task {task}, and the setting is {setting}',
                    where=f"{file}: classification.{place}",
                    expected=f"datasets of the task {wanted}",
                    next_step="name datasets of this task there, and no others",
                )
