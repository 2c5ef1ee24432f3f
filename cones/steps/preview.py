"""Step `preview-predictions`: pictures of finished cells, from their files and the test split, without a model."""

from pathlib import Path

from cones.data.few_pictures import scored_on
from cones.evaluation.metrics import CellMetrics, read_metrics
from cones.evaluation.preview import preview_predictions
from cones.experiment.cell import Cell, Plan
from cones.experiment.cell_steps import shown_cells
from cones.runtime.errors import ConesError


def preview_cell(plan: Plan, cell: Cell, out: Path | None = None, *, pictures: int = 6) -> Path:
    """Writes `out`, by default `preview.png` in the cell's folder; ConesError if the cell has no detections to show."""
    metrics = _finished(cell)
    if metrics.status == "skipped":
        raise ConesError(
            "nothing to show: this cell was skipped",
            where=cell.folder,
            found=metrics.reason,
            next_step="mend that reason and run again, or choose another cell",
        )
    part = scored_on(plan.suite.pictures)
    return preview_predictions(
        plan.data_folder(cell.dataset),
        cell.folder / "predictions.json",
        out or cell.folder / "preview.png",
        title=f"{plan.manifest(cell.dataset)['paper_name']} · {cell.arm}",
        about=[f"suite {cell.suite}: {plan.suite.title}", f"{cell} · {_scores(metrics)} on {part}"],
        pictures=pictures,
        of_split=plan.suite.pictures,
    )


def preview_dataset(plan: Plan, model: str, dataset: str, out: Path | None = None, *, pictures: int = 6) -> Path:
    """Writes `out`, by default `predictions.png` in the dataset's folder: its cells (`shown_cells`) side by side.

    A cell that was skipped has no column, and its reason stands in the head. ConesError if no cell has detections.
    """
    cells = {cell: _finished(cell) for cell in shown_cells(plan, model, dataset)}
    done = [cell for cell, metrics in cells.items() if metrics.status == "done"]
    if not done:
        raise ConesError(
            "nothing to show: no cell of this model and dataset has detections",
            where=plan.picture(model, dataset).parent,
            found=next((metrics.reason for metrics in cells.values()), "no cell in the suite"),
            next_step="mend that and run again, or choose another model or dataset",
        )
    skipped = [f"{cell.arm}: skipped, {metrics.reason}" for cell, metrics in cells.items() if cell not in done]
    return preview_predictions(
        plan.data_folder(dataset),
        {f"{cell.arm} ({_scores(cells[cell])})": cell.folder / "predictions.json" for cell in done},
        out or plan.picture(model, dataset),
        title=f"{plan.manifest(dataset)['paper_name']} · {model}",
        about=[f"suite {plan.suite.suite}: {plan.suite.title}", *skipped],
        pictures=pictures,
        of_split=plan.suite.pictures,
    )


def _finished(cell: Cell) -> CellMetrics:
    """The metrics of a cell; ConesError if it has none."""
    if not (cell.folder / "metrics.json").is_file():
        raise ConesError(
            "this cell is not finished",
            where=cell.folder,
            next_step=f"snakemake --cores all {cell.folder / 'metrics.json'} --config suite={cell.suite}",
        )
    return read_metrics(cell.folder / "metrics.json")


def _scores(metrics: CellMetrics) -> str:
    """The scores of a cell, such as `box AP 41.4, mask AP 40.2`."""
    words = {"bbox": "box", "segm": "mask"}
    known = [f"{words[kind]} AP {scores.ap:.1f}" for kind, scores in metrics.scores.items() if scores.ap is not None]
    return ", ".join(known) or "no AP"
