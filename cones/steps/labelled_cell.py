"""What a classification cell reads: its classes, its few labelled images, and the features of all its images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from cones.data.classification import (
    Item,
    LabelSetItem,
    base_and_new,
    few_shot,
    of_classes,
    partly_known,
    read_items,
    short_classes,
)
from cones.data.task_rules import MULTI_LABEL
from cones.experiment.cell import Cell, Plan
from cones.experiment.classification import Setting
from cones.experiment.classification_cells import (
    POSITIONS,
    feature_kinds,
    features_file,
    method_of,
    self_supervised_file,
)
from cones.models.dual_encoder import ImageFeatures
from cones.runtime.artifacts import load_tensors
from cones.runtime.errors import ConesError


@dataclass(frozen=True)
class Target:
    """Test images to score, over classes of their own.

    key      a dataset's name, or "base" and "new" of the halves of one
    dataset  whose images these are
    classes  as the manifest names them, in label order; `names` as texts do
    tree     of the dataset's classes, as texts name them, if it has one
    """

    key: str
    dataset: str
    classes: Sequence[str]
    names: Sequence[str]
    template: str
    items: Sequence[Item]
    tree: Mapping | None = None


class PreparedDataset:
    """A prepared dataset as its manifest has it; `files` are those of stored features, by their kind."""

    items: Mapping[str, list]

    def __init__(self, plan: Plan, cell: Cell, dataset: str):
        self.name, self.folder, self.manifest = dataset, plan.data_folder(dataset), plan.manifest(dataset)
        self.files: dict[str, Path] = {}

    @property
    def reason(self) -> str | None:
        """Why it has no images, if it was skipped."""
        return self.manifest["reason"] if self.manifest["status"] == "skipped" else None

    @property
    def classes(self) -> list[str]:
        return self.manifest["classes"]

    @property
    def val_is(self) -> str | None:
        """The split whose pictures are those of validation as well, if there is one."""
        same = self.manifest.get("same_splits", {})
        return same.get("val") or ("test" if same.get("test") == "val" else None)

    @property
    def val_items(self) -> list:
        """Those that something may be chosen on: none where they are trained or tested on too."""
        return [] if self.val_is else self.items["val"]


class LabelledDataset(PreparedDataset):
    """One of labelled pictures: its items and stored features, read when they are asked for."""

    def __init__(self, plan: Plan, cell: Cell, dataset: str):
        super().__init__(plan, cell, dataset)
        kinds = feature_kinds(plan, cell)
        self.files = {kind: features_file(plan, cell.model, dataset, kind) for kind in kinds}
        if "self_supervised" in method_of(plan, cell.arm).features:
            self.files["second"] = self_supervised_file(plan, dataset)
        self._stored: dict[tuple[str, str], Tensor] = {}

    @property
    def has_label_sets(self) -> bool:
        """Whether a picture may show several classes: then its items are `LabelSetItem`s."""
        return self.manifest["task"] == MULTI_LABEL

    @cached_property
    def items(self) -> dict[str, list[Item]] | dict[str, list[LabelSetItem]]:
        return read_items(self.folder)

    @cached_property
    def places(self) -> dict[str, tuple[str, int]]:
        """{path: its split and row}: a validation image may be one of the training split."""
        listed = ((split, row, item) for split, items in self.items.items() for row, item in enumerate(items))
        return {item.path: (split, row) for split, row, item in listed}

    def target(self, key: str | None = None, labels: Sequence[int] | None = None) -> Target:
        """Its test images, of all classes or of those of some labels."""
        labels = range(len(self.classes)) if labels is None else labels
        return Target(
            key=key or self.name,
            dataset=self.name,
            classes=[self.classes[label] for label in labels],
            names=[self.manifest["texts"][label] for label in labels],
            template=self.manifest["template"],
            items=self.items["test"] if self.has_label_sets else of_classes(self.items["test"], list(labels)),
            tree=self.manifest.get("class_tree"),
        )

    def stored(self, kind: str, name: str) -> Tensor:
        """A tensor of a file of features, such as those of a split; ConesError if it is of other images."""
        if (kind, name) not in self._stored:
            tensors, metadata = load_tensors(self.files[kind], wanted=lambda found: found == name)
            if metadata.get("items") != self.manifest["items"]["sha256"]:
                raise ConesError(
                    "the features are of another list of images",
                    where=self.files[kind],
                    expected=f"sha256 {self.manifest['items']['sha256']} of the list",
                    found=metadata.get("items"),
                    next_step="delete it and run again",
                )
            self._stored[kind, name] = tensors[name]
        return self._stored[kind, name]

    def features(self, items: Sequence[Item]) -> ImageFeatures:
        """Stored features of these items; of a method that reads none (n, 0)."""
        if "pooled" not in self.files:
            return ImageFeatures(torch.empty(len(items), 0))
        kinds = {kind: self._rows(kind, items) for kind in ("pooled", "second") if kind in self.files}
        patches = next((self._rows(kind, items) for kind in POSITIONS if kind in self.files), None)
        return ImageFeatures(**kinds, patches=patches)

    def views(self, items: Sequence[Item]) -> Tensor | None:
        """(V, n, d) of training items; None where the method reads none."""
        if "views" not in self.files:
            return None
        rows = [self.places[item.path][1] for item in items]
        return self.stored("views", "train")[:, rows]

    def _rows(self, kind: str, items: Sequence[Item]) -> Tensor:
        """A split that is asked for as it is stored is not copied: all positions to train on may fill the memory."""
        places = [self.places[item.path] for item in items]
        if not places:
            return self.stored(kind, "test")[:0]
        if len({split for split, _ in places}) > 1:
            return torch.stack([self.stored(kind, split)[row] for split, row in places])
        found, rows = self.stored(kind, places[0][0]), [row for _, row in places]
        return found if rows == list(range(len(found))) else found[rows]


@dataclass(frozen=True)
class FewImages:
    """The labelled images that a cell may learn from, and what all its classes are. Where a picture may show several,
    all images with the labels that are known.

    labels  of the dataset's classes that have training images, in order
    short   {class: its images} of classes with fewer than asked for
    """

    labels: Sequence[int]
    train: Sequence[Item]
    val: Sequence[Item]
    every: Sequence[Item]
    short: dict[str, int]

    @classmethod
    def draw(cls, dataset: LabelledDataset, setting: Setting, seed: int) -> FewImages:
        """The draw of a setting and seed: the same for every method and model."""
        every = list(range(len(dataset.classes)))
        if setting.kind == MULTI_LABEL:
            given = dataset.items["train"], dataset.val_items
            train, val = (partly_known(items, len(every), setting.shots, seed) for items in given)
            return cls(every, train, val, train, {})
        labels = base_and_new(every)[0] if setting.kind == "base_to_new" else every
        train, val = (of_classes(items, labels) for items in (dataset.items["train"], dataset.val_items))
        names = [dataset.classes[label] for label in labels]
        chosen, validation = few_shot(train, val, setting.shots, seed)
        return cls(labels, chosen, validation, train, short_classes(chosen, names, setting.shots))


def labels_of(items: Sequence[Item]) -> Tensor:
    return torch.tensor([item.label for item in items], dtype=torch.int64)


def paths_of(folder: Path, items: Sequence[Item]) -> list[Path]:
    return [folder / item.path for item in items]
