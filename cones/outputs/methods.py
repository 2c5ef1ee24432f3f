"""The survey's methods on detectors: AP beside what each trains, stores and costs, and AP at one number of trained
values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cones.outputs.averages import average, per_dataset, seeds_behind
from cones.outputs.efficiency import costs_of
from cones.outputs.files import Row
from cones.outputs.methods_rows import NO_MATCH, ArmCells, reached, rows_with_matches
from cones.outputs.quantities import count, memory, of_text, rate, seconds
from cones.outputs.reads.costs import CostedCells
from cones.outputs.reference import GROUPS
from cones.outputs.rows import holes, mixed_shots
from cones.outputs.sheet import NOTES, Sheet
from cones.outputs.survey_numbers import label_of
from cones.outputs.wording import AP_MEANS, BLOCKS, NO_NUMBER, ap, heading, join_notes, markers, numbered_notes, signs
from cones.outputs.wording import average as average_text

if TYPE_CHECKING:
    from pandas import DataFrame

OUTPUT = {
    "name": "methods",
    "reads": "costs",
    "grids": ["methods"],
    "also": ["methods_modern", "methods_masks"],
    "title": "Survey of methods on detectors",
    "about": "The same detector, data and budget of epochs for every method: what does each find, and at what cost?",
    "figures": ["methods_pareto"],
}
ALL = "all"  # the mean over the datasets of a model
COST = ("trained_low", "trained_values", "stored_bytes", "text_encoder", "learning_rate")
SPENT = ("seconds_per_step", "steps", "tuning_seconds", "seconds_per_image", "peak_memory_bytes", "device")
MATCHED = ("matched_arm", "matched_trained_values", "matched_reached_low", "matched_reached_high")
WHOLE = ("trained_low", "trained_values", "stored_bytes", "text_encoder", "peak_memory_bytes", "matched_trained_values")
PARTS = ("ap", "datasets", "spread")


def frame(source: CostedCells, *, suite: str) -> DataFrame:
    """A row per model and arm; an arm that is matched to another fills the matched columns of its method's row.

    all_ap, <group>_ap    means over seeds, then datasets; `_datasets` ("5/6") and `_spread` as `average` makes them
    <dataset>_ap, _spread of each dataset
    trained_low, trained_values   least and most values that training changes, over datasets
    stored_bytes          most that is kept beside the base model: trained values and the language that scoring reads
    text_encoder          most parameters of it that scoring keeps in memory; 0: it is gone
    matched_…             the same method where it trains as many values as the arm that sets the budget: which arm, how
                          many values, its share of the budget (least and most over datasets), its averages
    """
    import pandas as pd

    present = dict.fromkeys(source.cells["dataset"])
    groups = [name for name in GROUPS if name in set(source.cells["group"])]
    rows = [
        {"suite": suite, "block": row.block, "model": row.model, "arm": row.arm, "method": row.method}
        | _scores(row, groups)
        | _costs(row)
        | _matched(match, budget, how, groups)
        | {"seeds": seeds_behind(row.cells), "notes": join_notes(_notes(row, match, how))}
        for row, budget, match, how in rows_with_matches(source)
    ]
    columns = ["suite", "block", "model", "arm", "method"]
    columns += [f"{name}_{part}" for name in (ALL, *groups) for part in PARTS]
    columns += [f"{dataset}_{part}" for dataset in present for part in ("ap", "spread")]
    columns += [*COST, *SPENT, *MATCHED]
    columns += [f"matched_{name}_{part}" for name in (ALL, *groups) for part in PARTS]
    return pd.DataFrame(rows, columns=[*columns, "seeds", "notes"]).astype(dict.fromkeys(WHOLE, "Int64"))


def _scores(row: ArmCells, groups: list[str]) -> dict:
    numbers = _averages(row, groups)
    for dataset, aps in per_dataset(row.cells).items():
        numbers |= {f"{dataset}_ap": aps.mean, f"{dataset}_spread": aps.half_width}
    return numbers


def _averages(row: ArmCells, groups: list[str], prefix: str = "") -> dict:
    numbers = {f"{prefix}{ALL}_{part}": value for part, value in average(row.cells).items()}
    for name in groups:
        mine = row.cells[row.cells["group"] == name]
        if len(mine):
            numbers |= {f"{prefix}{name}_{part}": value for part, value in average(mine).items()}
    return numbers


def _costs(row: ArmCells) -> dict:
    trained = row.trained().values()
    numbers = {"trained_low": min(trained, default=None), "trained_values": max(trained, default=None)}
    numbers["stored_bytes"] = max(row.stored, default=None)
    if not row.records:
        return numbers
    costs = costs_of(list(row.records))
    encoder = [record.said("inference", "text_encoder_parameters") for record in row.records]
    rates = [record.said("settings", "learning_rate") for record in row.records]
    memories = [costs[f"{what}_peak_memory_bytes"] for what in ("tuning", "inference")]
    return numbers | {
        "text_encoder": max((values for values in encoder if values is not None), default=None),
        "learning_rate": ", ".join(dict.fromkeys(f"{value:g}" for value in rates if value)) or None,
        **{name: costs[name] for name in ("seconds_per_step", "steps", "tuning_seconds", "device")},
        "seconds_per_image": costs["inference_seconds_per_image"],
        "peak_memory_bytes": max((value for value in memories if value is not None), default=None),
    }


def _matched(match: ArmCells | None, budget: ArmCells | None, how: str, groups: list[str]) -> dict:
    if match is None:
        return {"matched_arm": how or None}
    low, high = reached(match, budget) or (None, None)
    most = max(match.trained().values(), default=None)
    numbers = {"matched_arm": how, "matched_trained_values": most}
    return numbers | {"matched_reached_low": low, "matched_reached_high": high, **_averages(match, groups, "matched_")}


def _notes(row: ArmCells, match: ArmCells | None, how: str) -> list[str]:
    notes = [*mixed_shots("mean", row.cells), *holes(row.cells), *_pseudo_labels(row), *_chosen_numbers(row)]
    if match is not None and match.arm != row.arm:
        notes += [f"{match.arm}: {note}" for note in holes(match.cells)]
    return notes


def _pseudo_labels(row: ArmCells) -> list[str]:
    """That a method trains on labels of its own, and which classes of which dataset have none."""
    found = {record.row["dataset"]: record.said("tuning", "pseudo_labels") or {} for record in row.records}
    if not any(found.values()):
        return []
    boxes = {dataset: counted.get("boxes", {}) for dataset, counted in found.items()}
    missing = {dataset: [name for name, count in of.items() if not count] for dataset, of in boxes.items()}
    without = (f"{dataset}: no box of its own for {', '.join(names)}" for dataset, names in missing.items() if names)
    return ["no given training box is used (where an epoch is chosen, labels of validation images choose it)", *without]


def _chosen_numbers(row: ArmCells) -> list[str]:
    """Which of the method's numbers were chosen on validation, cell by cell, and where they were kept as given."""
    taken, kept, several = [], [], len({record.row["seed"] for record in row.records}) > 1
    for record in row.records:
        cell = record.row["dataset"] + (f" (seed {record.row['seed']})" if several else "")
        if chosen := record.said("tuning", "chosen"):
            taken.append(f"{cell} {', '.join(f'{name} {value:g}' for name, value in chosen['taken'].items())}")
        elif names := record.said("tuning", "may_choose"):
            kept.append(f"{cell}: {', '.join(names)} as given, nothing was chosen")
    return [*([f"chosen on validation: {'; '.join(taken)}"] if taken else []), *kept]


