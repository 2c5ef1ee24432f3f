"""Table 3: the distance between class vectors and image features, per method and dataset, with companion measures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cones.evaluation.seeds import over_seeds
from cones.methods.method import METHODS
from cones.outputs.analysis.names import ALL, FPN, FUSED, MEASURES, Place
from cones.outputs.reference import Reference, paper, stands_beside
from cones.outputs.sheet import NOTES, Sheet, blank_repeats
from cones.outputs.wording import (
    DIFFERENCE_MEANS,
    NO_NUMBER,
    Row,
    heading,
    join_notes,
    markers,
    number,
    numbered_notes,
    signed,
)

if TYPE_CHECKING:
    from pandas import DataFrame

    from cones.outputs.analysis.embeddings import Embeddings
    from cones.outputs.reads.vectors import Vectors

OUTPUT = {
    "name": "table3",
    "reads": "boxes",
    "grids": ["table3"],
    "title": "Table 3 and Figure 5: from class vectors to images",
    "about": "How far the vectors of the classes are from the image features of their boxes.",
    "figures": ["figure5"],
}
WHAT = "Table 3"
SOURCES = {FUSED: "fused (what enters the dot product)", FPN: "before fusion (the image knows no prompt)"}

COLUMNS = (
    *("suite", "model", "method", "source", "dataset", "seeds", "datasets", "classes", "boxes"),
    *MEASURES,
    *("d_l2_spread", "d_l2_paper", "d_l2_difference", "notes"),
)


def places(vectors: Vectors) -> dict[Place, Embeddings]:
    """The embeddings that Table 3 and Figure 5 are made of, by model, method, dataset and seed."""
    return {
        Place(cell.model, cell.arm, cell.dataset, cell.seed): embeddings
        for cell, embeddings in vectors.of_cells.items()
    }


def frame(vectors: Vectors, *, suite: str) -> DataFrame:
    return distances(places(vectors), suite=suite)


def draw(vectors: Vectors, rows: list[Row], files: Mapping[str, Path], *, suite: str, title: str) -> list[Path]:
    from cones.outputs.figure5 import save_figure5

    return save_figure5(places(vectors), vectors.registry, files["figure5"], suite=suite, title=title)


def distances(by_place: Mapping[Place, Embeddings], *, suite: str, reference: Reference | None = None) -> DataFrame:
    """A row (COLUMNS) per model, method, source and dataset, and one (ALL) over the datasets of the grid.

    Numbers are those of `measures`, mean over seeds; over datasets unweighted, but `gap` pools every class of every
    dataset. `datasets` "4/5" says of how many of the expected. The published distance is compared with the source
    FUSED where the paper `stands_beside`, and its average only over exactly the paper's datasets.
    """
    import pandas as pd

    reference = reference or paper()
    rows = []
    for model, method in dict.fromkeys((place.model, place.method) for place in by_place):
        mine = {
            place: embeddings
            for place, embeddings in by_place.items()
            if (place.model, place.method) == (model, method)
        }
        there = [source for source in (FUSED, FPN) if any(source in embeddings.boxes for embeddings in mine.values())]
        for source in there or [FUSED]:
            names = {"suite": suite, "model": model, "method": method, "source": source}
            rows += [{**names, **row} for row in _rows(mine, source)]
    if stands_beside(suite):
        for row in rows:
            row |= _published(row, rows, reference)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(("seeds", "classes", "boxes"), "Int64"))


def _rows(by_place: Mapping[Place, Embeddings], source: str) -> list[dict]:
    """A row per dataset with boxes, of one model, method and source, and a last row over all of them."""
    from cones.outputs.analysis.gap import measures

    rows, expected = [], list(dict.fromkeys(place.dataset for place in by_place))
    for dataset in expected:
        cells = [
            embeddings
            for place, embeddings in by_place.items()
            if place.dataset == dataset and source in embeddings.boxes
        ]
        numbers = [measures(embeddings.boxes[source], embeddings.labels) for embeddings in cells]
        if numbers and numbers[0]:
            sizes = {"classes": len(cells[0].labels.unique()), "boxes": len(cells[0].labels)}
            spread = over_seeds([of_seed["d_l2"] for of_seed in numbers]).half_width
            rows.append({"dataset": dataset, "seeds": len(cells), **sizes, "d_l2_spread": spread, **_mean(numbers)})
    holes = join_notes(
        list(
            dict.fromkeys(
                f"{place.dataset}: {embeddings.hole}" for place, embeddings in by_place.items() if embeddings.hole
            )
        )
    )
    if not rows:
        return [{"dataset": ALL, "datasets": f"0/{len(expected)}", "notes": holes}]
    whole = {"dataset": ALL, "datasets": f"{len(rows)}/{len(expected)}", **_mean(rows)}
    whole |= {name: sum(row[name] for row in rows) for name in ("classes", "boxes")}
    whole["gap"] = _pooled_gap(by_place, source, [row["dataset"] for row in rows])
    return [*rows, {**whole, "notes": holes}]


def _mean(rows: list[dict]) -> dict[str, float | None]:
    """The mean of each measure over the rows; None where any row lacks it."""
    columns = {name: [row.get(name) for row in rows] for name in MEASURES}
    return {name: None if None in values else over_seeds(values).mean for name, values in columns.items()}


def _pooled_gap(by_place: Mapping[Place, Embeddings], source: str, datasets: list[str]) -> float:
    """The `centroid_gap` of each seed's datasets, mean over seeds."""
    from cones.outputs.analysis.gap import centroid_gap

    gaps = []
    for seed in dict.fromkeys(place.seed for place in by_place):
        mine = [by_place[place] for place in by_place if place.seed == seed and place.dataset in datasets]
        if parts := [(cell.boxes[source], cell.labels) for cell in mine if source in cell.boxes]:
            gaps.append(centroid_gap(parts))
    return over_seeds(gaps).mean


