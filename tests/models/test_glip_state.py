"""Names, shapes and parameter counts of GLIP, as in the official checkpoints and in the paper."""

import pytest
import torch

from cones.models.checkpoints import build_detector, build_text_encoder, expected_state
from cones.models.family import FAMILIES, family_named
from cones.models.glip.config import SIZES
from cones.models.glip.head import DyHead
from tests.models.glip_golden import TEXT_PREFIX, official_entries

OFFICIAL = ["glip_t", "glip_t_a", "glip_l"]


def on_meta(builder, name):
    with torch.device("meta"):
        return builder(name)


def count(parameters) -> int:
    return sum(parameter.numel() for parameter in parameters)


@pytest.mark.parametrize("name", OFFICIAL)
def test_state_has_the_official_names_and_shapes(name):
    entries = official_entries(name)
    official = {
        entry: (shape, dtype) for entry, shape, dtype, _ in entries if not family_named(name).unused.fullmatch(entry)
    }
    ours = expected_state(name)
    found = {key: (tuple(t.shape), str(t.dtype).removeprefix("torch.")) for key, t in ours.items()}
    assert found == official
    assert sorted(e for e, *_ in entries if e not in official) == [
        f"{TEXT_PREFIX}embeddings.position_ids",
        "rpn.head.cls_logits.bias",
        "rpn.head.cls_logits.weight",
    ]


@pytest.mark.parametrize(
    ("name", "everything", "with_embedding", "full", "stage2"),
    [
        # trainable counts are without the frozen stem and first stage; paper: 231.76, 123.06, 231.15, 122.56 million
        ("glip_t", 231_759_662, 123_064_622, 231_455_576, 122_563_928),
        # paper: 430.40, 321.71, 429.20, 320.03 million (the last does not match: 320.31)
        ("glip_l", 430_401_824, 321_706_784, 429_199_508, 320_307_860),
    ],
)
def test_parameter_counts(name, everything, with_embedding, full, stage2):
    detector, encoder = on_meta(build_detector, name), on_meta(build_text_encoder, name)
    assert count(encoder.parameters()) == 108_891_648
    assert count(detector.parameters()) + count(encoder.parameters()) == everything
    assert count(detector.parameters()) + 256 * 768 == with_embedding
    frozen = [p for n, p in detector.named_parameters() if n.startswith(detector.always_frozen)]
    trainable = count(detector.parameters()) - count(frozen)
    assert trainable + count(encoder.parameters()) == full
    assert trainable == stage2


@pytest.mark.parametrize("name", OFFICIAL)
def test_linear_probing_trains_the_last_projections(name):
    parameters = dict(on_meta(build_detector, name).named_parameters())
    projections = build_detector("glip_nano").projections
    assert projections <= set(parameters)
    assert count(parameters[key] for key in projections) == 198_919


def test_every_always_frozen_prefix_is_in_the_checkpoint():
    detector = on_meta(build_detector, "glip_t")
    names = [entry for entry, *_ in official_entries("glip_t")]
    assert detector.always_frozen == ("backbone.body.patch_embed.", "backbone.body.layers.0.", "rpn.head.cls_logits.")
    assert all(any(n.startswith(prefix) for n in names) for prefix in detector.always_frozen)


def test_nano_is_small_and_all_of_it_trains():
    detector, encoder = build_detector("glip_nano"), build_text_encoder("glip_nano")
    assert count(detector.parameters()) + count(encoder.parameters()) < 2_000_000
    assert detector.always_frozen == ()
    assert detector.text_width == encoder.width == 64


def test_fresh_heads_start_unsure():
    """bias0 = -ln 99: every token of every anchor starts at a probability of about 1 %."""
    head = build_detector("glip_nano").rpn.head
    assert torch.sigmoid(head.bias0).item() == pytest.approx(0.01)
    assert not head.bias_lang.any() and head.log_scale.item() == SIZES["glip_nano"].log_scale
    assert {scale.scale.item() for scale in head.scales} == {SIZES["glip_nano"].box_scale}
    fuse = head.dyhead_tower[0].b_attn
    assert fuse.gamma_v.unique().tolist() == fuse.gamma_l.unique().tolist() == [0.5]
    assert not head.dyhead_tower[2].offset.weight.any()


def test_the_published_sizes_start_as_published():
    """Only the nano models start steeper: by default a head has GLIP's own values (docs/spec/glip.md 7)."""
    for name, sizes in SIZES.items():
        assert sizes.narrow == name.startswith("glip_nano")
        assert sizes.narrow or (sizes.box_scale, sizes.log_scale) == (1.0, 0.0)
    head = DyHead(tower=[], visual=8, text=8, levels=2)
    assert head.log_scale.item() == 0 and {scale.scale.item() for scale in head.scales} == {1.0}


def test_the_family_lists_all_its_sizes():
    assert set(FAMILIES["glip"].models) == set(SIZES)
