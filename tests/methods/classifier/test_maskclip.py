"""MaskCLIP: the official code's numbers, of the ResNet, of its own vision transformer, and of CLIP's."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from baselines.training_free import maskclip
from baselines.training_free.maskclip import MaskCLIP, ScoredPositions
from cones.methods.class_vectors import averaged_texts
from cones.methods.classifier import Recipe
from cones.models.clip import positions as reading
from cones.models.clip import transformer
from cones.models.clip.transformer import Block
from cones.models.dual_encoder import unit
from cones.models.positions import Positions
from cones.runtime.errors import ConesError
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import TINY_RN, golden_clip, golden_images
from tests.methods.classifier.inputs_of import inputs_of, tiny_clip, tiny_text
from tests.some_fast import first_two_fast

REFINED = {"_score_map": (0.0, 0.0), "_score_map_pd": (0.5, 0.0), "_prob_map_ks": (0.0, 1.0)}
REFINED["_prob_map_pd_ks"] = (0.5, 1.0)


def scored(text, denoise=0.0, smooth=0.0) -> ScoredPositions:
    """The method's own classifier, of class texts that are given."""
    options = {"denoise": denoise, "smooth": smooth}
    classifier = MaskCLIP().classifier(any_template(inputs_of(text, text, recipe=Recipe(options=options))))
    torch.testing.assert_close(classifier.text, unit(text))
    return classifier


def any_template(given):
    rows = {name: given.text([given.template.format(name)])[0] for name in given.names}
    given.text = lambda texts: torch.stack([next(rows[name] for name in rows if name in text) for text in texts])
    return given


def maps_hold(golden: GoldenFile, name: str, found: Positions, text, refined=REFINED) -> None:
    golden.compare(f"{name}_value_features", found.as_map(found.features))
    for key, thresholds in refined.items():
        if f"{name}{key}" in golden:
            # 100 times a cosine, and a sum over positions, enlarge what rounding leaves
            golden.compare(f"{name}{key}", scored(text, *thresholds)(found), within=2e-3)


def shown(scores, side: int, every: int):
    return F.interpolate(scores, size=(side, side), mode="bilinear", align_corners=False)[..., ::every, ::every]


def resnet_holds(golden: GoldenFile, text) -> None:
    clip, pixels = golden_clip(TINY_RN), golden_images("test", 2, 128)
    golden.compare("rn_layer4", clip.visual.maps(pixels))
    found = clip.encode_positions(pixels, reading="values")
    golden.compare("rn_keys", found.keys)
    maps_hold(golden, "rn", found, text)
    golden.compare("rn_upsampled", shown(scored(text)(found), 128, 9), within=2e-3)
    attention = clip.encode_positions(pixels, reading="attention", resize="none")
    golden.compare("rn_attnpool_variant_score_map", scored(text)(attention), within=2e-3)


def official_vit():
    """CLIP's weights in the activation and norms that the official code gives them."""
    clip = golden_clip()
    for module in clip.visual.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-6
    return clip


def vit_holds(golden: GoldenFile, text) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformer, "quick_gelu", F.gelu)
        clip, pixels = official_vit(), golden_images("test", 6)
        found = clip.encode_positions(pixels, reading="values")
        golden.compare("vit_keys", found.keys[:2])
        visual = clip.visual
        *earlier, last = visual.transformer.resblocks
        hidden = visual.ln_pre(visual.embed(pixels[:2]))
        for block in earlier:
            hidden = block(hidden)
        for key, rows in (("value", last.value_path(hidden)[0]), ("final", last(hidden))):
            golden.compare(f"vit_{key}_tokens", found[:2].as_map(visual.ln_post(rows)[:, 1:]))
        maps_hold(golden, "vit", found, text)
        golden.compare("vit_upsampled", shown(scored(text)(found), 32, 3), within=2e-3)
        maps_hold(golden, "vit48", clip.encode_positions(golden_images("test", 2, 48), reading="values"), text)
    maps_hold(golden, "vitq", tiny_clip().encode_positions(golden_images("test", 6), reading="values"), text)


@torch.no_grad()
def numbers_hold() -> None:
    with GoldenFile("maskclip") as golden:
        ids = golden["token_ids"]
        templates = averaged_texts(lambda rows: tiny_text(torch.stack(rows)), [list(of_class) for of_class in ids])
        golden.compare("text_embeddings", templates)
        text = golden["text_embeddings"]
        resnet_holds(golden, text)
        vit_holds(golden, text)
        scores, keys = golden["syn_scores"], golden["syn_keys"]
        some = torch.eye(3)
        for key, thresholds in {
            "pd": (0.5, 0),
            "ks1": (0, 1.0),
            "ks0.6": (0, 0.6),
            "pd_ks1": (0.5, 1.0),
        }.items():
            golden.compare(f"syn_refined_{key}", scored(some, *thresholds).refine(scores, keys))


