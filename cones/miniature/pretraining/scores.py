"""What a pretrained model finds, untuned, on scenes it has never seen: the datasets' painters, other random numbers.

The datasets are drawn in world 0, which pretraining leaves out. The control says the same names, moved on by one class:
what is still found then, is found without understanding the words.
"""

import tempfile
from pathlib import Path

import torch

from cones.artifacts import write_json
from cones.data.batches import Split
from cones.data.registry import Dataset
from cones.evaluation.coco_ap import evaluate_detections
from cones.language import ClassPhrase
from cones.miniature.archives import DRAWINGS
from cones.miniature.painter import generator
from cones.models.checkpoints import tokenizer_for
from cones.models.detector import GroundedDetector
from cones.models.text_encoder import TextEncoder
from cones.prediction import predict
from cones.prompts import CaptionPrompt, PromptContext, encode_caption
from cones.pyramids import LivePyramids

SEED = 1  # the suite's pictures are drawn with seed 0
SCENES = 24


def zero_shot_ap(
    model: str, detector: GroundedDetector, text_encoder: TextEncoder, dataset: Dataset, *, scenes: int = SCENES
) -> dict[str, float]:
    """{"ap", "ap50", "ap_rotated"} in percent on `scenes` new pictures of a dataset that is drawn with boxes.

    A dataset of one class has no other name to be rotated to; its "ap_rotated" is left out.
    """
    detector.eval(), text_encoder.eval()
    with tempfile.TemporaryDirectory() as folder:
        _paint(dataset, scenes, Path(folder))
        split = Split(Path(folder), "test", preprocessing=detector.preprocessing, inclusive=detector.inclusive_boxes)
        found = {"": _evaluate(model, detector, text_encoder, dataset.classes, split)}
        if len(dataset.classes) > 1:
            rotated = [*dataset.classes[1:], dataset.classes[0]]
            found["_rotated"] = _evaluate(model, detector, text_encoder, rotated, split)
    scores = {"ap": found[""]["ap"], "ap50": found[""]["ap50"]}
    if "_rotated" in found:
        scores["ap_rotated"] = found["_rotated"]["ap"]
    return {name: round(value, 1) for name, value in scores.items()}


@torch.no_grad()
def _evaluate(model: str, detector, text_encoder, names: list[str], split: Split) -> dict:
    encoded = encode_caption(tokenizer_for(model), [ClassPhrase(name) for name in names])
    language = CaptionPrompt(text_encoder, encoded).eval()(PromptContext())
    pyramids = LivePyramids(detector, torch.device("cpu"))
    results = predict(detector, language, split, pyramids, label="zero-shot")
    return evaluate_detections(split.coco, results, detector.detections_per_image)


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
        for one in painted.objects:
            left, top, right, bottom = one.box
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index + 1,
                    "category_id": dataset.classes.index(one.class_name) + 1,
                    "bbox": [left, top, right - left, bottom - top],
                    "area": (right - left) * (bottom - top),
                    "iscrowd": int(one.crowd),
                }
            )
    categories = [{"id": k, "name": name} for k, name in enumerate(dataset.classes, start=1)]
    write_json(folder / "test.json", {"images": images, "annotations": annotations, "categories": categories})
