"""The loss of the family: transformers' decoder terms, sums that add up over parts, and where we leave the library."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cones.models.detector import FeaturePyramid, ImageBatch, Target
from cones.models.grounding_dino.build import build_of_sizes
from cones.models.grounding_dino.config import Weights
from cones.models.grounding_dino.criterion import KINDS, suffixes, term_names
from cones.models.grounding_dino.matching import matching_cost
from cones.models.grounding_dino.postprocess import class_scores, detect_one
from cones.models.language import LanguageFeatures
from cones.models.layers.matching import one_to_one
from cones.models.losses import add_normalisers, normalised
from tests.models.grounding_dino_reference import (
    CLS,
    GDINO,
    MM,
    SEP,
    STOP,
    Pair,
    inputs_of,
    language_of,
    pair_of,
    pyramid_of,
    randomise,
)

CAPTION = [CLS, 5, 6, STOP, 7, STOP, 8, 9, 10, STOP, SEP]
SIZES = [(70, 90), (64, 60)]
TRANSFORMERS_COST, TRANSFORMERS_LOSS = Weights(1.0, 5.0, 2.0), Weights(2.0, 5.0, 2.0)


def target(boxes: list[list[float]], labels: list[int]) -> Target:
    return Target(torch.tensor(boxes).view(-1, 4), torch.tensor(labels, dtype=torch.int64), 0)


TARGETS = [
    target([[5, 6, 40, 60], [50, 10, 80, 44], [20, 30, 88, 69]], [0, 2, 1]),
    target([[10, 20, 50, 55]], [2]),
]


def as_labels(targets: list[Target]) -> list[dict]:
    """Targets as transformers takes them: boxes cx, cy, w, h in shares of the picture."""
    labels = []
    for each, (height, width) in zip(targets, SIZES):
        x1, y1, x2, y2 = (each.boxes / torch.tensor([width, height] * 2)).unbind(1)
        boxes = torch.stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], dim=1)
        labels.append({"class_labels": each.labels, "boxes": boxes})
    return labels


@pytest.mark.parametrize("sizes", [GDINO, MM], ids=["gdino", "mm"])
def test_decoder_terms_are_those_of_transformers(sizes):
    """For one caption, unweighted; their encoder terms are left out: they read the learnt queries and unfused text."""
    pytest.importorskip("transformers", reason="transformers is not installed: nothing to compare with")
    pair = pair_of(replace(sizes, cost=TRANSFORMERS_COST, loss=Weights(1.0, 1.0, 1.0)))
    inputs = inputs_of([CAPTION, CAPTION], SIZES)
    with torch.no_grad():
        theirs = pair.theirs(**vars(inputs), labels=as_labels(TARGETS)).loss_dict
        predictions = pair.ours.ground(pyramid_of(pair, inputs), language_of(pair, inputs))
        found = normalised(pair.ours.loss(predictions, TARGETS))
    for name in found:
        if not name.endswith("_enc"):
            torch.testing.assert_close(found[name], theirs[name], rtol=1e-4, atol=1e-4)
    assert set(found) - {f"{kind}_enc" for kind in KINDS} == {
        name for name in theirs if not name.startswith("cardinality") and not name.endswith("_enc")
    }


# ------------------------------------------------------------------------------------------------ exact sums


@pytest.fixture(scope="module", params=[GDINO, MM], ids=["gdino", "mm"])
def detector(request):
    model = build_of_sizes(request.param)
    randomise(model, 0)
    for name, parameter in model.named_parameters():
        if "gamma" in name:
            torch.nn.init.constant_(parameter, 0.5)
    return model.eval()


def scene(detector) -> tuple[FeaturePyramid, Tensor, list[Target]]:
    """Three pictures of one size, the last without objects, and concept vectors of three classes."""
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randn(3, 3, 64, 80, generator=generator)
    vectors = torch.randn(3, 2, detector.text_width, generator=generator)
    empty = target([], [])
    with torch.no_grad():
        pyramid = detector.encode_image(ImageBatch(pixels, [(64, 80)] * 3))
    return pyramid, vectors, [*TARGETS, empty]


def one(pyramid: FeaturePyramid, image: int) -> FeaturePyramid:
    part = slice(image, image + 1)
    return FeaturePyramid([level[part] for level in pyramid.maps], pyramid.sizes[part], pyramid.padding[part])


def test_parts_of_a_batch_add_up_to_the_whole(detector):
    pyramid, vectors, targets = scene(detector)
    language = LanguageFeatures.of_tokens_per_class(vectors)
    with torch.no_grad():
        whole = detector.loss(detector.ground(pyramid, language), targets)
        parts = [detector.loss(detector.ground(one(pyramid, i), language), [targets[i]]) for i in range(3)]
    assert list(whole) == term_names(3, ("classification", "box")) and len(whole) == 12
    expected = normalised(whole)
    shared = add_normalisers([detector.normalisers([each], (64, 80)) for each in targets])
    assert shared == {name: term.normaliser for name, term in whole.items()}
    for name, value in expected.items():
        added = sum(normalised(part, shared)[name] for part in parts)
        torch.testing.assert_close(added, value, rtol=1e-4, atol=1e-5)
    assert all(parts[2][name].sum == 0 for name in parts[2] if "ce" not in name)
    assert all(parts[2][name].sum > 0 for name in parts[2] if "ce" in name)


def test_a_batch_without_objects_has_a_finite_loss_and_gradient(detector):
    pyramid, vectors, targets = scene(detector)
    vectors.requires_grad_()
    predictions = detector.ground(one(pyramid, 2), LanguageFeatures.of_tokens_per_class(vectors))
    total = sum(normalised(detector.loss(predictions, targets[2:])).values())
    total.backward()
    assert torch.isfinite(total) and torch.isfinite(vectors.grad).all() and vectors.grad.any()


def test_padded_rows_and_captions_of_other_lengths_change_no_term(detector):
    """Where captions differ transformers shifts the targets of later pictures; each picture alone is right."""
    pyramid, vectors, targets = scene(detector)
    language = LanguageFeatures.of_tokens_per_class(vectors)
    with torch.no_grad():
        plain = normalised(detector.loss(detector.ground(pyramid, language), targets))
        padded = normalised(detector.loss(detector.ground(pyramid, language.padded(17)), targets))
    for name, value in plain.items():
        torch.testing.assert_close(padded[name], value, rtol=1e-3, atol=1e-4)


def test_captions_of_a_batch_may_differ():
    pair = Pair(None, build_of_sizes(MM).eval(), encoder_of(MM))
    captions = [CAPTION, [CLS, 11, STOP, 12, 13, STOP, 14, STOP, SEP]]
    inputs = inputs_of(captions, [(64, 80), (64, 80)])
    with torch.no_grad():
        pyramid = pair.ours.encode_image(inputs.images)
        whole = pair.ours.loss(pair.ours.ground(pyramid, language_of(pair, inputs)), TARGETS)
        for image, caption in enumerate(captions):
            alone = inputs_of([caption], [(64, 80)])
            predictions = pair.ours.ground(one(pyramid, image), language_of(pair, alone))
            part = pair.ours.loss(predictions, [TARGETS[image]])
            whole = {name: term._replace(sum=term.sum - part[name].sum) for name, term in whole.items()}
    for name, term in whole.items():
        assert abs(term.sum) < 1e-2, name


def encoder_of(sizes):
    from tests.models.grounding_dino_reference import text_encoder_of

    return text_encoder_of(sizes)


def test_encoder_terms_train_the_selection(detector):
    """In transformers' loss these parameters never get a gradient."""
    pyramid, vectors, targets = scene(detector)
    predictions = detector.ground(pyramid, LanguageFeatures.of_tokens_per_class(vectors))
    terms = detector.loss(predictions, targets)
    parts = [detector.model.enc_output.weight, detector.model.enc_output_norm.weight]
    parts += [detector.model.encoder_output_bbox_embed.layers[0].weight, detector.model.text_projection.weight]
    encoder = sum(term.sum for name, term in terms.items() if name.endswith("_enc"))
    assert all(gradient.any() for gradient in torch.autograd.grad(encoder, parts, retain_graph=True))
    decoder = sum(term.sum for name, term in terms.items() if not name.endswith("_enc"))
    assert all(gradient is None for gradient in torch.autograd.grad(decoder, parts[:3], allow_unused=True))


