"""The seam of methods that classify images with a model of two encoders.

A method says which module turns images into class logits, what of it trains and by which recipe; all else is shared.
The registry entry of a method (`cones/methods/method.py`) names its class for such models as `classifier`, beside
`class`, its class for detectors: one file serves both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cones.methods.known_labels import known_pairs
from cones.methods.method import METHODS, Selection
from cones.methods.settings import Recipe, check_options
from cones.models.dual_encoder import DualEncoder, ImageFeatures
from cones.models.losses import LossTerm, LossTerms
from cones.models.positions import GridResize
from cones.runtime.errors import ConesError

Reads = Literal[
    *("pooled", "patches", "regions", "regions_unplaced", "self_supervised"),
    *("text_encoder", "image_encoder", "positions", "value_positions"),
]
"""What a method reads of the model: stored features of images (one vector each, or all positions too, or those of a
second, self-supervised encoder as `ImageFeatures.second`), or an encoder that takes part in training or scoring.
`regions`, placed or not, are what `DualEncoder.encode_regions` says of an image; they stand in `patches`, of which a
method reads one kind. For the task dense: whole maps as `Positions`, read with the last layer's attention or as its
values; a method that reads "pooled" alone gets positions as images of their own. Hand-written texts through the frozen
text encoder are at hand for every method."""

TaskName = Literal["classification", "multi_label", "dense"]


@dataclass
class LabelledFeatures:
    """Images of a split with their labels: features (n, …), labels (n,) int64 class index.

    Where an image may show several classes, labels are (n, K): 1, 0, or -1 where nobody knows. Images that a method
    trains on in place of those of the cell may be a tensor that its `loss_terms` reads.
    `views` are (V, n, d): pooled features of V augmented passes over the same images, where the suite stores them.
    """

    features: ImageFeatures | Tensor
    labels: Tensor
    views: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Task:
    """Of several data sets that are trained on together one: its name in words, and how many of the classes are its."""

    name: str
    classes: int


@dataclass(frozen=True)
class Captions:
    """Texts of other pictures than the set's, and which of its classes each names: labels (n, K) int64, 1 or 0."""

    texts: Sequence[str]
    labels: Tensor


ClassTree = Mapping[str, "ClassTree | None"]
"""Nodes by name, each with the nodes below it; a class has None. The order is that of a depth-first walk."""


class Texts(Protocol):
    """The frozen text encoder."""

    def __call__(self, texts: Sequence[str], *, truncate: bool = False) -> Tensor: ...


@dataclass
class ClassifierInputs:
    """What a method makes its classifier of.

    dataset     name of the data set in its registry, for methods that read texts written for it
    names       K class names as they stand in texts (underscores are spaces)
    template    the set's own hand-written template, such as "a photo of a {}, a type of pet."
    text        frozen text features: `text(texts)` -> (len(texts), d), not normalised; `text(texts, truncate=True)`
                cuts texts that are too long, which are refused otherwise
    logit_scale exp of the model's logit scale
    train, val  the few labelled images; their features as the method's `reads` asks
    unlabelled  features of all training images in order, without labels, where the method `needs_unlabelled`
    encoder     the model, where the method reads an encoder, else None; tokenizer beside it
    generator   seeded by the cell: the only source of random starts
    concepts    (K, N, d) vectors of stage 1, for its second stage
    tasks       where several data sets are one training: which, in the order of their classes; empty for one data set
    tree        of the classes, where the data set has one: its leaves are the class names
    captions    of a set that has some, for methods that learn of texts
    extra       files of other steps by name
    """

    names: Sequence[str]
    template: str
    text: Texts
    logit_scale: float
    recipe: Recipe
    generator: torch.Generator
    train: LabelledFeatures
    val: LabelledFeatures
    unlabelled: ImageFeatures | None = None
    encoder: DualEncoder | None = None
    tokenizer: object | None = None
    concepts: Tensor | None = None
    tasks: Sequence[Task] = ()
    tree: ClassTree | None = None
    captions: Captions | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    dataset: str = ""

    def class_texts(self) -> Tensor:
        """(K, d) each class name in the set's template, through the frozen text encoder, not normalised."""
        return self.text([self.template.format(name) for name in self.names])


class Classifier(nn.Module):
    """images -> class logits. What is not a parameter that requires a gradient is constant.

    keeps_texts  whether class texts that the text encoder makes of what has trained depend on no image, and are made
                 once for all test images: then scoring needs class vectors and no text encoder
    """

    keeps_texts: bool = False

    @abstractmethod
    def forward(self, images: ImageFeatures | Tensor) -> Tensor:
        """Features of B images, or their pixels (B, 3, side, side) for a method that reads the image encoder, to
        logits (B, K)."""


@dataclass
class Choice:
    """Numbers chosen on validation after training.

    taken  what was chosen
    tried  settings with their accuracy in per cent; of a grid of two numbers, the best second for each first
    ties   settings as good on validation as the one taken, itself not counted
    """

    taken: dict[str, float]
    tried: list[dict[str, float]] = field(default_factory=list)
    ties: int = 0


def choice(option: str, value: object, known: Sequence[str | None]) -> str | None:
    """The value of a method's option, one of those it knows; else ConesError."""
    if value not in known:
        raise ConesError(
            "unknown value",
            where=f"recipe.options.{option}",
            expected=" or ".join(map(str, known)),
            found=value,
            next_step="correct it",
        )
    return value


