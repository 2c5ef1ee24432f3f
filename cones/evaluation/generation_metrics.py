"""The schema of a generation cell's `metrics.json`: the deterministic results of one subject and method."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from cones.evaluation.metrics import CellKey, Count
from cones.models.generators import Track
from cones.runtime.artifacts import read_json, write_json
from cones.runtime.strict import Strict, parse

SCHEMA_VERSION = 1
Cosine = Annotated[float, Field(ge=-1.001, le=1.001, allow_inf_nan=False)]
Difference = Annotated[float, Field(ge=-2.001, le=2.001, allow_inf_nan=False)]


class Likeness(Strict):
    """`cones.evaluation.likeness.likeness`' result; None where a number does not exist."""

    fidelity: Cosine
    text: Cosine | None
    real_real: Cosine | None
    other_subject: Cosine | None
    margin: Difference | None
    diversity: Difference | None
    nearest_real: Cosine
    copies: Cosine
    to_others: dict[str, Cosine]


class TrackMetrics(Strict):
    """The numbers of one track.

    `by_extractor` is keyed by the extractor's full name: levels of different ones are not comparable.
    """

    prompts: Count
    pictures: Count
    by_extractor: dict[str, Likeness]


class GenerationMetrics(Strict):
    """The result of one subject and arm, or the declared reason why it has no pictures."""

    schema_version: Literal[1] = SCHEMA_VERSION
    cell: CellKey
    status: Literal["done", "skipped"]
    reason: str | None = Field(None, min_length=1, description="why the cell was skipped")
    subject: str
    class_word: str | None = None
    base: str | None = Field(None, description="what identifies the model's weights")
    tracks: dict[Track, TrackMetrics] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> GenerationMetrics:
        if self.status == "skipped" and (self.reason is None or self.tracks):
            raise ValueError("a skipped subject has a reason and no numbers")
        if self.status == "done" and (self.reason or not self.tracks or not self.base or not self.class_word):
            raise ValueError("a done subject has numbers, a class word, base weights and no reason")
        return self


def write_generation_metrics(path: str | Path, metrics: GenerationMetrics) -> None:
    """Write metrics as deterministic JSON: the same numbers give the same bytes."""
    write_json(path, metrics.model_dump(mode="json"))


def read_generation_metrics(path: str | Path) -> GenerationMetrics:
    """Read metrics; ConesError, one line with file and key, on anything but a complete file of this version."""
    return parse(GenerationMetrics, read_json(path), where=path, cure="delete the cell's folder and run again")
