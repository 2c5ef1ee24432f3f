"""MaPLe equals the official code, and mistakes in where its vectors stand are seen."""

import pytest
import torch

from baselines.joint_prompts import maple
from baselines.joint_prompts.maple import CoupledPrompts, MaPLe
from cones.models.dual_encoder import BlockTokens
from cones.runtime.errors import ConesError
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS, golden_images
from tests.methods.classifier.golden_prompts import (
    features_hold,
    golden_inputs,
    rows_hold,
    three_steps_hold,
)
from tests.methods.classifier.golden_words import golden_vectors, with_options
from tests.methods.classifier.inputs_of import normalised
from tests.methods.classifier.prompted_images import set_to, trained, vit_b16
from tests.some_fast import first_two_fast

N = "maple/prompt_learner."
THEIRS = {
    "prompts.couplings.0": "proj",
    "prompts.couplings.1": "compound_prompt_projections.0",
    "prompts.couplings.2": "compound_prompt_projections.1",
}
PARTS = {"weight": ((192, 128), 128**-0.5), "bias": ((192,), 0.05)}  # shape and size of the golden start
PLAIN = maple.texts_behind_words


def by_name(values):
    found = {"ctx": values["prompts.context"]}
    found |= {f"compound_prompts_text.{i}": value for i, value in enumerate(values["prompts.deep"])}
    return found | {f"{theirs}.{part}": values[f"{ours}.{part}"] for ours, theirs in THEIRS.items() for part in PARTS}


def given_of(**options):
    return golden_inputs(GoldenFile("maple"), with_options(MaPLe.recipe, **{"depth": 3, **options}))


def started():
    """With the golden start, except for the context, which the words give."""
    classifier = MaPLe().classifier(given_of())
    deep = [golden_vectors(f"{N}compound_prompts_text.{i}", (2, 128), 0.1) for i in range(2)]
    values = {"prompts.deep": torch.stack(deep)}
    for ours, theirs in THEIRS.items():
        for part, (shape, scale) in PARTS.items():
            values[f"{ours}.{part}"] = golden_vectors(f"{N}{theirs}.{part}", shape, scale)
    assert {*values, "prompts.context"} == trained(classifier)
    set_to(classifier, values)
    return classifier


def numbers_hold() -> None:
    with GoldenFile("maple") as golden:
        golden["in/token_ids"]
        classifier, method = started(), MaPLe()
        start = {name: value.detach().clone() for name, value in classifier.named_parameters()}
        for name, value in by_name(start).items():
            golden.compare(f"init/{name}", value, within=1e-6)
        golden.compare("mid/prompt_embeddings", classifier.texts.rows_of(classifier.prompts.context)[:, :10])
        for block, tokens in classifier.prompts.of_images().by_block.items():
            golden.compare(f"mid/visual_prompt_{block}", tokens)
        rows_hold(golden, classifier, first=17, last=18, key="mid/vis_block{}_out_image0_rows_0_17_18")
        features_hold(golden, classifier)
        loss = sum(normalised(method.loss_terms(classifier, golden_images("train", 8), LABELS)).values())
        golden.compare("loss/ce_total", loss, within=1e-5)
        three_steps_hold(golden, method, classifier, start, by_name)


def test_numbers_are_those_of_the_official_code():
    numbers_hold()


def images_with(change):
    made = CoupledPrompts.of_images
    return lambda patch: patch.setattr(CoupledPrompts, "of_images", lambda self: change(made(self)))


def in_fewer_blocks(tokens):
    return BlockTokens({block: tokens.by_block[block] for block in (0, 1)}, before_first_norm=True)


def without_texts(prompts):
    sources = (prompts.context.detach(), *prompts.deep.detach())
    return {block: couple(source) for block, (couple, source) in enumerate(zip(prompts.couplings, sources))}


MISTAKES = {
    "tokens skip the first norm": images_with(lambda tokens: BlockTokens(tokens.by_block)),
    "no fresh tokens in the last of the blocks": images_with(in_fewer_blocks),
    "texts prompted at the input alone": lambda patch: patch.setattr(
        CoupledPrompts, "of_texts", lambda self: (self.context, None)
    ),
    "the sentence ends behind its vectors": lambda patch: patch.setattr(
        maple, "texts_behind_words", lambda inputs, count, vectors: PLAIN(inputs, 4, vectors)
    ),
    "a coupling that the images alone train": lambda patch: patch.setattr(
        CoupledPrompts, "of_images", lambda self: BlockTokens(without_texts(self), before_first_norm=True)
    ),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold()


def test_the_pictures_reach_the_text_vectors_through_the_coupling():
    classifier = started()
    pooled = classifier.encode(golden_images("train", 2)).sum()  # no text takes part
    gradients = torch.autograd.grad(pooled, [classifier.prompts.context, classifier.prompts.deep])
    assert all(gradient.abs().max() > 1e-4 for gradient in gradients)


def test_values_and_starts_of_vit_b16_are_the_published_ones():
    given = given_of(depth=9)
    given.encoder = vit_b16()
    prompts = MaPLe().classifier(given).prompts
    assert sum(value.numel() for value in prompts.parameters()) == 3_555_072
    assert torch.equal(prompts.context, given.encoder.embed_text(torch.tensor([320, 1125])))
    assert prompts.deep.std().item() == pytest.approx(0.02, rel=0.05)
    first, second, third = (couple.weight for couple in prompts.couplings[:3])
    assert torch.equal(second, third) and not torch.equal(first, second)
    assert second.data_ptr() != third.data_ptr()
    assert first.abs().max() <= 512**-0.5 and first.std().item() == pytest.approx((3 * 512) ** -0.5, rel=0.01)


def test_prompts_serve_other_classes():
    classifier, given, pixels = started(), given_of(), golden_images("test", 6)
    given.encoder, given.names = classifier.encoder, ("toy car", "cat")
    other = MaPLe().for_classes(classifier, given)
    assert other.prompts is classifier.prompts
    torch.testing.assert_close(other(pixels), classifier(pixels)[:, [1, 0]])


def test_more_blocks_than_the_model_has_are_refused():
    with pytest.raises(ConesError, match=r"1 to 4"):
        MaPLe().classifier(given_of(depth=9))
    assert "no sequence" in MaPLe().supports("clip_rn50", "few_shot")


def test_texts_are_made_again_when_a_prompt_has_changed():
    classifier, pixels = started().eval(), golden_images("test", 6)
    with torch.no_grad():
        before = classifier(pixels)
        assert torch.equal(classifier(pixels), before)
        classifier.prompts.deep += 0.1
        assert not torch.allclose(classifier(pixels), before)
