"""Table 1 of the paper: models and methods against the average AP of three groups of datasets."""

from __future__ import annotations

from math import fsum
from typing import TYPE_CHECKING

from cones.evaluation.seeds import over_seeds
from cones.tables.reference import GROUPS, Reference, paper

if TYPE_CHECKING:
    from pandas import DataFrame

GROUP_COLUMNS = tuple(
    f"{group}_{part}" for group in GROUPS for part in ("ap", "datasets", "spread", "paper", "difference")
)
COLUMNS = (
    *("suite", "block", "model", "method", "trained_M", "all_M", "paper_trained_M", "paper_all_M"),
    *GROUP_COLUMNS,
    *("seeds", "notes"),
)
NOTE_SEPARATOR = " | "
NAMES_SHOWN = 3


def table1(cells: DataFrame, *, suite: str, reference: Reference | None = None) -> DataFrame:
    """COLUMNS, one row per block, model and method in the paper's order; `cells` as `collect_cells` makes them.

    Only arms named like their method stand here (others have tables of their own), and only datasets of GROUPS.
    An average is over seeds first, then over datasets, unweighted; `*_datasets` says over how many of the expected
    ("2/13"). `*_spread`: half width of the 95 % t interval over seeds of the group's average, where every dataset in
    it has the same two or more seeds. Parameters are in millions by the paper's convention. In the suite "paper" the
    published values stand beside ours; the difference is taken only over exactly the paper's datasets.
    `notes`: reasons for holes and known slips of the paper, joined by NOTE_SEPARATOR.
    """
    import pandas as pd

    reference = reference or paper()
    chosen = cells[(cells["arm"] == cells["method"]) & cells["group"].isin(GROUPS)]
    rows = []
    for block, model, method in _row_order(chosen, reference):
        mine = chosen[(chosen["model"] == model) & (chosen["method"] == method)]
        rows.append({"suite": suite, "block": block, "model": model, "method": method, **_row(mine, suite, reference)})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row_order(cells: DataFrame, reference: Reference) -> list[tuple[str, str, str]]:
    """(block, model, method): the paper's order, and what the paper does not know after it, as first met."""

    def ranks(key: str) -> dict[str, int]:
        return {name: n for n, name in enumerate(dict.fromkeys([*reference.order(key), *cells[key]]))}

    blocks = {name: n for n, name in enumerate([*reference.order("block"), "other"])}
    models, methods = ranks("model"), ranks("method")
    pairs = dict.fromkeys(zip(cells["model"], cells["method"]))
    rows = [(reference.block(method) or "other", model, method) for model, method in pairs]
    return sorted(rows, key=lambda row: (blocks[row[0]], models[row[1]], methods[row[2]]))


def _row(cells: DataFrame, suite: str, reference: Reference) -> dict:
    """Everything of one row but its name; `cells` are those of one model and one method."""
    model, method = cells["model"].iloc[0], cells["method"].iloc[0]
    row, notes = _parameters(cells)
    for name in GROUPS:
        group_cells = cells[cells["group"] == name]
        if len(group_cells):
            row |= _group(name, group_cells)
    notes += _holes(cells)
    if suite == "paper":
        row |= _published(row, cells, model, method, reference)
        notes += [remark for _, remark in reference.remarks("table1", model, method)]
        notes += _other_datasets(cells)
    row["seeds"] = _seeds(cells)
    row["notes"] = NOTE_SEPARATOR.join(note.replace(NOTE_SEPARATOR, " / ") for note in notes) or None
    return row


def _parameters(cells: DataFrame) -> tuple[dict, list[str]]:
    """Millions, by the paper's convention; the largest where datasets differ, and a note that says so."""
    row, notes = {}, []
    for column, count, word in (("trained_M", "trained_paper", "trained"), ("all_M", "total_paper", "all")):
        values = sorted({int(value) / 1e6 for value in cells[count].dropna()})
        row[column] = values[-1] if values else None
        if len(values) > 1:
            low, high = f"{values[0]:.4g}", f"{values[-1]:.4g}"
            notes.append(f"{word} parameters differ between datasets ({low} to {high} M); the largest is shown")
    return row, notes


