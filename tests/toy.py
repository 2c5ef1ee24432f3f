"""A detector of a few hundred parameters behind the real seam, and a painted split: the loop is tested without GLIP."""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from cones.data.masks import encoded
from cones.models.detector import Detections, FeaturePyramid, GroundedDetector, Predictions, Preprocessing
from cones.models.language import LanguageFeatures
from cones.models.losses import LossTerm

WIDTH, STRIDE = 8, 16
LOWER_RIGHT = np.add.outer(range(STRIDE), range(STRIDE)) >= STRIDE - 1


class ToyDetector(GroundedDetector):
    """One box per 16-pixel cell, scored by the product of the cell's feature and the class's mean language row."""

    text_width = WIDTH
    map_width, finest_stride = WIDTH, STRIDE
    preprocessing = Preprocessing(short_side=64, long_side_cap=128, mean=(0, 0, 0), std=(255, 255, 255))
    projections = frozenset({"scale"})
    always_frozen = ("stem.",)
    detections_per_image = 20

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 6, STRIDE, STRIDE)
        self.body = nn.Sequential(nn.GELU(), nn.Conv2d(6, WIDTH, 1))
        self.dropout = nn.Dropout(0.2)
        self.scale = nn.Parameter(torch.ones(1))
        self.fail_at: set[int] = set()

    def image_encoder(self):
        return [self.stem, self.body]

    def encode_image(self, images):
        return FeaturePyramid([self.body(self.stem(images.pixels))], images.sizes)

    def ground(self, pyramid, language: LanguageFeatures, targets=None):
        language = language.for_batch(pyramid.maps[0].shape[0])
        weights = language.class_positions.float()
        rows = weights @ language.hidden / weights.sum(-1, keepdim=True).clamp(min=1)  # (B, K, D)
        logits = torch.einsum("bchw,bkc->bkhw", self.dropout(pyramid.maps[0]), rows) * self.scale
        return Predictions({"logits": logits}, language, pyramid)

    def _wanted(self, targets, size):
        height, width = size[0] // STRIDE, size[1] // STRIDE
        wanted = torch.zeros(len(targets), 3, height, width)
        for row, target in zip(wanted, targets):
            centres = ((target.boxes[:, :2] + target.boxes[:, 2:]) / 2 / STRIDE).long()
            for (x, y), label in zip(centres.tolist(), target.labels.tolist()):
                row[label, min(y, height - 1), min(x, width - 1)] = 1
        return wanted

    def normalisers(self, targets, size):
        return {"classification": self._wanted(targets, size).sum()}

    def loss(self, predictions, targets):
        logits = predictions.outputs["logits"]
        size = tuple(side * STRIDE for side in logits.shape[2:])
        wanted = self._wanted(targets, size)
        total = nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="sum")
        if any(target.image_id in self.fail_at for target in targets):
            total = total * float("nan")
        return {"classification": LossTerm(total, wanted.sum())}

    def detect(self, predictions, sizes=None):
        found = []
        for scores in predictions.outputs["logits"].sigmoid():
            best, places = scores.flatten().topk(min(self.detections_per_image, scores.numel()))
            label, place = places // scores[0].numel(), places % scores[0].numel()
            y, x = place // scores.shape[2] * STRIDE, place % scores.shape[2] * STRIDE
            found.append(Detections(torch.stack([x, y, x + STRIDE, y + STRIDE], 1).float(), best, label))
        return found


class ToySegmenter(ToyDetector):
    """Masks too: each the lower right half of its box, as the painted squares have them."""

    predicts_masks = True

    def detect(self, predictions, sizes=None):
        found = super().detect(predictions, sizes)
        for one, (height, width) in zip(found, sizes or predictions.pyramid.sizes):
            one.masks = torch.zeros(len(one.boxes), height, width, dtype=torch.bool)
            for mask, (x1, y1, x2, y2) in zip(one.masks, one.boxes.int().tolist()):
                mask[y1:y2, x1:x2] = torch.from_numpy(LOWER_RIGHT)[: max(height - y1, 0), : max(width - x1, 0)]
        return found


def paint_split(folder: Path, name: str, *, images: int, seed: int, sizes=((64, 64), (96, 64))) -> None:
    """`<name>.json` and pictures with one 16-pixel square of one of three colours each; its mask is half of it."""
    rng = np.random.default_rng(seed)
    documents = {"images": [], "annotations": [], "categories": [{"id": k + 1, "name": "abc"[k]} for k in range(3)]}
    (folder / "raw").mkdir(parents=True, exist_ok=True)
    for index in range(images):
        width, height = sizes[index % len(sizes)]
        pixels = rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
        label = int(rng.integers(3))
        x, y = (int(rng.integers(side // STRIDE)) * STRIDE for side in (width, height))
        pixels[y : y + STRIDE, x : x + STRIDE, label] = 250
        file = f"{name}{index}.png"
        Image.fromarray(pixels).save(folder / "raw" / file)
        image_id = index + 1
        documents["images"].append({"id": image_id, "file_name": file, "width": width, "height": height})
        box = {"id": image_id, "image_id": image_id, "category_id": label + 1, "bbox": [x, y, STRIDE, STRIDE]}
        mask = np.zeros((height, width), bool)
        mask[y : y + STRIDE, x : x + STRIDE] = LOWER_RIGHT
        documents["annotations"].append({**box, "area": STRIDE**2, "iscrowd": 0, "segmentation": encoded(mask)})
    (folder / f"{name}.json").write_text(json.dumps(documents))
