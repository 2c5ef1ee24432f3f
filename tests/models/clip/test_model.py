"""CLIP against the golden numbers of the official code (FORMAT-A, A.1 and A.2), and the mistakes that they catch."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cones.models.clip import transformer
from cones.models.dual_encoder import scaled_cosines, unit
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS, TINY_RN, TINY_VIT, golden_clip, golden_images
from tests.models.clip.seen import outputs_of

FORWARD, GRADIENT, NUMBER = 1e-4, 1e-3, 1e-5  # standard deviations, or relative for a single number
CENTRED_LOGITS, CENTRED_FEATURES = 5e-4, 1.2e-3  # of the ResNet: 20 times the noise between pictures that look alike
LAYERS = {f"txt.layer{i}": f"transformer.resblocks.{i}" for i in range(4)}
VISUAL_LAYERS = {f"vis.layer{i}": f"visual.transformer.resblocks.{i}" for i in range(4)}


def text_of(model, ids, ends):
    return model.encode_text(model.embed_text(ids), ends)


def gradients(model, golden):
    """Every `grad.<parameter>` of a file."""
    parameters = dict(model.named_parameters())
    for key in golden.keys("grad."):
        if (name := key.removeprefix("grad.")) in parameters:
            gradient = parameters[name].grad
            rows = golden.content[key].shape[0] if name == "positional_embedding" else None  # the first, the rest is 0
            if rows:
                assert not gradient[rows:].any()
            golden.compare(key, gradient[:rows] if rows else gradient, within=GRADIENT)


def test_the_vision_transformer_is_the_official_one():
    model, pixels = golden_clip(TINY_VIT), golden_images("train", 8).requires_grad_()
    with GoldenFile("clip_vit") as golden:
        ids, ends = golden["tokens"], golden["eot"]
        assert torch.equal(golden["labels"], LABELS)
        words = model.embed_text(ids).detach().requires_grad_()
        places = {**LAYERS, **VISUAL_LAYERS, "vis.pre": "visual.ln_pre", "vis.post": "visual.ln_post"}
        with outputs_of(model, {**places, "txt.final": "ln_final"}) as seen:
            images, texts = model.encode_image(pixels).pooled, model.encode_text(words, ends)
        for name in ("vis.pre", *VISUAL_LAYERS):
            golden.compare(name, seen[name][:2], within=FORWARD)
            golden.compare(f"{name}.cls", seen[name][:, 0], within=FORWARD)
        golden.compare("vis.post", seen["vis.post"][:2, 0], within=FORWARD)
        for name in (*LAYERS, "txt.final"):
            golden.compare(f"{name}.eot", seen[name][torch.arange(3), ends], within=FORWARD)
            golden.compare(f"{name}.first10", seen[name][:, :10], within=FORWARD)
        logits = scaled_cosines(images, texts, model.logit_scale.exp())
        loss = F.cross_entropy(logits, LABELS)
        loss.backward()
        with torch.no_grad():
            test = model.encode_image(golden_images("test", 6)).pooled
        found = {"img_train": images, "img_test": test, "img_train_unit": unit(images)}
        found |= {"text": texts, "text_unit": unit(texts), "logits_train": logits}
        found["logits_test"] = scaled_cosines(test, texts, model.logit_scale.exp())
        for name, value in found.items():
            golden.compare(name, value, within=FORWARD)
        golden.compare("logit_scale_exp", model.logit_scale.exp(), within=NUMBER)
        golden.compare("loss", loss, within=NUMBER)
        golden.compare("grad.pixels", pixels.grad, within=GRADIENT)
        golden.compare("grad.token_embeddings", words.grad[:, :12], within=GRADIENT)
        assert not words.grad[:, 10:].any()  # nothing behind the last end counts
        gradients(model, golden)
        learned_context(model, images.detach(), golden)


def learned_context(model, images, golden):
    """Four vectors, the same for every class, stand where "X X X X" was tokenised."""
    ids = golden["ctx.tokens"]
    ends, words = ids.argmax(1), model.embed_text(ids).detach()
    context = golden["ctx.init"].requires_grad_()
    prompts = torch.cat([words[:, :1], context.expand(3, -1, -1), words[:, 5:]], dim=1)
    golden.compare("ctx.prompts_first12", prompts[:, :12], within=FORWARD)
    with outputs_of(model, {**LAYERS, "txt.final": "ln_final"}) as seen:
        texts = model.encode_text(prompts, ends)
    for name, hidden in seen.items():
        golden.compare(f"ctx.{name}.eot", hidden[torch.arange(3), ends], within=FORWARD)
    logits = scaled_cosines(images, texts, model.logit_scale.exp().detach())
    loss = F.cross_entropy(logits, LABELS)
    loss.backward()
    golden.compare("ctx.text", texts, within=FORWARD)
    golden.compare("ctx.logits_train", logits, within=FORWARD)
    golden.compare("ctx.loss", loss, within=NUMBER)
    golden.compare("ctx.grad", context.grad, within=GRADIENT)


def test_the_modified_resnet_is_the_official_one():
    model, pixels = golden_clip(TINY_RN), golden_images("train", 8, 64).requires_grad_()
    with GoldenFile("clip_rn") as golden:
        assert torch.equal(golden["labels"], LABELS)
        stages = {f"vis.layer{i}": f"visual.layer{i}" for i in range(1, 5)}
        with outputs_of(model, stages) as seen:
            images = model.encode_image(pixels).pooled
        texts = text_of(model, golden["tokens"], golden["eot"])
        golden.compare("vis.stem", model.visual.stem(pixels[:2]), within=FORWARD)
        for name, features in seen.items():
            golden.compare(name, features[:2], within=FORWARD)
        golden.compare("vis.layer4.all", seen["vis.layer4"].mean((2, 3)), within=FORWARD)
        logits = scaled_cosines(images, texts, model.logit_scale.exp())
        loss = F.cross_entropy(logits, LABELS)
        loss.backward()
        with torch.no_grad():
            test = model.encode_image(golden_images("test", 6, 64)).pooled
        features = {"img_train": images, "img_test": test, "img_train_unit": unit(images)}
        scores = {"logits_train": logits, "logits_test": scaled_cosines(test, texts, model.logit_scale.exp())}
        for centred, found in ((CENTRED_FEATURES, features), (CENTRED_LOGITS, scores)):
            for name, value in found.items():
                golden.compare(name, value, within=FORWARD)
                golden.compare(name, value, within=centred, centred=True)
        golden.compare("text", texts, within=FORWARD)
        golden.compare("text_unit", unit(texts), within=FORWARD)
        golden.compare("loss", loss, within=NUMBER)
        golden.compare("grad.pixels", pixels.grad, within=GRADIENT)
        gradients(model, golden)


def swap_heights_and_widths(model):
    model.visual.conv1.register_forward_hook(lambda module, inputs, output: output.transpose(2, 3))


def other_eps(model, eps=1e-6):
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = eps


def exact_gelu(model):
    for module in model.modules():
        if isinstance(module, transformer.FeedForward):
            module.forward = lambda hidden, own=module: own.c_proj(F.gelu(own.c_fc(hidden)))


def no_causal_mask(model):
    for block in model.transformer.resblocks:
        block.attn.causal = False


def text_heads(model, heads=4):
    for block in model.transformer.resblocks:
        block.attn.heads = heads


def queries_behind_keys(model):
    for block in model.visual.transformer.resblocks:
        block.attn.projections.register_forward_hook(
            lambda module, inputs, output: torch.cat(output.chunk(3, dim=-1)[1::-1] + output.chunk(3, dim=-1)[2:], -1)
        )


VIT_MISTAKES = {
    "exact GELU": exact_gelu,
    "another eps of the norms": other_eps,
    "no causal mask": no_causal_mask,
    "no positions in the text": lambda model: nn.init.zeros_(model.positional_embedding),
    "no positions in the image": lambda model: nn.init.zeros_(model.visual.positional_embedding),
    "no norm before the blocks": lambda model: setattr(model.visual, "ln_pre", nn.Identity()),
    "no norm after the text": lambda model: setattr(model, "ln_final", nn.Identity()),
    "four heads in the text": text_heads,
    "patches column by column": swap_heights_and_widths,
    "the end one token early": None,
    "the end at the last position": None,
}


def logits_test(model, side, ends_shift=None):
    golden = GoldenFile("clip_vit" if side == 32 else "clip_rn")
    ids, ends = golden["tokens"], golden["eot"]
    if ends_shift is not None:
        ends = ends + ends_shift if ends_shift < 0 else torch.full_like(ends, ids.shape[1] - 1)
    with torch.no_grad():
        images = model.encode_image(golden_images("test", 6, side)).pooled
        return golden, scaled_cosines(images, text_of(model, ids, ends), model.logit_scale.exp())


@pytest.mark.parametrize("mistake", VIT_MISTAKES)
def test_the_numbers_tell_a_mistake_in_the_vision_transformer_or_the_text(mistake):
    model, shift = golden_clip(TINY_VIT), {"the end one token early": -1, "the end at the last position": 0}
    if change := VIT_MISTAKES[mistake]:
        change(model)
    golden, found = logits_test(model, 32, shift.get(mistake))
    assert golden.distance("logits_test", found) > 5 * FORWARD
    with pytest.raises(AssertionError, match="logits_test"):
        golden.compare("logits_test", found, within=FORWARD)


def test_query_and_key_of_an_attention_are_told_apart():
    """Exchanged they give the transposed scores: seen where rows are not alike."""
    model = golden_clip(TINY_VIT)
    queries_behind_keys(model)
    golden, found = logits_test(model, 32)
    assert golden.distance("logits_test", found) > 5 * FORWARD


def strided_shortcut(model):
    for name in ("layer2", "layer3", "layer4"):
        shortcut = getattr(model.visual, name)[0].downsample
        shortcut.get_submodule("-1").forward = lambda x: x[:, :, ::2, ::2]


def batch_statistics(model):
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()


def batch_eps(model):
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3


def max_pool_in_the_stem(model):
    visual = model.visual

    def stem(pixels):
        x = F.relu(visual.bn1(visual.conv1(pixels)))
        return F.max_pool2d(F.relu(visual.bn3(visual.conv3(F.relu(visual.bn2(visual.conv2(x)))))), 2)

    visual.stem = stem


RN_MISTAKES = {
    "statistics of the batch": batch_statistics,
    "another eps": batch_eps,
    "eight heads": lambda model: setattr(model.visual.attnpool, "heads", 8),
    "no positions": lambda model: nn.init.zeros_(model.visual.attnpool.positional_embedding),
    "a stride in the shortcut": strided_shortcut,
    "a max pool in the stem": max_pool_in_the_stem,
}


@pytest.mark.parametrize("mistake", RN_MISTAKES)
def test_the_numbers_tell_a_mistake_in_the_resnet(mistake):
    model = golden_clip(TINY_RN)
    RN_MISTAKES[mistake](model)
    golden, found = logits_test(model, 64)
    assert golden.distance("logits_test", found) > 5 * FORWARD
    assert golden.distance("logits_test", found, centred=True) > 5 * CENTRED_LOGITS


def test_the_mean_of_the_positions_is_no_pooled_row():
    """They are alike in the tiny ResNet, and told apart by the centred comparison only."""
    model, golden = golden_clip(TINY_RN), GoldenFile("clip_rn")
    with torch.no_grad():
        features = model.encode_image(golden_images("train", 8, 64), patches=True)
    golden.compare("img_train", features.pooled, within=CENTRED_FEATURES, centred=True)
    with pytest.raises(AssertionError):
        golden.compare("img_train", features.patches.mean(1), within=CENTRED_FEATURES, centred=True)


def test_every_patch_goes_through_the_last_norm_and_projection():
    """As CALIP reads them (FORMAT-D): here from the last block's rows, by the definition."""
    model = golden_clip(TINY_VIT)
    with outputs_of(model, {"last": "visual.transformer"}) as seen, torch.no_grad():
        features = model.encode_image(golden_images("test", 6), patches=True)
        norm, rows = model.visual.ln_post, []
        for position in range(17):
            row = F.layer_norm(seen["last"][:, position], (192,), norm.weight, norm.bias, 1e-5)
            rows.append(row @ model.visual.proj)
    torch.testing.assert_close(features.pooled, rows[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(features.patches, torch.stack(rows[1:], dim=1), rtol=0, atol=1e-5)


def test_every_position_of_the_attention_pool_is_a_query():
    """As CALIP reads them (FORMAT-D): here through PyTorch's own attention, as the official code calls it."""
    model = golden_clip(TINY_RN)
    pool, pixels = model.visual.attnpool, golden_images("test", 6, 64)
    with outputs_of(model, {"last": "visual.layer4"}) as seen, torch.no_grad():
        features = model.encode_image(pixels, patches=True)
        rows = seen["last"].flatten(2).permute(2, 0, 1)  # (H W, B, C)
        rows = torch.cat([rows.mean(0, keepdim=True), rows]) + pool.positional_embedding[:, None]
        projections = {f"{part}_proj_weight": getattr(pool, f"{part}_proj").weight for part in "qkv"}
        found, _ = F.multi_head_attention_forward(
            *(rows, rows, rows, 256, 4, None),
            torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]),
            *(None, None, False, 0.0, pool.c_proj.weight, pool.c_proj.bias),
            use_separate_proj_weight=True,
            need_weights=False,
            training=False,
            **projections,
        )
    own = torch.cat([features.pooled[:, None], features.patches], dim=1).transpose(0, 1)
    torch.testing.assert_close(own - own.mean(1, keepdim=True), found - found.mean(1, keepdim=True), rtol=0, atol=1e-5)
    torch.testing.assert_close(own, found, rtol=1e-5, atol=1e-5)


