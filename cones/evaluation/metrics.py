"""The schema of `metrics.json`, the deterministic results of one cell; provenance and timings are in `run.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from cones.data.masks import IouType
from cones.runtime.artifacts import read_json, write_json
from cones.runtime.strict import Strict, parse

SCHEMA_VERSION = 1

Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class CellKey(Strict):
    """The cell that the numbers belong to; also its place below `results/`."""

    suite: str
    model: str
    dataset: str
    arm: str
    method: str
    seed: int


class Selection(Strict):
    """How the reported weights were chosen: the epoch with the best AP on the validation split, or the last."""

    epoch: Count = Field(description="passes over the training set before the chosen weights; 0 is untrained")
    validation_ap: Percent | None
    by: Literal["best", "last"] = "best"
    iou_type: IouType = Field("bbox", description="what validation_ap is the AP of")


class ClassScores(Strict):
    category_id: int
    name: str
    ap: Percent | None
    ap50: Percent | None


class Scores(Strict):
    """`cones.evaluation.coco_ap.evaluate_detections`' result; None where a number does not exist."""

    ap: Percent | None
    ap50: Percent | None
    ap75: Percent | None
    ap_small: Percent | None
    ap_medium: Percent | None
    ap_large: Percent | None
    ar_1: Percent | None
    ar_10: Percent | None
    ar_max: Percent | None
    ar_small: Percent | None
    ar_medium: Percent | None
    ar_large: Percent | None
    per_class: list[ClassScores]
    categories_not_annotated: list[str]
    images: Count
    boxes: Count
    detections: Count


class ParameterCount(Strict):
    """Numbers of parameters: those that train, all, and the share of the text encoder in all."""

    trained: Count
    total: Count
    text_encoder: Count

    @model_validator(mode="after")
    def _parts_fit(self) -> ParameterCount:
        if max(self.trained, self.text_encoder) > self.total:
            raise ValueError(f"a part is larger than the total: {self.model_dump()}")
        return self


class Parameters(Strict):
    """Parameter counts by two conventions: as `used` by the cell, and the `paper`'s (a full table of 256 vectors)."""

    used: ParameterCount
    paper: ParameterCount


class CellMetrics(Strict):
    """One cell's result, or the declared reason why it has none."""

    schema_version: Literal[1] = SCHEMA_VERSION
    cell: CellKey
    group: str = Field(description="the datasets' group in Table 1: natural, non_radiology, radiology, ...")
    task: str = Field(description="detection or instance_segmentation")
    status: Literal["done", "skipped"]
    reason: str | None = Field(None, min_length=1, description="why the cell was skipped")
    split: Literal["test"] = "test"
    selection: Selection | None = Field(None, description="None where nothing was tuned")
    scores: dict[IouType, Scores] = Field({}, description="bbox always, segm where the model predicts masks")
    parameters: Parameters | None = None

    @model_validator(mode="after")
    def _whole(self) -> CellMetrics:
        if self.status == "skipped" and (self.reason is None or self.scores):
            raise ValueError("a skipped cell has a reason and no scores")
        if self.status == "done" and (self.reason or "bbox" not in self.scores or self.parameters is None):
            raise ValueError("a done cell has scores for bbox, parameters and no reason")
        return self


def write_metrics(path: str | Path, metrics: CellMetrics) -> None:
    """Write metrics as deterministic JSON: the same numbers give the same bytes."""
    write_json(path, metrics.model_dump(mode="json"))


def read_metrics(path: str | Path) -> CellMetrics:
    """Read metrics; ConesError, one line with file and key, on anything but a complete file of this version."""
    return parse(CellMetrics, read_json(path), where=path, cure="delete the cell's folder and run again")