def test_half_precision_trains_the_same_parameters(detector):
    """Nothing is cast to or from half precision in a way that cuts a parameter off."""
    pyramid, vectors, targets = scene(detector)
    learning = []
    for precision in (False, True):
        detector.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision):
            predictions = detector.ground(pyramid, LanguageFeatures.of_tokens_per_class(vectors))
            total = sum(normalised(detector.loss(predictions, targets)).values())
        total.backward()
        learning.append({name for name, value in detector.named_parameters() if value.grad is not None})
    assert learning[0] == learning[1] and "model.enc_output.weight" in learning[1]


def test_weights_and_groups(detector):
    pyramid, vectors, targets = scene(detector)
    with torch.no_grad():
        predictions = detector.ground(pyramid, LanguageFeatures.of_tokens_per_class(vectors))
        mmdet = detector.loss(predictions, targets)
        detector.loss_weights = TRANSFORMERS_LOSS
        other = detector.loss(predictions, targets)
        detector.loss_groups = ("box",)
        boxes = detector.loss(predictions, targets)
    detector.loss_weights, detector.loss_groups = Weights(1.0, 5.0, 2.0), ("classification", "box")
    for name, term in mmdet.items():
        torch.testing.assert_close(other[name].sum, term.sum * (2 if "ce" in name else 1))
    assert set(boxes) == {name for name in mmdet if "ce" not in name}
    assert boxes.keys() == {f"{kind}{suffix}" for kind in ("loss_bbox", "loss_giou") for suffix in suffixes(3)}


