"""Positions of pictures: the same numbers as `encode_image` gives where sizes are alike, and of other sizes."""

import pytest
import torch
from torch.nn import functional as F

from cones.models.clip.positions import resized_positions
from cones.models.positions import Positions
from cones.runtime.errors import ConesError
from tests.golden.tiny_clip import TINY_RN, TINY_VIT, golden_clip, golden_images

SIDES = {"vit": (TINY_VIT, 32, 8), "resnet": (TINY_RN, 64, 32)}


@pytest.fixture(scope="module", params=SIDES)
def model(request):
    sizes, side, stride = SIDES[request.param]
    return request.param, golden_clip(sizes), side, stride


@torch.no_grad()
def test_pictures_of_the_encoder_s_own_size_have_their_usual_positions(model):
    _, clip, side, _ = model
    pixels = golden_images("test", 2, side)
    usual = clip.encode_image(pixels, patches=True)
    for resize in ("bicubic", "bilinear"):
        found = clip.encode_positions(pixels, reading="attention", resize=resize)
        torch.testing.assert_close(found.features, usual.patches, rtol=0, atol=1e-6)
        torch.testing.assert_close(found.pooled, usual.pooled, rtol=0, atol=1e-6)
    assert found.keys is None


@torch.no_grad()
def test_pictures_need_not_be_square_and_rows_run_along_the_width(model):
    kind, clip, side, stride = model
    pixels = golden_images("test", 1, 2 * side)[..., : 2 * side - stride, :]
    high, wide = (2 * side - stride) // stride, 2 * side // stride
    for reading in ("attention", "values"):
        found = clip.encode_positions(pixels, reading=reading)
        assert found.grid == (high, wide)
        assert found.features.shape == (1, high * wide, clip.width)
        assert (found.pooled is None) == (reading == "values") == (found.keys is not None)
    drawn = found.as_map(torch.arange(high * wide).view(1, -1, 1))
    assert drawn[0, 0, 1, 0] == wide and drawn.shape == (1, 1, high, wide)
    if kind == "resnet":  # the value path has no places: a part of a picture far from its edges is read alike
        assert not torch.equal(
            clip.encode_positions(pixels, reading="attention", resize="none").features,
            clip.encode_positions(pixels, reading="attention").features,
        )


@torch.no_grad()
def test_in_the_value_path_a_position_sees_no_other_position_in_the_last_layer(model):
    kind, clip, side, _ = model
    pixels = golden_images("test", 1, side)
    found = clip.encode_positions(pixels, reading="values").features
    if kind == "resnet":
        maps = clip.visual.maps(pixels)
        one = clip.visual.attnpool.c_proj(clip.visual.attnpool.v_proj(maps[..., 1, 0]))
        torch.testing.assert_close(found[:, 2], one)
        return
    *earlier, last = clip.visual.transformer.resblocks
    hidden = clip.visual.ln_pre(clip.visual.embed(pixels))
    for block in earlier:
        hidden = block(hidden)
    alone = last(hidden[:, 3:4])  # a sequence of one row attends to itself alone
    torch.testing.assert_close(found[:, 2:3], clip.visual.ln_post(alone) @ clip.visual.proj, rtol=1e-5, atol=1e-5)


def test_the_first_place_is_kept_and_the_grid_is_resized():
    embedding = torch.arange(5.0)[:, None]
    found = resized_positions(embedding, (2, 4), "bilinear")
    assert found.shape == (9, 1) and found[0] == 0
    expected = F.interpolate(torch.tensor([[[[1.0, 2], [3, 4]]]]), size=(2, 4), mode="bilinear", align_corners=False)
    torch.testing.assert_close(found[1:, 0], expected.flatten())
    assert resized_positions(embedding, (2, 2), "bicubic") is embedding


def test_what_cannot_be_read_is_refused(model):
    kind, clip, side, stride = model
    with pytest.raises(ConesError, match=f"multiples of {stride} pixels"):
        clip.encode_positions(torch.zeros(1, 3, side, side + 3), reading="values")
    with pytest.raises(ConesError, match="no multiples"):
        clip.encode_positions(torch.zeros(1, 3, 0, side), reading="values")
    if kind == "vit":
        with pytest.raises(ConesError, match="without their places"):
            clip.encode_positions(torch.zeros(1, 3, side, side), reading="attention", resize="none")


def test_a_part_of_the_pictures_keeps_all_that_is_known_of_them():
    positions = Positions(torch.randn(3, 4, 2), (2, 2), keys=torch.randn(3, 4, 5))
    part = positions[[2, 0]]
    assert len(part) == 2 and part.pooled is None and part.grid == (2, 2)
    torch.testing.assert_close(part.keys, positions.keys[[2, 0]])
