"""Tokens that enter an encoder block by block, and low-rank weights, at the places of FORMAT-C, table C.0.1."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cones.models.additions import add_module
from cones.models.dual_encoder import BlockTokens, scaled_cosines
from cones.runtime.errors import ConesError
from tests.golden.clip import recipe
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS, TINY_RN, TINY_VIT, golden_clip, golden_images
from tests.models.clip.seen import outputs_of

FORWARD, GRADIENT, NUMBER = 1e-4, 1e-3, 1e-5
BLOCKS = {f"block{i}": f"visual.transformer.resblocks.{i}" for i in range(4)}


@pytest.fixture
def model():
    return golden_clip(TINY_VIT).requires_grad_(False)


def drawn(name, shape, scale):
    """FORMAT-C's N(name, shape, c)."""
    return torch.from_numpy((recipe.normal(name, shape) * scale).astype("float32")).requires_grad_()


def logits(model, texts, tag, count, **tokens):
    images = model.encode_image(golden_images(tag, count), **tokens).pooled
    return images, scaled_cosines(images, texts, model.logit_scale.exp())


def test_visual_prompts_of_mvlpt_enter_every_block_after_the_first_norm(model):
    """Official place: rows 1 to 4; here behind the patches, which no result depends on."""
    golden = GoldenFile("vpt_mvlpt")
    first = drawn("vpt_mvlpt/prompt_learner.vpt_embeddings", (1, 4, 192), 0.5)
    deep = drawn("vpt_mvlpt/prompt_learner.vpt_embeddings_deep", (3, 4, 192), 0.5)
    tokens = BlockTokens({0: first[0], **{1 + i: deep[i] for i in range(3)}})
    ids = golden["in/token_ids"]
    texts = model.encode_text(model.embed_text(ids), ids.argmax(1))
    with outputs_of(model, BLOCKS) as seen:
        images, scores = logits(model, texts, "train", 8, tokens=tokens)
    golden.compare("mid/text_features", texts, within=FORWARD)
    for i in range(4):
        hidden = seen[f"block{i}"]
        assert hidden.shape[1] == golden["mid/vis_seq_len"][i]
        golden.compare(f"mid/vis_block{i}_out_image0_rows_0_1_5", hidden[0, [0, 17, 1]], within=FORWARD)
    golden.compare("mid/image_features", images, within=FORWARD)
    golden.compare("logits/train", scores, within=FORWARD)
    golden.compare("logits/test", logits(model, texts, "test", 6, tokens=tokens)[1], within=FORWARD)
    loss = F.cross_entropy(scores, LABELS)
    loss.backward()
    golden.compare("loss/ce_total", loss, within=NUMBER)
    golden.compare("grad/vpt_embeddings", first.grad, within=GRADIENT)
    golden.compare("grad/vpt_embeddings_deep", deep.grad, within=GRADIENT)


IVLP = {
    "prompt_learner.ctx": None,  # word vectors, stored
    "image_encoder.VPT": ((4, 192), 0.3),
    "image_encoder.transformer.resblocks.1.VPT_shallow": ((4, 192), 0.5),
    "image_encoder.transformer.resblocks.2.VPT_shallow": ((4, 192), 0.5),
    "text_encoder.transformer.resblocks.1.VPT_shallow": ((4, 128), 0.1),
    "text_encoder.transformer.resblocks.2.VPT_shallow": ((4, 128), 0.1),
}


def ivlp_parts(golden):
    """The five token tensors of the recipe, and the context as it is stored."""
    parts = {name: drawn(f"ivlp/{name}", *how) for name, how in IVLP.items() if how}
    for name, part in parts.items():
        golden.compare(f"init/{name}", part, within=1e-6)
    return {**parts, "prompt_learner.ctx": golden["init/prompt_learner.ctx"].requires_grad_()}


def ivlp(model, golden, parts, *, before_first_norm=True, places=(1, 2)):
    """(text features, image tokens) of independent prompts in both encoders, three blocks deep."""
    ids = golden["in/token_ids"]
    words = model.embed_text(ids)
    words = torch.cat([words[:, :1], parts["prompt_learner.ctx"].expand(3, -1, -1), words[:, 5:]], dim=1)
    deep = {
        side: {i: parts[f"{side}_encoder.transformer.resblocks.{i}.VPT_shallow"] for i in places}
        for side in ("image", "text")
    }
    texts = model.encode_text(words, ids.argmax(1), tokens=BlockTokens(deep["text"]))
    return texts, BlockTokens({0: parts["image_encoder.VPT"], **deep["image"]}, before_first_norm=before_first_norm)


