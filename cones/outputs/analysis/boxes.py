"""The ground-truth boxes that are compared with their classes, and their features in a detector."""

from collections import defaultdict
from collections.abc import Sequence

import torch

from cones.data.batches import Split, View, batch_of
from cones.methods.prompts import Prompt
from cones.models.detector import GroundedDetector
from cones.outputs.analysis.embeddings import BoxVectors
from cones.runtime.progress import watched

BOXES_PER_CLASS = 200


def choose_boxes(
    labels: Sequence[Sequence[int]], generator: torch.Generator, at_most: int = BOXES_PER_CLASS
) -> dict[int, list[int]]:
    """Choose all boxes of each class, or `at_most` drawn ones, as {image: its boxes}; labels[i]: classes of image i."""
    of_class = defaultdict(list)
    for image, present in enumerate(labels):
        for box, label in enumerate(present):
            of_class[int(label)].append((image, box))
    chosen = defaultdict(list)
    for label in sorted(of_class):
        places = of_class[label]
        for place in torch.randperm(len(places), generator=generator)[:at_most].tolist():
            image, box = places[place]
            chosen[image].append(box)
    return {image: sorted(chosen[image]) for image in sorted(chosen)}


@torch.no_grad()
def box_vectors(
    model: GroundedDetector, prompt: Prompt, split: Split, generator: torch.Generator
) -> tuple[torch.Tensor, dict[str, BoxVectors]]:
    """The labels (G,) and, per source of the model, vectors of the chosen ground-truth boxes; images in id order.

    Images go in alone and in full precision: which boxes share a batch would show in the last digits.
    """
    chosen = choose_boxes([split.labels(index) for index in range(len(split))], generator)
    labels, parts, device = [], defaultdict(list), next(model.parameters()).device
    for index, rows in watched(list(chosen.items()), label="boxes"):
        sample = split.sample(View(index, model.preprocessing.short_side))
        own = sample.target.labels[rows].to(device)  # (G_i,)
        pyramid = model.encode_image(batch_of([sample]).to(device))
        boxes = sample.target.boxes[rows].to(device)
        labels.append(own)
        for source, (features,) in model.box_features(
            model.ground(pyramid, prompt.for_images(pyramid)), [boxes]
        ).items():
            parts[source].append(BoxVectors(features.visual, features.classes[own], features.logits))
    vectors = {
        source: BoxVectors(
            *(torch.cat([getattr(part, name) for part in source_parts]) for name in vars(source_parts[0]))
        )
        for source, source_parts in parts.items()
    }
    return torch.cat(labels) if labels else torch.empty(0, dtype=torch.long), vectors
