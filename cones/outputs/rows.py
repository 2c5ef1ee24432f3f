"""The rows of a table of methods, their order, and the reasons for what is missing from them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from cones.outputs.averages import is_mixed, scored
from cones.outputs.reference import Reference

if TYPE_CHECKING:
    from pandas import DataFrame, Series

NAMES_SHOWN = 3
CONES = ("cones", "cones_finetuned")  # the rows of the paper's own method


def block_of(cells: DataFrame) -> str:
    """The block of the paper's Table 1, or of its own, in which the method of these cells stands."""
    return next((block for block in cells["block"] if isinstance(block, str)), "other")


def rows_of(
    cells: DataFrame, groups: Collection[str], reference: Reference
) -> Iterator[tuple[str, str, str, DataFrame]]:
    """Yield (block, model, method, its cells) in the paper's order, then what the paper does not have, as first met.

    A method that is not in the paper stands in the block that its file names; controls are "other". Only arms named
    like their method make rows (others have tables of their own), and only datasets of `groups`.
    """
    cells = cells[(cells["arm"] == cells["method"]) & cells["group"].isin(groups)]

    def ranks(key: str) -> dict[str, int]:
        return {name: n for n, name in enumerate(dict.fromkeys([*reference.order(key), *cells[key]]))}

    named = dict(zip(cells["method"], cells["block"].replace("control", "other").fillna("other")))
    pairs = dict.fromkeys(zip(cells["model"], cells["method"]))
    rows = [(reference.block(method) or named[method], model, method) for model, method in pairs]
    own = [block for block, _, _ in rows if block != "other"]
    blocks = {name: n for n, name in enumerate(dict.fromkeys([*reference.order("block"), *own, "other"]))}
    models, methods = ranks("model"), ranks("method")
    for block, model, method in sorted(rows, key=lambda row: (blocks[row[0]], models[row[1]], methods[row[2]])):
        yield block, model, method, cells[(cells["model"] == model) & (cells["method"] == method)]


def parameters(cells: DataFrame) -> tuple[dict, list[str]]:
    """Parameters in millions, counted as the paper does; the largest where datasets differ, with a note."""
    row, notes = {}, []
    for column, count, word in (("trained_M", "trained_paper", "trained"), ("all_M", "total_paper", "all")):
        values = sorted({int(value) / 1e6 for value in cells[count].dropna()})
        row[column] = values[-1] if values else None
        if len(values) > 1:
            low, high = f"{values[0]:.4g}", f"{values[-1]:.4g}"
            notes.append(f"{word} parameters differ between datasets ({low} to {high} M); the largest is shown")
    return row, notes


def published_parameters(model: str, method: str, reference: Reference, table: str) -> dict[str, float | None]:
    return {
        "paper_trained_M": reference.value(table, model, method, "params_unfrozen_M"),
        "paper_all_M": reference.value(table, model, method, "params_all_M"),
    }


def holes(cells: DataFrame) -> list[str]:
    """Notes on the missing cells of a row, one per reason: `aquarium, raccoon (seed 2): failed (out of memory)`."""
    missing = cells[~scored(cells)]
    by_reason: dict[str, list[str]] = {}
    for dataset, rows in missing.groupby("dataset", sort=False):
        every_seed = len(rows) == (cells["dataset"] == dataset).sum()
        for reason, alike in rows.groupby(_why(rows), sort=False):
            seeds = ", ".join(map(str, alike["seed"]))
            whole = every_seed and len(alike) == len(rows)
            name = dataset if whole else f"{dataset} (seed {seeds})"
            by_reason.setdefault(str(reason), []).append(name)
    everything = cells["dataset"].nunique()
    return [f"{_names(names, everything)}: {reason}" for reason, names in by_reason.items()]


def shots_of(cells: DataFrame) -> str | None:
    """The images per class that the cells of a row were tuned on: "5", or "5 or all"; None without few-shot cells."""
    counts = [str(count) for count in sorted(cells["shots"].dropna().unique())]
    return " or ".join([*counts, *["all"] * bool(cells["shots"].isna().any())]) if counts else None


def with_shots(columns: Sequence[str], rows: Sequence[Mapping]) -> list[str]:
    """The columns of a table with `shots` behind `method`, where any row has them."""
    if not any(row.get("shots") for row in rows):
        return list(columns)
    place = columns.index("method") + 1
    return [*columns[:place], "shots", *columns[place:]]


def mixed_shots(name: str, cells: DataFrame) -> list[str]:
    """The note for a group of datasets of which no average is taken, as some are few-shot and others are not."""
    if not is_mixed(cells):
        return []
    few = cells.dropna(subset=["shots"]).drop_duplicates("dataset")
    which = ", ".join(f"{dataset} ({shots})" for dataset, shots in zip(few["dataset"], few["shots"]))
    return [f"{name}: no average, as not all datasets have the same images per class to tune on: {which}"]


def other_datasets(name: str, mine: set[str], theirs: set[str]) -> list[str]:
    """The note for a group or table in which the suite has other datasets than the paper."""
    if not mine or mine == theirs:
        return []
    shared = f"{len(mine & theirs)} of the paper's {len(theirs)} datasets"
    more = f" and {len(mine - theirs)} more" if mine - theirs else ""
    return [f"{name}: this suite has {shared}{more}, so no difference is taken"]


def _why(missing: DataFrame) -> Series:
    """The reason of each missing cell: `not run`, `skipped (…)`, `failed (…)`, or that its split has no box."""
    reasons = missing["status"].str.cat(" (" + missing["reason"].fillna("no reason given") + ")")
    reasons = reasons.mask(missing["status"] == "not run", "not run")
    return reasons.mask(missing["status"] == "done", "no AP (the test split has no box)")


def _names(names: list[str], everything: int) -> str:
    if len(names) == everything > 1 and not any("(" in name for name in names):
        return f"all {everything} datasets"
    rest = len(names) - NAMES_SHOWN
    return ", ".join(names) if rest <= 1 else f"{', '.join(names[:NAMES_SHOWN])} and {rest} more"
