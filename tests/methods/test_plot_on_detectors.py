"""PLOT on detectors: regions of GLIP's points, its plan against a loop in float64, and why queries have no region."""

import math

import pytest
import torch

from cones.methods.method import TuningMethod
from cones.methods.prompts import PromptContext
from cones.models.checkpoints import build_detector
from cones.models.glip.box_features import neighbourhoods
from cones.runtime.errors import ConesError
from tests.methods.on_detectors import heard, made


def test_a_region_is_the_nine_points_around_a_place_on_its_level():
    near = neighbourhoods(((3, 4), (1, 2)))
    assert near.shape == (14, 9)
    assert near[5].tolist() == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    assert near[0].tolist() == [0, 0, 1, 0, 0, 1, 4, 4, 5], "beyond an edge the nearest"
    assert near[13].tolist() == [12, 13, 13] * 3
    assert near[:, 4].tolist() == list(range(14))


def test_one_context_and_one_point_are_the_detectors_own_logits(data, monkeypatch):
    model, way, prompt, samples = made("glip_nano", "plot", data)
    prompt.caption.vectors.data, prompt.contexts = prompt.caption.vectors.data[:1], 1
    monkeypatch.setattr(model, "region_points", lambda found: torch.arange(found.outputs["logits"].shape[1])[:, None])
    with torch.no_grad():
        plain = heard(model, prompt, samples[:1])
        places = model.scored_places(plain)
        found = model.scored_places(way.adjust_predictions(model, prompt, plain)).logits
    for rows in plain.language.class_positions[0]:
        expected = places.logits[0, :, rows].mean(dim=1, keepdim=True).expand(-1, int(rows.sum()))
        torch.testing.assert_close(found[0, :, rows], expected, rtol=1e-4, atol=1e-4)


def plan_of(cost, sharpness=0.1, tolerance=0.01, most=100):
    """cost (P, K, M, N) -> plans, by Sinkhorn's steps on float64; all stop together."""
    kernel = (-cost / sharpness).exp()
    points, texts = cost.shape[2:]
    rows, columns = torch.ones(cost.shape[:3], dtype=cost.dtype), torch.ones_like(cost[:, :, 0])
    for _ in range(most):
        before = rows
        rows = 1 / points / (kernel * columns[:, :, None]).sum(3)
        columns = 1 / texts / (kernel * rows[..., None]).sum(2)
        if (rows - before).abs().mean() < tolerance:
            break
    return rows[..., None] * kernel * columns[:, :, None]


@pytest.mark.parametrize("fault", [None, "contexts exchanged with classes", "a region of another place"])
def test_a_classes_logit_is_the_plan_times_the_logits_of_its_region(data, fault):
    model, way, prompt, samples = made("glip_nano", "plot", data)
    with torch.no_grad():
        plain = heard(model, prompt, samples[:1])
        places = model.scored_places(plain)
        found = model.scored_places(way.adjust_predictions(model, prompt, plain)).logits[0].double()
    near, rows = model.region_points(plain), plain.language.class_positions[0]
    length = prompt.rows
    assert rows.shape[1] == 4 * length
    cosines = torch.zeros(len(near), 3, 9, 4, dtype=torch.float64)
    logits = torch.zeros_like(cosines)
    features = places.features[0].double()
    features = features / features.norm(dim=1, keepdim=True)
    for k in range(3):
        for n in range(4):
            own = [row for row in rows[k].nonzero().flatten().tolist() if n * length <= row < (n + 1) * length]
            assert own
            text = places.texts[0, own].double().mean(0)
            cosine, logit = features @ (text / text.norm()), places.logits[0][:, own].double().mean(1)
            cosines[:, k, :, n], logits[:, k, :, n] = cosine[near], logit[near]
    if fault == "contexts exchanged with classes":
        cosines = cosines.roll(1, dims=1)
    if fault == "a region of another place":
        logits = logits.roll(1, dims=0)
    expected = (plan_of(1 - cosines) * logits).sum((2, 3))
    off = max((found[:, rows[k]] - expected[:, [k]]).abs().max().item() for k in range(3))
    assert (off < 1e-4) == (fault is None)
    assert torch.equal(found[:, ~rows.any(0)], places.logits[0][:, ~rows.any(0)].double())


def test_the_captions_differ_by_their_context_alone_and_stand_one_after_another(data):
    _, _, prompt, _ = made("glip_nano", "plot", data)
    with torch.no_grad():
        language, vectors = prompt(PromptContext()), prompt.caption.vectors
        for number, context in enumerate(vectors):
            alone = prompt.caption.with_vectors(context[None, None])
            part = slice(number * prompt.rows, (number + 1) * prompt.rows)
            torch.testing.assert_close(language.hidden[:, part], alone.hidden)
            assert torch.equal(language.class_positions[:, :, part], alone.class_positions)
        assert len(vectors) == 4 and not math.isclose(vectors[0, 0, 0].item(), vectors[1, 0, 0].item())


@pytest.mark.parametrize("model_name", ["uninext_nano", "grounding_dino_nano"])
def test_a_query_has_no_region_and_the_method_says_why(model_name):
    assert "a query is one vector" in TuningMethod.load("plot").supports(model_name)
    with pytest.raises(ConesError, match="have no region of points around them"):
        build_detector(model_name).region_points(None)
    assert TuningMethod.load("plot").supports("glip_t") is None
