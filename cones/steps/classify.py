"""A cell of classification: it is fitted on a few labelled images, and scored."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cones.data.captions import read_captions
from cones.data.classification import Item
from cones.data.task_rules import CLASSIFICATION, DENSE, MULTI_LABEL
from cones.evaluation.classification_metrics import (
    ClassificationMetrics,
    HierarchyScore,
    TargetScore,
    Trained,
)
from cones.evaluation.metrics import CellKey
from cones.experiment.cell import Cell, Plan
from cones.experiment.classification import JOINT, Setting
from cones.experiment.classification_cells import (
    POSITIONS,
    cells_before,
    method_of,
    shows_curve,
    sources_of,
    stage1_of,
    targets_of,
)
from cones.experiment.plugins import plugins_used
from cones.methods.class_tree import Hierarchy
from cones.methods.classifier import (
    Captions,
    Classifier,
    ClassifierInputs,
    ClassifierMethod,
    LabelledFeatures,
)
from cones.methods.settings import Recipe
from cones.models.checkpoints import load_dual_encoder, tokenizer_for
from cones.models.dual_encoder import DualEncoder
from cones.runtime.artifacts import load_tensors, read_json, save_tensors, sha256, write_json
from cones.runtime.determinism import generator
from cones.runtime.devices import peak_memory_bytes, to_device
from cones.runtime.errors import ConesError
from cones.runtime.strict import parse
from cones.runtime.verification import recorded_state
from cones.steps.device import device_for
from cones.steps.frozen_texts import FrozenTexts
from cones.steps.labelled_cell import FewImages, LabelledDataset, PreparedDataset, Target, labels_of
from cones.steps.score_classifier import Scored, curve_of, hierarchy_score, score, target_score
from cones.steps.what_trained import own_tensors, trained_of
from cones.training.classifier_tuner import AugmentedPictures, ClassifierTuner, StoredFeatures

TASK_WORDS = {
    CLASSIFICATION: "one class a picture",
    MULTI_LABEL: "several classes a picture",
    DENSE: "a class for every pixel",
}


class CellFit:
    """A cell while it is fitted and scored."""

    dataset_kind: type[PreparedDataset] = LabelledDataset

    def __init__(self, plan: Plan, cell: Cell):
        self.plan, self.cell = plan, cell
        self.setting, self.entry = Setting.of(cell.dataset), method_of(plan, cell.arm)
        self.method = ClassifierMethod.load(self.entry.name)
        self._check_features()
        self.datasets = {name: self.dataset_kind(plan, cell, name) for name in targets_of(plan, cell)}
        self.own = next(iter(self.datasets.values()))
        self.weights = plan.weights(cell.model)
        self.texts = FrozenTexts(self._encoder, lambda: tokenizer_for(cell.model), self.device)

    def _check_features(self) -> None:
        """ConesError if the method reads stored features that its registry entry does not name."""
        for kind in sorted(self.method.reads & {*POSITIONS, "self_supervised"}):
            if kind not in self.entry.features:
                raise ConesError(
                    f'the method reads "{kind}", and its registry entry does not say so',
                    where=f"{self.entry.module}: METHOD",
                    next_step=f'add "features": ["{kind}"] there: the workflow makes their file',
                )

    @cached_property
    def device(self) -> torch.device:
        return device_for(self.plan, self.cell.model)

    @property
    def reason(self) -> str | None:
        """Why the cell has no numbers: its dataset was skipped, or the method does not fit model or setting."""
        lacking = self._reason_of_task() or self.method.supports(self.cell.model, self.setting.kind)
        if JOINT in self.entry.inputs and not lacking:
            lacking = "is trained on several data sets at once, with all their classes: this one is in no such cell"
        lacking = lacking or self._reason_of_sources()
        if self.own.reason or lacking:
            return self.own.reason or lacking
        if self.method.needs_tree and not self.own.manifest.get("class_tree"):
            return "needs a tree of the classes, and the data set has none"
        if self.method.needs_captions and not self.own.manifest.get("captions"):
            return "needs captions, and the data set has none"
        return None

    def _reason_of_task(self) -> str | None:
        task = self.setting.task
        return None if task in self.method.serves else f"has no form for {TASK_WORDS[task]}"

    def _reason_of_sources(self) -> str | None:
        """Why the trainings on other data sets that the cell starts from do not serve it."""
        for source in sources_of(self.plan, self.cell):
            if self.own.name in targets_of(self.plan, source):
                return f"starts from a training on {source.dataset}, of which this data set is a part"
            if skipped := read_json(source.folder / "tuning.json").get("skipped"):
                return f"starts from a training on {source.dataset}, which was skipped: {skipped}"
        return None

    @cached_property
    def recipe(self) -> Recipe:
        """The method's published values, overridden by suite, model and arm; `options` key by key."""
        changed = self.plan.classification.recipe_of(self.cell.model, self.cell.arm)
        published = self.method.recipe.model_dump()
        options = {**published["options"], **changed.get("options", {})}
        where = f"classification: recipe of models.{self.cell.model} or arms.{self.cell.arm}"
        return parse(Recipe, {**published, **changed, "options": options}, where=where)

    @cached_property
    def few(self) -> FewImages:
        return FewImages.draw(self.own, self.setting, self.cell.seed)

    @property
    def pictures_folder(self) -> Path:
        """What the paths of the few images are relative to."""
        return self.own.folder

    @property
    def reads_pixels(self) -> bool:
        return "image_encoder" in self.method.reads

    def _encoder(self) -> DualEncoder:
        return load_dual_encoder(self.cell.model, self.weights).to(self.device).requires_grad_(False)

    # ------------------------------------------------------------------------------------------------- fitting

    @cached_property
    def inputs(self) -> ClassifierInputs:
        encoder = self._encoder() if {"image_encoder", "text_encoder"} & self.method.reads else None
        return ClassifierInputs(
            text=self.texts,
            logit_scale=self._scale(encoder),
            recipe=self.recipe,
            generator=generator("start", self.cell.seed),
            train=self.images_to_learn("train"),
            val=self.images_to_learn("val"),
            unlabelled=self.images_to_learn("every").features if self.method.needs_unlabelled else None,
            encoder=encoder,
            tokenizer=tokenizer_for(self.cell.model) if encoder is not None else None,
            concepts=self._concepts(),
            captions=self._captions(),
            extra={"sources": sources} if (sources := self._sources()) else {},
            **self.classes_to_learn(),
        )

    def classes_to_learn(self) -> dict[str, Any]:
        """Of the inputs what says which classes these are."""
        target = self.own.target(labels=self.few.labels)
        return {
            "names": target.names,
            "template": target.template,
            "tree": target.tree,
            "dataset": self.own.name,
        }

    def images_to_learn(self, part: str) -> LabelledFeatures:
        """Stored features of the images to "train" on, to "val"idate on, or of "every" training image; none for what
        learns of captions alone."""
        items = [] if self.method.needs_captions and self.method.labels == "none" else getattr(self.few, part)
        views = self.own.views(items) if part == "train" else None
        features, labels = self.own.features(items).to(self.device), self._labels(items).to(self.device)
        return LabelledFeatures(features, labels, None if views is None else to_device(views, self.device))

    def _labels(self, items: Sequence[Item]) -> Tensor:
        return labels_of(items)

    def _scale(self, encoder: DualEncoder | None) -> float:
        if encoder is not None:
            return float(encoder.logit_scale.exp())
        return float(self.own.stored("pooled", "logit_scale"))

    def _captions(self) -> Captions | None:
        """Of a set that has some, for methods that need them."""
        if not self.method.needs_captions:
            return None
        read = read_captions(self.own.folder, self.own.manifest)
        labels = torch.zeros(len(read), len(self.own.classes), dtype=torch.int64)
        for row, (_, places) in zip(labels, read):
            row[places] = 1
        return Captions([text for text, _ in read], labels)

    def _concepts(self) -> Tensor | None:
        """(K, N, d) of the cell whose embeddings this one fixes."""
        if (first := stage1_of(self.plan, self.cell)) is None:
            return None
        vectors = self._state_of(first)["vectors"]
        return vectors if vectors.ndim == 3 else vectors[:, None]

    def _sources(self) -> list[dict[str, Tensor]]:
        """What the trainings on other data sets have learnt, one for each of their seeds."""
        return [self._state_of(source) for source in sources_of(self.plan, self.cell)]

    def _state_of(self, cell: Cell) -> dict[str, Tensor]:
        state, _ = load_tensors(cell.folder / "state.safetensors", expected_sha256=recorded_state(cell.folder))
        return {name: value.to(self.device) for name, value in state.items()}

    @cached_property
    def classifier(self) -> Classifier:
        return self.method.classifier(self.inputs).to(self.device).eval()

    def run(self, identity: str) -> tuple[dict, Trained]:
        """Fit, and write the state and how it went; returns (that record, what was trained)."""
        self.method.options(self.inputs)  # refuses a number that the method does not have
        before = {name: value.clone() for name, value in self.classifier.named_buffers()}
        runs: list[dict] = []
        started = time.monotonic()

        def tune(classifier: Classifier, images: LabelledFeatures | None = None) -> None:
            runs.append(self._tune(classifier, images, number=len(runs), identity=identity))

        choice = self.method.fit(self.classifier, self.inputs, tune)
        took = time.monotonic() - started
        self.classifier.eval()
        tensors = own_tensors(self.classifier, self.inputs.encoder)
        digest = save_tensors(self.cell.folder / "state.safetensors", tensors, {"weights": sha256(self.weights)})
        trained = trained_of(self, before, tensors, choice, runs)
        record = {
            "recipe": self.recipe.model_dump(mode="json"),
            "runs": runs,
            "steps": sum(run["steps"] for run in runs),
            "fit_seconds": took,
            "choice": vars(choice) if choice else None,
            "train": [item.path for item in self.few.train],
            "val": [item.path for item in self.few.val],
            "text_encoder_was_built": self.texts.was_built,
            "plugins": plugins_used(self.entry.module),
            "device": str(self.device),
            "sha256": {"state.safetensors": digest},
        }
        write_json(self.cell.folder / "tuning.json", record)
        for number in range(len(runs)):
            self._checkpoint(number).unlink(missing_ok=True)
        return record, trained

    def _checkpoint(self, number: int) -> Path:
        return self.cell.folder / f"resume{number or ''}.pt"

    def _tune(self, classifier: Classifier, given: LabelledFeatures | None, *, number: int, identity: str) -> dict:
        """Train by the recipe, on the cell's images or on those that the method gives; it may ask for several runs,
        each with a checkpoint of its own."""
        images = StoredFeatures(self.inputs.train if given is None else given)
        if self.reads_pixels:
            encoder = self.inputs.encoder
            images = AugmentedPictures(
                self.pictures_folder, self.few.train, encoder.picture_format, self.cell.seed, self.device
            )
        tuner = ClassifierTuner(
            classifier=classifier,
            method=self.method,
            images=images,
            recipe=self.recipe,
            seed=self.cell.seed,
            device=self.device,
            checkpoint=self._checkpoint(number),
            identity=f"{identity} {number}",
        )
        tuner.run()
        return tuner.record()

    def notes(self) -> list[str]:
        """What is to be known of the row beside what `trained_of` says of every fit."""
        return []

    # ------------------------------------------------------------------------------------------------- scoring

    def targets(self) -> list[tuple[Target, str | None]]:
        """What is scored, each with the reason why it cannot be, if there is one."""
        if self.setting.kind == "base_to_new":
            new = [label for label in range(len(self.own.classes)) if label not in set(self.few.labels)]
            return [(self.own.target("base", self.few.labels), None), (self.own.target("new", new), None)]
        return [
            (dataset.target(), None) if dataset.reason is None else (_nothing(dataset.name), dataset.reason)
            for dataset in self.datasets.values()
        ]

    def score(self) -> tuple[list[Scored], dict]:
        """The predictions of every target, and what scoring cost."""
        started, scored = time.monotonic(), []
        for target, reason in self.targets():
            columns, classifier = None, None
            if reason is None:
                columns, classifier, reason = self._classifier_for(target)
            one = score(self, target, classifier, columns, reason)
            if one.predicted is not None and shows_curve(self.plan, self.cell):
                one = replace(one, curve=curve_of(self, target, classifier, columns))
            scored.append(one)
        images = sum(len(one.target.items) for one in scored if one.predicted is not None)
        took = sum(one.seconds for one in scored)
        return scored, {
            "seconds_per_image": took / images if images else None,
            "images": images,
            "seconds": time.monotonic() - started,
            "peak_memory_bytes": peak_memory_bytes(self.device),
        }

    def _classifier_for(self, target: Target) -> tuple[list[int] | None, Classifier | None, str | None]:
        """(columns of the logits or None for all, classifier, why there is none)."""
        own = self.own.target(labels=self.few.labels)
        place = {name: column for column, name in enumerate(own.classes)}
        if target.key == "base" or all(name in place for name in target.classes):
            if list(target.classes) == list(own.classes):
                return None, self.classifier, None
            return [place[name] for name in target.classes], self.classifier, None
        if not self.method.unseen_classes:
            return None, None, "the method has no entry for classes without a training image"
        classifier = self._for_names(target, target.names)
        if classifier is None:
            return None, None, "the method has no entry for classes without a training image"
        return None, classifier.to(self.device).eval(), None

    def _for_names(self, target: Target, names: Sequence[str]) -> Classifier | None:
        """The tuned classifier for other names in the target's sentence, if it has an entry for them."""
        own = {"names": names, "template": target.template, "dataset": target.dataset}
        inputs = replace(self.inputs, **own, tree=None, tasks=())
        return self.method.for_classes(self.classifier, inputs)

    def in_tree(self, scored: Scored) -> HierarchyScore | None:
        """The answers for a target at every level of its classes' tree, or why there are none; None without a tree."""
        if scored.target.tree is None or scored.predicted is None:
            return None
        if self.reads_pixels or not self.method.unseen_classes:
            what = "reads pixels" if self.reads_pixels else "has no entry for the texts of wider classes"
            return HierarchyScore(reason=f"the method {what}")
        tree = Hierarchy.of(scored.target.tree, scored.target.names)
        try:
            nodes = self._for_names(scored.target, tree.names)
        except ConesError as error:  # such as a method of written texts, without one about a wider class
            return HierarchyScore(reason=f"of the texts of wider classes: {error.what}: {error.found}")
        if nodes is None:
            return HierarchyScore(reason="the method has no entry for the texts of wider classes")
        return hierarchy_score(self, scored, nodes.to(self.device).eval(), tree)

    def target_score(self, scored: Scored) -> TargetScore:
        return target_score(scored, self.in_tree(scored))

    # ------------------------------------------------------------------------------------------------- records

    def metrics(self, **content) -> ClassificationMetrics:
        return ClassificationMetrics(
            cell=CellKey(**vars(self.cell), method=self.entry.name),
            setting=self.setting.kind,
            shots=self.setting.shots,
            **content,
        )

    def inputs_sha256(self) -> dict[str, str]:
        """{file: sha256} of all that the cell read."""
        files = [self.weights, *(dataset.folder / "manifest.json" for dataset in self.datasets.values())]
        files += [file for dataset in self.datasets.values() for file in dataset.files.values()]
        files += [before.folder / "state.safetensors" for before in cells_before(self.plan, self.cell)]
        return {str(file): sha256(file) for file in files if file.exists()}


def _nothing(dataset: str) -> Target:
    return Target(dataset, dataset, (), (), "", ())
