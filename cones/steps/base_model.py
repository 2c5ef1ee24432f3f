"""A model of a suite before it is tuned: its detector with the base weights, and its captions' tokenizer."""

from dataclasses import replace

from cones.experiment.cell import Plan
from cones.models.checkpoints import load_detector, tokenizer_for
from cones.models.detector import GroundedDetector
from cones.models.family import family_named, family_of
from cones.models.text_encoder import CaptionTokenizer
from cones.models.text_sizes import NANO_VOCABULARY
from cones.runtime.progress import log


def base_detector(plan: Plan, model: str) -> GroundedDetector:
    """The detector with its base weights, in eval mode; pictures at test have the size that the suite asks for."""
    detector = load_detector(model, plan.weights(model))
    if (side := plan.suite.models[model].test_short_side) is not None:
        detector.preprocessing = replace(detector.preprocessing, short_side=side)
    return detector


def caption_tokenizer(plan: Plan, model: str) -> CaptionTokenizer:
    """The tokenizer of the model's captions.

    Weights that start at random know no word pieces and are not fetched, nor is the official vocabulary with them: they
    read captions by the vocabulary that ships with the project, and the log says so.
    """
    if plan.suite.models[model].initial_seed is None or family_of(model).vocabulary is None:
        return tokenizer_for(model)
    if family_named(model).vocabulary(model) != NANO_VOCABULARY:
        log.info("%s starts at random: the vocabulary of its captions is the project's own", model)
    return tokenizer_for(model, NANO_VOCABULARY)
