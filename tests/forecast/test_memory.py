"""Memory inside the encoders: counted from shapes, held against what PyTorch keeps for a backward pass."""

import pytest
import torch

from cones.forecast.memory import FLOAT, GPU_BYTES, PICTURES, Sequence, memory_inside, memory_of
from cones.models.clip.build import build_clip
from tests.golden.tiny_clip import golden_clip


def kept(model, forward) -> int:
    """Bytes of all tensors that a forward pass keeps, each storage once, without parameters."""
    own, storages = {value.untyped_storage().data_ptr() for value in model.parameters()}, {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage  # kept alive, so that no address comes twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = forward()
    assert result.requires_grad
    return sum(storage.nbytes() for storage in storages.values())


@pytest.mark.parametrize("trains", [False, True])
@pytest.mark.parametrize("make", [golden_clip, lambda: build_clip("clip_nano").eval()])
def test_what_a_block_keeps_is_what_pytorch_keeps(make, trains):
    model, pictures = make(), 3
    model.requires_grad_(trains)
    blocks, width = model.visual.transformer, model.image_width
    rows = torch.randn(pictures, 17, width, requires_grad=True)
    found = kept(blocks, lambda: blocks(rows))
    assert pictures * Sequence(17, width, len(blocks.resblocks)).kept_bytes(trains=trains) == pytest.approx(
        found, rel=0.04
    )


def test_vit_b16_with_64_pictures_trains_in_24_gb():
    memory = memory_of("clip_vit_b16")
    assert memory.fits and 6e9 < memory.prompts < memory.weights < 16e9
    by_hand = PICTURES * 12 * 197 * 768 * 14 * FLOAT + 150e6 * FLOAT
    assert memory.prompts == pytest.approx(by_hand, rel=0.1)
    assert memory.texts == pytest.approx(100 * 12 * 24 * 512 * 14 * FLOAT, rel=0.01)
    large = memory_of("clip_vit_l14")
    assert not large.fits and large.weights > GPU_BYTES


def test_nano_models_and_models_without_a_sequence_are_left_out():
    assert [one.model for one in memory_inside(["clip_nano", "clip_rn50", "clip_vit_b32", "clip_vit_b32"])] == [
        "clip_vit_b32"
    ]
