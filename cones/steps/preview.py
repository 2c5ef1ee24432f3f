"""Step `preview-predictions`: a picture of a finished cell, from its files and the test split, without a model."""

from pathlib import Path

from cones.evaluation.metrics import CellMetrics, read_metrics
from cones.evaluation.preview import preview_predictions
from cones.experiment.cell import Cell, Plan
from cones.runtime.errors import ConesError


def preview_cell(plan: Plan, cell: Cell, out: Path | None = None, *, pictures: int = 6) -> Path:
    """Writes `out`, by default `preview.png` in the cell's folder; ConesError if the cell has no detections to show."""
    if not (cell.folder / "metrics.json").is_file():
        raise ConesError(
            "this cell is not finished",
            where=cell.folder,
            next_step=f"snakemake --cores all {cell.folder / 'metrics.json'} --config suite={cell.suite}",
        )
    metrics = read_metrics(cell.folder / "metrics.json")
    if metrics.status == "skipped":
        raise ConesError(
            "nothing to show: this cell was skipped",
            where=cell.folder,
            found=metrics.reason,
            next_step="mend that reason and run again, or choose another cell",
        )
    return preview_predictions(
        plan.data_folder(cell.dataset),
        cell.folder / "predictions.json",
        out or cell.folder / "preview.png",
        title=f"{plan.manifest(cell.dataset)['paper_name']} · {cell.arm}",
        about=[f"suite {cell.suite}: {plan.suite.title}", f"{cell} · {_scores(metrics)}"],
        pictures=pictures,
    )


def _scores(metrics: CellMetrics) -> str:
    """The scores of a cell on the whole test split, such as `box AP 41.4, mask AP 40.2`."""
    words = {"bbox": "box", "segm": "mask"}
    known = [f"{words[kind]} AP {scores.ap:.1f}" for kind, scores in metrics.scores.items() if scores.ap is not None]
    return f"{', '.join(known) or 'no AP'} on the whole test split"
