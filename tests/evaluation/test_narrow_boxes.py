"""A detection narrower than a pixel is scored as what it is."""

import torch
from toy import ToyDetector, paint_split

from cones.data.batches import Split
from cones.data.pyramids import LivePyramids
from cones.evaluation.prediction import predict
from cones.methods.prompts import FixedPrompt
from cones.models.detector import Detections
from cones.models.language import LanguageFeatures


def test_a_box_narrower_than_a_pixel_is_scored_as_one_without_width(tmp_path):
    """A regressor gone astray predicts such boxes: with inclusive corners x2 < x1, and scaling must not fail on it."""

    class Astray(ToyDetector):
        inclusive_boxes = True

        def detect(self, predictions, sizes=None):
            box = torch.tensor([[5.0, 5.0, 4.1, 9.0]])  # 0.1 pixels wide
            return [
                Detections(box, torch.ones(1), torch.zeros(1, dtype=torch.int64)) for _ in predictions.pyramid.sizes
            ]

    paint_split(tmp_path, "test", images=2, seed=0, sizes=((200, 200),))  # shown at 64: enlarged three times
    model = Astray()
    split = Split(tmp_path, "test", preprocessing=model.preprocessing, inclusive=True)
    language = LanguageFeatures.of_tokens_per_class(torch.ones(3, 1, model.text_width))
    results = predict(model, FixedPrompt(language), split, LivePyramids(model, torch.device("cpu")), label="test")
    assert results and all(result["bbox"][2] == 0 for result in results)
