"""The numbers beside Figure 4 for people, made of the rows of `figure4.csv` alone."""

from __future__ import annotations

from cones.methods import METHODS
from cones.tables.sheet import NOTES, Sheet, said_once
from cones.tables.wording import NO_NUMBER, Row, heading, markers, numbered_notes, p_value

MEASURES = ("mixing_5", "mixing_10", "probe", "silhouette")
ISOLATED_NAMES = "zero_shot_isolated"
WHAT = "Figure 4, in numbers"


def label(vectors: str) -> str:
    """How tables and panels call a set of vectors."""
    if vectors == ISOLATED_NAMES:
        return "Zero-shot, each name alone"
    return METHODS[vectors].label if vectors in METHODS else vectors


def blending_sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    """The table for people, made of the rows of the CSV file alone."""
    numbers = numbered_notes(rows)
    heads = ["model", "vectors", "classes", "mixing, k = 5", "mixing, k = 10", "probe", "silhouette"]
    heads += ["p (classes)", "p (datasets)", "dataset mixing", "stability", NOTES]
    body = [
        [
            row["model"],
            label(row["vectors"]),
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
        rows=said_once(body, 1),
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
