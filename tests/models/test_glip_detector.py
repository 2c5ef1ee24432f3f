"""GLIP behind the seam, at nano size: batches, empty images, parts of a batch, text cropped or padded, gradients."""

import pytest
import torch

from cones.models.checkpoints import build_detector
from cones.models.detector import ImageBatch, Target
from cones.models.language import LanguageFeatures
from cones.models.losses import add_normalisers, normalised


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(0)
    detector = build_detector("glip_nano").eval()
    for name, parameter in detector.named_parameters():  # as if trained: offsets move, scores differ
        if "offset" in name or "rpn.head.bbox_pred" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    torch.nn.init.constant_(detector.rpn.head.bias0, -1.0)
    return detector


def concepts(classes=3, tokens=2, seed=0):
    vectors = torch.randn(classes, tokens, 64, generator=torch.Generator().manual_seed(seed))
    return LanguageFeatures.of_tokens_per_class(vectors)


def pictures(count=2, height=128, width=160):
    pixels = torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))
    return ImageBatch(pixels, [(height - 8 * i, width - 16 * i) for i in range(count)])


def target(image_id, boxes=((10, 10, 60, 70), (40, 30, 120, 100)), labels=(0, 2)):
    return Target(torch.tensor(boxes, dtype=torch.float32).view(-1, 4), torch.tensor(labels).long(), image_id)


EMPTY = target(9, boxes=(), labels=())


def predict(detector, images, language):
    return detector.ground(detector.encode_image(images), language)


def test_detections_keep_their_promises(detector):
    images = pictures()
    found = detector(images, concepts())
    assert len(found) == 2
    for detections, (height, width) in zip(found, images.sizes):
        assert 0 < len(detections.boxes) <= detector.detections_per_image == 100
        assert detections.boxes.shape == (len(detections.scores), 4) and detections.labels.dtype == torch.int64
        assert detections.boxes.min() >= 0
        assert detections.boxes[:, 2].max() <= width - 1 and detections.boxes[:, 3].max() <= height - 1
        assert set(detections.labels.tolist()) <= {0, 1, 2}
        assert ((detections.scores > 0) & (detections.scores <= 1)).all()


def test_detections_per_image_can_be_set(detector):
    predictions = predict(detector, pictures(), concepts())
    detector.detections_per_image = 5
    try:
        few = detector.detect(predictions)
    finally:
        detector.detections_per_image = 100
    many = detector.detect(predictions)
    for some, all_of_them in zip(few, many):
        assert len(some.scores) == 5
        assert sorted(some.scores.tolist()) == sorted(all_of_them.scores.tolist())[-5:]


def test_images_of_a_batch_do_not_meet(detector):
    images, language = pictures(), concepts()
    together = predict(detector, images, language).outputs
    for index in range(2):
        alone = predict(detector, ImageBatch(images.pixels[[index]], [images.sizes[index]]), language).outputs
        for name in ("logits", "deltas", "centerness"):
            torch.testing.assert_close(together[name][[index]], alone[name], rtol=1e-4, atol=1e-5)


def test_rows_outside_the_mask_are_never_read(detector):
    language = concepts()
    extra = torch.full((1, 4, 64), 7.0)
    padded = LanguageFeatures(
        hidden=torch.cat([language.hidden, extra], dim=1),
        mask=torch.cat([language.mask, torch.zeros(1, 4, dtype=torch.bool)], dim=1),
        class_positions=torch.cat([language.class_positions, torch.zeros(1, 3, 4, dtype=torch.bool)], dim=2),
    )
    short, long = (predict(detector, pictures(), each) for each in (language, padded))
    torch.testing.assert_close(long.outputs["logits"][..., :6], short.outputs["logits"], rtol=1e-4, atol=1e-4)
    targets = [target(0), target(1)]
    ours, theirs = (normalised(detector.loss(each, targets)) for each in (short, long))
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-5)


