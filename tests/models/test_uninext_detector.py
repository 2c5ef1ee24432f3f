"""UNINEXT behind the seam, at nano size: batches, padding, empty images, parts of a batch, class order, gradients."""

import pytest
import torch

from cones.models.checkpoints import build_detector
from cones.models.detector import FeaturePyramid, ImageBatch, Target
from cones.models.language import LanguageFeatures
from cones.models.losses import add_normalisers, normalised
from cones.models.uninext import denoising
from cones.runtime.errors import ConesError

WIDTH = 64


@pytest.fixture(scope="module")
def shared():
    torch.manual_seed(0)
    detector = build_detector("uninext_nano").eval()
    for name, parameter in detector.named_parameters():  # as if trained: boxes and sampling places move, scores differ
        if "bbox_embed" in name or "sampling_offsets.weight" in name:
            torch.nn.init.normal_(parameter, std=0.05)
        if "bias0" in name:
            torch.nn.init.constant_(parameter, -1.0)
    return detector


@pytest.fixture
def detector(shared):
    yield shared
    shared.eval().requires_grad_(True).zero_grad()
    shared.loss_groups, shared.detections_per_image = ("classification", "box", "mask"), 100


def concepts(classes=3, tokens=2, seed=0):
    vectors = torch.randn(classes, tokens, WIDTH, generator=torch.Generator().manual_seed(seed))
    return LanguageFeatures.of_tokens_per_class(vectors)


def pictures(count=2, height=128, width=160):
    pixels = torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))
    return ImageBatch(pixels, [(height - 8 * i, width - 16 * i) for i in range(count)])


def target(image_id, boxes=((10, 10, 60, 70), (40, 30, 120, 100)), labels=(0, 2), size=(120, 144)):
    boxes = torch.tensor(boxes, dtype=torch.float32).view(-1, 4)
    masks = torch.zeros(len(boxes), *size, dtype=torch.bool)
    for mask, (left, top, right, bottom) in zip(masks, boxes.int().tolist()):
        mask[top:bottom, left:right] = True
    return Target(boxes, torch.tensor(labels).long(), image_id, masks)


EMPTY = target(9, boxes=(), labels=())


def ground(detector, images, language, targets=None):
    return detector.ground(detector.encode_image(images), language, targets)


def losses(detector, images, language, targets):
    return normalised(detector.loss(ground(detector, images, language, targets), targets))


def test_detections_keep_their_promises(detector):
    images = pictures()
    found = detector(images, concepts())
    assert len(found) == 2
    for detections, (height, width) in zip(found, images.sizes):
        assert 0 < len(detections.boxes) <= detector.detections_per_image == 100
        assert detections.boxes.shape == (len(detections.scores), 4) and detections.labels.dtype == torch.int64
        assert detections.boxes.min() >= 0
        assert detections.boxes[:, 2].max() <= width and detections.boxes[:, 3].max() <= height
        assert (detections.boxes[:, 2:] > detections.boxes[:, :2]).all()
        assert set(detections.labels.tolist()) <= {0, 1, 2}
        assert ((detections.scores > 0) & (detections.scores <= 1)).all()
        assert detections.scores.tolist() == sorted(detections.scores.tolist(), reverse=True)
        assert detections.masks.shape == (len(detections.scores), height, width)
        assert detections.masks.dtype == torch.bool and 0 < detections.masks.float().mean() < 1


def test_detections_per_image_can_be_set(detector):
    predictions = ground(detector, pictures(), concepts())
    many = detector.detect(predictions)
    detector.detections_per_image = 5
    for some, all_of_them in zip(detector.detect(predictions), many):
        assert torch.equal(some.scores, all_of_them.scores[:5]) and torch.equal(some.masks, all_of_them.masks[:5])


def test_images_of_a_batch_do_not_meet(detector):
    images, language = pictures(), concepts()
    together = ground(detector, images, language).outputs["layers"][-1]
    for index in range(2):
        one = ImageBatch(images.pixels[[index]], [images.sizes[index]])
        alone = ground(detector, one, language).outputs["layers"][-1]
        for name in ("logits", "boxes", "quality"):
            torch.testing.assert_close(getattr(together, name)[[index]], getattr(alone, name), rtol=1e-3, atol=1e-4)


