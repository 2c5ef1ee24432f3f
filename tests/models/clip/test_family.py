"""CLIP as a family of the registry: sizes, start values, and the kind that keeps detectors and it apart."""

import json

import pytest
import torch

from cones.models.checkpoints import (
    build_detector,
    build_dual_encoder,
    expected_state,
    initial_state,
    load_detector,
    tokenizer_for,
)
from cones.models.clip.config import SIZES
from cones.models.family import FAMILIES, dual_encoder_family_named, family_named, is_dual_encoder, is_nano
from cones.runtime.errors import ConesError
from cones.weights.official import official_files

PARAMETERS = {
    "clip_vit_b16": 149_620_737,
    "clip_vit_b32": 151_277_313,
    "clip_vit_l14": 427_616_513,
    "clip_rn50": 102_007_137,
}


def test_the_published_sizes_have_the_published_counts():
    for name, count in PARAMETERS.items():
        with torch.device("meta"):
            model = build_dual_encoder(name)
        assert sum(parameter.numel() for parameter in model.parameters()) == count, name
        assert (model.context_length, model.picture_format.side) == (77, 224)
        assert (model.image_width is None) == (name == "clip_rn50")
    assert set(FAMILIES["clip"].models) == set(SIZES) == {*PARAMETERS, "clip_nano"}


def safetensors_size(state):
    """Bytes of a file with such tensors and no metadata: names, types, shapes and places of all count."""
    header, place = {}, 0
    for name, value in sorted(state.items(), key=lambda item: (-item[1].element_size(), item[0])):
        end = place + value.numel() * value.element_size()
        kind = {torch.float32: "F32", torch.int64: "I64"}[value.dtype]
        header[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [place, end]}
        place = end
    length = len(json.dumps(header, separators=(",", ":")))
    return 8 + length + -length % 8 + place


@pytest.mark.parametrize("name", ["clip_vit_b16", "clip_vit_b32", "clip_rn50"])
def test_the_published_files_are_as_long_as_ours_to_the_byte(name):
    """So are names and shapes, if not one by one: a name that is longer by eight letters would show."""
    assert safetensors_size(expected_state(name)) == official_files()[name].size


def test_the_nano_model_is_the_one_of_the_trial():
    model = build_dual_encoder("clip_nano")
    count = {name: value.numel() for name, value in model.named_parameters()}
    assert sum(n for name, n in count.items() if name.startswith("visual.")) == pytest.approx(1.24e6, rel=0.01)
    assert (model.width, model.text_width, model.context_length) == (128, 96, 32)
    assert (model.picture_format.side, model.image_blocks, model.text_blocks) == (64, 6, 4)
    with torch.no_grad():
        features = model.eval().encode_image(torch.zeros(2, 3, 64, 64), patches=True)
        ids, ends = tokenizer_for("clip_nano")(["a photo of a cat.", "a bird"])
        texts = model.encode_text(model.embed_text(ids), ends)
    assert features.patches.shape == (2, 64, 128) and texts.shape == (2, 128)
    assert model.token_embedding.num_embeddings == tokenizer_for("clip_nano").entries


def test_a_fresh_model_starts_as_openai_starts():
    state = initial_state("clip_nano", 0)

    def spread(name):
        return float(state[name].std())

    assert float(state["logit_scale"].exp()) == pytest.approx(1 / 0.07)
    assert spread("token_embedding.weight") == pytest.approx(0.02, rel=0.05)
    assert spread("positional_embedding") == pytest.approx(0.01, rel=0.1)
    assert spread("text_projection") == pytest.approx(96**-0.5, rel=0.05)
    for encoder, width, layers in (("visual.transformer", 128, 6), ("transformer", 96, 4)):
        block = f"{encoder}.resblocks.1"
        residual = (width * 2 * layers) ** -0.5
        assert spread(f"{block}.attn.in_proj_weight") == pytest.approx(width**-0.5, rel=0.05)
        assert spread(f"{block}.attn.out_proj.weight") == pytest.approx(residual, rel=0.05)
        assert spread(f"{block}.mlp.c_fc.weight") == pytest.approx((2 * width) ** -0.5, rel=0.05)
        assert spread(f"{block}.mlp.c_proj.weight") == pytest.approx(residual, rel=0.05)
        assert not state[f"{block}.mlp.c_fc.bias"].any() and not state[f"{block}.attn.in_proj_bias"].any()
    assert all(torch.equal(value, initial_state("clip_nano", 0)[name]) for name, value in state.items())
    assert not torch.equal(state["visual.proj"], initial_state("clip_nano", 1)["visual.proj"])


def test_a_detector_and_a_model_with_two_encoders_are_never_taken_for_each_other(tmp_path):
    assert is_dual_encoder("clip_nano") and not is_dual_encoder("glip_nano") and is_nano("clip_nano")
    for call in (family_named, build_detector, lambda name: load_detector(name, tmp_path / "none.safetensors")):
        with pytest.raises(ConesError, match=r"clip_nano is not a detector.*found a model with two encoders"):
            call("clip_nano")
    with pytest.raises(ConesError, match="glip_nano is not a model with two encoders"):
        dual_encoder_family_named("glip_nano")


def test_pictures_of_another_size_are_refused():
    model = build_dual_encoder("clip_nano")
    with pytest.raises(ConesError, match=r"another size.*expected 64 patches.*found 16, of \(32, 32\) pixels"):
        model.encode_image(torch.zeros(1, 3, 32, 32))
    with pytest.raises(ConesError, match=r"too long for the text encoder.*at most 32.*found 33"):
        model.encode_text(torch.zeros(1, 33, 96), torch.tensor([3]))


def test_official_files_are_pinned_to_a_revision_and_a_hash():
    files = official_files()
    for name in (*PARAMETERS, "clip-bpe"):
        assert files[name].sha256, name
    for name in PARAMETERS:
        assert len(files[name].urls[0].split("/resolve/")[1].split("/")[0]) == 40, name
    assert files["clip-bpe"].size == 1356917
