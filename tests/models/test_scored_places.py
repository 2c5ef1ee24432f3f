"""The places that a detector scores, on every family: what its logits are made of, and that others take their place."""

import pytest
import torch
from torch.nn import functional as F
from toy import ToyDetector, paint_split

from cones.data.batches import Split, View, batch_of
from cones.methods.places import class_logits, class_means, on_rows, places_of_objects
from cones.methods.prompts import FixedPrompt
from cones.models.checkpoints import build_detector
from cones.models.detector import Predictions, ScoredPlaces, Target
from cones.models.losses import normalised
from cones.runtime.errors import ConesError
from tests.methods.on_detectors import FilledBoxes
from tests.methods.one_step import prompt_inputs_for

MODELS = ("glip_nano", "glip_nano_a", "uninext_nano", "grounding_dino_nano")


@pytest.fixture(scope="module", params=MODELS)
def found(request, tmp_path_factory):
    """(model, its predictions for two images of a batch, targets), with denoising queries where there are any."""
    folder = tmp_path_factory.mktemp("toy")
    paint_split(folder, "train", images=2, seed=0, sizes=((96, 96),))
    torch.manual_seed(0)
    model = build_detector(request.param).eval()
    options = {"preprocessing": model.preprocessing, "inclusive": model.inclusive_boxes}
    split: Split = FilledBoxes(folder, "train", **options)
    samples = [split.sample(View(index, 96)) for index in range(2)]
    targets = [sample.target for sample in samples]
    names = FixedPrompt(prompt_inputs_for(request.param, "zero_shot").text_states)
    with torch.no_grad():
        pyramid = model.encode_image(batch_of(samples))
        return model, model.ground(pyramid, names.for_images(pyramid), targets), targets


def logits_again(model, places: ScoredPlaces, predictions: Predictions) -> torch.Tensor:
    """What the head says, from features and texts alone."""
    product = places.features @ places.texts.transpose(1, 2)
    if hasattr(model, "class_embed"):  # queries and fused text, compared as they are
        return product / places.features.shape[2] ** 0.5 + model.class_embed[-1].bias
    head = model.rpn.head if hasattr(model, "rpn") else model.detr.detr.class_embed[-2]
    text = F.normalize(predictions.outputs["text"], dim=-1)
    return product / head.log_scale.exp() + (text @ head.bias_lang + head.bias0)[:, None]


def test_logits_compare_the_features_with_the_texts(found):
    model, predictions, _ = found
    places = model.scored_places(predictions)
    assert places.features.shape[:2] == places.boxes.shape[:2] == places.logits.shape[:2]
    assert places.features.shape[2] == places.texts.shape[2] == model.map_width
    torch.testing.assert_close(places.logits, logits_again(model, places, predictions), rtol=1e-4, atol=1e-4)


def lifted(model, predictions: Predictions) -> Predictions:
    """With logits so high that an untrained model finds something."""
    return model.with_logits(predictions, model.scored_places(predictions).logits + 4)


def test_the_boxes_are_those_of_the_detections(found):
    model, predictions, _ = found
    predictions = lifted(model, predictions)
    places = model.scored_places(predictions)
    for boxes, one, (height, width) in zip(places.boxes, model.detect(predictions), predictions.pyramid.sizes):
        last = torch.tensor([width, height, width, height]) - float(model.inclusive_boxes)
        clipped = torch.minimum(boxes.clamp(min=0), last)
        off = (one.boxes[:, None] - clipped).abs().amax(dim=2)  # (M, P)
        assert len(one.boxes) and off.amin(dim=1).max() < 1e-4


def test_the_same_logits_change_nothing_and_others_change_scores_and_losses(found):
    model, predictions, targets = found
    predictions = lifted(model, predictions)
    places = model.scored_places(predictions)
    kept, before = model.detect(predictions), normalised(model.loss(predictions, targets))
    same = model.with_logits(predictions, places.logits)
    for one, other in zip(kept, model.detect(same)):
        assert torch.equal(one.boxes, other.boxes) and torch.equal(one.scores, other.scores)
    assert {name: value.item() for name, value in normalised(model.loss(same, targets)).items()} == {
        name: value.item() for name, value in before.items()
    }
    logits = places.logits.clone()
    logits[0] += on_rows(torch.tensor([[[0.0, 9, 0]]]), predictions.language.class_positions[:1])[0]
    changed = model.with_logits(predictions, logits)
    first, second = model.detect(changed)
    assert first.scores.max() > kept[0].scores.max() and first.labels[first.scores.argmax()] == 1
    assert torch.equal(second.scores, kept[1].scores)
    after = normalised(model.loss(changed, targets))
    moved = {name for name in after if after[name].item() != before[name].item()}
    assert moved and not any(name[-1].isdigit() or name.endswith(("_enc", "_dn")) for name in moved)
    assert torch.equal(model.scored_places(predictions).logits, places.logits), "the predictions themselves stay"


def test_an_objects_place_is_the_one_whose_box_fits_best():
    boxes = torch.tensor([[[0.0, 0, 9, 9], [20, 20, 40, 40], [21, 21, 41, 41], [90, 90, 99, 99]]])
    places = ScoredPlaces(torch.zeros(1, 4, 2), torch.zeros(1, 3, 2), torch.zeros(1, 4, 3), boxes)
    objects = torch.tensor([[21.0, 21, 40, 41], [80, 80, 85, 85]])  # the second overlaps nothing: the nearest
    empty = Target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), 2)
    assert places_of_objects(places, [Target(objects, torch.zeros(2).long(), 1)])[0].tolist() == [2, 3]
    assert places_of_objects(places, [empty])[0].shape == (0,)


def test_a_classes_logit_is_the_mean_of_its_rows_and_goes_back_to_each_of_them():
    positions = torch.tensor([[[True, True, False, False], [False, False, True, False], [False] * 4]])
    logits = torch.tensor([[[1.0, 3, 5, 7]]])
    places = ScoredPlaces(torch.zeros(1, 1, 2), torch.zeros(1, 4, 2), logits, torch.zeros(1, 1, 4))
    assert class_logits(places, positions).tolist() == [[[2, 5, 0]]]
    assert on_rows(torch.tensor([[[2.0, 5, 9]]]), positions).tolist() == [[[2, 2, 5, 0]]]
    assert class_means(logits.transpose(1, 2), positions).shape == (1, 3, 1)


def test_a_detector_that_does_not_say_its_places_is_one_line():
    with pytest.raises(ConesError, match="ToyDetector does not say which places it scores"):
        ToyDetector().scored_places(None)
    with pytest.raises(ConesError, match="ToyDetector takes no other logits at the places it scores"):
        ToyDetector().with_logits(None, None)
