"""Seconds and bytes of a classification cell: means of finished cells of its method; without any they are unknown."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

from cones.experiment.cell import Cell, Plan
from cones.experiment.classification import DENSE, Setting
from cones.forecast.rates import Rate
from cones.forecast.work import Share, Work
from cones.runtime.artifacts import read_json
from cones.runtime.errors import ConesError

JOB_SECONDS = 1.0  # of starting a warm process and reading the stored features of a nano model


class ClassifiedCells:
    """What finished cells of these models recorded, in any suite; one written by another version is passed over."""

    def __init__(self, results: Path, models: Iterable[str]):
        self._of_method: dict[tuple[str, str, bool], list[tuple[int, float, int, str]]] = defaultdict(list)
        for model in sorted(models):
            for path in sorted(results.glob(f"*/{model}/*/*/seed*/run.json")):
                try:
                    run, metrics = read_json(path), read_json(path.with_name("metrics.json"))
                    device = run["machine"]["accelerator"] or run["device"]
                    took = run["tuning"]["fit_seconds"] + run["inference"]["seconds"]
                    stored = metrics["trained"]["stored_bytes"]
                    record = (run["tuning"]["steps"], took, stored, device)
                    key = model, metrics["cell"]["method"], metrics["setting"] == DENSE
                    self._of_method[key].append(record)
                except (ConesError, KeyError, TypeError):
                    continue

    def share(self, plan: Plan, cell: Cell) -> Share | None:
        """None where no cell of the model, the method and the task is finished."""
        is_dense = Setting.of(cell.dataset).kind == DENSE
        found = self._of_method.get((cell.model, plan.classification.method(cell.arm), is_dense))
        if not found:
            return None
        steps, took, stored, devices = zip(*found)
        device = ", ".join(dict.fromkeys(devices))
        return Share(
            work=Work((round(fmean(steps)),) * 2, (0, 0)),
            rate=Rate(None, 0.0, device, "recorded"),
            job_seconds=fmean(took) + JOB_SECONDS,
            bytes=int(fmean(stored)),
        )
