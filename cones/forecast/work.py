"""The work of a cell: pictures of its dataset, optimiser steps, detected images, and bytes of its results."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, inf

from cones.data.registry import SPLITS
from cones.experiment.cell import Cell, Plan
from cones.forecast.rates import Rate
from cones.methods.method import METHODS
from cones.methods.settings import CellSettings, Tuning
from cones.runtime.artifacts import read_json
from cones.runtime.errors import ConesError

BYTES_PER_DETECTION = 96  # of predictions.json; masks take more
RECORD_BYTES = 20_000  # metrics.json, run.json, tuning.json


@dataclass(frozen=True)
class Pictures:
    """Pictures per split and classes of a dataset; `is_counted` where it is prepared, else as the registry expects."""

    train: int
    val: int
    test: int
    classes: int
    is_counted: bool


@dataclass(frozen=True)
class Work:
    """Steps and images as (least, most): epochs are known only within the bounds of early stop and budget."""

    steps: tuple[int, int]
    images: tuple[int, int]  # detected: validation after each epoch, and the test split; or drawn


@dataclass(frozen=True)
class Share:
    """The part of one cell in the sums; `job_seconds` of all its jobs, `bytes` of what it leaves."""

    work: Work
    rate: Rate
    job_seconds: float
    bytes: int

    @property
    def seconds(self) -> tuple[float, float]:
        """Seconds on its device, (least, most)."""
        step, image = self.rate.step or 0.0, self.rate.image
        return tuple(s * step + i * image + self.job_seconds for s, i in zip(self.work.steps, self.work.images))


def pictures(plan: Plan, dataset: str) -> Pictures | None:
    """Pictures that the suite uses and classes of a dataset; None for files of the user's own that are neither prepared
    nor described."""
    entry = plan.registry[dataset]
    try:
        splits = read_json(plan.data_folder(dataset) / "manifest.json")["splits"]
        counts = (splits[split]["images"] for split in SPLITS)
        return Pictures(*_at_most(plan.suite.pictures, counts), len(entry.classes), True)
    except (ConesError, KeyError, TypeError):
        expected = entry.source(plan.suite.source).expected
    if expected is None:
        return None
    counts = (getattr(expected.images, split) for split in SPLITS)
    return Pictures(*_at_most(plan.suite.pictures, counts), len(entry.classes), False)


def _at_most(limit: int | None, counts: Iterable[int]) -> list[int]:
    return [count if limit is None else min(count, limit) for count in counts]


def epochs(tuning: Tuning, rate: Rate, assumed: int | None) -> tuple[float, float]:
    """Epochs as (least, most): recorded or assumed, else from the first at which early stop can end to the budget."""
    if known := rate.epochs or assumed:
        return (min(known, tuning.max_epochs),) * 2
    if tuning.selection == "last":
        return (tuning.max_epochs,) * 2
    return min(tuning.early_stop + 1, tuning.max_epochs), tuning.max_epochs


def work(
    settings: CellSettings, seen: Pictures, rate: Rate, assumed_epochs: int | None = None, *, is_scored: bool = True
) -> Work:
    """The work of a cell; few-shot cells have `shots` pictures per class, and unscored ones detect nothing at test."""
    tuning, test = settings.tuning, seen.test if is_scored else 0
    if not METHODS[settings.method].is_tuned:
        return Work((0, 0), (test, test))
    train, val = seen.train, seen.val
    if tuning.shots is not None:
        train, val = (min(count, tuning.shots * seen.classes) for count in (train, val))
    per_epoch = ceil(train * tuning.copies / tuning.batch_size)
    bounds = epochs(tuning, rate, assumed_epochs)
    if tuning.max_steps is not None and per_epoch:
        bounds = tuple(min(count, ceil(tuning.max_steps / per_epoch)) for count in bounds)
    steps = tuple(round(min(count * per_epoch, tuning.max_steps or inf)) for count in bounds)
    return Work(steps, tuple(round(count * val) + test for count in bounds))


def bytes_left(plan: Plan, cell: Cell, settings: CellSettings, seen: Pictures, known: dict, *, is_scored: bool) -> int:
    """Bytes a cell leaves: float32 state, the records, and as many predictions as the dataset allows."""
    vectors = seen.classes * settings.tokens_per_class if METHODS[settings.method].has_vectors else 0
    values = known["trained"].get(settings.method, 0) + vectors * known["text_width"]
    detections = seen.test * plan.registry[cell.dataset].detections_per_image if is_scored else 0
    return 4 * values + detections * BYTES_PER_DETECTION + RECORD_BYTES