def test_independent_prompts_in_both_encoders(model):
    """Tokens of block 0 pass the first norm, those of blocks 1 and 2 replace them, then they stay and evolve."""
    golden = GoldenFile("ivlp")
    parts = ivlp_parts(golden)
    texts, tokens = ivlp(model, golden, parts)
    with outputs_of(model, BLOCKS) as seen:
        images, scores = logits(model, texts, "train", 8, tokens=tokens)
    for i in range(4):
        rows = seen[f"block{i}"][0, [0, 17, 20]]
        golden.compare(f"mid/vis_block{i}_out_image0_rows_0_17_20", rows, within=FORWARD)
    golden.compare("mid/text_features", texts, within=FORWARD)
    golden.compare("mid/image_features", images, within=FORWARD)
    golden.compare("logits/train", scores, within=FORWARD)
    golden.compare("logits/test", logits(model, texts, "test", 6, tokens=tokens)[1], within=FORWARD)
    loss = F.cross_entropy(scores, LABELS)
    loss.backward()
    golden.compare("loss/ce_total", loss, within=NUMBER)
    for name, part in parts.items():
        golden.compare(f"grad/{name}", part.grad, within=GRADIENT)


@pytest.mark.parametrize(
    "mistake", [{"before_first_norm": False}, {"places": (1,)}], ids=["the norm is skipped", "one block less"]
)
def test_the_numbers_tell_other_places(model, mistake):
    golden = GoldenFile("ivlp")
    texts, tokens = ivlp(model, golden, ivlp_parts(golden), **mistake)
    found = logits(model, texts, "test", 6, tokens=tokens)[1]
    assert golden.distance("logits/test", found) > 100 * FORWARD


def test_tokens_may_be_made_of_the_rows_that_enter_their_block(model):
    """What class-aware prompts need: a function sees the rows without tokens, and as many tokens as it makes enter."""
    given = {}

    def made(rows):
        given["rows"] = rows
        return rows[:, :3] * 2

    with outputs_of(model, BLOCKS) as seen:
        model.encode_image(golden_images("test", 6), tokens=BlockTokens({1: torch.ones(5, 192), 3: made}))
    assert [seen[f"block{i}"].shape[1] for i in range(4)] == [17, 22, 22, 20]
    assert torch.equal(given["rows"], seen["block2"][:, :17])


def test_tokens_are_no_patches(model):
    features = model.encode_image(
        golden_images("test", 6), patches=True, tokens=BlockTokens({0: torch.ones(2, 192)}, before_first_norm=True)
    )
    assert features.patches.shape == (6, 16, 64)


def test_tokens_at_a_place_that_is_not_there_are_refused(model):
    with pytest.raises(ValueError, match=r"blocks \[4\] of an encoder of 4"):
        model.encode_image(golden_images("test", 1), tokens=BlockTokens({4: torch.ones(1, 192)}))
    words, ends = torch.zeros(2, 6, 128), torch.tensor([5, 3])
    with pytest.raises(ValueError, match="6 tokens do not fit behind the start of texts of 6 rows"):
        model.encode_text(words, ends, tokens=BlockTokens({0: torch.ones(6, 128)}))
    with pytest.raises(ConesError, match="a ResNet reads no sequence"):
        golden_clip(TINY_RN).encode_image(golden_images("test", 1, 64), tokens=BlockTokens({}))
    assert (model.image_width, model.image_blocks, model.text_blocks) == (192, 4, 4)
    assert golden_clip(TINY_RN).image_width is None


class LowRank(nn.Module):
    """CLIP-LoRA's weights of q, k and v: B A x / sqrt(rank) is added to each (FORMAT-C, C.10)."""

    def __init__(self, name, width, scale=2**-0.5):
        super().__init__()
        self.scale = scale
        parts = [f"clip_lora/{name}.{part}_proj.w_lora_" for part in "qkv"]
        self.down = nn.ParameterList(drawn(f"{part}A", (2, width), width**-0.5) for part in parts)
        self.up = nn.ParameterList(drawn(f"{part}B", (width, 2), 0.5) for part in parts)

    def forward(self, output, hidden, weight, bias):
        added = [F.linear(F.linear(hidden, down), up) for down, up in zip(self.down, self.up)]
        return output + self.scale * torch.cat(added, dim=-1)


def test_low_rank_weights_can_be_added_to_queries_keys_and_values(model):
    golden = GoldenFile("clip_lora")
    ids = golden["in/token_ids"]

    def scores(tag, count):
        with torch.no_grad():
            texts = model.encode_text(model.embed_text(ids), ids.argmax(1))
            return logits(model, texts, tag, count)[1]

    golden.compare("logits/zero_shot_test", scores("test", 6), within=FORWARD)
    before = set(model.state_dict())
    for encoder, width in (("visual.transformer", 192), ("transformer", 128)):
        for i in range(4):
            name = f"{encoder}.resblocks.{i}.attn"
            add_module(model, f"{name}.projections", "low_rank", LowRank(name, width), changes="output")
    golden.compare("logits/test", scores("test", 6), within=FORWARD)
    golden.compare("logits/train", scores("train", 8), within=FORWARD)
    added = set(model.state_dict()) - before
    assert len(added) == 48 and all(name.startswith(model.additions) for name in added)
    assert not any(name.startswith(model.additions) for name in before)