def draw(source: CostedCells, rows: list[Row], files: Mapping[str, Path], *, suite: str, title: str) -> list[Path]:
    """AP against trained values and against seconds of tuning, a line of panels for each model."""
    from cones.outputs.methods_figures import save_methods_pareto

    return save_methods_pareto(rows, files["methods_pareto"], suite=suite, title=title)


# ---------------------------------------------------------------------------------------------------------- for people


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> list[Sheet]:
    """For each model what every method finds, dataset by dataset; then costs, and AP at one number of values."""
    models = dict.fromkeys(row["model"] for row in rows)
    found = [_found(columns, [row for row in rows if row["model"] == model], suite, title) for model in models]
    return [*found, _cost(rows, suite, title)]


def _names_in(columns: list[str]) -> tuple[list[str], list[str]]:
    """(groups, datasets) of a table."""
    names = [column.removesuffix("_ap") for column in columns if column.endswith("_ap")]
    own = [name for name in names if not name.startswith("matched_") and name != ALL]
    return [name for name in own if name in GROUPS], [name for name in own if name not in GROUPS]


def _ours(rows: list[Row]) -> frozenset[int]:
    return frozenset(place for place, row in enumerate(rows) if row["method"].startswith("cones"))


def _found(columns: list[str], rows: list[Row], suite: str, title: str | None) -> Sheet:
    """Of one model; a dataset of which no method has a number is in the notes alone."""
    (groups, datasets), notes = _names_in(columns), numbered_notes(rows)
    averages = [ALL, *(name for name in groups if any(row[f"{name}_datasets"] for row in rows))]
    datasets = [name for name in datasets if any(row[f"{name}_ap"] for row in rows)]
    body = [
        [
            *(row["model"], BLOCKS[row["block"]], label_of(row["arm"], row["method"])),
            *(average_text(row, name) for name in averages),
            *(ap(row, name) for name in datasets),
            markers(row, notes),
        ]
        for row in rows
    ]
    heads = ["model", "kind", "method", "mean", *(GROUPS[name].title for name in averages[1:])]
    heads += [*datasets, NOTES]
    legend = [
        f"{AP_MEANS}. Of boxes, also where a model predicts masks, whose AP then chose the weights.",
        "mean: unweighted, over datasets.",
        *signs(rows, [*averages, *datasets]),
    ]
    return Sheet(
        heading(suite, title, what="Methods on detectors: AP"),
        heads,
        body,
        legend,
        names=3,
        notes=notes,
        in_section=1,
        ours=_ours(rows),
    )