def _published(row: dict, rows: list[dict], reference: Reference) -> dict:
    """The columns `d_l2_paper` and `d_l2_difference`, and the remarks on the published table."""
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


# ---------------------------------------------------------------------------------------------------------- for people


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> list[Sheet]:
    """The paper's table (distance by dataset), and one with the companions of every row."""
    return [_distances(rows, suite, title), _companions(rows, suite, title)]


def _distances(rows: list[Row], suite: str, title: str | None) -> Sheet:
    mine = [row for row in rows if row["source"] == FUSED]
    datasets = list(dict.fromkeys(row["dataset"] for row in mine if row["dataset"] != ALL))
    labels, numbers = paper().labels("table3"), numbered_notes(mine)
    by_place = {(row["model"], row["method"], row["dataset"]): row for row in mine}
    body = []
    for model, method in dict.fromkeys((row["model"], row["method"]) for row in mine):
        line = [by_place.get((model, method, name)) for name in (*datasets, ALL)]
        marks = markers(line[-1], numbers) if line[-1] else ""
        body.append([model, _label(method), *(_with_spread(row) for row in line), marks])
        if stands_beside(suite):
            body.append([model, "paper", *(number(row["d_l2_paper"]) if row else NO_NUMBER for row in line), ""])
            differences = (signed(row["d_l2_difference"]) if row else NO_NUMBER for row in line)
            body.append([model, "difference", *differences, ""])
    return Sheet(
        heading=heading(suite, title, what=WHAT),
        heads=["model", "method", *(labels.get(name, name) for name in datasets), "average", NOTES],
        rows=blank_repeats(body, 1),
        legend=DEFINITION
        + [SPREAD_MEANS] * any(row["d_l2_spread"] for row in mine)
        + [DIFFERENCE_MEANS] * (stands_beside(suite)),
        names=2,
        notes=numbers,
    )


def _companions(rows: list[Row], suite: str, title: str | None) -> Sheet:
    labels = paper().labels("table3")
    body = [
        [
            row["model"],
            _label(row["method"]),
            SOURCES.get(row["source"], row["source"]),
            labels.get(row["dataset"], row["dataset"]),
            f"{row['classes']} / {row['boxes']}" if row["classes"] else NO_NUMBER,
            *(_three_digits(row, name) for name in MEASURES),
        ]
        for row in rows
    ]
    heads = ["model", "method", "features", "dataset", "classes / boxes", "D_l2", "|v|", "|u|", "D_cos", "D_rel"]
    return Sheet(
        heading=heading(suite, title, what=f"{WHAT}, companions"),
        heads=[*heads, "margin", "gap"],
        rows=blank_repeats(body, 3),
        legend=COMPANIONS,
        names=4,
    )


DEFINITION = [
    "Distance |v - u|, mean over boxes, then over classes. The paper does not define its distance; this is ours.",
    "v: a ground-truth box of the test split (at most 200 per class): mean of GLIP's fused features over the points"
    " whose centre lies in the box, on the level whose anchor is closest in size.",
    "u: the box's class in the same image: fused text state, normalised, halved, projected; mean over its tokens.",
    "Fused features hear the prompt, so that a smaller distance may be a shorter v: see the companions.",
    "ConES, never trained: random vectors, the control.",
]
SPREAD_MEANS = "±: half width of the 95 % t interval over seeds."
COMPANIONS = [
    "|v|, |u|: mean lengths. D_cos: 1 - cosine. D_rel: D_l2 over the mean |v - mean v|, free of scale.",
    "margin: logit of the true class minus the best other class. Dash: one class.",
    "gap: distance between the centroids of boxes and of classes, all vectors of length one (Liang et al. 2022); in the"
    " row all every class of every dataset weighs the same.",
    "ConES, never trained: random vectors, the control.",
]


def _label(method: str) -> str:
    return METHODS[method].label if method in METHODS else method


def _with_spread(row: Row | None) -> str:
    """`77.47 ± 0.31`, without the spread for one seed."""
    spread = f" ± {_three_digits(row, 'd_l2_spread')}" if row and row["d_l2_spread"] else ""
    return f"{_three_digits(row, 'd_l2')}{spread}"


def _three_digits(row: Row | None, name: str) -> str:
    """The value with three digits, or a dash where it is missing."""
    if row is None or not row[name]:
        return NO_NUMBER
    value = float(row[name])
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.1f}"
