"""`python -m cones plan [targets]`: the cost of a run before it starts."""

from typing import Annotated

import typer

from cones.cli.options import SetOption, SuiteOption, load_plan
from cones.forecast.rates import TFLOPS


def plan(
    targets: Annotated[
        list[str] | None, typer.Argument(help="such as results/table1.csv or table2; default: everything")
    ] = None,
    dataset: Annotated[list[str] | None, typer.Option("--dataset", help="only this one; may be repeated")] = None,
    suite: SuiteOption = "miniature",
    overrides: SetOption = "{}",
    tflops: Annotated[
        float, typer.Option(min=0.001, help="what a GPU sustains, where operations were only counted")
    ] = TFLOPS,
    epochs: Annotated[int | None, typer.Option(min=1, help="assume that every tuned cell takes so many")] = None,
    gpus: Annotated[int, typer.Option(min=1, help="GPUs that share the work, each with jobs of its own")] = 1,
    from_scratch: Annotated[bool, typer.Option("--from-scratch", help="finished cells cost what they did")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """What a run will cost before it starts: cells, jobs, hours, disk and downloads."""
    from cones.steps.plan import print_plan

    print_plan(
        load_plan(suite, overrides),
        targets or [],
        datasets=dataset or [],
        tflops=tflops,
        epochs=epochs,
        gpus=gpus,
        from_scratch=from_scratch,
        as_json=as_json,
    )
