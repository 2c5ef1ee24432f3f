"""The calls of a notebook: `cones.tune`, `cones.evaluate` and `cones.predict`, over the steps that the commands run.

They leave the files and records that the commands leave, below the working directory, which must hold `config/` and
`datasets.yaml`. What is there and belongs to the plan is not made again.
"""

from collections.abc import Iterable
from pathlib import Path

from cones.evaluation.metrics import CellMetrics, read_metrics
from cones.experiment.cell import Cell, Plan
from cones.experiment.cell_steps import job_of_cell
from cones.steps.jobs import make
from cones.steps.predict import OUT, Predictions, named_cell, predict_pictures


def tune(
    cell: Cell | str | Path | None = None,
    *,
    suite: str = "miniature",
    model: str | None = None,
    dataset: str | None = None,
    arm: str | None = None,
    seed: int = 0,
    overrides: dict | None = None,
    again: bool = False,
) -> Cell:
    """Tune a cell, with all that it needs: data, base weights, text states, stage 1.

    cell       what another call returned, or a folder `results/<suite>/<model>/<dataset>/<arm>/seed<k>`; or else
    suite …    the names that the commands take
    overrides  laid over the suite's config, as `--set` does
    again      tune it in any case; by default a finished cell is left as it is

    Returns the cell; `cell.folder` has its files. ConesError says what is wrong and what to do.
    """
    plan, cell = _planned(cell, suite, model, dataset, arm, seed, overrides)
    make(plan, job_of_cell("tune", cell), again=again)
    return cell


def evaluate(
    cell: Cell | str | Path | None = None,
    *,
    suite: str = "miniature",
    model: str | None = None,
    dataset: str | None = None,
    arm: str | None = None,
    seed: int = 0,
    overrides: dict | None = None,
    again: bool = False,
) -> CellMetrics:
    """Score a cell on its test split, after it was tuned where it was not; arguments as in `tune`.

    Returns what `metrics.json` holds: `.scores["bbox"].ap` in percent, `.status`, `.parameters` …
    """
    plan, cell = _planned(cell, suite, model, dataset, arm, seed, overrides)
    make(plan, job_of_cell("evaluate", cell), again=again)
    return read_metrics(cell.folder / "metrics.json")


def predict(
    pictures: str | Path | Iterable[str | Path],
    cell: Cell | str | Path | None = None,
    *,
    suite: str = "miniature",
    model: str | None = None,
    dataset: str | None = None,
    arm: str | None = None,
    seed: int = 0,
    overrides: dict | None = None,
    threshold: float | None = None,
    out: str | Path = OUT,
) -> Predictions:
    """Detect with a tuned cell on pictures, and on folders of pictures; the cell as in `tune`, which must come first.

    Writes a PNG for each picture and `predictions.json` into `out`. The default threshold is the cell's own, for which
    it must have been scored. Returns what was found: `.pictures[0].results` are COCO results, `.faults` are of pictures
    that could not be read.
    """
    plan, cell = _planned(cell, suite, model, dataset, arm, seed, overrides)
    places = [pictures] if isinstance(pictures, str | Path) else pictures
    return predict_pictures(plan, cell, [Path(place) for place in places], out=Path(out), threshold=threshold)


def _planned(cell, suite, model, dataset, arm, seed, overrides) -> tuple[Plan, Cell]:
    """The plan that a cell belongs to, and the cell, which the plan knows."""
    given = cell if cell is None or isinstance(cell, Cell) else Cell.of_folder(Path(cell))
    plan = Plan.load(suite if given is None else given.suite, overrides)
    names = (model, dataset, arm, seed) if given is None else (given.model, given.dataset, given.arm, given.seed)
    return plan, named_cell(plan, *names)
