"""The exact savings: each gives the numbers of its plain form, and operations that are counted say it is in use."""

import copy

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from cones.data.batches import Sample, View
from cones.data.pyramids import FrozenPyramids, LivePyramids
from cones.models.checkpoints import build_detector
from cones.models.detector import ImageBatch, Target
from cones.models.language import LanguageFeatures
from cones.models.layers.fusion import BiAttention
from cones.models.losses import normalised
from cones.models.optimisations import disable_optimisations

HEIGHT, WIDTH = 96, 128


def operations(run) -> int:
    """Floating-point operations of matrix products and convolutions; one multiply-add is two."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def nano(name: str):
    torch.manual_seed(0)
    model = build_detector(name).eval().requires_grad_(False)
    for parameter_name, parameter in model.named_parameters():  # as if trained: offsets move, scores differ
        if any(part in parameter_name for part in ("offset", "bbox_")):
            torch.nn.init.normal_(parameter, std=0.05)
        if "bias0" in parameter_name:
            torch.nn.init.constant_(parameter, -1.0)
    return model


@pytest.fixture(scope="module", params=["glip_nano", "uninext_nano"])
def model(request):
    return nano(request.param)


@pytest.fixture(scope="module")
def uninext():
    return nano("uninext_nano")


def vectors(model) -> torch.Tensor:
    start = torch.randn(3, 2, model.text_width, generator=torch.Generator().manual_seed(0))
    return start.requires_grad_()


def pyramid_of(model):
    pixels = torch.randn(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return model.encode_image(ImageBatch(pixels, [(HEIGHT, WIDTH)]))


def target() -> Target:
    masks = torch.zeros(2, HEIGHT, WIDTH, dtype=torch.bool)
    masks[0, 10:70, 10:60] = masks[1, 30:90, 40:120] = True
    return Target(torch.tensor([[10.0, 10, 60, 70], [40, 30, 120, 90]]), torch.tensor([0, 2]), 0, masks)


def stage1_loss(model, pyramid, learned):
    torch.manual_seed(0)  # noise of denoising queries
    predictions = model.ground(pyramid, LanguageFeatures.of_tokens_per_class(learned), [target()])
    return sum(normalised(model.loss(predictions, [target()])).values())


def test_the_reference_path_finds_the_same_with_more_work(model):
    plain, pyramid, learned = copy.deepcopy(model), pyramid_of(model), vectors(model)
    disable_optimisations(plain)
    losses = [stage1_loss(each, pyramid, learned) for each in (model, plain)]
    torch.testing.assert_close(*losses, rtol=1e-4, atol=1e-5)
    gradients = [torch.autograd.grad(loss, learned)[0] for loss in losses]
    scale = gradients[1].std().item()
    torch.testing.assert_close(gradients[0] / scale, gradients[1] / scale, rtol=0, atol=1e-2)
    with torch.no_grad():
        said = LanguageFeatures.of_tokens_per_class(learned.detach())
        (ours,), (theirs,) = (each.detect(each.ground(pyramid, said)) for each in (model, plain))
        torch.testing.assert_close(ours.scores, theirs.scores, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(ours.boxes, theirs.boxes, rtol=1e-3, atol=1e-2)
        if ours.masks is not None:
            assert (ours.masks != theirs.masks).float().mean() < 1e-3
        few, many = (operations(lambda each=each: each.ground(pyramid, said)) for each in (model, plain))
    assert 1.5 * few < many


@pytest.mark.parametrize(
    ("text", "rows", "folded", "expected"),
    [("GLIP", 256, False, 860.1), ("GLIP", 16, False, 450.1), ("GLIP", 16, None, 27), ("UNINEXT", 6, False, 71.6)],
)
def test_what_a_fusion_costs_at_the_published_size(text, rows, folded, expected):
    """GFLOP of all fusions of a forward pass at 800 x 1333 (docs/spec/glip.md 11, docs/spec/uninext.md 15)."""
    blocks, positions = {"GLIP": (6, 22400), "UNINEXT": (1, 22223)}[text]
    with torch.device("meta"):
        fusion = BiAttention(visual=256, text=768, inner=2048, heads=8, dropout=0.0, folded=folded)
        visual, said = torch.empty(1, positions, 256), torch.empty(1, rows, 768)
    assert blocks * operations(lambda: fusion(visual, said, None)) / 1e9 == pytest.approx(expected, rel=0.03)


def test_masks_are_made_of_what_is_kept_only(uninext):
    with torch.no_grad():
        predictions = uninext.ground(pyramid_of(uninext), LanguageFeatures.of_tokens_per_class(vectors(uninext)))
        plain = copy.deepcopy(uninext)
        disable_optimisations(plain)
        uninext.detections_per_image = plain.detections_per_image = 5
        found = [each.detect(predictions)[0] for each in (uninext, plain)]
        few, many = (operations(lambda each=each: each.detect(predictions)) for each in (uninext, plain))
    uninext.detections_per_image = 100
    assert 0 < len(found[0].masks) <= 5 and torch.equal(found[0].masks, found[1].masks)
    queries = predictions.outputs["layers"][-1].queries.shape[1]
    assert few * queries <= 1.01 * many * 5  # but for scores and boxes, one share for each query


def test_frozen_weights_cost_no_gradient(model):
    """Backward goes to the vectors alone: one product for each of the forward pass, instead of two."""
    pyramid, learned, thawed = pyramid_of(model), vectors(model), copy.deepcopy(model).requires_grad_(True)
    forward = operations(lambda: stage1_loss(model, pyramid, vectors(model).detach()))
    spent, gradients = [], []
    for each in (model, thawed):
        loss, learned.grad = stage1_loss(each, pyramid, learned), None
        spent.append(operations(loss.backward))
        gradients.append(learned.grad)
    assert torch.equal(*gradients)
    assert spent[0] < 1.2 * forward and 1.5 * spent[0] < spent[1]


def test_the_pyramid_of_a_frozen_image_encoder_is_computed_once_and_outside_the_graph(model):
    pixels = torch.randn(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    sample, device = Sample(View(0, HEIGHT), pixels, (HEIGHT, WIDTH), None), torch.device("cpu")
    kept, live = FrozenPyramids(model, device, budget_mb=8), LivePyramids(model, device)
    seen = live([sample])
    assert operations(lambda: kept([sample])) == operations(lambda: live([sample])) > 0
    assert operations(lambda: kept([sample])) == 0
    for ours, theirs in zip(kept([sample]).maps, seen.maps):
        assert torch.equal(ours, theirs) and not ours.requires_grad


@pytest.mark.parametrize("name", ["glip_t", "uninext_r50"])
def test_backward_ends_where_parameters_begin_to_train(name):
    """Full fine-tuning: what no method trains lies before everything else and is never gone back through."""
    with torch.device("meta"):
        model = build_detector(name)
        images = ImageBatch(torch.empty(1, 3, 224, 224), [(224, 224)])

    def gone_back_through() -> int:
        maps = model.encode_image(images).maps
        return operations(lambda: sum(level.sum() for level in maps).backward())

    everything = gone_back_through()
    for parameter_name, parameter in model.named_parameters():
        if any(parameter_name.startswith(prefix) for prefix in model.always_frozen):
            parameter.requires_grad_(False)
    assert gone_back_through() < 0.85 * everything