def test_numbers_are_those_of_the_official_code():
    numbers_hold()


def whole_block(block, hidden):
    return block(hidden), reading_of(block, hidden)[1]


def without_mlp(block, hidden):
    keys = reading_of(block, hidden)[1]
    joined = block.attn.projections(block.ln_1(hidden), block.attn.in_proj_weight, block.attn.in_proj_bias)
    return hidden + block.attn.out_proj(joined.chunk(3, -1)[2]), keys


def without_residual(block, hidden):
    return reading_of(block, hidden)[0] - hidden, reading_of(block, hidden)[1]


def keys_inside(block, hidden):
    values = block.attn.projections(block.ln_1(hidden), block.attn.in_proj_weight, block.attn.in_proj_bias)
    return reading_of(block, hidden)[0], values.chunk(3, -1)[1]


reading_of = Block.value_path
MISTAKES = {
    "attention in the last block": lambda patch: patch.setattr(Block, "value_path", whole_block),
    "no feed-forward part": lambda patch: patch.setattr(Block, "value_path", without_mlp),
    "no residual": lambda patch: patch.setattr(Block, "value_path", without_residual),
    "keys without the output projection": lambda patch: patch.setattr(Block, "value_path", keys_inside),
    "keys normalised over channels": lambda patch: patch.setitem(MaskCLIP.recipe.options, "form", "paper"),
    "another scale": lambda patch: patch.setattr(maskclip, "SCALE", 10.0),
    "another score of a class taken out": lambda patch: patch.setattr(maskclip, "REMOVED", -10.0),
    "all positions smoothed": lambda patch: patch.setattr(
        maskclip, "smoothed", lambda *given, axis, old=maskclip.smoothed: old(*given[:2], 9.0, axis=axis)
    ),
    "places resized bilinearly": lambda patch: patch.setattr(
        reading,
        "resized_positions",
        lambda embedding, grid, resize, old=reading.resized_positions: old(embedding, grid, "bilinear"),
    ),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold()


def test_a_class_is_the_mean_of_its_texts_in_all_templates_the_set_s_own_among_them():
    seen = []

    def encode(texts):
        seen.extend(texts)
        return torch.randn(len(texts), 4)

    given = inputs_of(torch.randn(2, 4), torch.randn(2, 4), names=("cat", "dog"), template="a drawing of a {}.")
    given.text = encode
    text = MaskCLIP().classifier(given).text
    torch.testing.assert_close(text.norm(dim=1), torch.ones(2))
    assert seen[:2] == ["a drawing of a cat.", "a photo of a cat."] and "this is one dog in the scene." in seen
    assert len(seen) == len(set(seen)) == 2 * 13


def test_the_paper_s_form_smooths_by_the_cosine_of_keys():
    scores, keys = torch.randn(1, 3, 2, 2) / 100, torch.randn(1, 4, 5)
    given = any_template(inputs_of(torch.eye(3), torch.eye(3), recipe=Recipe(options={"smooth": 1.0, "form": "paper"})))
    found = MaskCLIP().classifier(given).refine(scores, keys)
    probabilities = (100 * scores).softmax(1)[0].flatten(1)  # (3, 4)
    for position in range(4):
        cosines = [F.cosine_similarity(keys[0, position], keys[0, other], dim=0) for other in range(4)]
        expected = sum(weight * probabilities[:, other] for other, weight in enumerate(cosines))
        torch.testing.assert_close(found[0].flatten(1)[:, position], expected)
    with pytest.raises(ConesError, match=r"recipe.options.form: unknown value; expected code or paper; found own"):
        MaskCLIP().classifier(
            any_template(inputs_of(torch.eye(3), torch.eye(3), recipe=Recipe(options={"form": "own"})))
        )


def test_a_picture_of_which_no_class_is_sure_keeps_its_scores_and_another_one_loses_some():
    scores = torch.zeros(2, 3, 2, 2)
    scores[1, 2, 0, 0] = 1.0
    found = maskclip.denoised(scores, 0.5)
    assert torch.equal(found[0], scores[0])
    assert torch.equal(found[1, 2], scores[1, 2]) and (found[1, :2] == -100).all()
