"""Made-up experiments for the tests of the tables: metrics files with chosen APs on disk."""

from pathlib import Path

from cones.evaluation.coco_ap import STATISTICS
from cones.evaluation.metrics import CellKey, CellMetrics, Parameters, Scores, Selection, write_metrics
from cones.experiment.outputs import OUTPUTS
from cones.outputs.cells import ExpectedCell, cells_csv, collect_cells, read_cells
from cones.outputs.files import cells_file, named
from cones.outputs.make import write_output
from cones.outputs.reference import GROUPS, paper_value
from cones.outputs.wording import said_of_suite
from cones.runtime.artifacts import sha256, write_json, write_text

METHODS = (
    *("zero_shot", "linear_probing", "textual_inversion", "prompt_tuning", "cones"),
    *("full_finetuning", "cones_finetuned"),
)


def grid(models=("glip_t", "glip_l"), methods=METHODS, seeds=(0,), groups=GROUPS, datasets=None):
    """Every cell of models × datasets × methods × seeds, as the configuration would list them."""
    return [
        ExpectedCell(model, dataset, name, method, method, seed)
        for model in models
        for name in groups
        for dataset in groups[name].datasets
        if datasets is None or dataset in datasets
        for method in methods
        for seed in seeds
    ]


def metrics_path(folder: Path, suite: str, cell: ExpectedCell) -> Path:
    return folder / suite / cell.model / cell.dataset / cell.arm / f"seed{cell.seed}" / "metrics.json"


def scores_of(ap: float | None) -> Scores:
    none = dict.fromkeys(STATISTICS)
    counts = {"images": 4, "boxes": 9, "detections": 20}
    return Scores(**{**none, "ap": ap, "ap50": ap}, per_class=[], categories_not_annotated=[], **counts)


def write_done(
    path: Path,
    suite: str,
    cell: ExpectedCell,
    ap: float | None,
    mask_ap: float | None = None,
    *,
    trained=196_608,
    total=123_060_000,
    by="best",
):
    """A cell with a box AP and, if it is given one, a mask AP."""
    masks = {} if mask_ap is None else {"segm": scores_of(mask_ap)}
    count = {"trained": trained, "total": total, "text_encoder": 0}
    content = CellMetrics(
        cell=_key(suite, cell),
        group=cell.group,
        task="detection",
        status="done",
        selection=Selection(epoch=3, validation_ap=ap, by=by),
        scores={"bbox": scores_of(ap), **masks},
        parameters=Parameters(used=count, paper=count),
    )
    write_metrics(path, content)


def write_skipped(path: Path, suite: str, cell: ExpectedCell, reason: str):
    content = CellMetrics(cell=_key(suite, cell), group=cell.group, task="detection", status="skipped", reason=reason)
    write_metrics(path, content)


def _key(suite, cell):
    return CellKey(
        suite=suite, model=cell.model, dataset=cell.dataset, arm=cell.arm, method=cell.method, seed=cell.seed
    )


def published(cell: ExpectedCell) -> float | None:
    """The paper's AP of a cell, as an `ap_of`."""
    return paper_value(GROUPS[cell.group].detail_table, cell.model, cell.method, cell.dataset)


def row_of(table, model, method):
    """The one row of a model and a method."""
    found = table[(table["model"] == model) & (table["method"] == method)]
    assert len(found) == 1
    return found.iloc[0]


def write_world(folder: Path, suite: str, cells, ap_of) -> dict[ExpectedCell, Path]:
    """{cell: path}; `ap_of(cell)` gives an AP, a pair of box and mask AP, None for a cell that leaves no file, or a
    text: skipped, with reason."""
    paths = {}
    for cell in cells:
        paths[cell] = metrics_path(folder, suite, cell)
        outcome = ap_of(cell)
        if isinstance(outcome, str):
            write_skipped(paths[cell], suite, cell, outcome)
        elif outcome is not None:
            write_done(paths[cell], suite, cell, *(outcome if isinstance(outcome, tuple) else (outcome,)))
    return paths


def write_run(path: Path, cell: ExpectedCell, *, epochs: int = 10, seconds: float = 12.5, **changed):
    """A `run.json` as `evaluate` writes it, as far as the report reads it; `changed` replaces whole keys."""
    tuned = cell.method != "zero_shot"
    history = [{"epoch": n + 1, "steps": 24 * (n + 1), "learning_rate": 0.01, "val_ap": 1.0} for n in range(epochs)]
    content = {
        "command": ["python", "-m", "cones", "evaluate", "--model", cell.model, "--dataset", cell.dataset],
        "device": "cpu",
        "finished": f"2026-11-22T21:20:{cell.seed:02}+00:00",
        "inference": {"peak_memory_bytes": 384_491_520, "seconds_per_image": 0.0207},
        "inputs_sha256": {f"checkpoints/{cell.model}.safetensors": "159e1d86e51510bf"},
        "machine": {"processor": "a processor", "cores": 2, "memory_bytes": 2**34, "accelerator": None},
        "overrides": {},
        "platform": "Linux",
        "revision": "c13398831e6f",
        "sha256": {path.name: sha256(path)},
        "settings": {"learning_rate": 0.01, "tuning": {"max_epochs": epochs}},
        "tuning": {
            "best_epoch": 3 if tuned else 0,
            "history": history if tuned else [],
            "peak_memory_bytes": 403_505_152,
            "seconds": seconds if tuned else 0.0,
            "steps": 24 * epochs if tuned else 0,
        },
        "versions": {"python": "3.11.7", "torch": "2.13.0+cpu"},
    }
    write_json(path.with_name("run.json"), content | changed)


def collect(*, suite, grid, expected, metrics, logs=None, out_dir, check=None, partial=False, title=None) -> list[Path]:
    """The list of a grid's cells and the tables made of it, as the steps `collect` and `make` write them."""
    found = collect_cells(expected, metrics, logs, suite=suite, check=check, partial=partial)
    written = [Path(out_dir) / named(cells_file(grid), partial)]
    write_text(written[0], cells_csv(found))
    for output in OUTPUTS.values():
        if output.reads == "scores" and grid in output.grids:
            options = {"suite": suite, "title": said_of_suite(title, partial), "partial": partial}
            written += write_output(output, read_cells(written[0]), Path(out_dir), **options)
    return written
