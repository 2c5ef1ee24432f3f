"""The schema of a generation cell's `metrics.json`: what is deterministic about one subject under one method."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from cones.artifacts import read_json, write_json
from cones.evaluation.metrics import CellKey, Count
from cones.strict import Strict, parse

SCHEMA_VERSION = 1
Track = Literal["reconstruction", "editing"]
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


class TrackMetrics(Strict):
    """`by_extractor` is keyed by the extractor's full name: levels of different ones are not comparable."""

    prompts: Count
    pictures: Count
    by_extractor: dict[str, Likeness]


class GenerationMetrics(Strict):
    schema_version: Literal[1] = SCHEMA_VERSION
    cell: CellKey
    base: str = Field(description="what identifies the model's weights")
    tracks: dict[Track, TrackMetrics]


def write_generation_metrics(path: str | Path, metrics: GenerationMetrics) -> None:
    """Deterministic JSON: the same numbers give the same bytes."""
    write_json(path, metrics.model_dump(mode="json"))


def read_generation_metrics(path: str | Path) -> GenerationMetrics:
    """Raises ConesError, one line with file and key, on anything but a whole file of this version."""
    return parse(GenerationMetrics, read_json(path), where=path)
