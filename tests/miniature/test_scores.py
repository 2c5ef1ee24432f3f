"""What a pretrained model is scored on: new pictures with boxes, and masks where painter and model have them."""

import numpy as np
import pytest
from torch import nn
from toy import WIDTH, ToyDetector, ToySegmenter

from cones.data.batches import Split, View
from cones.data.masks import boxes_of, decoded
from cones.data.registry import load_registry
from cones.miniature.pretraining import scores
from cones.models.checkpoints import tokenizer_for

NANO = "glip_nano"
REGISTRY = load_registry()


class ToyWords(nn.Embedding):
    """A text encoder as narrow as the toy detector."""

    def forward(self, input_ids, mask, phrases):
        return super().forward(input_ids)


@pytest.mark.parametrize("dataset", ["cityscapes", "kvasir_seg", "vehicles_openimages", "aquarium"])
def test_painted_truth_has_masks_within_its_boxes(tmp_path, dataset):
    scores._paint(REGISTRY[dataset], 4, tmp_path)
    split = Split(tmp_path, "test", preprocessing=ToyDetector.preprocessing, inclusive=False, masks=True)
    assert split.has_masks == (dataset != "aquarium")
    for image in split.images if split.has_masks else ():
        for one in split.coco["annotations"]:
            if one["image_id"] == image["id"]:
                mask = decoded(one["segmentation"], (image["height"], image["width"]))
                x, y, w, h = one["bbox"]
                tight = boxes_of(mask[None])[0]
                assert one["area"] == mask.sum() > 0
                if REGISTRY[dataset].task == "instance_segmentation":
                    assert tight.tolist() == [x, y, x + w, y + h]
                else:  # the whole object, also where a nearer one covers it
                    assert (tight >= np.array([x, y, x, y]) - 1).all() and (tight <= [x + w + 1, y + h + 1] * 2).all()
    assert split.sample(View(0, 64)).target.boxes.shape[1] == 4


@pytest.mark.parametrize("dataset", ["kvasir_seg", "raccoon", "egohands_generic"])
@pytest.mark.parametrize("detector", [ToyDetector, ToySegmenter])
def test_masks_are_scored_where_both_sides_have_them(dataset, detector):
    words = ToyWords(tokenizer_for(NANO).get_vocab_size(), WIDTH)
    found = scores.zero_shot_ap(NANO, detector(), words, REGISTRY[dataset], scenes=2)
    masks = {"mask_ap", "mask_ap50"} if detector is ToySegmenter and dataset != "egohands_generic" else set()
    assert set(found) == {"ap", "ap50"} | masks
    assert all(0 <= value <= 100 for value in found.values())