def _group(name: str, cells: DataFrame) -> dict:
    """Average, count and spread of one group; cells without an AP are holes."""
    expected = cells["dataset"].nunique()
    scored = cells[_scored(cells)]
    by_dataset = {dataset: dict(zip(rows["seed"], rows["ap"])) for dataset, rows in scored.groupby("dataset")}
    row = {f"{name}_datasets": f"{len(by_dataset)}/{expected}"}
    if not by_dataset:
        return row
    means = [over_seeds(list(aps.values())).mean for _, aps in sorted(by_dataset.items())]
    row[f"{name}_ap"] = over_seeds(means).mean
    seeds = {tuple(sorted(aps)) for aps in by_dataset.values()}
    if len(seeds) == 1:  # every dataset has the same seeds: each seed gives one average of the group
        averages = [fsum(aps[seed] for aps in by_dataset.values()) / len(by_dataset) for seed in seeds.pop()]
        row[f"{name}_spread"] = over_seeds(averages).half_width
    return row


def _scored(cells: DataFrame):
    return (cells["status"] == "done") & cells["ap"].notna()


def _published(row: dict, cells: DataFrame, model: str, method: str, reference: Reference) -> dict:
    published = {
        "paper_trained_M": reference.value("table1", model, method, "params_unfrozen_M"),
        "paper_all_M": reference.value("table1", model, method, "params_all_M"),
    }
    for name, group in GROUPS.items():
        value = reference.value("table1", model, method, group.column)
        published[f"{name}_paper"] = value
        scored = cells[_scored(cells) & (cells["group"] == name)]
        complete = row.get(f"{name}_datasets") == "{0}/{0}".format(len(group.datasets))
        if value is not None and complete and set(scored["dataset"]) == set(group.datasets):
            published[f"{name}_difference"] = row[f"{name}_ap"] - value
    return published


def _other_datasets(cells: DataFrame) -> list[str]:
    """Groups in which the suite has other datasets than the paper, so that no difference is taken."""
    notes = []
    for name, group in GROUPS.items():
        mine = set(cells.loc[cells["group"] == name, "dataset"])
        if mine and mine != set(group.datasets):
            found = f"{len(mine & set(group.datasets))} of the paper's {len(group.datasets)} datasets"
            more = f" and {len(mine - set(group.datasets))} more" if mine - set(group.datasets) else ""
            notes.append(f"{group.title}: this suite has {found}{more}, so no difference is taken")
    return notes


def _holes(cells: DataFrame) -> list[str]:
    """One note per reason: `aquarium, raccoon (seed 2): failed (out of memory)`."""
    holes = cells[~_scored(cells)]
    by_reason: dict[str, list[str]] = {}
    for dataset, rows in holes.groupby("dataset", sort=False):
        every_seed = len(rows) == (cells["dataset"] == dataset).sum()
        for reason, alike in rows.groupby(_why(rows), sort=False):
            seeds = ", ".join(map(str, alike["seed"]))
            whole = every_seed and len(alike) == len(rows)
            name = dataset if whole else f"{dataset} (seed {seeds})"
            by_reason.setdefault(str(reason), []).append(name)
    everything = cells["dataset"].nunique()
    return [f"{_names(names, everything)}: {reason}" for reason, names in by_reason.items()]


def _why(holes: DataFrame):
    """`not run`, `skipped (reason)`, `failed (reason)`, or a done cell whose split has no box."""
    reasons = holes["status"].str.cat(" (" + holes["reason"].fillna("no reason given") + ")")
    reasons = reasons.mask(holes["status"] == "not run", "not run")
    return reasons.mask(holes["status"] == "done", "no AP (the test split has no box)")


def _names(names: list[str], everything: int) -> str:
    if len(names) == everything > 1 and not any("(" in name for name in names):
        return f"all {everything} datasets"
    rest = len(names) - NAMES_SHOWN
    return ", ".join(names) if rest <= 1 else f"{', '.join(names[:NAMES_SHOWN])} and {rest} more"


def _seeds(cells: DataFrame) -> str | None:
    """How many seeds stand behind the numbers: "3", or "2 to 3" where datasets differ."""
    counts = sorted({len(rows) for _, rows in cells[_scored(cells)].groupby("dataset")})
    if not counts:
        return None
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