def _cost(rows: list[Row], suite: str, title: str | None) -> Sheet:
    body = [
        [
            *(row["model"], label_of(row["arm"], row["method"]), average_text(row, ALL), _trained(row)),
            of_text(count, row["stored_bytes"]),
            "no" if row["text_encoder"] == "0" else of_text(count, row["text_encoder"]),
            row["learning_rate"] if "," in row["learning_rate"] else of_text(rate, row["learning_rate"]),
            *(of_text(seconds, row[name]) for name in ("seconds_per_step", "tuning_seconds", "seconds_per_image")),
            of_text(memory, row["peak_memory_bytes"]),
            average_text(row, f"matched_{ALL}"),
            of_text(count, row["matched_trained_values"]),
            _reached(row),
            row["matched_arm"],
        ]
        for row in rows
    ]
    heads = ["model", "method", "mean AP", "trained values", "stored bytes", "text encoder", "rate", "per step"]
    heads += ["tuning", "per image", "peak memory", "AP, same values", "values", "of the budget", "by"]
    legend = [
        "trained values: what training changes, least to most over datasets; stored bytes: the most that is kept beside"
        " the base model, trained values and the language that scoring reads. text encoder: parameters of it that"
        " scoring keeps in memory; no: it is gone.",
        "per step, tuning: seconds of optimiser steps, without validation; where cells share image features these were"
        " computed before. peak memory: the highest of any cell, of the whole process on a CPU.",
        "AP, same values: of the arm in the last column, which has the number of vectors with which it trains as many"
        " values as the arm that sets the budget (`matched_to` in the suite), dataset by dataset; of the budget: the"
        " share that it reaches, as contexts before every name end at half of the caption's positions."
        f" {NO_MATCH}: its number of values is fixed by its form, or the suite has no such arm.",
    ]
    what = "Methods on detectors: costs, and AP at one number of trained values"
    return Sheet(heading(suite, title, what=what), heads, body, legend if rows else [], names=2, ours=_ours(rows))


def _trained(row: Row) -> str:
    low, high = row["trained_low"], row["trained_values"]
    ends = (of_text(count, low), of_text(count, high))
    return ends[1] if low == high else NO_NUMBER.join(ends)


def _reached(row: Row) -> str:
    low, high = row["matched_reached_low"], row["matched_reached_high"]
    if not low:
        return NO_NUMBER
    ends = [f"{100 * float(share):.0f} %" for share in dict.fromkeys((low, high))]
    return NO_NUMBER.join(ends)