def test_matching_weighs_class_and_place_as_told_and_ignores_rows_of_no_object():
    boxes = torch.tensor([[0.3, 0.3, 0.2, 0.2], [0.32, 0.3, 0.2, 0.2]])
    objects, positive = boxes[:1], torch.tensor([[False, True, True]])
    logits = torch.tensor([[9.0, -3.0, -3.0], [-9.0, 1.0, 1.0]])
    weights = Weights(2.0, 5.0, 2.0), Weights(0.0, 5.0, 2.0)
    by_class, by_place = one_to_one([matching_cost(logits, boxes, positive, objects, each) for each in weights])
    assert by_class[0].tolist() == [1] and by_place[0].tolist() == [0]
    more = objects.repeat(3, 1)  # more objects than queries: each query serves one
    ((queries, served),) = one_to_one([matching_cost(logits, boxes, positive.repeat(3, 1), more, weights[0])])
    assert queries.tolist() == [0, 1] and len(set(served.tolist())) == 2


# ------------------------------------------------------------------------------------------------ detections


LOGITS = torch.tensor([[0.0, 2.0, -2.0, 5.0], [0.0, -1.0, -1.0, -4.0]])
POSITIONS = torch.tensor([[False, True, True, False], [False, False, False, False], [False, False, False, True]])


def test_a_class_scores_the_mean_probability_of_its_rows():
    """Neither the probability of the mean logit nor the best row's."""
    found = class_scores(LOGITS, POSITIONS[[0, 2]])
    pair = torch.tensor([2.0, -2.0]).sigmoid().mean()
    torch.testing.assert_close(found[0], torch.stack([pair, torch.tensor(5.0).sigmoid()]))
    unequal = class_scores(torch.tensor([[0.0, 4.0, -1.0, 0.0]]), POSITIONS[:1]).item()
    assert unequal == pytest.approx((torch.tensor([4.0, -1.0]).sigmoid().mean()).item())
    assert abs(unequal - torch.tensor(1.5).sigmoid().item()) > 0.1 < abs(unequal - torch.tensor(4.0).sigmoid().item())


def test_the_best_pairs_are_kept_without_suppression_and_a_class_without_rows_is_never_found():
    boxes = torch.tensor([[0.5, 0.5, 0.4, 0.2], [0.95, 0.5, 0.4, 0.2]])
    found = detect_one(LOGITS, boxes, POSITIONS, size=(100, 200), bounds=(100, 200), limit=3)
    assert found.labels.tolist() == [2, 0, 0] and found.scores.diff().le(0).all()
    torch.testing.assert_close(found.boxes[0], torch.tensor([60.0, 40, 140, 60]))
    torch.testing.assert_close(found.boxes[2], torch.tensor([150.0, 40, 200, 60]))  # clipped
    none = detect_one(LOGITS, boxes, POSITIONS[1:2], size=(100, 200), bounds=(100, 200), limit=3)
    assert len(none.scores) == 0
