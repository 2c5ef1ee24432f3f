"""Table 1 for detectors that the paper does not have: Grounding DINO, MM-Grounding-DINO, LLMDet.

Their authors' zero-shot numbers are of another split and of other prompts, so they stand in columns that say so.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cones.outputs.averages import average, per_dataset, seeds_behind
from cones.outputs.best import best_in_section
from cones.outputs.reference import GROUPS, paper
from cones.outputs.rows import CONES, holes, parameters, rows_of
from cones.outputs.sheet import NOTES, Score, Sheet
from cones.outputs.wording import (
    AP_MEANS,
    BLOCKS,
    PARAMETERS_MEAN,
    Row,
    ap,
    heading,
    join_notes,
    markers,
    method_label,
    millions,
    number,
    numbered_notes,
    signs,
)
from cones.outputs.wording import average as average_text
from cones.runtime.strict import read_yaml

if TYPE_CHECKING:
    from pandas import DataFrame

OUTPUT = {
    "name": "table1_modern",
    "reads": "scores",
    "grids": ["table1_modern"],
    "of_methods": True,
    "title": "Table 1 with detectors of the Grounding DINO family",
    "about": "The same methods on models that the paper does not have.",
}
ZERO_SHOT_ODINW = (Path(__file__).parent / "../../workflow/reference/zero_shot_odinw.yaml").resolve()
SUITE_OF_PUBLISHED = "modern"  # the only one with the published models and the real datasets
ZERO_SHOT, NATURAL = "zero_shot", "natural"
NAMES = ("suite", "block", "model", "method", "trained_M", "all_M")
PARTS = ("ap", "datasets", "spread")
TITLE = "Table 1, modern detectors"
NOT_PUBLISHED = "no zero-shot numbers of its authors on these datasets were found"


@cache
def published() -> dict:
    """The published zero-shot numbers: `models`, and what they are of (`split`, `detections`, `prompts`, `source`)."""
    return read_yaml(ZERO_SHOT_ODINW)


def published_column(name: str) -> str:
    """The column of published numbers beside `<name>_ap`: "aquarium" -> "aquarium_published_valid"."""
    return f"{name}_published_{published()['split']}"


def frame(cells: DataFrame, *, suite: str) -> DataFrame:
    """One row per block, model and method (see `rows_of`); `cells` as `collect_cells` makes them.

    NAMES; of each group `<group>_ap`, `_datasets` and `_spread` as `average` makes them; of each dataset `<dataset>_ap`
    (mean over seeds) and `<dataset>_spread` (half width of the 95 % t interval, from two seeds on); `seeds`, `notes`.
    Where the published numbers belong, `<…>_published_valid` has them behind those of the natural group and its
    datasets, in the rows of zero-shot.
    """
    import pandas as pd

    rows = list(rows_of(cells, GROUPS, paper()))
    present = {dataset for *_, mine in rows for dataset in mine["dataset"]}
    datasets = [name for group in GROUPS.values() for name in group.datasets if name in present]
    datasets += sorted(present - set(datasets))
    columns = [*NAMES]
    for name in [*GROUPS, *datasets]:
        columns += [f"{name}_{part}" for part in PARTS if part != "datasets" or name in GROUPS]
        if suite == SUITE_OF_PUBLISHED and (name == NATURAL or name in GROUPS[NATURAL].datasets):
            columns.append(published_column(name))
    content = [
        {"suite": suite, "block": block, "model": model, "method": method, **_row(mine, suite)}
        for block, model, method, mine in rows
    ]
    return pd.DataFrame(content, columns=[*columns, "seeds", "notes"])


def _row(cells: DataFrame, suite: str) -> dict:
    """Everything of one row but its name; `cells` are those of one model and one method."""
    model, method = cells["model"].iloc[0], cells["method"].iloc[0]
    row, notes = parameters(cells)
    for name in GROUPS:
        group_cells = cells[cells["group"] == name]
        if len(group_cells):
            row |= {f"{name}_{part}": value for part, value in average(group_cells).items()}
    for dataset, aps in per_dataset(cells).items():
        row |= {f"{dataset}_ap": aps.mean, f"{dataset}_spread": aps.half_width}
    notes += holes(cells)
    if suite == SUITE_OF_PUBLISHED and method == ZERO_SHOT:
        theirs = published()["models"].get(model, {})
        row |= {published_column(NATURAL if name == "average" else name): value for name, value in theirs.items()}
        notes += [] if theirs else [NOT_PUBLISHED]
    return {**row, "seeds": seeds_behind(cells), "notes": join_notes(notes)}


# ---------------------------------------------------------------------------------------------------------- for people


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> list[Sheet]:
    """The averages of every group; and, where the published numbers belong, zero-shot dataset by dataset."""
    sheets = [_averages(columns, rows, suite, title)]
    if published_column(NATURAL) in columns:
        sheets.append(_zero_shot(columns, rows, suite, title))
    return sheets


def _averages(columns: list[str], rows: list[Row], suite: str, title: str | None) -> Sheet:
    groups = [name for name in GROUPS if any(row[f"{name}_datasets"] for row in rows)]
    numbers, is_best, body = numbered_notes(rows), best_in_section(rows, groups), []
    with_published = published_column(NATURAL) in columns
    for place, row in enumerate(rows):
        line: list[str | Score] = [BLOCKS[row["block"]], row["model"], method_label(row)]
        line += [millions(row["trained_M"]), millions(row["all_M"])]
        line += [Score(average_text(row, name), (), (place, name) in is_best) for name in groups]
        if with_published:
            line.append(number(row[published_column(NATURAL)]) if row["method"] == ZERO_SHOT else "")
        body.append([*line, markers(row, numbers)])
    heads = ["block", "model", "method", "trained (M)", "all (M)", *(f"{GROUPS[name].title} AP" for name in groups)]
    legend = [f"{AP_MEANS}, then over datasets.", *signs(rows, groups), PARAMETERS_MEAN]
    if with_published:
        heads.append(_published_head(GROUPS[NATURAL].title))
        legend.append(_of_what())
    return Sheet(
        heading(suite, title, what=TITLE),
        [*heads, NOTES],
        body,
        legend if rows else [],
        names=3,
        notes=numbers,
        in_section=2,
        ours=frozenset(place for place, row in enumerate(rows) if row["method"] in CONES),
    )


def _zero_shot(columns: list[str], rows: list[Row], suite: str, title: str | None) -> Sheet:
    """A line for each natural dataset; of each model what it finds untuned, and what its authors say."""
    datasets = [name for name in GROUPS[NATURAL].datasets if published_column(name) in columns]
    of_models = [row for row in rows if row["method"] == ZERO_SHOT]
    body = [
        [name, *(text for row in of_models for text in (ap(row, name), number(row[published_column(name)])))]
        for name in datasets
    ]
    heads = [head for row in of_models for head in (f"{row['model']}, test", _published_head(row["model"]))]
    ours = "test: ours, COCO box AP at IoU .50:.95 in percent on the test split, with the suite's prompts."
    what = f"{TITLE}: zero-shot on natural datasets"
    return Sheet(heading(suite, title, what=what), ["dataset", *heads], body, [ours, _of_what()])


def _published_head(what: str) -> str:
    facts = published()
    return f"{what}, published ({facts['split']}, prompts {facts['prompts']})"


def _of_what() -> str:
    facts = published()
    return (
        f"published: zero-shot AP of the {facts['split']} split at {facts['detections']} detections, with prompts"
        f" {facts['prompts']} ({facts['source']}). Another split and other prompts than ours: no difference is taken."
    )