def test_what_lies_in_the_padding_is_heard_by_the_fusion_only(detector):
    """Padded tokens take part in the text's side of the fusion, nowhere else (docs/spec/uninext.md 16.2)."""
    pyramid = detector.encode_image(pictures(1, 128, 160))
    padding = torch.zeros(1, 128, 160, dtype=torch.bool)
    padding[:, 96:], padding[:, :, 120:] = True, True
    noisy = [level.clone() for level in pyramid.maps]
    for stride, level in zip((8, 16, 32), noisy):
        level[:, :, 96 // stride :] += torch.randn(WIDTH, 1, 1)
        level[:, :, :, -(-120 // stride) :] += torch.randn(WIDTH, 1, 1)
    quiet, loud = (FeaturePyramid(maps, [(96, 120)], padding) for maps in (pyramid.maps, noisy))
    gamma = detector.detr.detr.transformer.encoder.vl_layers[0].b_attn.gamma_l
    kept = gamma.data.clone()
    fused = [detector.ground(each, concepts()).outputs["layers"][-1].logits for each in (quiet, loud)]
    try:
        gamma.data.zero_()
        deaf = [detector.ground(each, concepts()).outputs["layers"][-1] for each in (quiet, loud)]
    finally:
        gamma.data.copy_(kept)
    assert (fused[0] - fused[1]).abs().max() > 1e-3
    torch.testing.assert_close(deaf[0].logits, deaf[1].logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(deaf[0].boxes, deaf[1].boxes, rtol=1e-4, atol=1e-5)


def test_rows_outside_the_mask_are_never_read(detector):
    language = concepts()
    extra = torch.full((1, 4, WIDTH), 7.0)
    padded = LanguageFeatures(
        hidden=torch.cat([language.hidden, extra], dim=1),
        mask=torch.cat([language.mask, torch.zeros(1, 4, dtype=torch.bool)], dim=1),
        class_positions=torch.cat([language.class_positions, torch.zeros(1, 3, 4, dtype=torch.bool)], dim=2),
    )
    short, long = (ground(detector, pictures(), each).outputs["layers"][-1] for each in (language, padded))
    torch.testing.assert_close(long.logits[..., :6], short.logits, rtol=1e-4, atol=1e-4)
    targets = [target(0), target(1)]
    torch.manual_seed(0)
    ours = losses(detector, pictures(), language, targets)
    torch.manual_seed(0)
    theirs = losses(detector, pictures(), padded, targets)
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-4)


def test_the_order_of_classes_is_only_their_names(detector):
    language, order = concepts(), [2, 0, 1]
    turned = LanguageFeatures(
        hidden=language.hidden.view(1, 3, 2, WIDTH)[:, order].flatten(1, 2),
        mask=language.mask,
        class_positions=language.class_positions,
    )
    ours, theirs = (detector(pictures(1), each)[0] for each in (language, turned))
    torch.testing.assert_close(ours.scores, theirs.scores, rtol=1e-4, atol=1e-5)
    assert ours.labels[:20].tolist() == [order[label] for label in theirs.labels[:20].tolist()]


def test_a_class_said_twice_over_scores_as_said_once(detector):
    """Equal rows have equal logits, so the mean over two tokens is that of one."""
    vectors = torch.randn(3, 1, WIDTH, generator=torch.Generator().manual_seed(4))
    once, twice = (LanguageFeatures.of_tokens_per_class(vectors.expand(-1, n, -1)) for n in (1, 2))
    ours, theirs = (detector(pictures(1), each)[0] for each in (once, twice))
    torch.testing.assert_close(ours.scores, theirs.scores, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.boxes, theirs.boxes, rtol=1e-3, atol=1e-2)


def test_an_image_without_boxes_is_background_only(detector):
    terms = detector.loss(ground(detector, pictures(), concepts(), [EMPTY, EMPTY]), [EMPTY, EMPTY])
    values = normalised(terms)
    assert all(value.isfinite() for value in values.values())
    assert {name for name, value in values.items() if value > 0} == {"loss_ce", "loss_ce_0", "loss_ce_1", "loss_ce_enc"}
    sum(values.values()).backward()
    gradients = [p.grad for p in detector.parameters() if p.grad is not None]
    assert gradients and all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("groups", [("mask",), ("box",)])
def test_an_image_without_boxes_has_a_gradient_of_nothing(detector, groups):
    detector.loss_groups = groups
    sum(losses(detector, pictures(), concepts(), [EMPTY, EMPTY]).values()).backward()


@pytest.mark.parametrize("second", [target(1), EMPTY], ids=["boxes", "no boxes"])
def test_parts_of_a_batch_add_up(detector, second, monkeypatch):
    """Every image divides by its own matches. Denoising groups follow the largest image of a part: here the same."""
    monkeypatch.setattr(denoising, "draw_noise", lambda rows, device: (torch.ones(rows, 4), torch.full((rows, 4), 0.5)))
    images, language, targets = pictures(), concepts(), [target(0), second]
    whole = losses(detector, images, language, targets)
    parts = []
    for index in range(2):
        part = ImageBatch(images.pixels[[index]], [images.sizes[index]])
        parts.append(detector.loss(ground(detector, part, language, [targets[index]]), [targets[index]]))
    counts = add_normalisers([detector.normalisers([each], (128, 160)) for each in targets])
    for name, value in whole.items():
        if second is EMPTY and "_dn" in name:
            continue  # alone, an image without objects has no denoising queries; beside others it has empty ones
        together = sum(normalised(part, counts)[name] for part in parts)
        torch.testing.assert_close(together, value, rtol=1e-3, atol=1e-4)


def test_normalisers_are_known_beforehand(detector):
    targets = [target(0), EMPTY]
    for groups in (("classification", "box", "mask"), ("box",)):
        detector.loss_groups = groups
        terms = detector.loss(ground(detector, pictures(), concepts(), targets), targets)
        known = detector.normalisers(targets, (128, 160))
        assert list(known) == list(terms)
        assert all(known[name] == term.normaliser == 2 for name, term in terms.items())


def test_denoising_queries_change_nothing_for_the_others(detector):
    alone = ground(detector, pictures(), concepts()).outputs["layers"][-1]
    predictions = ground(detector, pictures(), concepts(), [target(0), target(1)])
    beside = predictions.outputs["layers"][-1][predictions.outputs["denoising"].content.shape[1] :]
    torch.testing.assert_close(beside.logits, alone.logits, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(beside.boxes, alone.boxes, rtol=1e-3, atol=1e-4)
    for ours, theirs in zip(detector.detect(predictions), detector(pictures(), concepts())):
        torch.testing.assert_close(ours.scores, theirs.scores, rtol=1e-3, atol=1e-4)


def test_loss_groups_leave_terms_out_and_change_no_other(detector):
    targets = [target(0), target(1)]
    torch.manual_seed(0)
    everything = losses(detector, pictures(), concepts(), targets)
    seen = {}
    for group in detector.loss_groups:
        detector.loss_groups = (group,)
        torch.manual_seed(0)
        seen |= losses(detector, pictures(), concepts(), targets)
    assert set(seen) == set(everything)
    for name, value in everything.items():
        torch.testing.assert_close(seen[name], value)


def test_an_image_without_masks_is_refused_unless_no_mask_is_asked_for(detector):
    bare = Target(target(4).boxes, target(4).labels, 4)
    with pytest.raises(ConesError, match=r'image 4: the mask loss needs masks.*leave "mask" out of loss_groups'):
        losses(detector, pictures(1), concepts(), [bare])
    detector.loss_groups = ("classification", "box")
    assert len(losses(detector, pictures(1), concepts(), [bare])) == 3 * 4 + 3 + 3 * 3


def test_gradient_of_concepts_with_everything_frozen(detector):
    """ConES stage 1, in eval mode: each group of terms alone reaches every vector."""
    vectors = torch.randn(3, 2, WIDTH, requires_grad=True)
    detector.requires_grad_(False)
    with torch.no_grad():
        pyramid = detector.encode_image(pictures())
    targets = [target(0), EMPTY]
    for group in ("classification", "box", "mask"):
        detector.loss_groups = (group,)
        predictions = detector.ground(pyramid, LanguageFeatures.of_tokens_per_class(vectors), targets)
        loss = sum(normalised(detector.loss(predictions, targets)).values())
        (gradient,) = torch.autograd.grad(loss, vectors)
        assert gradient.isfinite().all() and (gradient.abs().amax(dim=-1) > 0).all()


def test_captions_may_differ_between_images(detector):
    one, two = concepts(seed=1), concepts(seed=2)
    both = LanguageFeatures(
        hidden=torch.cat([one.hidden, two.hidden]),
        mask=torch.cat([one.mask, two.mask]),
        class_positions=torch.cat([one.class_positions, two.class_positions]),
    )
    images = pictures()
    together = ground(detector, images, both).outputs["layers"][-1].logits
    for index, language in enumerate((one, two)):
        alone = ground(detector, images, language).outputs["layers"][-1].logits[index]
        torch.testing.assert_close(together[index], alone, rtol=1e-3, atol=1e-3)


def test_the_image_encoder_is_what_encode_image_uses(detector):
    inside = {id(p) for module in detector.image_encoder() for p in module.parameters()}
    sum(level.square().sum() for level in detector.encode_image(pictures(1)).maps).backward()
    assert {id(p) for p in detector.parameters() if p.grad is not None} == inside


def test_every_parameter_of_the_detector_trains(detector):
    detector.train()
    sum(losses(detector, pictures(), concepts(), [target(0), target(1)]).values()).backward()
    idle = [name for name, parameter in detector.named_parameters() if parameter.grad is None]
    assert all(name.startswith("detr.detr.transformer.resizer.") for name in idle)  # dead in the checkpoints as well


def test_autocast_runs_and_the_losses_are_float32(detector):
    targets = [target(0), target(1)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        predictions = ground(detector, pictures(), concepts(), targets)
        terms = detector.loss(predictions, targets)
        assert len(detector.detect(predictions)) == 2
    assert all(term.sum.dtype == torch.float32 and term.sum.isfinite() for term in terms.values())
    assert all(layer.boxes.dtype == torch.float32 for layer in predictions.outputs["layers"])
