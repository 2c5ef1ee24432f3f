"""Names, shapes and parameter counts of UNINEXT, as in the official checkpoints and in the paper."""

import pytest
import torch

from cones.models.checkpoints import (
    build_detector,
    build_text_encoder,
    convert_official,
    expected_state,
    initial_state,
    tokenizer_for,
)
from cones.models.family import FAMILIES, family_named
from cones.models.uninext.config import SIZES
from cones.models.uninext.resnet import BatchNorm, FrozenBatchNorm
from cones.runtime.errors import ConesError
from tests.models.uninext_golden import NAME, TEXT_PREFIX, official_entries

NANO = "uninext_nano"


def on_meta(builder, name=NAME):
    with torch.device("meta"):
        return builder(name)


def count(parameters) -> int:
    return sum(parameter.numel() for parameter in parameters)


def test_every_entry_of_the_official_file_is_a_tensor_of_ours_or_named_as_dropped():
    entries = official_entries()
    kept = {name: (shape, dtype) for name, shape, dtype, _ in entries if not family_named(NAME).unused.fullmatch(name)}
    ours = expected_state(NAME)
    assert kept == {key: (tuple(t.shape), str(t.dtype).removeprefix("torch.")) for key, t in ours.items()}
    dropped = {name: kind for name, _, _, kind in entries if name not in kept}
    assert list(dropped.values()).count("alias") == 74
    assert [name for name, kind in dropped.items() if kind != "alias"] == ["criterion._iter"]
    assert all(kind == "alias" or name == "criterion._iter" for name, kind in dropped.items())


def test_parameter_counts():
    """Paper, Table 2: 166.36, 57.67, 166.14 and 57.25 million (docs/spec/uninext.md 1)."""
    detector, encoder = on_meta(build_detector), on_meta(build_text_encoder)
    assert count(encoder.parameters()) == 108_891_648
    assert count(detector.parameters()) == 57_468_896
    frozen = [p for n, p in detector.named_parameters() if n.startswith(detector.always_frozen)]
    assert count(frozen) == 222_400
    parts = {
        "detr.detr.backbone": 23_454_912,
        "detr.detr.input_proj": 5_639_168,
        "detr.detr.transformer.encoder.vl_layers": 6_303_744,
        "detr.detr.transformer.encoder.layers": 7_693_056,
        "detr.detr.transformer.decoder": 9_472_256,
        "detr.detr.class_embed": 1_186_061,
        "detr.detr.bbox_embed": 928_284,
        "detr.detr.iou_head": 1_542,
        "detr.controller": 175_017,
        "detr.mask_head": 1_922_376,
        "detr.resizer": 197_376,
    }
    found = {part: count(detector.get_submodule(part).parameters()) for part in parts}
    assert found == parts


def test_linear_probing_trains_the_class_projections():
    detector = on_meta(build_detector)
    parameters = dict(detector.named_parameters())
    assert detector.projections <= set(parameters)
    assert count(parameters[name] for name in detector.projections) == 6 * (768 * 256 + 256 + 1 + 768 + 1)


def test_an_image_is_prepared_as_published():
    preprocessing = on_meta(build_detector).preprocessing
    assert (preprocessing.short_side, preprocessing.long_side_cap) == (800, 1333)
    assert not preprocessing.bgr and not preprocessing.pads_at_test and preprocessing.size_divisor == 32
    assert preprocessing.mean == (123.675, 116.28, 103.53) and preprocessing.std == (58.395, 57.12, 57.375)


def official_file(path, more=None):
    """A .pth in the official layout, and more entries."""
    state = initial_state(NANO, seed=3)
    state |= {
        name.replace("detr.detr.", "detr.detr.transformer.decoder.", 1): value
        for name, value in state.items()
        if name.startswith(("detr.detr.class_embed.", "detr.detr.bbox_embed."))
    }
    state |= {"criterion._iter": torch.zeros(1), f"{TEXT_PREFIX}embeddings.position_ids": torch.arange(512)[None]}
    torch.save({"model": state | (more or {}), "iteration": 1}, path)


def test_official_files_are_converted(tmp_path):
    official_file(tmp_path / "official.pth")
    converted, state = convert_official(NANO, tmp_path / "official.pth"), initial_state(NANO, seed=3)
    assert converted.keys() == state.keys()
    assert all(torch.equal(converted[name], state[name]) for name in state)


def test_a_video_checkpoint_is_refused_by_the_name_it_adds(tmp_path, without_hint):
    official_file(tmp_path / "official.pth", {"detr.detr.reid_head.weight": torch.zeros(2)})
    with pytest.raises(ConesError, match=r"a weight is unknown: detr\.detr\.reid_head\.weight"):
        convert_official(NANO, tmp_path / "official.pth")


def test_nano_is_small_and_speaks_the_project_s_words():
    detector, encoder = build_detector(NANO), build_text_encoder(NANO)
    assert count(detector.parameters()) + count(encoder.parameters()) < 4_000_000
    assert detector.always_frozen == () and detector.text_width == encoder.width
    assert tokenizer_for(NANO).encode("a fish").ids


def test_fresh_class_heads_are_unsure_and_boxes_start_at_their_proposals():
    detector = build_detector(NANO).detr.detr
    for head in detector.class_embed[:-1]:
        assert torch.sigmoid(head.bias0).item() == pytest.approx(0.01)
        assert not head.bias_lang.any() and not head.dot_product_projection_text.bias.any()
    assert torch.sigmoid(detector.class_embed[-1].body.bias).item() == pytest.approx(0.01)
    assert not any(head.layers[-1].weight.any() or head.layers[-1].bias.any() for head in detector.bbox_embed)


def test_norms_that_learnt_load_as_frozen_and_say_the_same():
    torch.manual_seed(0)
    learning, frozen = build_detector(NANO), build_detector(NANO)
    learning.thaw()
    assert not any(isinstance(module, FrozenBatchNorm) for module in learning.modules())
    assert learning.state_dict().keys() == frozen.state_dict().keys()
    backbone = learning.detr.detr.backbone[0].backbone
    norms = [module for module in backbone.modules() if isinstance(module, BatchNorm)]
    pixels = torch.randn(2, 3, 64, 96)
    sum(level.mean() for level in backbone(pixels)).backward()  # in train mode: statistics move, affine values learn
    assert all(norm.weight.grad is not None and norm.running_mean.any() for norm in norms)
    frozen.load_state_dict(learning.state_dict())
    assert not any("norm" in name for name, _ in frozen.detr.detr.backbone.named_parameters())
    for ours, theirs in zip(frozen.detr.detr.backbone[0].backbone(pixels), backbone.eval()(pixels)):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_family_lists_all_its_sizes():
    assert set(FAMILIES["uninext"].models) == set(SIZES)
