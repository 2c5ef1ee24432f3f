"""The schema of a classification cell's `metrics.json`: accuracies of one method on each of its targets."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from cones.evaluation.metrics import CellKey, Count, Percent
from cones.runtime.artifacts import read_json, write_json
from cones.runtime.strict import Strict, parse

SCHEMA_VERSION = 1


class HierarchyScore(Strict):
    """A target's answers at every level of its classes' tree (ProTeCt, arXiv 2306.02240, section 3.3), in per cent."""

    nodes: Count | None = Field(None, description="of the tree without its root")
    consistent: Percent | None = Field(
        None, description="HCA: images whose class is right and so is each choice among children on the way to it"
    )
    cuts: Percent | None = Field(None, description="MTA: mean accuracy over random cuts of the tree")
    reason: str | None = Field(None, min_length=1, description="why there are no numbers")

    @model_validator(mode="after")
    def _whole(self) -> HierarchyScore:
        numbers = (self.nodes, self.consistent, self.cuts)
        if any((number is None) != (self.reason is not None) for number in numbers):
            raise ValueError("a tree has all its numbers, or a reason why not")
        return self


class CurvePoint(Strict):
    """The accuracy of a variant, and the number that it belongs to, such as a share of tuned weights."""

    at: float
    accuracy: Percent


class DenseScore(Strict):
    """Answers pixel by pixel, in per cent; pixels are counted over all test images together."""

    mean_iou: Percent = Field(description="over the classes that stand in some map or were answered")
    per_class: dict[str, Percent] = Field(description="intersection over union of these")
    pixels: Count = Field(description="labelled ones, which the accuracy counts")


class TargetScore(Strict):
    """The test images of one target: a dataset, or "base" and "new", the halves of the cell's own classes."""

    accuracy: Percent | None = Field(
        description="top-1, of pixels where the task is dense; None where the method has no entry for these classes"
    )
    mean_ap: Percent | None = Field(None, description="instead, where a picture may show several classes")
    reason: str | None = Field(None, min_length=1, description="why there is neither")
    images: Count
    classes: Count
    per_class: dict[str, Percent] = Field(
        default_factory=dict, description="accuracy, or average precision, of classes with a test image"
    )
    absent: tuple[str, ...] = Field((), description="classes without a test image, or in no map and no answer")
    hierarchy: HierarchyScore | None = Field(None, description="where the dataset has a tree of its classes")
    dense: DenseScore | None = Field(None, description="where the task is dense")
    curve: tuple[CurvePoint, ...] = Field((), description="variants of the tuned classifier, none of them chosen")

    @model_validator(mode="after")
    def _whole(self) -> TargetScore:
        if sum(value is not None for value in (self.accuracy, self.mean_ap, self.reason)) != 1:
            raise ValueError("a target has an accuracy, or a mean average precision, or a reason why not")
        return self


class Trained(Strict):
    """What a method learnt and needs: numbers of values and bytes, and which labels it used.

    values         that training changed, chosen numbers apart
    stored_bytes   of the classifier beside the base model
    text_encoder   parameters of the text encoder that scoring needs; 0 where class vectors, made once, are enough
    short_classes  {class: its images} of classes with fewer training images than asked for
    chosen         numbers chosen on validation, by name
    """

    values: Count
    stored_bytes: Count
    text_encoder: Count
    train_images: Count
    val_images: Count
    short_classes: dict[str, Count] = Field(default_factory=dict)
    chosen: dict[str, float] = Field(default_factory=dict)
    labels: Literal["train", "none"]
    selection: Literal["val", "none", "test-as-published"]
    note: str | None = None


class ClassificationMetrics(Strict):
    """The result of one cell, or the declared reason why it has none."""

    schema_version: Literal[1] = SCHEMA_VERSION
    cell: CellKey
    status: Literal["done", "skipped"]
    reason: str | None = Field(None, min_length=1, description="why the cell was skipped")
    setting: Literal["few_shot", "base_to_new", "joint", "multi_label", "dense"]
    shots: Count
    targets: dict[str, TargetScore] = Field(default_factory=dict)
    trained: Trained | None = None

    @model_validator(mode="after")
    def _whole(self) -> ClassificationMetrics:
        if self.status == "skipped" and (self.reason is None or self.targets):
            raise ValueError("a skipped cell has a reason and no accuracies")
        if self.status == "done" and (self.reason or not self.targets or self.trained is None):
            raise ValueError("a done cell has accuracies, what was trained, and no reason")
        return self


def write_classification_metrics(path: str | Path, metrics: ClassificationMetrics) -> None:
    """Write metrics as deterministic JSON: the same numbers give the same bytes."""
    write_json(path, metrics.model_dump(mode="json"))


def read_classification_metrics(path: str | Path) -> ClassificationMetrics:
    """Read metrics; ConesError, one line with file and key, on anything but a complete file of this version."""
    return parse(ClassificationMetrics, read_json(path), where=path, cure="delete the cell's folder and run again")
