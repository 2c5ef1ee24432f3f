"""UPT equals the official code in its published form, and the edited code in the form of the paper."""

import pytest
import torch
from torch.nn import functional as F

from baselines.joint_prompts.unified_block import UnifiedBlock
from baselines.joint_prompts.upt import UPT, UnifiedPrompts
from cones.models.clip.build import build_clip
from cones.models.dual_encoder import BlockTokens
from cones.runtime.errors import ConesError
from tests.golden.clip import recipe as golden_recipe
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS, golden_images
from tests.methods.classifier.golden_prompts import features_hold, golden_inputs, rows_hold
from tests.methods.classifier.golden_words import golden_vectors, with_options
from tests.methods.classifier.inputs_of import normalised
from tests.methods.classifier.prompted_images import set_to, steps_hold, trained

BLOCK = "mvlpt_proj.resblocks.0."
LAYERS = {  # ours -> official names
    "block.projections.weight": f"{BLOCK}attn.in_proj_weight",
    "block.projections.bias": f"{BLOCK}attn.in_proj_bias",
    **{
        f"{ours}.{part}": f"{theirs}.{part}"
        for part in ("weight", "bias")
        for ours, theirs in (
            ("block.out_proj", f"{BLOCK}attn.out_proj"),
            ("block.ln_1", f"{BLOCK}ln_1"),
            ("block.ln_2", f"{BLOCK}ln_2"),
            ("block.c_fc", f"{BLOCK}mlp.c_fc"),
            ("block.c_proj", f"{BLOCK}mlp.c_proj"),
            ("text_before", "mvlpt_proj_ctx_coop_pre"),
            ("text_behind", "mvlpt_proj_ctx_coop_post"),
            ("image_before", "mvlpt_proj_ctx_vpt_pre"),
            ("image_behind", "mvlpt_proj_ctx_vpt_post"),
        )
    },
}
QUERY_KEY = {f"{BLOCK}attn.in_proj_weight", f"{BLOCK}attn.in_proj_bias"}


def by_name(values):
    tokens = values["prompts.tokens"]
    found = {"ctx": values["prompts.context"], "vpt_embeddings": tokens[:1], "vpt_embeddings_deep": tokens[1:]}
    return found | {theirs: values[f"prompts.{ours}"] for ours, theirs in LAYERS.items() if f"prompts.{ours}" in values}


def given_of(**options):
    return golden_inputs(GoldenFile("upt"), with_options(UPT.recipe, **{"inner": 64, **options}))


def started(prefix="upt", **options):
    """With the golden start."""
    classifier, start = UPT().classifier(given_of(**options)), f"{prefix}/prompt_learner."
    deep = golden_vectors(f"{start}vpt_embeddings_deep", (3, 4, 192), 0.5)
    values = {
        "prompts.context": golden_vectors(f"{start}ctx", (4, 128), 0.1),
        "prompts.tokens": torch.cat([golden_vectors(f"{start}vpt_embeddings", (1, 4, 192), 0.5), deep]),
    }
    for name, parameter in classifier.prompts.named_parameters():
        if name in LAYERS:
            drawn = golden_recipe.value(start + LAYERS[name], tuple(parameter.shape))
            values[f"prompts.{name}"] = torch.from_numpy(drawn)
    assert set(values) == trained(classifier)
    set_to(classifier, values)
    return classifier


def gradients_hold(golden, gradients) -> None:
    for name, value in by_name(gradients).items():
        if name in QUERY_KEY:  # queries and keys have none: rounding of the code is no number to be compared with
            size = 64
            assert value[: 2 * size].abs().max() < 1e-6
            expected = golden.content[f"grad/{name}"]
            if name.endswith("bias"):
                assert abs(expected[: 2 * size]).max() < 1e-6
            value = torch.cat([torch.zeros_like(value[: 2 * size]), value[2 * size :]])
        golden.compare(f"grad/{name}", value, within=1e-3)


def steps_of_all_hold(golden, method, classifier) -> None:
    steps = steps_hold(golden, "loss/steps_0_1_2_3", method, classifier, method.recipe)
    gradients_hold(golden, steps.gradients[0])
    for name, value in by_name(steps.parameters[2]).items():
        golden.compare(f"step3/{name}", value, within=5e-5)
    golden.compare("step3/logits_train", classifier(golden_images("train", 8)), within=5e-5)
    golden.compare("step3/logits_test", classifier(golden_images("test", 6)), within=5e-5)


def the_form_of_the_paper_holds(golden) -> None:
    classifier = started(form="paper")
    context, tokens = classifier.prompts.made()
    golden.compare("interact/text_context_used", context)
    golden.compare("interact/visual_tokens_used", tokens)
    golden.compare("interact/logits_test", classifier(golden_images("test", 6)))
    loss = F.cross_entropy(classifier(golden_images("train", 8)), LABELS)
    golden.compare("interact/ce", loss, within=1e-5)
    golden.compare("interact/grad_ctx", torch.autograd.grad(loss, classifier.prompts.context)[0], within=1e-3)


