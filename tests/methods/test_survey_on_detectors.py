"""Methods of the survey on every family of detectors: where they start, what they add, what their terms do."""

import pytest
import torch
from toy import paint_split

from cones.data.batches import Split, View, batch_of
from cones.methods.method import TuningMethod
from cones.methods.prompts import PromptContext
from cones.models.checkpoints import build_detector
from cones.models.detector import ImageBatch
from tests.methods.one_step import OWN_TERMS, SURVEY, one_step, prompt_inputs_for

MODELS = ("glip_nano", "uninext_nano", "grounding_dino_nano")
NEUTRAL = ("taskres", "bias_only")  # their start is zero-shot
EVERYWHERE = pytest.mark.parametrize("model_name", MODELS)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    paint_split(folder, "train", images=2, seed=0, sizes=((96, 96),))
    return folder


@EVERYWHERE
@pytest.mark.parametrize("method", NEUTRAL)
def test_a_neutral_start_is_zero_shot_bit_for_bit(model_name, method, data):
    torch.manual_seed(0)
    model = build_detector(model_name).eval()
    split = Split(data, "train", preprocessing=model.preprocessing, inclusive=model.inclusive_boxes)
    images = batch_of([split.sample(View(0, 96))])
    texts = {}
    for name in ("zero_shot", method):
        torch.manual_seed(1)  # of the text encoder
        texts[name] = TuningMethod.load(name).prompt(model, prompt_inputs_for(model_name, name)).without_images()
    with torch.no_grad():
        pyramid = model.encode_image(images)
        said = [flat(model.ground(pyramid, language).outputs) for language in texts.values()]
    assert len(said[0]) == len(said[1]) > 0
    assert all(torch.equal(one, other) for one, other in zip(*said))


def flat(outputs) -> list[torch.Tensor]:
    """Every tensor of what a detector predicts."""
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    if isinstance(outputs, dict):
        return [tensor for value in outputs.values() for tensor in flat(value)]
    if isinstance(outputs, (list, tuple)):
        return [tensor for value in outputs for tensor in flat(value)]
    return flat(vars(outputs)) if hasattr(outputs, "__dict__") else []


@pytest.mark.parametrize("method", SURVEY)
def test_one_step_trains_what_is_named_and_nothing_else(method, data, tmp_path):
    step = one_step("glip_nano", method, data, tmp_path)
    assert step.trained and step.moved <= step.trained
    assert len(step.trained - step.moved) <= 0.1 * len(step.trained), sorted(step.trained - step.moved)[:5]
    assert set(OWN_TERMS.get(method, ())) <= set(step.losses)


@EVERYWHERE
def test_a_context_that_all_classes_share_stands_before_every_name(model_name):
    torch.manual_seed(0)
    model = build_detector(model_name).eval()
    prompt = TuningMethod.load("coop").prompt(model, prompt_inputs_for(model_name, "coop"))
    own = TuningMethod.load("prompt_tuning").prompt(model, prompt_inputs_for(model_name, "prompt_tuning"))
    assert prompt.vectors.shape[0] == 1 and own.vectors.shape[0] == 3
    own.text_encoder = prompt.text_encoder
    own.vectors.data[:] = prompt.vectors
    with torch.no_grad():
        assert torch.equal(own(PromptContext()).hidden, prompt(PromptContext()).hidden)


@EVERYWHERE
@pytest.mark.parametrize("method", sorted(OWN_TERMS))
def test_the_anchor_is_zero_at_the_names_and_pulls_towards_them(model_name, method):
    torch.manual_seed(0)
    model, way = build_detector(model_name), TuningMethod.load(method)
    prompt = way.prompt(model, prompt_inputs_for(model_name, method))
    if method == "cones_kg":
        prompt.vectors.data[:] = 3 * prompt.anchors[:, None]  # the same direction, another length

    class Said:
        language = prompt(PromptContext())

    targets = [type("Empty", (), {"boxes": torch.empty(0, 4)})()] * 2
    term = way.loss_terms(model, prompt, Said, targets)["anchor"]
    assert term.normaliser == way.normalisers(targets, (96, 96))["anchor"] == 2
    if method == "cones_kg":
        assert term.sum.detach() == pytest.approx(0, abs=1e-5)
    else:
        assert term.sum > 0
        term.sum.backward()
        assert prompt.vectors.grad.abs().sum() > 0


@EVERYWHERE
def test_a_context_that_is_moved_for_each_image_looks_at_that_image_alone(model_name, data):
    torch.manual_seed(0)
    model = build_detector(model_name).eval()
    prompt = TuningMethod.load("cocoop").prompt(model, prompt_inputs_for(model_name, "cocoop")).eval()
    split = Split(data, "train", preprocessing=model.preprocessing, inclusive=model.inclusive_boxes)
    small, other = (split.sample(View(index, 96)) for index in (0, 1))
    with torch.no_grad():
        both = prompt.for_images(model.encode_image(batch_of([small, other]))).hidden
        alone = prompt.for_images(model.encode_image(batch_of([small]))).hidden
        torch.testing.assert_close(both[:1], alone)
        assert not torch.allclose(both[0], both[1], atol=1e-4)
        for parameter in prompt.meta_net.linear2.parameters():
            parameter.zero_()
        unmoved = prompt.for_images(model.encode_image(batch_of([small, other]))).hidden
        assert torch.equal(unmoved, prompt.caption(PromptContext()).hidden.expand(2, -1, -1))


@EVERYWHERE
def test_an_image_has_the_same_vector_whatever_it_is_padded_to(model_name):
    """Padding is told apart by its place: values in it are changed here, as convolutions leave something there."""
    torch.manual_seed(0)
    model = build_detector(model_name).eval()
    pixels = torch.randn(1, 3, 96, 128)
    pyramid = model.encode_image(ImageBatch(pixels, [(70, 100)]))
    before = model.pooled(pyramid)
    assert before.shape == (1, model.map_width)
    for level, features in enumerate(pyramid.maps):
        stride = model.finest_stride * 2**level
        features[:, :, -(-70 // stride) :] += 7
        features[:, :, :, -(-100 // stride) :] += 7
    assert torch.equal(model.pooled(pyramid), before)
