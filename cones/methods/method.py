"""The `TuningMethod` seam and the registry of methods: one file each, found by name.

The registry is read while the workflow is parsed, so this module imports nothing heavy; a method's own file is imported
by `TuningMethod.load` inside the step that tunes with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from cones.methods.settings import StartStd, check_options
from cones.models.generators import GENERATORS
from cones.runtime.errors import ConesError
from cones.runtime.registry import Entry, Registry
from cones.runtime.strict import Strict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import torch
    from torch import Tensor, nn

    from cones.methods.prompts import Prompt
    from cones.methods.settings import CellSettings
    from cones.models.detector import Detections, FeaturePyramid, GroundedDetector, Predictions, Target
    from cones.models.language import ClassPhrase, LanguageFeatures
    from cones.models.losses import LossTerms

Input = Literal["text_states", "text_encoder", "stage1", "joint", "sources", "tuned", "training_images"]
Selection = Literal["val", "none", "test-as-published"]
Label = Literal["boxes", "masks"]
Features = Literal["patches", "regions", "regions_unplaced", "views", "self_supervised"]


class SurveyLine(Strict):
    """A method's line in docs/survey.md, which is made of these lines: in lower case, without a stop."""

    paper: str = Field(description='where it was published, such as "ICCV 2023, arXiv 2303.13283"')
    idea: str = Field(description="what it does, in one short sentence")
    attaches: str = Field(description="where it meets the model, such as text encoder, input")
    trains: str = Field(description="what trains, such as 16 vectors shared by all classes")
    quirk: str = Field("", description="what to know before its numbers are believed: code against paper, what chose")


class MethodEntry(Entry):
    """The literal METHOD of a method's file: its label, the files of other steps it reads, and its properties."""

    class_name: str | None = Field(None, alias="class", description="its class for detectors, a `TuningMethod`")
    classifier: str | None = Field(
        None, description="its class for models with two encoders, a `ClassifierMethod` (cones/methods/classifier.py)"
    )
    not_for_detectors: str | None = Field(
        None, description="why no detector carries it, for one without a class for detectors; tables print it"
    )
    label: str = Field(description="as tables and figures print it")
    block: str = Field(description="of Table 1: zero_shot, peft, fine_tuning, control, or a title of its own")
    inputs: tuple[Input, ...] = Field((), description="files of other steps")
    tuned_arm: str | None = Field(
        None, description="the method, and by default the arm, whose tuned values the input `tuned` holds"
    )
    is_tuned: bool = True
    has_vectors: bool = Field(True, description="N vectors per class stand in the language")
    start_std: StartStd | None = Field(
        None, description="standard deviation of its random start where a suite gives none; None: nothing is random"
    )
    vectors_alone: bool = Field(
        False, description="of N vectors that all classes share: whether nothing else trains (see `can_be_matched`)"
    )
    trains_image_encoder: bool = Field(False, description="then its image features are its own")
    classifier_trains_image_encoder: bool | None = Field(
        None, description="the same of its classifier, where the two differ"
    )
    context: str | None = Field(
        None, description='"module:Class" of the text conditioning of a generator, where the method can draw pictures'
    )
    features: tuple[Features, ...] = Field(
        (),
        description="what its classifier reads beside one vector per image: the vectors of all positions, those of"
        " augmented passes over the training images, those of a network trained without labels",
    )
    survey: SurveyLine | None = Field(None, description="its line in docs/survey.md")

    @model_validator(mode="after")
    def _has_a_class(self) -> MethodEntry:
        if not self.class_names:
            raise ValueError("needs `class`, its class for detectors, or `classifier`, for models with two encoders")
        return self

    @property
    def uses_labels(self) -> bool:
        """Whether a detector's result depends on labelled training images: of its own training or of another arm's."""
        return self.is_tuned or bool({"tuned", "training_images"} & set(self.inputs))

    @property
    def can_be_matched(self) -> bool:
        """Whether another number of vectors gives as many trained values as another method has."""
        return self.start_std is not None and (self.has_vectors or self.vectors_alone)

    @property
    def classifier_has_own_features(self) -> bool:
        """Whether its classifier reads pixels: no stored features of images serve it."""
        own = self.classifier_trains_image_encoder
        return self.trains_image_encoder if own is None else own

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(name for name in (self.class_name, self.classifier) if name)

    @property
    def of_cells(self) -> dict:
        """The fields that the result of a detector's cell depends on: all but those that only tables show."""
        of_others = {"label", "block", "classifier", "classifier_trains_image_encoder", "features", "survey"}
        return self.model_dump(mode="json", exclude={*of_others, "vectors_alone"})


