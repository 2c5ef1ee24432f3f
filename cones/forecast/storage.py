"""The files that have to be downloaded or placed by hand, and their sizes."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cones.data.registry import DRAWN, Dataset
from cones.data.state import State, state, stored_bytes
from cones.data.task_rules import CLASSIFICATION, DENSE, MULTI_LABEL
from cones.experiment.cell import CHECKPOINTS, Plan
from cones.experiment.generation import Generation
from cones.forecast.work import Pictures
from cones.models.generators import SHIPPED
from cones.runtime.errors import ConesError
from cones.runtime.strict import read_yaml
from cones.weights.official import needed, official_files, variable_of, why_by_hand
from cones.weights.pretrained import pretrained_models, record_file, resolve

SIZES = Path(__file__).with_name("sizes.yaml")
BYTES_PER_PICTURE = 200_000  # where nothing better is known
BYTES_DRAWN = 25_000  # of a picture that the project draws
BYTES_DRAWN_OF_TASK = {CLASSIFICATION: 3_000, MULTI_LABEL: 3_000, DENSE: 8_000}  # of small ones, the last with its map
HERE = ("ready", "fetched", "placed", "drawn")


@dataclass(frozen=True)
class Source:
    """A dataset or a checkpoint: whether it is here, comes by itself or needs a person, and how large it is.

    kind   "dataset", "checkpoint", or "pretrained" for a model directory that is used as it comes
    state  "ready", "fetched", "placed", "to fetch", "to draw", "needs form", …
    bytes  of the archives; `is_exact` where registry or disk say so, else reckoned
    """

    name: str
    kind: str
    state: str
    reason: str | None
    bytes: int
    is_exact: bool

    @property
    def is_here(self) -> bool:
        return self.state in HERE

    @property
    def is_downloaded(self) -> bool:
        return self.state == "to fetch"


def dataset_sources(plan: Plan, seen: dict[str, Pictures | None]) -> list[Source]:
    """One source per dataset; what the miniature draws is a fraction of a megabyte and counts by its pictures."""
    roughly, suite = read_yaml(SIZES), plan.suite
    sources = []
    for name, counted in seen.items():
        entry = plan.registry[name]
        mirror = None if suite.source == DRAWN else suite.mirror
        current: State = state(entry, suite.source, suite.data_dir, mirror=mirror)
        exact = stored_bytes(entry, suite.source, suite.data_dir)
        size = exact
        if size is None:
            pictures = 0 if counted is None else counted.train + counted.val + counted.test
            known = 0 if suite.source == DRAWN else roughly.get(name)
            size = int(known or pictures * _bytes_of_picture(entry, suite.source))
        sources.append(Source(name, "dataset", current.word, current.reason, size, exact is not None))
    return sources


def _bytes_of_picture(entry: Dataset, source: str) -> int:
    if source != DRAWN:
        return BYTES_PER_PICTURE
    return BYTES_DRAWN_OF_TASK.get(entry.task, BYTES_DRAWN)


def checkpoint_sources(plan: Plan, models: Iterable[str], parameters: dict[str, int]) -> list[Source]:
    """The official files behind the models; one of unknown size is taken to hold its parameters twice, as GLIP's do."""
    files, sources = official_files(), []
    for name in needed(plan.suite, models):
        archive, folder = files[name], CHECKPOINTS / "official"
        status = "ready" if (folder / f"{name}.json").exists() else "to fetch"
        if status != "ready" and ((folder / archive.filename).exists() or os.environ.get(variable_of(name))):
            status = "placed"
        reason = why_by_hand(name, archive) if status == "to fetch" else None
        size = archive.size or 8 * parameters.get(name, 0)
        status = "needs a browser" if reason else status
        sources.append(Source(name, "checkpoint", status, reason, size, archive.size is not None))
    return sources


def pretrained_sources(generation: Generation) -> list[Source]:
    """The model directories that generation needs; without what ships with the project. Asks the hub's cache alone."""
    listed, sources = pretrained_models(), []
    for name in generation.pretrained:
        if name == SHIPPED:
            continue
        entry = listed[name]
        size = int(1e9 * sum([*entry.parts.values(), *entry.parts_text.values()]))
        sources.append(Source(name, "pretrained", *_place(name, os.environ.get(entry.env)), size, True))
    return sources


def _place(name: str, given: str | None) -> tuple[str, str | None]:
    """(state, reason): a directory that was given and lacks a part is never downloaded over."""
    if record_file(name).exists():
        return "ready", None
    try:
        resolve(name, text=True)
    except ConesError as error:
        return ("incomplete", str(error)) if given else ("to fetch", None)
    return ("placed" if given else "fetched"), None
