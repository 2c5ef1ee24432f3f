"""Averages of AP over seeds and datasets, shared by the tables; each states how many datasets it covers."""

from __future__ import annotations

from math import fsum
from typing import TYPE_CHECKING

from cones.evaluation.seeds import OverSeeds, over_seeds

if TYPE_CHECKING:
    from pandas import DataFrame, Series


def scored(cells: DataFrame, column: str = "ap") -> Series:
    """A mask of the cells that have an AP, of boxes or of masks (`mask_ap`), as in `cells[scored(cells)]`; all others
    are holes."""
    return (cells["status"] == "done") & cells[column].notna()


def per_dataset(cells: DataFrame, column: str = "ap") -> dict[str, OverSeeds]:
    """Mean and spread over the seeds of each dataset that has any AP; `cells` are of one model and one method."""
    return {dataset: over_seeds(list(aps.values())) for dataset, aps in _aps(cells, column).items()}


def average(cells: DataFrame) -> dict:
    """Average the AP over seeds and then over datasets, unweighted; `datasets` says over how many of the expected
    ("2/13").

    `spread`: half width of the 95 % t interval over seeds of that average, where every dataset in it has the same two
    or more seeds. Only `datasets` is there without any AP, and where cells of different `shots` would be mixed.
    """
    by_dataset = _aps(cells)
    row: dict = {"datasets": f"{len(by_dataset)}/{cells['dataset'].nunique()}"}
    if not by_dataset or is_mixed(cells):
        return row
    means = [over_seeds(list(aps.values())).mean for aps in by_dataset.values()]
    row["ap"] = over_seeds(means).mean
    seeds = {tuple(sorted(aps)) for aps in by_dataset.values()}
    if len(seeds) == 1:  # every dataset has the same seeds: each seed gives one average of the group
        averages = [fsum(aps[seed] for aps in by_dataset.values()) / len(by_dataset) for seed in seeds.pop()]
        row["spread"] = over_seeds(averages).half_width
    return row


def is_mixed(cells: DataFrame) -> bool:
    """Whether not all of these cells were tuned on equally many images per class: no average is taken of them."""
    return cells["shots"].nunique(dropna=False) > 1


def seeds_behind(cells: DataFrame) -> str | None:
    """The number of seeds that the numbers are averaged over: "3", or "2 to 3" where datasets differ."""
    counts = sorted({len(aps) for aps in _aps(cells).values()})
    if not counts:
        return None
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _aps(cells: DataFrame, column: str = "ap") -> dict[str, dict[int, float]]:
    """{dataset: {seed: AP}}, datasets by name."""
    scored_cells = cells[scored(cells, column)]
    return {str(dataset): dict(zip(rows["seed"], rows[column])) for dataset, rows in scored_cells.groupby("dataset")}