METHODS: Registry[MethodEntry] = Registry(
    "method", MethodEntry, literal="METHOD", built_in="cones.built_in:METHODS", group="cones.methods"
)


@dataclass
class TunedValues:
    """What the tuned cell of another arm holds: its trained values, "model.…" and "prompt.…", and the language features
    of its static prompt."""

    trained: dict[str, Tensor]
    language: LanguageFeatures | None


@dataclass
class PromptInputs:
    """The inputs from which a method makes its prompt; those that its registry entry does not name are None."""

    phrases: list[ClassPhrase]  # the text of each class, in class order
    settings: CellSettings
    generator: torch.Generator  # seeded by the cell: the only source of random starts
    start_std: float | None = None  # of random starts, `settings.start_std` as a number
    text_states: LanguageFeatures | None = None  # class names through the frozen encoder
    text_encoder: nn.Module | None = None
    tokenizer: object | None = None
    concepts: LanguageFeatures | None = None  # stage-1 concept embeddings
    tuned: TunedValues | None = None  # of the arm `settings.tuned_arm`
    # goes over the training images as `before_epoch`'s does; None where a tuned prompt is made again
    training_images: Callable[[], Iterator[TrainingImages]] | None = None


@dataclass
class TrainingImages:
    """Some training images of one padded size: their features and their ground truth, image by image."""

    pyramid: FeaturePyramid
    targets: list[Target]


