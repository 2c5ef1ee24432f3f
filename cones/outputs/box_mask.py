"""Columns, notes and legend that Tables 2 and 4 share: the AP of boxes and of masks side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from cones.outputs.averages import per_dataset, scored
from cones.outputs.files import Row
from cones.outputs.reference import stands_beside
from cones.outputs.wording import DIFFERENCE_MEANS, signs

if TYPE_CHECKING:
    from pandas import DataFrame

GROUP = "segmentation"  # of the datasets that are annotated with masks
KINDS = {"box": "ap", "mask": "mask_ap"}  # of AP: what a table calls it, and its column among the cells
PARTS = ("ap", "spread")
BESIDE = ("paper", "difference")
AP_MEANS = (
    "box, mask: COCO AP at IoU .50:.95 in percent, on the test split, of the weights whose masks were best on"
    " validation; mean over seeds."
)


def columns_of(names: list[str], suite: str) -> list[str]:
    """The columns `<name>_ap`, `<name>_spread` and, where the paper `stands_beside`, `<name>_paper` and
    `<name>_difference`."""
    return [f"{name}_{part}" for name in names for part in (*PARTS, *(BESIDE if stands_beside(suite) else ()))]


def box_and_mask_ap(cells: DataFrame) -> Iterator[tuple[str, str, dict[str, float | None]]]:
    """Yield (dataset, kind, {"ap", "spread"}) for every number of a row: mean over seeds, and half width of the t
    interval."""
    for kind, column in KINDS.items():
        for dataset, aps in per_dataset(cells, column).items():
            yield dataset, kind, {"ap": aps.mean, "spread": aps.half_width}


def beside(row: Mapping[str, float | None], name: str, published: float | None) -> dict[str, float | None]:
    """The published value, and ours minus it where there are both."""
    ours = row.get(f"{name}_ap")
    difference = None if published is None or ours is None else ours - published
    return {f"{name}_paper": published, f"{name}_difference": difference}


def remarks(cells: DataFrame) -> list[str]:
    """Notes on datasets without masks, and on those whose last epoch counts; `cells` are those of one row."""
    done = cells[scored(cells)]
    unmasked = done[done["mask_ap"].isna()]["dataset"].unique()
    last = done[done["selected_by"] == "last"]["dataset"].unique()
    notes = [f"{', '.join(unmasked)}: boxes only, this model predicts no masks"] if len(unmasked) else []
    return notes + ([f"{', '.join(last)}: the last epoch, whatever validation says"] if len(last) else [])


def box_mask_legend(rows: list[Row], names: list[str], suite: str) -> list[str]:
    """Explain the signs that occur in the table."""
    return signs(rows, names) + [DIFFERENCE_MEANS] * stands_beside(suite)
