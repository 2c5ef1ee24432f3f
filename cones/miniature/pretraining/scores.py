"""What a pretrained model finds, untuned, on scenes it has never seen: the datasets' painters, other random numbers.

The datasets are drawn in world 0, which pretraining leaves out. The control says the same names, moved on by one class:
what is still found then, is found without understanding the words.
"""

import tempfile
from pathlib import Path

import torch

from cones.data.batches import Split
from cones.data.masks import boxes_of, encoded
from cones.data.pyramids import LivePyramids
from cones.data.registry import Dataset
from cones.evaluation.coco_ap import evaluate_detections
from cones.evaluation.prediction import predict
from cones.methods.prompts import CaptionPrompt, encode_caption
from cones.miniature.archives import DRAWINGS
from cones.miniature.painter import Drawn, generator
from cones.models.checkpoints import tokenizer_for
from cones.models.detector import GroundedDetector
from cones.models.language import ClassPhrase
from cones.models.text_encoder import TextEncoder
from cones.runtime.artifacts import write_json

SEED = 1  # the suite's pictures are drawn with seed 0
SCENES = 24


def zero_shot_ap(
    model: str, detector: GroundedDetector, text_encoder: TextEncoder, dataset: Dataset, *, scenes: int = SCENES
) -> dict[str, float]:
    """{"ap", "ap50", "ap_rotated", "mask_ap", "mask_ap50"} in percent on `scenes` new pictures of a drawn dataset.

    A dataset of one class has no other name to be rotated to; its "ap_rotated" is left out. So are the masks' scores
    where the model predicts none or the painter knows none.
    """
    detector.eval(), text_encoder.eval()
    with tempfile.TemporaryDirectory() as folder:
        _paint(dataset, scenes, Path(folder))
        split = Split(
            Path(folder),
            "test",
            preprocessing=detector.preprocessing,
            inclusive=detector.inclusive_boxes,
            masks=detector.predicts_masks,
        )
        found = _evaluate(model, detector, text_encoder, dataset.classes, split)
        scores = {"ap": found["bbox"]["ap"], "ap50": found["bbox"]["ap50"]}
        if len(dataset.classes) > 1:
            rotated = [*dataset.classes[1:], dataset.classes[0]]
            scores["ap_rotated"] = _evaluate(model, detector, text_encoder, rotated, split)["bbox"]["ap"]
        if masks := found.get("segm"):
            scores |= {"mask_ap": masks["ap"], "mask_ap50": masks["ap50"]}
    return {name: round(value, 1) for name, value in scores.items()}


@torch.no_grad()
def _evaluate(model: str, detector, text_encoder, names: list[str], split: Split) -> dict[str, dict]:
    """{"bbox": scores, and "segm" if there are masks on both sides}"""
    encoded = encode_caption(tokenizer_for(model), [ClassPhrase(name) for name in names])
    prompt = CaptionPrompt(text_encoder, encoded).eval()
    pyramids = LivePyramids(detector, torch.device("cpu"))
    results = predict(detector, prompt, split, pyramids, label="zero-shot")
    limit = detector.detections_per_image
    return {iou_type: evaluate_detections(split.coco, results, limit, iou_type) for iou_type in split.iou_types}


def _paint(dataset: Dataset, scenes: int, folder: Path) -> None:
    """The pictures under `raw/` and `test.json`, as a prepared dataset has them."""
    painter, _ = DRAWINGS[dataset.id]
    (folder / "raw").mkdir()
    images, annotations = [], []
    for index in range(scenes):
        painted = painter(generator(dataset.id, SEED, index), dataset.classes, index)
        name = f"{index:04}.png"
        painted.image.save(folder / "raw" / name)
        width, height = painted.image.size
        images.append({"id": index + 1, "file_name": name, "width": width, "height": height})
        annotations += [
            {"id": len(annotations) + number, "image_id": index + 1, **_annotation(one, dataset)}
            for number, one in enumerate(painted.objects, start=1)
        ]
    categories = [{"id": k, "name": name} for k, name in enumerate(dataset.classes, start=1)]
    write_json(folder / "test.json", {"images": images, "annotations": annotations, "categories": categories})


def _annotation(one: Drawn, dataset: Dataset) -> dict:
    """Where annotations are masks, boxes are those of the masks."""
    is_masked = one.mask is not None and one.mask.any()
    corners = boxes_of(one.mask[None])[0].tolist() if is_masked and dataset.task == "instance_segmentation" else one.box
    left, top, right, bottom = corners
    annotation = {
        "category_id": dataset.classes.index(one.class_name) + 1,
        "bbox": [left, top, right - left, bottom - top],
        "area": (right - left) * (bottom - top),
        "iscrowd": int(one.crowd),
    }
    return {**annotation, "area": int(one.mask.sum()), "segmentation": encoded(one.mask)} if is_masked else annotation
