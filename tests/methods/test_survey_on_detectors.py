"""Methods of the survey on every family of detectors: where they start, what they add, what their terms do."""

import pytest
import torch
from toy import ToyDetector

from baselines.training_free import cupl, vcd
from baselines.training_free.written_texts import AboutClass, texts_for_detectors
from cones.data.batches import Split, View, batch_of
from cones.data.registry import load_registries
from cones.methods.method import METHODS, TuningMethod
from cones.methods.prompts import CaptionPrompt, PromptContext, encode_caption
from cones.models import missing_places
from cones.models.checkpoints import build_detector
from cones.models.detector import ImageBatch
from cones.models.language import clean_class_name
from cones.runtime.errors import ConesError
from tests.methods.on_detectors import EVERYWHERE, flat
from tests.methods.one_step import GLIP_ALONE, OWN_TERMS, PHRASES, SURVEY, one_step, prompt_inputs_for

NEUTRAL = ("taskres", "bias_only")  # their start is zero-shot


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


@pytest.mark.parametrize("method", [*SURVEY, *GLIP_ALONE])
def test_one_step_trains_what_is_named_and_nothing_else(method, data, tmp_path):
    step = one_step("glip_nano", method, data, tmp_path)
    is_tuned = METHODS[method].is_tuned or METHODS[method].tuned_arm is not None  # then its values are the averages
    assert bool(step.trained) == is_tuned and step.moved <= step.trained
    if not METHODS[method].is_tuned:
        return
    assert len(step.trained - step.moved) <= 0.1 * len(step.trained), sorted(step.trained - step.moved)[:5]
    assert set(OWN_TERMS.get(method, ())) <= set(step.losses)


@pytest.mark.parametrize(
    "method", ["lora", "vpt_deep", "sdpt", "plot", "tip_adapter", "calip", "prograd", "tpt", "dualcoop"]
)
def test_a_detector_without_the_place_that_a_method_needs_is_a_hole_with_that_reason(method, monkeypatch):
    assert TuningMethod.load(method).supports("glip_nano") is None
    monkeypatch.setattr(missing_places, "_detector", lambda name: ToyDetector())
    assert TuningMethod.load(method).supports("my_detector")


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
@pytest.mark.parametrize("method", ["cones_kg", "kgcoop"])
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


# ------------------------------------------------------------------------------------------------ texts, nothing trains

SETS = {name: entry.classes for name, entry in load_registries().items() if name != "dreambooth"}


@pytest.mark.parametrize("dataset", SETS)
def test_every_class_of_every_detection_set_has_texts(dataset):
    about = texts_for_detectors([clean_class_name(name) for name in SETS[dataset]])
    assert all(len(one.phrases) == 3 and len(one.descriptors) >= 2 for one in about)


def test_a_class_without_texts_is_named():
    with pytest.raises(ConesError, match=r"no text is written about a class.*found unicorn"):
        texts_for_detectors(["dog", "unicorn"])


@EVERYWHERE
def test_one_phrase_that_is_the_name_alone_gives_the_rows_of_the_names(model_name, monkeypatch):
    monkeypatch.setattr(cupl, "texts_for_detectors", lambda names: [AboutClass(phrases=("{}",)) for _ in names])
    inputs = prompt_inputs_for(model_name, "cupl")
    encoded = encode_caption(inputs.tokenizer, inputs.phrases)
    with torch.no_grad():
        names = CaptionPrompt(inputs.text_encoder, encoded)(PromptContext())
        found = TuningMethod.load("cupl").prompt(build_detector(model_name), inputs).without_images()
    assert torch.equal(found.hidden[0], names.hidden[0, names.class_positions[0].any(dim=0)])
    torch.testing.assert_close(found.class_means(), names.class_means())


@EVERYWHERE
def test_a_caption_without_descriptors_is_zero_shot_and_a_full_one_stays_within_its_rows(model_name, caplog):
    tokenizer = prompt_inputs_for(model_name, "vcd").tokenizer
    plain, names = encode_caption(tokenizer, PHRASES), [phrase.name for phrase in PHRASES]
    encoded = vcd.described_caption(tokenizer, names, [(), (), ()])
    assert torch.equal(encoded.ids, plain.ids) and torch.equal(encoded.class_positions, plain.class_positions)
    two = vcd.described_caption(tokenizer, names, [("has fins", "wet"), ("red",), ("round",)])
    assert two.class_positions.sum(dim=1).tolist() == [2, 1, 1]
    with caplog.at_level("INFO"):
        full = vcd.described_caption(tokenizer, names, [("has fins",) * 50] * 3)
    assert len(full.ids) <= 256 and "of 150 descriptors" in caplog.text
