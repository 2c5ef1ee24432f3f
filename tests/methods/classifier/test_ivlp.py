"""IVLP equals the official code, and its two public configurations have their sizes."""

import pytest
import torch

from baselines.joint_prompts.ivlp import IVLP, IndependentPrompts
from cones.models.dual_encoder import BlockTokens
from cones.runtime.errors import ConesError
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS, golden_images
from tests.methods.classifier.golden_prompts import (
    features_hold,
    golden_inputs,
    independent_by_name,
    independent_start,
    rows_hold,
    three_steps_hold,
)
from tests.methods.classifier.golden_words import with_options
from tests.methods.classifier.inputs_of import normalised
from tests.methods.classifier.prompted_images import vit_b16
from tests.some_fast import first_two_fast


def given_of(**options):
    return golden_inputs(GoldenFile("ivlp"), with_options(IVLP.recipe, **{"depth": 3, **options}))


def started():
    classifier = IVLP().classifier(given_of())
    independent_start(classifier, "ivlp")
    return classifier


def numbers_hold() -> None:
    with GoldenFile("ivlp") as golden:
        golden["in/token_ids"]
        classifier, method = started(), IVLP()
        start = {name: value.detach().clone() for name, value in classifier.named_parameters()}
        for name, value in independent_by_name(start).items():
            golden.compare(f"init/{name}", value, within=1e-6)
        rows_hold(golden, classifier, first=17, last=20, key="mid/vis_block{}_out_image0_rows_0_17_20")
        features_hold(golden, classifier)
        loss = sum(normalised(method.loss_terms(classifier, golden_images("train", 8), LABELS)).values())
        golden.compare("loss/ce_total", loss, within=1e-5)
        three_steps_hold(golden, method, classifier, start, independent_by_name)


def test_numbers_are_those_of_the_official_code():
    numbers_hold()


def tokens_are(change):
    return lambda patch: patch.setattr(IndependentPrompts, "of_images", lambda self: change(self.tokens))


def texts_are(change):
    return lambda patch: patch.setattr(
        IndependentPrompts, "of_texts", lambda self: (self.context, BlockTokens(change(self.deep)))
    )


MISTAKES = {
    "tokens skip the first norm": tokens_are(lambda tokens: BlockTokens(dict(enumerate(tokens)))),
    "one block fewer": tokens_are(lambda tokens: BlockTokens(dict(enumerate(tokens[:2])), before_first_norm=True)),
    "texts prompted at the input alone": texts_are(lambda deep: {}),
    "texts prompted one block too late": texts_are(lambda deep: dict(enumerate(deep, start=2))),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold()


@pytest.mark.parametrize(
    ("form", "vectors", "depth", "values"), [("promptsrc", 4, 9, 46_080), ("maple", 2, 12, 30_720)]
)
def test_each_form_has_its_sizes_in_vit_b16(form, vectors, depth, values):
    given = given_of(form=form, depth=None)
    given.encoder = vit_b16()
    prompts = IVLP().classifier(given).prompts
    assert sum(value.numel() for value in prompts.parameters()) == values
    assert prompts.tokens.shape == (depth, vectors, 768) and prompts.deep.shape == (depth - 1, vectors, 512)
    assert prompts.tokens.std().item() == pytest.approx(0.02, rel=0.05)
    assert prompts.deep.std().item() == pytest.approx(0.02, rel=0.05)
    words = torch.tensor([320, 1125, 539, 320])[:vectors]
    assert torch.equal(prompts.context, given.encoder.embed_text(words))


def test_words_behind_the_vectors_stay_and_more_vectors_than_words_start_at_random():
    golden = GoldenFile("ivlp")
    classifier = IVLP().classifier(given_of(vectors=2))
    with torch.no_grad():
        sentence = classifier.encoder.embed_text(golden["in/token_ids"])[:, :10]
    assert torch.equal(classifier.texts.rows_of(classifier.prompts.context), sentence)
    context = IVLP().classifier(given_of(vectors=6)).prompts.context
    assert context.shape == (6, 128) and context.std().item() == pytest.approx(0.02, rel=0.2)


def test_a_form_that_nobody_published_and_more_blocks_than_there_are_are_refused():
    with pytest.raises(ConesError, match="promptsrc or maple"):
        IVLP().classifier(given_of(form="other"))
    with pytest.raises(ConesError, match="1 to 4"):
        IVLP().classifier(given_of(depth=None))


def test_prompts_serve_other_classes():
    classifier, given, pixels = started(), given_of(), golden_images("test", 6)
    given.encoder, given.names = classifier.encoder, ("toy car", "cat")
    other = IVLP().for_classes(classifier, given)
    torch.testing.assert_close(other(pixels), classifier(pixels)[:, [1, 0]])