def numbers_hold() -> None:
    with GoldenFile("upt") as golden:
        golden["in/token_ids"]
        classifier, method = started(), UPT()
        for name, value in by_name(dict(classifier.named_parameters())).items():
            golden.compare(f"init/{name}", value, within=1e-6)
        context, tokens = classifier.prompts.made()
        golden.compare("mid/text_context_used", context)
        golden.compare("mid/visual_tokens_used", tokens)
        golden.compare("mid/prompt_embeddings_rows_0_9", classifier.texts.rows_of(context)[:, :10])
        # official rows 1 to 4 are tokens: their row 5 is the first patch, row 1 here
        rows_hold(golden, classifier, first=17, last=1, key="mid/vis_block{}_out_image0_rows_0_1_5")
        features_hold(golden, classifier)
        loss = sum(normalised(method.loss_terms(classifier, golden_images("train", 8), LABELS)).values())
        golden.compare("loss/ce_total", loss, within=1e-5)
        steps_of_all_hold(golden, method, classifier)
        as_wide = started("upt128", inner=128)
        context, tokens = as_wide.prompts.made()
        golden.compare("pd128/text_context_used", context)
        golden.compare("pd128/visual_token_0_used", tokens[:1])
        golden.compare("pd128/logits_test", as_wide(golden_images("test", 6)))
        the_form_of_the_paper_holds(golden)


def test_numbers_are_those_of_the_official_code():
    numbers_hold()


def made_with(change):
    made = UnifiedPrompts.made
    return lambda patch: patch.setattr(UnifiedPrompts, "made", lambda self: change(self, *made(self)))


ATTENTION = UnifiedBlock.attention
MISTAKES = {
    "tokens of the published form see each other": lambda patch: patch.setattr(
        UnifiedBlock, "attention", lambda self, rows: setattr(self, "interacting", True) or ATTENTION(self, rows)
    ),
    "tokens of the paper's form do not": lambda patch: patch.setattr(
        UnifiedBlock, "attention", lambda self, rows: setattr(self, "interacting", False) or ATTENTION(self, rows)
    ),
    "a way around the block": made_with(lambda self, context, tokens: (context + self.context, tokens)),
    "tokens of the blocks interleaved": made_with(
        lambda self, context, tokens: (context, tokens.reshape(4, 4, -1).transpose(0, 1))
    ),
    "the first norm": lambda patch: patch.setattr(
        UnifiedPrompts, "of_images", lambda self: BlockTokens(dict(enumerate(self.made()[1])), before_first_norm=True)
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold()


@pytest.mark.parametrize("form", ["code", "paper"])
def test_a_token_reaches_others_in_the_form_of_the_paper_alone(form):
    prompts = started(form=form).prompts
    gradient = torch.autograd.grad(prompts.made()[0].sum(), prompts.tokens)[0]
    assert (gradient.abs().max() > 1e-4) == (form == "paper")


def test_values_and_starts_of_vit_b16_are_the_published_ones():
    given = given_of(inner=128)
    given.encoder = build_clip("clip_vit_b16")
    prompts = UPT().classifier(given).prompts
    vectors = 4 * 512 + 12 * 4 * 768
    layers = (512 * 128 + 128) + (128 * 512 + 512) + (768 * 128 + 128) + (128 * 768 + 768)
    block = (384 * 128 + 384) + (128 * 128 + 128) + 2 * 2 * 128 + (512 * 128 + 512) + (128 * 512 + 128)
    assert sum(value.numel() for value in prompts.parameters()) == vectors + layers + block == 566_400
    assert prompts.context.std().item() == pytest.approx(0.02, rel=0.05)
    assert prompts.tokens.abs().max() <= (6 / (3 * 16**2 + 768)) ** 0.5
    assert not prompts.block.projections.bias.any() and not prompts.block.out_proj.bias.any()
    assert prompts.block.projections.weight.std().item() == pytest.approx((2 / (4 * 128)) ** 0.5, rel=0.02)
    assert prompts.block.c_fc.weight.abs().max() <= 128**-0.5 and prompts.block.c_fc.bias.any()


def test_prompts_serve_other_classes_and_forms_are_known():
    classifier, given, pixels = started(), given_of(), golden_images("test", 6)
    given.encoder, given.names = classifier.encoder, ("toy car", "cat")
    other = UPT().for_classes(classifier, given)
    torch.testing.assert_close(other(pixels), classifier(pixels)[:, [1, 0]])
    with pytest.raises(ConesError, match="code or paper"):
        UPT().classifier(given_of(form="official"))


def test_the_form_that_no_public_code_has_is_called_a_reconstruction():
    assert UPT().note(given_of()) is None
    assert "reconstruction" in UPT().note(given_of(form="paper"))