def test_an_image_without_boxes_is_background_only(detector):
    terms = detector.loss(predict(detector, pictures(), concepts()), [EMPTY, EMPTY])
    assert [term.normaliser.item() for term in terms.values()] == [0, 0, 0]
    values = normalised(terms)
    assert all(value.isfinite() for value in values.values())
    assert values["classification"] > 0 and values["box"] == values["centerness"] == 0
    sum(values.values()).backward()
    gradients = [p.grad for p in detector.rpn.head.parameters() if p.grad is not None]
    assert gradients and all(gradient.isfinite().all() for gradient in gradients)
    detector.zero_grad()


@pytest.mark.parametrize("second", [target(1), EMPTY], ids=["boxes", "no boxes"])
def test_parts_of_a_batch_add_up(detector, second):
    images, language, targets = pictures(), concepts(), [target(0), second]
    whole = normalised(detector.loss(predict(detector, images, language), targets))
    parts = []
    for index in range(2):
        part = ImageBatch(images.pixels[[index]], [images.sizes[index]])
        parts.append(detector.loss(predict(detector, part, language), [targets[index]]))
    counts = add_normalisers([{name: term.normaliser for name, term in part.items()} for part in parts])
    for name, value in whole.items():
        together = sum(normalised(part, counts)[name] for part in parts)
        torch.testing.assert_close(together, value, rtol=1e-4, atol=1e-5)


def test_gradient_of_concepts_with_everything_frozen(detector):
    """ConES stage 1: the path from the losses to E is differentiable while nothing else trains."""
    vectors = torch.randn(3, 2, 64, requires_grad=True)
    detector.requires_grad_(False)
    try:
        with torch.no_grad():
            pyramid = detector.encode_image(pictures())
        predictions = detector.ground(pyramid, LanguageFeatures.of_tokens_per_class(vectors))
        sum(normalised(detector.loss(predictions, [target(0), EMPTY])).values()).backward()
    finally:
        detector.requires_grad_(True)
    assert vectors.grad.isfinite().all() and (vectors.grad.abs().amax(dim=-1) > 0).all()


def test_captions_may_differ_between_images(detector):
    one, two = concepts(seed=1), concepts(seed=2)
    both = LanguageFeatures(
        hidden=torch.cat([one.hidden, two.hidden]),
        mask=torch.cat([one.mask, two.mask]),
        class_positions=torch.cat([one.class_positions, two.class_positions]),
    )
    images = pictures()
    together = predict(detector, images, both).outputs["logits"]
    for index, language in enumerate((one, two)):
        alone = predict(detector, images, language).outputs["logits"][index]
        torch.testing.assert_close(together[index], alone, rtol=1e-4, atol=1e-4)


def test_the_image_encoder_is_what_encode_image_uses(detector):
    inside = {id(p) for module in detector.image_encoder() for p in module.parameters()}
    detector.zero_grad()
    sum(level.sum() for level in detector.encode_image(pictures(1)).maps).backward()
    used = {id(p) for p in detector.parameters() if p.grad is not None}
    detector.zero_grad()
    assert used <= inside and not any(id(p) in inside for p in detector.rpn.parameters())
    # norm0 has no parameters and stage 1 feeds the later ones: nothing of the encoder is idle
    assert used == inside


def test_every_parameter_of_the_detector_trains(detector):
    detector.train()
    sum(
        normalised(detector.loss(predict(detector, pictures(), concepts()), [target(0), target(1)])).values()
    ).backward()
    idle = [name for name, parameter in detector.named_parameters() if parameter.grad is None]
    detector.zero_grad()
    detector.eval()
    assert idle == []


def test_autocast_runs_and_the_losses_are_float32(detector):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        predictions = predict(detector, pictures(), concepts())
        terms = detector.loss(predictions, [target(0), target(1)])
        assert len(detector.detect(predictions)) == 2
    assert all(term.sum.dtype == torch.float32 and term.sum.isfinite() for term in terms.values())
