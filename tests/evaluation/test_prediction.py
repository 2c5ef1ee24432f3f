"""Predictions in pixels of the original image, masks with them."""

import numpy as np
import pytest
import torch
from toy import LOWER_RIGHT, STRIDE, ToyDetector, ToySegmenter, paint_split

from cones.data.batches import Split
from cones.data.masks import boxes_of, decoded
from cones.data.pyramids import LivePyramids
from cones.evaluation.coco_ap import evaluate_detections
from cones.evaluation.prediction import predict, segmentations
from cones.methods.prompts import FixedPrompt
from cones.models.detector import Detections
from cones.models.language import LanguageFeatures


@pytest.mark.parametrize("size", [(9, 14), (20, 26), (5, 7)])
def test_masks_come_to_the_original_size_by_the_nearest_rule_of_the_reference(size):
    """Pixel i is the old pixel floor(i * old / new): the upper left corner, not the centre."""
    masks = torch.rand(3, 10, 13, generator=torch.Generator().manual_seed(0)) > 0.5
    rows, columns = (np.arange(new) * old // new for new, old in zip(size, (10, 13)))
    found = segmentations(masks, {"height": size[0], "width": size[1]})
    for mask, rle in zip(masks.numpy(), found):
        assert rle["size"] == list(size)
        assert np.array_equal(decoded(rle, size), mask[rows][:, columns])


class Oracle(ToySegmenter):
    """Finds every painted square and its mask, whatever the features say; the scores rise from image to image."""

    def __init__(self, split: Split):
        super().__init__()
        self.split, self.seen = split, 0

    def detect(self, predictions, sizes=None):
        found = []
        for height, width in predictions.pyramid.sizes:
            annotation, image = self.split.coco["annotations"][self.seen], self.split.images[self.seen]
            scale = torch.tensor([width / image["width"], height / image["height"]] * 2)
            x, y, w, h = annotation["bbox"]
            mask = decoded(annotation["segmentation"], (image["height"], image["width"]))
            rows, columns = (np.arange(new) * old // new for new, old in zip((height, width), mask.shape))
            self.seen += 1
            boxes = torch.tensor([[x, y, x + w, y + h], [x, y, x + w, y + h]]) * scale
            masks = torch.stack([torch.zeros(height, width).bool(), torch.from_numpy(mask[rows][:, columns])])
            labels = torch.full((2,), annotation["category_id"] - 1)
            found.append(Detections(boxes, torch.tensor([0.1, 0.9]), labels, masks))
        return found


def test_after_an_out_of_memory_error_one_half_is_predicted_after_the_other(tmp_path):
    paint_split(tmp_path, "val", images=5, seed=1)
    split = Split(tmp_path, "val", preprocessing=ToyDetector.preprocessing, inclusive=False)
    model, prompt = ToyDetector().eval(), FixedPrompt(LanguageFeatures.of_tokens_per_class(torch.ones(3, 2, 8)))
    pyramids, passes = LivePyramids(model, torch.device("cpu")), []

    def with_room_for(images):
        def encode(samples):
            passes.append(len(samples))
            if len(samples) > images:
                raise torch.OutOfMemoryError
            return pyramids(samples)

        return encode

    whole = predict(model, prompt, split, with_room_for(4), label="val")
    passes.clear()
    halves = predict(model, prompt, split, with_room_for(1), label="val")
    assert max(passes) > 1 and passes.count(1) == 5
    assert [each["image_id"] for each in halves] == [each["image_id"] for each in whole]
    assert [each["score"] for each in halves] == pytest.approx([each["score"] for each in whole], abs=1e-5)
    with pytest.raises(torch.OutOfMemoryError):
        predict(model, prompt, split, with_room_for(0), label="val")


def test_results_have_masks_that_score_against_the_ground_truth(tmp_path):
    paint_split(tmp_path, "val", images=4, seed=1, sizes=((64, 64), (32, 64)))
    split = Split(tmp_path, "val", preprocessing=ToyDetector.preprocessing, inclusive=False, masks=True)
    model = Oracle(split)
    model.preprocessing = type(model.preprocessing)(128, 256, (0, 0, 0), (255, 255, 255))
    prompt = FixedPrompt(LanguageFeatures.of_tokens_per_class(torch.ones(3, 2, 8)))
    results = predict(model, prompt, split, LivePyramids(model, torch.device("cpu")), label="val", batch_size=1)
    assert [result["score"] for result in results] == [0.9, 0.1] * 4, "masks are sorted with their scores"
    for image, best in zip(split.images, results[::2]):
        mask = decoded(best["segmentation"], (image["height"], image["width"]))
        assert mask.sum() == LOWER_RIGHT.sum() and boxes_of(mask[None])[0, 0] == best["bbox"][0]
    assert evaluate_detections(split.coco, results, 100, "segm")["ap"] == pytest.approx(100)
    assert evaluate_detections(split.coco, results, 100, "bbox")["ap"] == pytest.approx(100)


def test_a_model_without_masks_gives_none(tmp_path):
    paint_split(tmp_path, "val", images=2, seed=1)
    split = Split(tmp_path, "val", preprocessing=ToyDetector.preprocessing, inclusive=False)
    model = ToyDetector().eval()
    prompt = FixedPrompt(LanguageFeatures.of_tokens_per_class(torch.ones(3, 2, 8)))
    results = predict(model, prompt, split, LivePyramids(model, torch.device("cpu")), label="val")
    assert results and not any("segmentation" in result for result in results)
    assert all(result["bbox"][2] == STRIDE for result in results if result["image_id"] == 1)
