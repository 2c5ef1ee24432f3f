"""Numbers of the survey's tables: means over seeds and datasets with their intervals, and what a row has to say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from cones.evaluation.seeds import OverSeeds, over_seeds, with_interval
from cones.methods.method import METHODS
from cones.outputs.files import Row
from cones.outputs.wording import NO_NUMBER

ALL = "all"  # the mean over datasets, beside each of them
SELECTED_ON_TEST = "test-as-published"

Record = dict  # a row of `classified.COLUMNS`


@dataclass(frozen=True)
class Arm:
    """A row of a table: a model and an arm, with its records in the order of the cells."""

    model: str
    arm: str
    method: str
    records: Sequence[Record]

    @property
    def label(self) -> str:
        return label_of(self.arm, self.method)

    def of(self, dataset: str, target: str | None = None) -> dict[int, float]:
        """{seed: accuracy} on a dataset's own test images, or on a target's."""
        wanted = target or dataset
        return {
            record["seed"]: record["accuracy"]
            for record in self.records
            if record["dataset"] == dataset and record["target"] == wanted and record["accuracy"] is not None
        }

    def reasons(self) -> list[str]:
        """Why there are no numbers, each once with the datasets that it holds for."""
        found: dict[str, list[str]] = {}
        for record in self.records:
            if record["status"] != "done":
                why = dict.fromkeys((record["status"], record["reason"]))  # "not run" is its own reason
                found.setdefault(": ".join(why), []).append(record["dataset"])
        return [f"{', '.join(dict.fromkeys(datasets))}: {reason}" for reason, datasets in found.items()]

    def notes(self) -> list[str]:
        """What a reader must know of the row: reasons for holes, classes with too few images, forms that differ."""
        short = {}
        for record in self.records:
            if record["short_classes"]:
                short.setdefault(record["dataset"], record["short_classes"])
        absent = {record["target"]: record["absent"] for record in self.records if record["absent"]}
        own = [record["note"] for record in self.records if record["note"]]
        return [
            *dict.fromkeys(own),
            *self._as_zero_shot(),
            *(f"{dataset}: fewer training images than asked for: {classes}" for dataset, classes in short.items()),
            *(f"{target}: no test image of {classes}" for target, classes in absent.items()),
            *self.reasons(),
        ]

    def _as_zero_shot(self) -> list[str]:
        """On which test images the method answers as zero-shot does, such as where a chosen share of it is 0."""
        seeds: dict[str, set[int]] = {}
        for record in self.records:
            if record["as_zero_shot"]:
                dataset, target = record["dataset"], record["target"]
                seeds.setdefault(dataset if dataset == target else f"{dataset} on {target}", set()).add(record["seed"])
        found = {name: f"{name} (seed {', '.join(map(str, sorted(some)))})" for name, some in seeds.items()}
        return [f"every answer is zero-shot's: {', '.join(found.values())}"] if found else []

    def known(self, name: str) -> list:
        """The values of a column, of the cells that are done."""
        return [record[name] for record in self.records if record[name] is not None]

    def largest(self, name: str) -> int | None:
        return max(self.known(name), default=None)

    def mean(self, name: str) -> float | None:
        values = self.known(name)
        return fmean(values) if values else None

    def words(self, name: str) -> str | None:
        return ", ".join(dict.fromkeys(map(str, self.known(name)))) or None


def label_of(arm: str, method: str) -> str:
    """The method as tables print it; an arm with overrides by its own name."""
    return METHODS[method].label if arm == method and method in METHODS else arm


def records_of(cells) -> list[Record]:
    """The rows of a list of cells, with None where there is no value; `as_zero_shot` says of a cell of another method
    whether all its answers for the target are those of zero-shot in the same setting, to the last digit."""
    records = cells.astype(object).where(cells.notna(), None).to_dict("records")

    def key(record: Record) -> tuple:
        return tuple(record[name] for name in ("model", "dataset", "setting", "shots", "target", "answers"))

    zero_shot = {key(record) for record in records if record["method"] == "zero_shot" and record["answers"]}
    return [
        {**record, "as_zero_shot": record["method"] != "zero_shot" and key(record) in zero_shot} for record in records
    ]


def arms_of(records: Iterable[Record]) -> list[Arm]:
    """The rows of a table, in the order in which they first come up."""
    grouped: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        grouped.setdefault((record["model"], record["arm"], record["method"]), []).append(record)
    return [Arm(*key, records) for key, records in grouped.items()]


def datasets_of(records: Iterable[Record]) -> list[str]:
    return list(dict.fromkeys(record["dataset"] for record in records))


def mean_over(by_dataset: dict[str, dict[int, float]]) -> OverSeeds | None:
    """Of each seed the mean over the datasets, then the interval over the seeds that all of them have."""
    present = [values for values in by_dataset.values() if values]
    seeds = set.intersection(*(set(values) for values in present)) if present else set()
    if not seeds:
        return None
    return over_seeds([fmean(values[seed] for values in present) for seed in sorted(seeds)])


def columns_of(name: str, spread: OverSeeds | None) -> dict[str, float | None]:
    """`<name>_accuracy` and `<name>_spread`, the half width of the 95 % t interval over seeds."""
    if spread is None:
        return {f"{name}_accuracy": None, f"{name}_spread": None}
    return {f"{name}_accuracy": spread.mean, f"{name}_spread": spread.half_width}


def over(values: dict[int, float]) -> OverSeeds | None:
    return over_seeds([values[seed] for seed in sorted(values)]) if values else None


def shown(row: Row, name: str) -> str:
    """`63.8 ± 0.4`, an en dash where there is no number."""
    value, spread = row[f"{name}_accuracy"], row[f"{name}_spread"]
    return with_interval(float(value), float(spread) if spread else None) if value else NO_NUMBER


def names_in(columns: Sequence[str], kind: str = "accuracy") -> list[str]:
    """The names of which a table has a column `<name>_<kind>`, in its order."""
    return [column.removesuffix(f"_{kind}") for column in columns if column.endswith(f"_{kind}")]


LEGEND = [
    "accuracy: top-1 in per cent on test images, mean over seeds; ±: half width of the 95 % t interval over seeds.",
    f"{NO_NUMBER}: no number; the notes say why, or the method has no entry for classes without a training image.",
]
