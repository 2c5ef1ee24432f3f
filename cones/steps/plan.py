"""Step `plan`: what a run will cost, before it starts; nothing is run and nothing written."""

import json
from collections.abc import Sequence

from cones.experiment.cell import Plan
from cones.forecast.forecast import forecast
from cones.forecast.sheet import forecast_json, print_forecast


def print_plan(
    plan: Plan,
    targets: Sequence[str],
    *,
    datasets: Sequence[str],
    tflops: float,
    epochs: int | None,
    from_scratch: bool,
    as_json: bool,
) -> None:
    """The table, or with `as_json` one JSON document, on standard output; arguments as in `forecast`."""
    found = forecast(plan, targets, datasets=datasets, tflops=tflops, epochs=epochs, from_scratch=from_scratch)
    if as_json:
        print(json.dumps({**forecast_json(found), "tflops": tflops}, indent=2, allow_nan=False))
        return
    from rich.console import Console

    console = Console()
    print_forecast(found, console if console.is_terminal and console.width >= 120 else Console(width=120))
