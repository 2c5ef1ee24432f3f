"""Table 3: the distance between class vectors and image features, per method and dataset, with what it hides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from cones.analysis.embeddings import Embeddings
from cones.analysis.gap import centroid_gap, measures
from cones.analysis.names import ALL, FPN, FUSED, MEASURES
from cones.evaluation.seeds import over_seeds
from cones.tables.reference import Reference, paper
from cones.tables.wording import join_notes

if TYPE_CHECKING:
    from pandas import DataFrame

COLUMNS = (
    *("suite", "model", "method", "source", "dataset", "seeds", "datasets", "classes", "boxes"),
    *MEASURES,
    *("d_l2_spread", "d_l2_paper", "d_l2_difference", "notes"),
)


class Place(NamedTuple):
    """A cell of the grid."""

    model: str
    method: str
    dataset: str
    seed: int


def table3(found: Mapping[Place, Embeddings], *, suite: str, reference: Reference | None = None) -> DataFrame:
    """COLUMNS: a row per model, method, source and dataset, and one (ALL) over the datasets of the grid.

    Numbers are those of `measures`, mean over seeds; over datasets unweighted, but `gap` pools every class of every
    dataset. `datasets` "4/5" says of how many of the expected. The published distance is compared with the source
    FUSED, in the suite "paper" only, and its average only over exactly the paper's datasets.
    """
    import pandas as pd

    reference = reference or paper()
    rows = []
    for model, method in dict.fromkeys((place.model, place.method) for place in found):
        mine = {place: one for place, one in found.items() if (place.model, place.method) == (model, method)}
        there = [source for source in (FUSED, FPN) if any(source in one.boxes for one in mine.values())]
        for source in there or [FUSED]:
            names = {"suite": suite, "model": model, "method": method, "source": source}
            rows += [{**names, **row} for row in _rows(mine, source)]
    if suite == "paper":
        for row in rows:
            row |= _published(row, rows, reference)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(("seeds", "classes", "boxes"), "Int64"))


def _rows(found: Mapping[Place, Embeddings], source: str) -> list[dict]:
    """The datasets of one model, method and source that have boxes, then all of them; these alone where none has."""
    rows, expected = [], list(dict.fromkeys(place.dataset for place in found))
    for dataset in expected:
        cells = [one for place, one in found.items() if place.dataset == dataset and source in one.boxes]
        numbers = [measures(one.boxes[source], one.labels) for one in cells]
        if numbers and numbers[0]:
            sizes = {"classes": len(cells[0].labels.unique()), "boxes": len(cells[0].labels)}
            spread = over_seeds([each["d_l2"] for each in numbers]).half_width
            rows.append({"dataset": dataset, "seeds": len(cells), **sizes, "d_l2_spread": spread, **_mean(numbers)})
    holes = join_notes(list(dict.fromkeys(f"{place.dataset}: {one.hole}" for place, one in found.items() if one.hole)))
    if not rows:
        return [{"dataset": ALL, "datasets": f"0/{len(expected)}", "notes": holes}]
    whole = {"dataset": ALL, "datasets": f"{len(rows)}/{len(expected)}", **_mean(rows)}
    whole |= {name: sum(row[name] for row in rows) for name in ("classes", "boxes")}
    whole["gap"] = _pooled_gap(found, source, [row["dataset"] for row in rows])
    return [*rows, {**whole, "notes": holes}]


def _mean(rows: list[dict]) -> dict[str, float | None]:
    """Of each measure; None where any row lacks it."""
    columns = {name: [row.get(name) for row in rows] for name in MEASURES}
    return {name: None if None in values else over_seeds(values).mean for name, values in columns.items()}


def _pooled_gap(found: Mapping[Place, Embeddings], source: str, datasets: list[str]) -> float:
    """`centroid_gap` of each seed's datasets, mean over seeds."""
    gaps = []
    for seed in dict.fromkeys(place.seed for place in found):
        mine = [one for place, one in found.items() if place.seed == seed and place.dataset in datasets]
        if parts := [(one.boxes[source], one.labels) for one in mine if source in one.boxes]:
            gaps.append(centroid_gap(parts))
    return over_seeds(gaps).mean


def _published(row: dict, rows: list[dict], reference: Reference) -> dict:
    """`d_l2_paper`, `d_l2_difference` and the remarks on the published table."""
    datasets = list(reference.labels("table3"))
    if row["source"] != FUSED:
        return {}
    if row["dataset"] == ALL:
        mine = [r["dataset"] for r in rows if all(r[key] == row[key] for key in ("model", "method", "source"))]
        column, comparable = "avg_reported", sorted(mine) == sorted([*datasets, ALL])
        notes = [*filter(None, [row.get("notes")]), *reference.notes("table3")]
    else:
        column, comparable, notes = row["dataset"], row["dataset"] in datasets, []
    value = reference.value("table3", None, row["method"], column) if comparable or row["dataset"] == ALL else None
    return {
        "d_l2_paper": value,
        "d_l2_difference": row["d_l2"] - value if comparable and value is not None else None,
        "notes": join_notes(notes),
    }
