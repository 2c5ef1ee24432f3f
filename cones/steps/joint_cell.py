"""Cells of several data sets: one training for all of a group, and what each of its data sets takes from that."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from cones.data.classification import Item
from cones.evaluation.classification_metrics import HierarchyScore, Trained, read_classification_metrics
from cones.experiment.cell import Cell, Plan
from cones.experiment.classification import JOINT
from cones.experiment.classification_cells import joint_of
from cones.methods.classifier import Classifier, ClassifierInputs, LabelledFeatures, Task
from cones.models.dual_encoder import ImageFeatures
from cones.runtime.artifacts import load_tensors, read_json, save_tensors, sha256, write_json
from cones.runtime.errors import ConesError
from cones.runtime.verification import recorded_state
from cones.steps.classify import CellFit
from cones.steps.labelled_cell import FewImages, Target, labels_of
from cones.steps.score_classifier import Scored
from cones.steps.what_trained import own_tensors

WHERE = "classification.joint"


class JointFit(CellFit):
    """One training on all data sets of a group: their classes stand in a row, data set by data set."""

    @property
    def reason(self) -> str | None:
        skipped = [f"{name}: {dataset.reason}" for name, dataset in self.datasets.items() if dataset.reason]
        if JOINT not in self.entry.inputs:
            return "the method trains on one data set"
        return "; ".join(skipped) or self.method.supports(self.cell.model, self.setting.kind)

    @cached_property
    def draws(self) -> dict[str, FewImages]:
        """The few images of each data set: those of its own cells of this number of shots and seed."""
        return {name: FewImages.draw(one, self.setting, self.cell.seed) for name, one in self.datasets.items()}

    @cached_property
    def few(self) -> FewImages:
        """All of them in a row; paths begin with the data set's folder, labels are places in the row of classes."""

        def every(part: str) -> list[Item]:
            return [
                Item(f"{self.datasets[name].folder.name}/{item.path}", self.places[name][item.label])
                for name, draw in self.draws.items()
                for item in getattr(draw, part)
            ]

        labels = [place for places in self.places.values() for place in places]
        short = {f"{name}: {key}": value for name, draw in self.draws.items() for key, value in draw.short.items()}
        return FewImages(labels, every("train"), every("val"), every("every"), short)

    @cached_property
    def places(self) -> dict[str, range]:
        """Of each data set's classes the places in the row."""
        found, at = {}, 0
        for name, dataset in self.datasets.items():
            found[name] = range(at, at + len(dataset.classes))
            at += len(dataset.classes)
        return found

    @property
    def pictures_folder(self) -> Path:
        parents = {dataset.folder.parent for dataset in self.datasets.values()}
        if len(parents) > 1:
            raise ConesError(
                "the data sets of a group lie in different folders", where=WHERE, found=", ".join(map(str, parents))
            )
        return parents.pop()

    def classes_to_learn(self) -> dict[str, Any]:
        targets = [dataset.target() for dataset in self.datasets.values()]
        return {
            "names": [name for target in targets for name in target.names],
            "template": "a photo of a {}.",
            "tasks": [Task(target.dataset.replace("_", " "), len(target.names)) for target in targets],
            "dataset": self.setting.dataset,
        }

    def images_to_learn(self, part: str) -> LabelledFeatures:
        drawn = {name: getattr(draw, part) for name, draw in self.draws.items()}
        features = ImageFeatures.joined([self.datasets[name].features(items) for name, items in drawn.items()])
        labels = torch.cat([labels_of(items) + self.places[name].start for name, items in drawn.items()])
        return LabelledFeatures(features.to(self.device), labels.to(self.device))

    def _classifier_for(self, target: Target) -> tuple[list[int] | None, Classifier | None, str | None]:
        return list(self.places[target.dataset]), self.classifier, None

    def in_tree(self, scored: Scored) -> None:
        """The cell of each data set measures its tree."""


class PartOfJoint(CellFit):
    """A data set's cell of a method that trains on a group: nothing trains, its classes are columns of the joint
    classifier, whose state is read from its cell."""

    def __init__(self, plan: Plan, cell: Cell):
        super().__init__(plan, cell)
        self.joint = JointFit(plan, joint_of(plan, cell))
        self.state = self.joint.cell.folder / "state.safetensors"

    @property
    def reason(self) -> str | None:
        return self.own.reason or self.joint.reason

    @property
    def inputs(self) -> ClassifierInputs:
        return self.joint.inputs

    @property
    def classifier(self) -> Classifier:
        return self.joint.classifier

    def run(self, identity: str) -> tuple[dict, Trained]:
        """Read what was trained; returns (the joint cell's record, what it says of its training)."""
        folder = self.joint.cell.folder
        tensors, _ = load_tensors(self.state, expected_sha256=recorded_state(folder))
        if set(tensors) != set(own_tensors(self.classifier, self.inputs.encoder)):
            raise ConesError(
                "the state is of another training", where=self.state, next_step="delete the cell's folder and run again"
            )
        self.classifier.load_state_dict(tensors, strict=False)
        self.classifier.eval()
        # the vectors lie in the joint cell alone
        digest = save_tensors(self.cell.folder / "state.safetensors", {}, {"joint": sha256(self.state)})
        record = {
            **read_json(folder / "tuning.json"),
            "joint": str(self.joint.cell.dataset),
            "sha256": {"state.safetensors": digest},
        }
        write_json(self.cell.folder / "tuning.json", record)
        return record, self._shared(folder)

    def _shared(self, folder: Path) -> Trained:
        """Numbers of the one training, with a note that they are shared."""
        trained = read_classification_metrics(folder / "metrics.json").trained
        group = ", ".join(self.joint.datasets)
        note = f"one training for {group}: values, bytes and seconds of the fit are those of all of them together"
        return trained.model_copy(update={"note": "; ".join(filter(None, (trained.note, note)))})

    def _classifier_for(self, target: Target) -> tuple[list[int] | None, Classifier | None, str | None]:
        places = dict(zip(self.own.classes, self.joint.places[self.own.name], strict=True))
        if all(name in places for name in target.classes):
            return [places[name] for name in target.classes], self.classifier, None
        return super()._classifier_for(target)

    def in_tree(self, scored: Scored) -> HierarchyScore | None:
        if scored.target.dataset != self.own.name:
            return None  # its task is not one of those that were trained
        return super().in_tree(scored)

    def inputs_sha256(self) -> dict[str, str]:
        return super().inputs_sha256() | {str(self.state): sha256(self.state)}
