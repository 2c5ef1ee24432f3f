"""Step `plan`: print the cost of a run before it starts; nothing is run or written."""

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
    gpus: int = 1,
    from_scratch: bool,
    as_json: bool,
) -> None:
    """Print the forecast as a table, or with `as_json` as one JSON document; arguments as in `forecast`."""
    costs = forecast(
        plan, targets, datasets=datasets, tflops=tflops, epochs=epochs, gpus=gpus, from_scratch=from_scratch
    )
    if as_json:
        print(json.dumps({**forecast_json(costs), "tflops": tflops}, indent=2, allow_nan=False))
        return
    from rich.console import Console

    console = Console()
    print_forecast(costs, console if console.is_terminal and console.width >= 120 else Console(width=120))