class Tune(Protocol):
    """Trains a classifier's parameters by the recipe, in place; progress, checkpoints and guards are its business.

    `images` are trained on in place of those of the cell: images whose labels the method found itself.
    """

    def __call__(self, classifier: Classifier, images: LabelledFeatures | None = None) -> None: ...


class ClassifierMethod(ABC):
    """How images become class logits, and what trains.

    serves         the tasks that it has a form for; cells of other tasks are holes with that reason
    grid_resize    of positions: how positional embeddings fit pictures of another size
    reads          what it needs of the model
    recipe         its published values, with their source in the method's docstring; its `options` name every number
                   of the method's own
    selection      which labels chose anything: validation's, none, or test as published
    labels         "train" if it needs the labels of the few training images, "none" if it does not
    unseen_classes whether it can score classes that had no training image (`for_classes`); otherwise tables print "–"
    may_be_off     options that null turns off
    needs_tree     whether it needs a tree of the classes; cells of a set without one are holes with that reason
    needs_captions whether it learns of captions; cells of a set without any are holes with that reason
    needs_unlabelled  whether it reads the features of all training images, without labels
    label_note     what a table says beside the row, such as that a form is a reconstruction; or None
    test_views     views of a test image that a classifier of pixels gets; if they are several, in one tensor (B, views,
                   3, side, side): the first is the image as it is tested, the others are cut and turned as training
                   images are, seeded by the image's name, so that an answer depends on no other image
    """

    serves: frozenset[TaskName] = frozenset({"classification"})
    grid_resize: GridResize = "bicubic"
    reads: frozenset[Reads] = frozenset({"pooled"})
    recipe: Recipe = Recipe()
    selection: Selection = "none"
    labels: Literal["train", "none"] = "train"
    unseen_classes: bool = False
    needs_tree: bool = False
    may_be_off: frozenset[str] = frozenset()
    needs_captions: bool = False
    needs_unlabelled: bool = False
    label_note: str | None = None
    test_views: int = 1

    @staticmethod
    def load(name: str) -> ClassifierMethod:
        """The method of a name, for models of two encoders. ConesError if it has no form for them."""
        entry = METHODS.find(name)
        if entry.classifier is None:
            raise ConesError(
                f'the method "{name}" has no form for models with two encoders',
                where=entry.module,
                next_step="take it out of the arms of `classification`",
            )
        return getattr(entry.import_module(), entry.classifier)()

    def supports(self, model_name: str, setting: str) -> str | None:
        """None, or the reason why the method cannot be run with this model or in this setting; tables print it."""
        return None

    def note(self, inputs: ClassifierInputs) -> str | None:
        """What a table says beside the row: by default `label_note`, whatever the options."""
        return self.label_note

    def options(self, inputs: ClassifierInputs) -> dict[str, Any]:
        """The method's own numbers: the published ones, overridden by those of the cell. ConesError for a name that the
        method does not know, or what is no number where the published value is one."""
        where = f"{type(self).__name__}: recipe.options"
        check_options(inputs.recipe.options, self.recipe.options, where=where, may_be_off=self.may_be_off)
        return {**self.recipe.options, **inputs.recipe.options}

    @abstractmethod
    def classifier(self, inputs: ClassifierInputs) -> Classifier:
        """The classifier before training: where the method has a neutral start, that is zero-shot."""

    def loss_terms(self, classifier: Classifier, images: ImageFeatures | Tensor, labels: Tensor) -> LossTerms:
        """Mean cross-entropy, or where labels are (B, K) that of known pairs; every term is a sum over images and what
        it is divided by, so that a batch in parts gives the loss of the whole batch."""
        if labels.ndim == 2:
            return {"known_pairs": known_pairs(classifier(images), labels)}
        total = F.cross_entropy(classifier(images), labels, reduction="sum")
        return {"cross_entropy": LossTerm(total, torch.full((), float(len(labels)), device=total.device))}

    def adjust_gradients(self, classifier: Classifier, separate: dict[str, dict[str, Tensor]]) -> None:  # noqa: B027
        """Change the gradients before the optimiser's step; `separate` as in `TrainingLoop`."""

    separate_terms: tuple[str, ...] = ()

    def rate_factor(self, name: str) -> float:
        """Of the recipe's learning rate, that of a parameter by its name in the classifier; not in warm-up."""
        return 1.0

    def decays(self, name: str) -> bool:
        """Whether the recipe's weight decay goes for a parameter, by its name in the classifier."""
        return True

    def fit(self, classifier: Classifier, inputs: ClassifierInputs, tune: Tune) -> Choice | None:
        """Train and choose: by default the recipe's training, with nothing chosen. A method without training, or with
        a solver of its own, or with numbers chosen on validation says so here."""
        if any(parameter.requires_grad for parameter in classifier.parameters()):
            tune(classifier)
        return None

    def for_classes(self, classifier: Classifier, inputs: ClassifierInputs) -> Classifier | None:
        """The tuned classifier for other classes, those of `inputs.names`; None if it has no entry for them."""
        return None

    def curve(self, classifier: Classifier) -> Iterator[tuple[float, Classifier]]:
        """Of a tuned classifier the variants that are scored beside it, each with the number it belongs to. Nothing is
        chosen of them, and behind the last the classifier is what it was."""
        return iter(())
