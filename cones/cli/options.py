"""Options that commands share (the parts of a cell, suite, overrides), and the plan that they make."""

import json
import os
from typing import Annotated

import typer

from cones.runtime.errors import ConesError

SuiteOption = Annotated[str, typer.Option("--suite", envvar="CONES_SUITE", help="config/<suite>.yaml")]
SetOption = Annotated[str, typer.Option("--set", envvar="CONES_SET", help="JSON laid over the suite's config")]
SeedOption = Annotated[int, typer.Option("--seed")]
ModelOption = Annotated[str, typer.Option("--model")]
DatasetOption = Annotated[str, typer.Option("--dataset")]
ArmOption = Annotated[str, typer.Option("--arm", help="a method, or an arm of the config")]


def load_plan(
    suite: str, overrides: str, source: str | None = None, *, model: str | None = None, dataset: str | None = None
):
    """The plan of a suite, which must know `model` and `dataset`; `source` is the suite's unless the caller names one.

    A step of a workflow refuses to work after another plan than the one its job was made of (CONES_PLAN, its digest),
    and with another library (CONES_LIBRARY).
    """
    from cones.experiment.cell import Plan
    from cones.runtime.provenance import is_library_of

    library = os.environ.get("CONES_LIBRARY")
    if library is not None and not is_library_of(library):
        raise ConesError(
            "the library was edited while this run was going on",
            where="cones/, baselines/",
            next_step="run the same command again: it plans anew and keeps what the edit does not touch",
        )
    try:
        changed = dict(json.loads(overrides))
    except (TypeError, ValueError) as error:
        raise ConesError(
            "not a JSON object", where="--set", found=error, next_step="such as '{\"seeds\": [1]}'"
        ) from None
    plan = Plan.load(suite, changed | ({"source": source} if source else {}), of=dataset if source else None)
    plan.check(model=model, dataset=dataset)
    planned = os.environ.get("CONES_PLAN")
    if planned is not None and planned != plan.digest:
        raise ConesError(
            "config, registry or a plug-in was edited while this run was going on",
            where=f"config/{suite}.yaml, datasets.yaml",
            next_step="run the same command again: it plans anew and keeps what the edit does not touch",
        )
    return plan


def recorded(plan, step: str, **names):
    """Context around a step: when it has succeeded, what its files were made of is recorded beside them."""
    from cones.experiment.made_of import recorded
    from cones.experiment.step import Job

    return recorded(plan, Job(step, **names))
