"""The AP of a grid's cells on test images that are drawn anew, the same for every method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cones.experiment.cell import Cell, Plan
from cones.experiment.outputs import Output
from cones.outputs.reads import scores
from cones.runtime.artifacts import read_json, sha256
from cones.runtime.errors import ConesError
from cones.runtime.progress import watched

if TYPE_CHECKING:
    import numpy as np
    from pandas import DataFrame

DRAWS = 500
RUN, PREDICTIONS = "run.json", "predictions.json"


@dataclass(frozen=True)
class DrawnImages:
    """Cells, and what they score on drawn test images.

    cells   as `collect_cells` makes them
    aps     {(model, dataset, arm, seed): (1 + DRAWS,)}: box AP on the test images, then on each draw of as many; nan
            where a draw has no box. Of a dataset the draws are the same for every cell
    unread  {the same: why the detections of a finished cell were not read}, of an unfinished run
    """

    cells: DataFrame
    aps: Mapping[tuple, np.ndarray]
    unread: Mapping[tuple, str]


def inputs(plan: Plan, output: Output) -> list[Path]:
    cells = dict.fromkeys(cell for grid in plan.parts_of(output) for cell in plan.cells(grid))
    return [*scores.inputs(plan, output), *(cell.folder / name for cell in cells for name in (RUN, PREDICTIONS))]


def settings(plan: Plan, output: Output) -> object:
    return None


def is_begun(plan: Plan, output: Output) -> bool:
    return scores.is_begun(plan, output)


def read(plan: Plan, output: Output, *, partial: bool = False) -> DrawnImages:
    """Score every finished cell on the draws of its dataset; ConesError for detections that are not those recorded.
    With `partial` the reason stands in their place."""
    cells = scores.read(plan, output, partial=partial)
    done = [row for row in cells.itertuples() if row.status == "done"]
    aps, unread, images = {}, {}, {}
    for row in watched(done, label="drawing test images anew", total=len(done)):
        key = (row.model, row.dataset, row.arm, int(row.seed))
        try:
            found = _recorded(Cell(plan.suite.suite, *key))
            if row.dataset not in images:
                images[row.dataset] = _test_images(plan, row.dataset)
            aps[key] = images[row.dataset].aps(found)
        except ConesError as error:
            if not partial:
                raise
            unread[key] = str(error)
    return DrawnImages(cells, aps, unread)


@dataclass(frozen=True)
class _TestImages:
    """The test split of a dataset; weights (1 + DRAWS, images): all of them once, then each draw."""

    truth: dict
    detections_per_image: int
    weights: np.ndarray

    def aps(self, results: list[dict]) -> np.ndarray:
        from cones.evaluation.bootstrap import ResampledAP

        return ResampledAP(self.truth, results, self.detections_per_image).aps(self.weights)


def _test_images(plan: Plan, dataset: str) -> _TestImages:
    import numpy as np

    from cones.data.few_pictures import read_split
    from cones.evaluation.bootstrap import image_weights
    from cones.runtime.determinism import seed_of

    truth = read_split(plan.data_folder(dataset) / "test.json", plan.suite.pictures)
    count = len(truth["images"])
    drawn = image_weights(count, DRAWS, seed_of("bootstrap over images", dataset))
    weights = np.concatenate([np.ones((1, count), dtype=int), drawn])
    return _TestImages(truth, plan.manifest(dataset)["detections_per_image"], weights)


def _recorded(cell: Cell) -> list[dict]:
    """The detections of a cell; ConesError unless they are those that it recorded."""
    from cones.evaluation.predictions import read_predictions

    file = cell.folder / PREDICTIONS
    if not file.is_file():
        raise ConesError("the detections are missing", where=file, next_step=_score_again(cell))
    recorded = read_json(cell.folder / RUN).get("sha256", {}).get(PREDICTIONS)
    if (digest := sha256(file)) != recorded:
        raise ConesError(
            "these are not the detections that were recorded",
            where=file,
            expected=f"sha256 {recorded}",
            found=digest,
            next_step=_score_again(cell),
        )
    return read_predictions(file)


def _score_again(cell: Cell) -> str:
    file = cell.folder / "metrics.json"
    return f"score the cell again: snakemake --cores all {file} -R {file} --config suite={cell.suite}"
