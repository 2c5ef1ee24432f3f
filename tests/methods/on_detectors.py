"""A method on a nano detector of any family: both made, what the detector predicts, and pictures with masks."""

import pytest
import torch

from cones.data.batches import Split, View, batch_of
from cones.methods.method import TuningMethod
from cones.models.checkpoints import build_detector
from cones.models.detector import Target
from tests.methods.one_step import prompt_inputs_for
from tests.steps.painted_cells import MODELS

EVERYWHERE = pytest.mark.parametrize("model_name", MODELS)


class FilledBoxes(Split):
    """Every object's mask is its box."""

    def sample(self, view, **how):
        sample = super().sample(view, **how)
        masks = torch.zeros(len(sample.target.boxes), *sample.size, dtype=torch.bool)
        for mask, (left, top, right, bottom) in zip(masks, sample.target.boxes.round().int().tolist()):
            mask[top:bottom, left:right] = True
        sample.target = Target(sample.target.boxes, sample.target.labels, sample.target.image_id, masks)
        return sample


def made(model_name, method, data):
    """(model, method, its prompt, the samples of three images)."""
    torch.manual_seed(0)
    model, way = build_detector(model_name).eval(), TuningMethod.load(method)
    prompt = way.prompt(model, prompt_inputs_for(model_name, method)).eval()
    split = FilledBoxes(data, "train", preprocessing=model.preprocessing, inclusive=model.inclusive_boxes)
    return model, way, prompt, [split.sample(View(index, 96)) for index in range(3)]


def heard(model, prompt, samples):
    """What the detector predicts for these samples."""
    pyramid = model.encode_image(batch_of(samples))
    return model.ground(pyramid, prompt.for_images(pyramid), [sample.target for sample in samples])


def flat(outputs) -> list[torch.Tensor]:
    """Every tensor of what a detector predicts."""
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    if isinstance(outputs, dict):
        return [tensor for value in outputs.values() for tensor in flat(value)]
    if isinstance(outputs, (list, tuple)):
        return [tensor for value in outputs for tensor in flat(value)]
    return flat(vars(outputs)) if hasattr(outputs, "__dict__") else []
