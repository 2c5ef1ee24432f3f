"""Figure 4 of the paper: maps of the class vectors, and numbers for how natural and medical ones blend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cones.outputs.analysis.names import ISOLATED, TOGETHER
from cones.outputs.files import Row
from cones.outputs.labels import ISOLATED_NAMES, vectors_label
from cones.outputs.sheet import NOTES, Sheet, blank_repeats
from cones.outputs.wording import NO_NUMBER, heading, join_notes, markers, numbered_notes, p_value

if TYPE_CHECKING:
    from pandas import DataFrame

    from cones.experiment.cell import Cell
    from cones.outputs.analysis.blending import VectorSet
    from cones.outputs.analysis.embeddings import Embeddings
    from cones.outputs.reads.vectors import Vectors

OUTPUT = {
    "name": "figure4",
    "reads": "vectors",
    "grids": ["figure4"],
    "also": ["stability"],  # other seeds of some cells, for one column
    "title": "Figure 4: where the class vectors lie",
    "about": "Do the vectors of natural and medical classes blend, and would random vectors do the same?",
    "figures": ["figure4"],
    "supplement": ["figure4_supplement"],
}

MEASURES = ("mixing_5", "mixing_10", "probe", "silhouette")
COLUMNS = (
    *("suite", "model", "vectors", "seed", "natural", "medical", "datasets"),
    *(f"{measure}{part}" for measure in MEASURES for part in ("", "_low", "_high")),
    *("p_classes", "p_datasets", "dataset_mixing", "stability", "notes"),
)
WHAT = "Figure 4, in numbers"


def frame(vectors: Vectors, *, suite: str) -> DataFrame:
    return blending_table(vector_sets(vectors), suite=suite)


def draw(vectors: Vectors, rows: list[Row], files: Mapping[str, Path], *, suite: str, title: str) -> list[Path]:
    """Draw the class vectors of the first seed of each model and arm."""
    from cones.outputs.figure4_maps import save_figure4

    sets = vector_sets(vectors)
    first = {(vector_set.model, vector_set.vectors): vector_set for vector_set in reversed(sets)}
    shown = [vector_set for vector_set in sets if first[vector_set.model, vector_set.vectors] is vector_set]
    return save_figure4(shown, rows, files["figure4"], files["figure4_supplement"], suite=suite, title=title)


def vector_sets(vectors: Vectors) -> list[VectorSet]:
    """One set per model, arm and seed, in the grid's order; the isolated names of zero-shot are a set of their own."""
    from cones.outputs.analysis.points import DOMAINS

    cells: dict[tuple[str, str, int], dict[Cell, Embeddings]] = {}
    for cell, embeddings in vectors.of_cells.items():
        if vectors.registry[cell.dataset].group in DOMAINS:
            cells.setdefault((cell.model, cell.arm, cell.seed), {})[cell] = embeddings
    sets = []
    for (model, arm, seed), of_cells in cells.items():
        forms = dict.fromkeys(
            [TOGETHER, *(form for each_embeddings in of_cells.values() for form in each_embeddings.classes)]
        )
        for form in forms:
            name = ISOLATED_NAMES if form == ISOLATED else arm
            sets.append(_vector_set(vectors, model, name, seed, form, of_cells))
    return sets


def _vector_set(
    vectors: Vectors, model: str, name: str, seed: int, form: str, of_cells: Mapping[Cell, Embeddings]
) -> VectorSet:
    from cones.outputs.analysis.blending import VectorSet
    from cones.outputs.analysis.points import ClassPoints

    with_form = {cell: embeddings for cell, embeddings in of_cells.items() if form in embeddings.classes}
    entries = {cell: vectors.registry[cell.dataset] for cell in with_form}
    points = ClassPoints.of(
        (cell.dataset, entries[cell].group, entries[cell].classes, embeddings.classes[form].numpy())
        for cell, embeddings in with_form.items()
    )
    holes = [f"{cell.dataset}: {embeddings.hole}" for cell, embeddings in of_cells.items() if embeddings.hole]
    return VectorSet(model, name, seed, points, f"{len(with_form)}/{len(of_cells)}", join_notes(holes))


