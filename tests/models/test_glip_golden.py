"""GLIP-T, GLIP-T(A) and GLIP-L against reference numbers of the official implementation, stage by stage."""

import json
import re
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cones.data.batches import resized
from cones.models.detector import ImageBatch
from cones.models.family import model_names
from cones.models.glip import dyconv
from cones.models.glip.anchors import AnchorGenerator
from cones.models.glip.config import STRIDES
from cones.models.layers.fusion import VLFuse
from tests.models.glip_golden import (
    GOLDEN,
    LEVELS,
    assignment_facts,
    golden_image,
    golden_language,
    golden_model,
    head_outputs,
    run_golden,
    sorted_detections,
    synthetic,
)

PRECISIONS = {"f32": (torch.float32, "golden_{}.npz"), "f64": (torch.float64, "golden_f64_{}.npz")}
# largest difference in units of the tensor's standard deviation: five times what float32 itself costs (FORMAT.md)
EARLY = {"glip_t": 1e-4, "glip_t_a": 1e-4, "glip_l": 1.5e-4}
LATE = {"glip_t": 2e-3, "glip_t_a": 1e-4, "glip_l": 4.5e-3}
LOSSES = {"glip_t": 2.5e-5, "glip_t_a": 5e-6, "glip_l": 1e-4}
# With deep fusion, gradients are judged in float64 (1e-5): in float32 a rounding in another order can move a deformable
# sample across a pixel's edge (docs/spec/glip.md 12.17). GLIP-T, one machine: 2e-4 with two threads, 0.13 with one.
GRADIENTS = {"glip_t": 0.5, "glip_t_a": 1e-4, "glip_l": 0.5}
FLOAT64 = 2e-6  # the golden numbers are rounded to float32
EXACT = re.compile(r".*_shape|token_ids|gt_.*|cell_anchor.*|num_anchors|pos_(index|label|anchor)|det_labels|.*absmax")


@dataclass
class Run:
    """One variant: what the golden files hold and what our model gives, per precision."""

    variant: str
    golden: dict[str, dict] = field(default_factory=dict)
    seen: dict[str, dict] = field(default_factory=dict)


