"""Scoring a fitted classifier on the test images of one target."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cones.data.classification import Item, load_pixels, train_views
from cones.evaluation.accuracy import accuracy, first_choices
from cones.evaluation.classification_metrics import CurvePoint, HierarchyScore, TargetScore
from cones.methods.class_tree import Hierarchy, consistent, mean_cut_accuracy
from cones.methods.classifier import Classifier
from cones.models.dual_encoder import PictureFormat
from cones.runtime.determinism import generator
from cones.runtime.devices import to_device
from cones.runtime.errors import ConesError
from cones.steps.labelled_cell import Target, labels_of, paths_of

if TYPE_CHECKING:
    from cones.steps.classify import CellFit

FEATURES_AT_ONCE, PICTURES_AT_ONCE = 256, 64
SAME_ANSWER = 2e-3  # of a probability, which is stored in four decimals
CUT_DROPS, CUTS_EACH = (0.1, 0.3, 0.5, 0.7, 0.9), 5  # gina9726/ProTeCt 2aa2d7b: five cuts of each drop rate


@dataclass(frozen=True)
class Scored:
    """The answers for a target: the place of a class for each test image, in their order, and its probability."""

    target: Target
    predicted: list[int] | None
    probability: list[float] | None
    seconds: float
    reason: str | None
    curve: tuple[CurvePoint, ...] = ()

    @property
    def predictions(self) -> dict:
        """As `predictions.json` holds them: test images in the order of `items.json`."""
        if self.predicted is None:
            return {"reason": self.reason}
        labels = [item.label for item in self.target.items]
        return {
            "dataset": self.target.dataset,
            "classes": list(self.target.classes),
            "labels": labels,
            "predicted": self.predicted,
            "probability": self.probability,
        }


@torch.no_grad()
def score(
    fit: CellFit, target: Target, classifier: Classifier | None, columns: list[int] | None, reason: str | None
) -> Scored:
    """Answers of a classifier over a target's classes; `columns` are the places of these in its logits.

    ConesError for logits that are not finite.
    """
    if classifier is None or not target.items:
        return Scored(target, None, None, 0.0, reason or "no test images of these classes")
    logits, seconds = test_logits(fit, target, classifier)
    return _answers(target, logits if columns is None else logits[:, columns], seconds, where=fit.cell.folder)


def test_logits(fit: CellFit, target: Target, classifier: Classifier) -> tuple[Tensor, float]:
    """Logits (n, K) of all test images of a target, and the seconds that the classifier took."""
    dataset, logits, seconds = fit.datasets[target.dataset], [], 0.0
    views = fit.method.test_views
    size = max(1, PICTURES_AT_ONCE // views) if fit.reads_pixels else FEATURES_AT_ONCE
    for at in range(0, len(target.items), size):
        items = target.items[at : at + size]
        if fit.reads_pixels:
            pixels = pixels_at_test(dataset.folder, items, fit.inputs.encoder.picture_format, views)
            images = to_device(pixels, fit.device)
        else:
            images = dataset.features(items).to(fit.device)
        started = time.monotonic()
        logits.append(classifier(images).float().cpu())
        seconds += time.monotonic() - started
    return torch.cat(logits), seconds


def pixels_at_test(folder: Path, items: Sequence[Item], picture_format: PictureFormat, views: int) -> Tensor:
    """Pixels (B, 3, side, side), or with several views of each image (B, views, 3, side, side).

    The first view is the image as it is tested; each further one is cut and turned as training images are, by the
    image's name and its own number alone.
    """
    paths = paths_of(folder, items)
    plain = load_pixels(paths, picture_format)
    if views == 1:
        return plain
    names = [item.path for item in items]
    others = [train_views(paths, names, picture_format, "test", number) for number in range(1, views)]
    return torch.stack([plain, *others], dim=1)


def _answers(target: Target, logits: Tensor, seconds: float, *, where: object) -> Scored:
    try:
        predicted = first_choices(logits)
    except ConesError as error:
        raise ConesError(
            error.what,
            where=where,
            found=f"on {target.key}: {error.found}",
            next_step="lower the learning rate of this arm's recipe",
        ) from None
    probability = logits.softmax(1).gather(1, predicted[:, None])[:, 0]
    return Scored(target, predicted.tolist(), [round(value, 4) for value in probability.tolist()], seconds, None)


@torch.no_grad()
def hierarchy_score(fit: CellFit, scored: Scored, nodes: Classifier, tree: Hierarchy) -> HierarchyScore:
    """HCA and MTA of a classifier of the tree's nodes on stored features. It has to give the
    cell's own answers: a method that answers texts of other classes in another way has no numbers."""
    target = scored.target
    found, _ = test_logits(fit, target, nodes)
    place = {tree.names[leaf]: number for number, leaf in enumerate(tree.leaves)}
    places = torch.tensor([place[name] for name in target.names])  # of each class, among the leaves
    leaf_logits = found[:, list(tree.leaves)][:, places]
    of_answer = leaf_logits.softmax(1).gather(1, torch.tensor(scored.predicted)[:, None])[:, 0]
    if (of_answer - torch.tensor(scored.probability)).abs().max() > SAME_ANSWER:
        return HierarchyScore(reason="the method answers texts of wider classes in another way than those of its own")
    truth = places[labels_of(target.items)]
    cuts = [
        tree.drawn_cut(drop, generator("tree cuts", target.dataset, number, drop))
        for drop in CUT_DROPS
        for number in range(CUTS_EACH)
    ]
    return HierarchyScore(
        nodes=len(tree.names),
        consistent=round(100 * consistent(tree, found, truth).float().mean().item(), 4),
        cuts=round(100 * mean_cut_accuracy(tree, found, truth, cuts), 4),
    )


def curve_of(fit: CellFit, target: Target, classifier: Classifier, columns: list[int] | None) -> tuple[CurvePoint, ...]:
    """The accuracy of each variant that the method wants to be seen beside the tuned classifier."""
    points = []
    for at, variant in fit.method.curve(classifier):
        found = target_score(score(fit, target, variant, columns, None))
        points.append(CurvePoint(at=at, accuracy=found.accuracy))
    return tuple(points)


def target_score(scored: Scored, hierarchy: HierarchyScore | None = None) -> TargetScore:
    """Top-1 accuracy in per cent, over all test images and class by class."""
    target = scored.target
    counts = {"images": len(target.items), "classes": len(target.classes)}
    if scored.predicted is None:
        return TargetScore(accuracy=None, reason=scored.reason, **counts)
    found = accuracy(torch.tensor(scored.predicted), labels_of(target.items), target.classes)
    per_class = {name: value for name, value in zip(target.classes, found.per_class) if value is not None}
    return TargetScore(
        accuracy=round(found.top1, 4),
        per_class={name: round(value, 4) for name, value in per_class.items()},
        absent=tuple(found.absent),
        hierarchy=hierarchy,
        curve=scored.curve,
        **counts,
    )