def blending_table(sets: Sequence[VectorSet], *, suite: str, seed: int = 0) -> DataFrame:
    """One row (COLUMNS) per set of the first seed each model and arm has; the other seeds go into `stability`.

    mixing_k    share of the k cosine neighbours from the other domain over that expected by chance, averaged per
                domain, then over both: 1 blended, 0 segregated. `_low`, `_high`: 95 % bootstrap over classes of each
    probe       balanced accuracy of a linear classifier of domains: 0.5 blended, 1 segregated
    silhouette  of the domains, cosine: at most 0 blended
    p_classes, p_datasets   permutation p of mixing_5: single classes, or whole datasets, exchange their domain
    dataset_mixing          mixing_5 with datasets as labels: below 1 where what a dataset's classes share shows
    stability   `blending.stability` over the seeds there are
    """
    import pandas as pd

    from cones.outputs.analysis.blending import blending
    from cones.outputs.analysis.blending import stability as stability_of

    first: dict[tuple[str, str], list[VectorSet]] = {}
    for vector_set in sets:
        first.setdefault((vector_set.model, vector_set.vectors), []).append(vector_set)
    rows = []
    for seeds in first.values():
        vector_set = seeds[0]
        names = {"suite": suite, "model": vector_set.model, "vectors": vector_set.vectors, "seed": vector_set.seed}
        numbers = blending(vector_set.points, seed)
        rows.append(
            {
                **names,
                "datasets": vector_set.datasets,
                **numbers,
                "stability": stability_of(seeds),
                "notes": vector_set.notes,
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    """The table for people, made of the rows of the CSV file alone."""
    numbers = numbered_notes(rows)
    heads = ["model", "vectors", "classes", "mixing, k = 5", "mixing, k = 10", "probe", "silhouette"]
    heads += ["p (classes)", "p (datasets)", "dataset mixing", "stability", NOTES]
    body = [
        [
            row["model"],
            vectors_label(row["vectors"]),
            f"{row['natural']} + {row['medical']}",
            *(_with_interval(row, measure) for measure in MEASURES),
            *(p_value(row[name]) for name in ("p_classes", "p_datasets")),
            *(_number(row[name]) for name in ("dataset_mixing", "stability")),
            markers(row, numbers),
        ]
        for row in rows
    ]
    return Sheet(
        heading=heading(suite, title, what=WHAT),
        heads=heads,
        rows=blank_repeats(body, 1),
        legend=LEGEND,
        names=2,
        notes=numbers,
        empty="No cell of this suite has class vectors.",
    )


LEGEND = [
    "One vector per class (natural + medical), as the first fusion layer hears it; numbers are of the original space.",
    "mixing: share of the k nearest vectors (cosine) from the other domain over the share expected by chance; 1 is"
    " blended, 0 segregated. Random vectors blend too: compare with ConES, never trained.",
    "probe: balanced accuracy of a linear classifier of natural against medical, cross-validated; 0.5 is blended.",
    "In brackets: 95 % bootstrap interval over the classes of each domain.",
    "p: how often mixing (k = 5) is as low when classes, or whole datasets, exchange their domain.",
    "dataset mixing: mixing (k = 5) with datasets instead of domains, over datasets with several classes.",
    "stability: correlation of the cosines between classes from two training seeds, over the classes tuned with both;"
    " 0 for random vectors.",
    f"{NO_NUMBER}: not defined for these vectors, or only one seed.",
]


def _number(text: str, decimals: int = 2) -> str:
    return f"{float(text):.{decimals}f}" if text else NO_NUMBER


def _with_interval(row: Row, measure: str) -> str:
    if not row[measure]:
        return NO_NUMBER
    return f"{_number(row[measure])} [{_number(row[f'{measure}_low'])}, {_number(row[f'{measure}_high'])}]"