class TuningMethod(ABC):
    """How the language features are made and what trains; nothing else differs between the rows of a table.

    Parameter names are those of `{"model": detector, "prompt": prompt}`, such as "model.rpn.head.log_scale".
    A method defines at least its prompt and what trains; all else has a default.

    candidates          settings of the prompt's buffers by name, of which the first that is best on validation is kept
                        after tuning; with `selection: last`, or without boxes there, the buffers stay as they are
    options             the method's own numbers by name, which an arm may override (`own`)
    not_for_generators  why no generator can carry the method, or None for one with a `context` in the registry
    selection           which labels chose the epoch that counts: those of the validation split ("val"); none, then it
                        is the last epoch and validation changes nothing ("none"); or those of the test split when the
                        published settings were chosen, which is only noted here ("test-as-published")
    labels              which annotations of training images it needs; without masks the method is skipped on a dataset
                        that has none, if it asks for them. One that trains and needs none never sees a given
                        annotation: `pseudo_labels` takes their place
    unseen_classes      whether what was trained of prompt and added modules serves classes that it was not trained for;
                        a method that trains nothing of the prompt and adds nothing serves any
    separate_terms      loss terms, of the model's or its own, whose gradients `adjust_gradients` gets one by one
    detect              a rule for test and validation images, as a method `detect(self, model, prompt, pyramid) ->
                        list[Detections]`; None is one pass. It runs without gradients unless it enables them
    """

    options: Mapping[str, Any] = MappingProxyType({})
    not_for_generators: str | None = "not defined for image generation"
    selection: Selection = "val"
    labels: frozenset[Label] = frozenset({"boxes"})
    unseen_classes: bool = False
    separate_terms: tuple[str, ...] = ()
    candidates: tuple[Mapping[str, float], ...] = ()
    detect: Callable[[GroundedDetector, Prompt, FeaturePyramid], list[Detections]] | None = None

    @staticmethod
    def load(name: str) -> TuningMethod:
        """The method of a name; one that has no form for detectors supports no model."""
        entry = METHODS.find(name)
        return METHODS.make(name, TuningMethod) if entry.class_name else NotForDetectors(entry.not_for_detectors)

    def own(self, settings: CellSettings) -> dict[str, Any]:
        """The method's own numbers: its defaults, overridden by those of the arm. ConesError for an unknown name, or
        what is no number where the default is one."""
        check_options(settings.options, self.options, where=f"{settings.method}: options of its arm")
        return {**self.options, **settings.options}

    def supports(self, model_name: str) -> str | None:
        """None, or the reason why this model cannot carry the method; tables print it. Of a place that a method needs
        and a model may lack: `cones/models/missing_places.py`."""
        return self.not_for_generators if model_name in GENERATORS else None

    @abstractmethod
    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> Prompt:
        """The module that makes the language features."""

    @abstractmethod
    def trainable(self, name: str, model: GroundedDetector) -> bool:
        """Whether the parameter trains. What the model freezes for every method is left out by the caller."""

    def pseudo_labels(self, prompt_inputs: PromptInputs, found: Callable[[Prompt], list[dict]]) -> list[dict]:
        """For a method with no `labels`: what it trains on, chosen among the COCO results that `found(prompt)` gives,
        those of the untuned detector with that prompt on every training image at test size, image by image, without
        boxes that nothing can be trained on."""
        raise ConesError(
            f"{type(self).__name__} needs no labels and does not say what it trains on",
            next_step="give it `pseudo_labels`, or say in `labels` which annotations it needs",
        )

    def set_modes(self, model: GroundedDetector, prompt: Prompt) -> None:
        """Train or eval mode, part by part, before each epoch: by default every dropout and drop path is off."""
        model.eval()
        prompt.eval()

    def extend(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> None:  # noqa: B027 (a hook)
        """Add modules to the model (`cones.models.additions.add_module`): called once before its prompt is made, when
        it is tuned and again when its state is loaded. There `prompt_inputs` may hold phrases, settings and generator
        alone."""

    def before_epoch(  # noqa: B027 (a hook)
        self, model: GroundedDetector, prompt: Prompt, epoch: int, images: Callable[[], Iterator[TrainingImages]]
    ) -> None:
        """Called before each epoch (from 0), in eval mode, without gradients; `images()` goes over the training images
        in order, at test size and not mirrored.

        What it changes has to be a trained parameter or a persistent buffer of the prompt or of a module that the
        method added: these a checkpoint and the state hold.
        """

    def loss_terms(
        self, model: GroundedDetector, prompt: Prompt, predictions: Predictions, targets: list[Target]
    ) -> LossTerms:
        """Loss terms beside the model's, under names of their own. A term is a sum over images and its normaliser, so
        that a batch in parts gives the loss of the whole batch."""
        return {}

    def normalisers(self, targets: list[Target], size: tuple[int, int]) -> dict[str, Tensor]:
        """Normalisers of `loss_terms`, known before any forward pass, for images padded to `size` (H, W)."""
        return {}

    def adjust_predictions(self, model: GroundedDetector, prompt: Prompt, predictions: Predictions) -> Predictions:
        """What the losses are computed of; a method that changes predictions does so at test as well, by `detect`
        (`cones.methods.places.ChangedScores`)."""
        return predictions

    def adjust_gradients(  # noqa: B027 (a hook)
        self, trained: dict[str, nn.Parameter], step: int, separate: dict[str, dict[str, Tensor]]
    ) -> None:
        """Change the gradients of the whole batch, of all processes, before they are clipped and the step is taken.

        separate  {term of `separate_terms`: {name: gradient}}; these are not part of the parameters' gradients
        """

    def needs_prompt_at_test(self, prompt: Prompt) -> bool:
        """Whether scoring needs the prompt itself, and not only its final language features."""
        return not prompt.is_static or self.detect is not None

    def prompt_at_test(self, language: LanguageFeatures, settings: CellSettings) -> Prompt | None:
        """What scoring works with where it does not need the tuned prompt itself; None: its stored features alone."""
        return None


class NotForDetectors(TuningMethod):
    """Stands for a method that only models with two encoders can carry: it says why, and does nothing else."""

    def __init__(self, reason: str | None = None):
        self.reason = reason or "defined for models with two encoders only (`classification` of a suite)"

    def supports(self, model_name: str) -> str:
        return self.reason

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> Prompt:
        raise ConesError(self.supports(""), next_step="take its arm out of the grids of detectors")

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return False
