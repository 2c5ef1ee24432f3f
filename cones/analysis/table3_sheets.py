"""Table 3 for people, made of the rows of `table3.csv` alone."""

from __future__ import annotations

from cones.analysis.names import ALL, FPN, FUSED, MEASURES
from cones.methods import METHODS
from cones.tables.reference import paper
from cones.tables.sheet import NOTES, Sheet, said_once
from cones.tables.wording import DIFFERENCE_MEANS, NO_NUMBER, Row, heading, markers, number, numbered_notes, signed

WHAT = "Table 3"
SOURCES = {FUSED: "fused (what enters the dot product)", FPN: "before fusion (the image knows no prompt)"}


def table3_sheets(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> list[Sheet]:
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
        if suite == "paper":
            body.append([model, "paper", *(number(row["d_l2_paper"]) if row else NO_NUMBER for row in line), ""])
            differences = (signed(row["d_l2_difference"]) if row else NO_NUMBER for row in line)
            body.append([model, "difference", *differences, ""])
    return Sheet(
        heading=heading(suite, title, what=WHAT),
        heads=["model", "method", *(labels.get(name, name) for name in datasets), "average", NOTES],
        rows=said_once(body, 1),
        legend=DEFINITION
        + [SPREAD_MEANS] * any(row["d_l2_spread"] for row in mine)
        + [DIFFERENCE_MEANS] * (suite == "paper"),
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
            *(_said(row, name) for name in MEASURES),
        ]
        for row in rows
    ]
    heads = ["model", "method", "features", "dataset", "classes / boxes", "D_l2", "|v|", "|u|", "D_cos", "D_rel"]
    return Sheet(
        heading=heading(suite, title, what=f"{WHAT}, companions"),
        heads=[*heads, "margin", "gap"],
        rows=said_once(body, 3),
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
    spread = f" ± {_said(row, 'd_l2_spread')}" if row and row["d_l2_spread"] else ""
    return f"{_said(row, 'd_l2')}{spread}"


def _said(row: Row | None, name: str) -> str:
    """Three digits; what is missing is a dash."""
    if row is None or not row[name]:
        return NO_NUMBER
    value = float(row[name])
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.1f}"
