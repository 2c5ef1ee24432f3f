"""Positions by their own values: no row sees another, and the first is the whole picture."""

import torch
from torch.nn import functional as F

from tests.golden.tiny_clip import TINY_RN, TINY_VIT, golden_clip, golden_images


@torch.no_grad()
def test_a_vision_transformer_reads_each_row_of_its_last_block_by_itself():
    model, pixels = golden_clip(TINY_VIT), golden_images("test", 2)
    regions, visual = model.encode_regions(pixels, placed=True), model.visual
    torch.testing.assert_close(regions[:, 0], model.encode_image(pixels).pooled)
    assert torch.equal(regions, model.encode_regions(pixels, placed=False))
    hidden = visual.ln_pre(visual.embed(pixels))
    for block in visual.transformer.resblocks[:-1]:
        hidden = block(hidden)
    last = visual.transformer.resblocks[-1]
    for row in (1, 16):
        one = hidden[:, row]
        width = one.shape[-1]
        value = F.linear(last.ln_1(one), last.attn.in_proj_weight[2 * width :], last.attn.in_proj_bias[2 * width :])
        one = one + last.attn.out_proj(value)
        one = one + last.mlp(last.ln_2(one))
        torch.testing.assert_close(regions[:, row], visual.ln_post(one) @ visual.proj)


@torch.no_grad()
def test_regions_of_a_resnet_are_as_many_as_its_positions_and_one():
    model, pixels = golden_clip(TINY_RN), golden_images("test", 2, 64)
    placed, unplaced = (model.encode_regions(pixels, placed=placed) for placed in (True, False))
    assert placed.shape == unplaced.shape == (2, 5, 64)
    assert not torch.allclose(placed, unplaced)
    # values and projection are affine: of the mean they are the mean, and so are positions' own embeddings
    shift = model.visual.attnpool.positional_embedding
    rows = model.visual.attnpool.values(torch.stack([shift[0] - shift[1:].mean(0), torch.zeros_like(shift[0])])[None])[
        0
    ]
    torch.testing.assert_close(placed[:, 0], placed[:, 1:].mean(1) + rows[0] - rows[1], rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_the_row_of_a_texts_end_is_its_feature():
    model = golden_clip(TINY_VIT)
    ids = torch.tensor([[49406, 320, 1125, 49407, 0], [49406, 320, 49407, 0, 0]])
    ends = torch.tensor([3, 2])
    words = model.encode_words(model.embed_text(ids), ends)
    assert words.shape == (2, 4, 64)
    torch.testing.assert_close(words[[0, 1], ends], model.encode_text(model.embed_text(ids), ends))