VARIANTS = ["glip_t", "glip_t_a", pytest.param("glip_l", marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=VARIANTS)
def run(request):
    result = Run(request.param)
    shared = request.param == "glip_t"
    detector, encoder = request.getfixturevalue("glip_t") if shared else golden_model(request.param)
    for precision, (dtype, file) in PRECISIONS.items():
        result.golden[precision] = dict(np.load(GOLDEN / file.format(request.param)))
        detector.to(dtype)
        encoder.to(dtype)
        result.seen[precision] = run_golden(detector, encoder, result.golden[precision], dtype)
    detector.to(torch.float32)
    encoder.to(torch.float32)
    return result


@pytest.fixture(scope="module")
def glip_t():
    """(detector, text encoder) of GLIP-T in float32, whose 231 million values take seconds to draw."""
    return golden_model("glip_t")


@pytest.fixture(scope="module")
def tiny(glip_t):
    """GLIP-T alone, for what is only known of it, with the logits that it has without a mistake."""
    found = SimpleNamespace(detector=glip_t[0], encoder=glip_t[1], golden=dict(np.load(GOLDEN / "golden_glip_t.npz")))
    found.logits = logits(found)
    return found


def base_names(golden: dict) -> list[str]:
    return sorted({re.sub(r"__(sub|stride|shape|mean|std)$", "", key) for key in golden})


def deviation(golden: dict, name: str, value: torch.Tensor) -> float:
    """Largest absolute difference over the tensor's standard deviation (over its size, for a single number)."""
    value = value.double().numpy()
    if f"{name}__sub" in golden:
        expected = golden[f"{name}__sub"]
        assert value.shape == tuple(golden[f"{name}__shape"]), name
        value = value.reshape(-1)[:: int(golden[f"{name}__stride"])]
    else:
        expected = golden[name]
        assert value.shape == expected.shape, name
    if f"{name}__std" in golden:
        unit = float(golden[f"{name}__std"])
    else:
        unit = float(expected.std()) if expected.size > 1 else abs(float(expected))
    return float(np.abs(value - expected).max()) / (unit or 1.0)


def tolerance(variant: str, precision: str, name: str) -> float:
    if EXACT.fullmatch(name):
        return 0.0
    if precision == "f64":
        return 1e-5 if name.startswith("grad") else FLOAT64
    if name.startswith("grad"):
        return GRADIENTS[variant]
    if name.startswith("loss"):
        return LOSSES[variant]
    return EARLY[variant] if re.match(r"swin|fpn|lang|block0|image|pos_", name) else LATE[variant]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_stage(run, precision):
    golden, seen = run.golden[precision], run.seen[precision]
    found = {name: deviation(golden, name, seen[name]) for name in base_names(golden)}
    limits = {name: tolerance(run.variant, precision, name) for name in found}
    wrong = {name: (value, limits[name]) for name, value in found.items() if not value <= limits[name]}
    assert not wrong


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_key_of_the_golden_file_is_compared(run, precision):
    golden, seen = run.golden[precision], run.seen[precision]
    assert [name for name in base_names(golden) if name not in seen] == []
    for name in base_names(golden):  # and the statistics of the whole tensor are ours too
        if f"{name}__mean" in golden and f"{name}__std" in golden:
            limit = 10 * max(tolerance(run.variant, precision, name), 1e-6) * float(golden[f"{name}__std"])
            assert abs(float(seen[name].double().mean()) - float(golden[f"{name}__mean"])) <= limit, name
            assert abs(float(seen[name].double().std(correction=0)) - float(golden[f"{name}__std"])) <= limit, name


def test_padding_the_text_changes_nothing(run):
    """Cropped and folded (the way the project runs) against 256 padded positions, in float64."""
    seen = run.seen["f64"]
    for name in (f"{kind}_{level}" for kind in ("dot_logits_valid", "bbox_reg", "centerness") for level in LEVELS):
        torch.testing.assert_close(seen[f"padded_{name}"], seen[name], rtol=1e-9, atol=1e-9)
    kind = "embedded" if run.variant == "glip_t_a" else "hidden"
    torch.testing.assert_close(seen["padded_gradient"], seen[f"grad_{kind}_valid"], rtol=1e-8, atol=1e-10)


def test_folded_projections_equal_plain_ones(tiny):
    reference = logits(tiny, folded=False)
    for found in (logits(tiny, folded=True), tiny.logits):
        assert float((found - reference).abs().max() / reference.std()) < 2e-3


def logits(tiny, folded=None) -> torch.Tensor:
    """(V, 9) token logits of the golden image."""
    attentions = [m.b_attn.attn for m in tiny.detector.modules() if isinstance(m, VLFuse)]
    for attention in attentions:
        attention.folded = folded
    predictions = predict(tiny, [(160, 224, 0.0)])
    for attention in attentions:
        attention.folded = None
    return predictions.outputs["logits"][0]


def resized_offsets(raw, shape):
    return torch.nn.functional.interpolate(raw, size=shape, mode="bilinear").flatten(2)


def cropped_offsets(raw, shape):
    return raw[:, :, : shape[0], : shape[1]].flatten(2)


def unaligned(feature, shape):
    return torch.nn.functional.interpolate(feature, size=shape, mode="bilinear", align_corners=False)


def unnormalised_residual(self, visual, text, mask):
    fuse = self.b_attn
    changes = fuse.attn(fuse.layer_norm_v(visual), fuse.layer_norm_l(text), mask)
    return visual + fuse.gamma_v * changes[0], text + fuse.gamma_l * changes[1]


right_corners = dyconv.corners


@pytest.mark.parametrize(
    ("owner", "attribute", "mistake"),
    [
        (dyconv, "offsets_for", resized_offsets),
        (dyconv, "offsets_for", cropped_offsets),
        (dyconv, "corners", lambda offsets, modulation, plan: right_corners(offsets.flip(-1), modulation, plan)),
        (dyconv, "upsample", unaligned),
        (VLFuse, "forward", unnormalised_residual),
    ],
    ids=["offsets resized", "offsets cropped", "dx before dy", "corners not aligned", "un-normalised residual"],
)
def test_the_comparison_notices_the_known_mistakes(tiny, monkeypatch, owner, attribute, mistake):
    """Each moves the logits by a standard deviation or more (docs/spec/glip.md 12); the tolerance is 1/500 of it."""
    expected = torch.from_numpy(np.concatenate([tiny.golden[f"dot_logits_valid_{level}"] for level in LEVELS]))
    assert float((tiny.logits - expected).abs().max() / expected.std()) < LATE["glip_t"]
    monkeypatch.setattr(owner, attribute, mistake)
    assert float((logits(tiny) - expected).abs().max() / expected.std()) > 1.0


TWO_IMAGES = [(128, 192, 0.3), (160, 200, 1.1)]  # height, width, phase; padded to 160 x 224


def padded_images(images) -> ImageBatch:
    pixels = torch.zeros(len(images), 3, 160, 224)
    for canvas, (height, width, phase) in zip(pixels, images):
        canvas[:, :height, :width] = golden_image(height, width, phase)
    return ImageBatch(pixels, [image[:2] for image in images])


def predict(tiny, images):
    batch = padded_images(images)
    with torch.no_grad():
        return tiny.detector.ground(tiny.detector.encode_image(batch), golden_language(tiny.encoder))


@pytest.fixture(scope="module")
def extra():
    return dict(np.load(GOLDEN / "golden_extra_glip_t.npz"))


@pytest.fixture(scope="module")
def pair(tiny):
    """Predictions for two images of different size in one batch."""
    return predict(tiny, TWO_IMAGES)


def atss_facts(extra):
    """The assignment of 12 boxes on a 480 x 640 image, no network involved."""
    height, width = extra["atss_image_hw"].tolist()
    shapes = tuple((-(-height // stride), -(-width // stride)) for stride in STRIDES)
    labels = torch.arange(12) % 3
    target = SimpleNamespace(boxes=torch.from_numpy(extra["atss_boxes"]), labels=labels)
    detector = SimpleNamespace(rpn=SimpleNamespace(anchor_generator=AnchorGenerator(strides=STRIDES, scale=8.0)))
    found = assignment_facts(detector, shapes, target, "")
    return {
        "atss_image_hw": torch.tensor([height, width]),
        "atss_boxes": target.boxes,
        "atss_labels": labels + 1,
        "atss_pos_index": found["index"],
        "atss_pos_label": found["label"],
        "atss_reg_target": found["reg_target"],
        "atss_ctr_target": found["centerness_target"],
        "atss_num_anchors": found["num_anchors"],
    }


def test_two_images_assignment_and_sizes(tiny, pair, extra):
    found = tiny.detector.detect(pair)
    rows = torch.from_numpy(extra["resize_in_w_h_s"])
    seen = {
        "batch_shape": torch.tensor([2, 3, 160, 224]),
        "image_sizes": torch.tensor(pair.pyramid.sizes),
        "resize_in_w_h_s": rows,
        "resize_out_h_w": torch.tensor([resized(*row, 1333)[::-1] for row in rows.tolist()]),
        **head_outputs(pair.outputs, single=False),
        **sorted_detections(found[0], "det0_"),
        **sorted_detections(found[1], "det1_"),
        **atss_facts(extra),
    }
    assert sorted(base_names(extra)) == sorted(seen)
    for name, value in seen.items():
        whole = extra[name].dtype.kind == "i"
        limit = 0.0 if whole else 1e-4 if name.startswith("atss") else LATE["glip_t"]
        assert deviation(extra, name, value) <= limit, name


def test_each_image_of_a_batch_is_as_alone(tiny, pair):
    """With equal padding: GLIP has no padding mask."""
    together = head_outputs(pair.outputs, single=False)
    for index, image in enumerate(TWO_IMAGES):
        for name, value in head_outputs(predict(tiny, [image]).outputs, single=False).items():
            expected = together[name][index]
            assert float((value[0] - expected).abs().max() / expected.std()) < LATE["glip_t"], name


def test_the_golden_weights_follow_the_recipe():
    checks = json.loads((GOLDEN / "weights_recipe_checks.json").read_text())
    for name, check in checks.items():
        value = synthetic(name, tuple(check["shape"])).double().flatten()
        np.testing.assert_allclose(value[: len(check["first4"])].numpy(), check["first4"], rtol=0, atol=1e-12)
        assert abs(float(value.sum()) - check["sum"]) < 1e-4


def test_golden_variants_are_models_of_the_project():
    assert {"glip_t", "glip_t_a", "glip_l"} <= set(model_names())