def test_the_pooled_vector_is_the_same_whether_positions_are_asked_for_or_not():
    for sizes, side in ((TINY_VIT, 32), (TINY_RN, 64)):
        model, pixels = golden_clip(sizes), golden_images("test", 3, side)
        with torch.no_grad():
            alone, whole = model.encode_image(pixels), model.encode_image(pixels, patches=True)
        assert alone.patches is None
        assert whole.patches.shape == (3, 16 if side == 32 else 4, 64)
        torch.testing.assert_close(alone.pooled, whole.pooled, rtol=0, atol=1e-5)


def test_an_image_encoder_may_be_given_some_patches_in_any_order():
    """What patch dropping in pretraining does: rows have their positions before they are chosen."""
    visual, pixels = golden_clip(TINY_VIT).visual, golden_images("test", 3)
    with torch.no_grad():
        rows, whole = visual.embed(pixels), visual(pixels).pooled
        order = torch.randperm(16, generator=torch.Generator().manual_seed(0)) + 1
        mixed = visual.encode(torch.cat([rows[:, :1], rows[:, order]], dim=1)).pooled
        some = visual.encode(torch.cat([rows[:, :1], rows[:, order[:8]]], dim=1), patches=True)
    torch.testing.assert_close(mixed, whole, rtol=0, atol=1e-4)
    assert some.patches.shape == (3, 8, 64)
    assert (some.pooled - whole).abs().max() > 0.1


def test_what_stands_behind_the_end_changes_nothing():
    model = golden_clip(TINY_VIT)
    ids, ends = GoldenFile("clip_vit")["tokens"], GoldenFile("clip_vit")["eot"]
    other = ids.clone()
    other[:, 11:] = 49407
    with torch.no_grad():
        whole, cut = text_of(model, ids, ends), text_of(model, ids[:1, :8], ends[:1])
        torch.testing.assert_close(text_of(model, other, ends), whole, rtol=0, atol=0)
        torch.testing.assert_close(cut, whole[:1], rtol=0, atol=1e-4)
