"""VPT-deep equals the official code in its three forms, and RePrompt, built on it, is it without its neighbours."""

import pytest
import torch
from torch.nn import functional as F

from baselines.visual_prompts import vpt_deep
from baselines.visual_prompts.reprompt import RePrompt
from baselines.visual_prompts.vpt_deep import DeepTokens, VPTDeep
from cones.models.dual_encoder import BlockTokens, unit
from cones.runtime.errors import ConesError
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS, golden_images
from tests.methods.classifier.golden_words import with_options
from tests.methods.classifier.inputs_of import inputs_of, labelled, tiny_images, tiny_text
from tests.methods.classifier.prompted_images import drawn, pixel_inputs, set_to, steps_hold, trained, vit_b16
from tests.methods.classifier.tiny_vit_by_definition import features
from tests.some_fast import first_two_fast

FIRST, DEEP = "prompt_learner.vpt_embeddings", "prompt_learner.vpt_embeddings_deep"
BLOCKS = {f"block{i}": f"visual.transformer.resblocks.{i}" for i in range(4)}
RATE = {"mvlpt": 2e-3, "maple": 2.5e-3, "dpt": 0.01}


def tokens_of_the_recipe() -> torch.Tensor:
    """(4, 4, 192)."""
    return torch.cat([drawn(f"vpt_mvlpt/{FIRST}", (1, 4, 192), 0.5), drawn(f"vpt_mvlpt/{DEEP}", (3, 4, 192), 0.5)])


def made(form, method=VPTDeep, **others):
    given = pixel_inputs(GoldenFile("vpt_mvlpt")["in/token_ids"], **others)
    given.recipe = with_options(method.recipe, form=form, tokens=4)
    classifier = method().classifier(given)
    set_to(classifier, {"tokens": tokens_of_the_recipe()})
    return classifier


def common_numbers_hold(golden, form, classifier, compare):
    """Logits, loss, gradient, three steps; `compare(key, tokens)` knows how a file stores tokens."""
    train, test = golden_images("train", 8), golden_images("test", 6)
    assert trained(classifier) == {"tokens"}
    golden.compare("mid/image_features_test", classifier.encode(test))
    logits = classifier(train)
    golden.compare("logits/train", logits)
    golden.compare("logits/test", classifier(test))
    golden.compare("loss/ce_total", F.cross_entropy(logits, LABELS), within=1e-5)
    start = classifier.tokens.detach().clone()
    recipe = VPTDeep.recipe.model_copy(update={"learning_rate": RATE[form]})
    steps = steps_hold(golden, "loss/steps_0_1_2_3", VPTDeep(), classifier, recipe)
    compare("grad", steps.gradients[0]["tokens"], 1e-3)
    compare("step3", steps.parameters[2]["tokens"], 1e-4)
    compare("step3delta", steps.parameters[2]["tokens"] - start, 5e-2)
    golden.compare("step3/logits_train", classifier(train))
    golden.compare("step3/logits_test", classifier(test))


def test_the_form_of_mvlpt():
    from tests.models.clip.seen import outputs_of

    with GoldenFile("vpt_mvlpt") as golden:
        classifier = made("mvlpt")

        def compare(kind, tokens, within):
            golden.compare(f"{kind}/vpt_embeddings", tokens[:1], within=within)
            golden.compare(f"{kind}/vpt_embeddings_deep", tokens[1:], within=within)

        compare("init", classifier.tokens, 1e-6)
        golden.compare("mid/visual_tokens_used", classifier.tokens)
        texts = tiny_text(golden["in/token_ids"])
        golden.compare("mid/text_features", texts)
        golden.compare("mid/text_features_unit", unit(texts))
        with outputs_of(classifier.encoder, BLOCKS) as seen:
            golden.compare("mid/image_features", classifier.encode(golden_images("train", 8)))
        for i, length in enumerate(golden["mid/vis_seq_len"]):
            assert seen[f"block{i}"].shape[1] == length
            rows = seen[f"block{i}"][0, [0, 17, 1]]  # official rows 1 to 4 are tokens; here they stand at the end
            golden.compare(f"mid/vis_block{i}_out_image0_rows_0_1_5", rows)
        common_numbers_hold(golden, "mvlpt", classifier, compare)


def dpt_form_holds():
    with GoldenFile("vpt_dpt_form") as golden:

        def compare(kind, tokens, within):
            golden.compare(f"{kind}/ctx_learner.ctx", tokens, within=within)

        common_numbers_hold(golden, "dpt", made("dpt"), compare)


def test_the_form_of_dpt_has_the_logits_of_that_of_mvlpt():
    dpt_form_holds()
    test = golden_images("test", 6)
    assert torch.equal(made("dpt")(test), made("mvlpt")(test))


@pytest.mark.parametrize("form", RATE)
def test_each_form_is_its_definition_in_float64(form):
    """No golden file of the form of MaPLe's repository is there: all three are derived again from the definition."""
    classifier, test, train = made(form), golden_images("test", 6), golden_images("train", 8)
    tokens = tokens_of_the_recipe().double().requires_grad_()
    before = form == "maple"
    expected = features(test, tokens, before_first_norm=before)
    torch.testing.assert_close(classifier.encode(test).double(), expected, rtol=0, atol=5e-5)
    text = unit(classifier.text.double())
    loss = F.cross_entropy(10 * unit(features(train, tokens, before_first_norm=before)) @ text.T, LABELS)
    gradient = torch.autograd.grad(loss, tokens)[0]
    ours = torch.autograd.grad(F.cross_entropy(classifier(train), LABELS), classifier.tokens)[0]
    assert float((ours.double() - gradient).abs().max() / gradient.std()) < 3e-4
    other = features(test, tokens, before_first_norm=not before)
    assert float((other - expected).detach().abs().max()) > 1e-2


def with_tokens(change):
    def encode(self, images):
        return self.encoder.encode_image(images, tokens=change(self.tokens)).pooled

    return lambda patch: patch.setattr(DeepTokens, "encode", encode)


MISTAKES = {
    "the first norm": with_tokens(lambda t: BlockTokens(dict(enumerate(t)), before_first_norm=True)),
    "shallow": with_tokens(lambda t: BlockTokens({0: t[0]})),
    "blocks exchanged": with_tokens(lambda t: BlockTokens(dict(enumerate(t.flip(0))))),
    "no decay": lambda patch: patch.setattr(
        VPTDeep, "recipe", VPTDeep.recipe.model_copy(update={"weight_decay": 0.0, "momentum": 0.0})
    ),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        dpt_form_holds()


def test_starts_and_numbers_of_tokens_are_those_that_each_form_published():
    encoder = vit_b16()
    for form, count in vpt_deep.TOKENS.items():
        given = inputs_of(torch.randn(3, 512), torch.zeros(3, 0), torch.arange(3), encoder=encoder)
        given.recipe = with_options(VPTDeep.recipe, form=form)
        tokens = VPTDeep().classifier(given).tokens
        assert tokens.shape == (12, count, 768)
        reach = (6 / (3 * 16**2 + 768)) ** 0.5
        assert tokens.std().item() == pytest.approx(reach / 3**0.5 if form == "mvlpt" else 0.02, rel=0.02)
        if form == "mvlpt":
            assert tokens.numel() == 147_456 and tokens.abs().max() <= reach


def test_a_model_without_a_sequence_of_rows_is_a_hole_with_a_reason():
    for method in (VPTDeep(), RePrompt()):
        assert "no sequence" in method.supports("clip_rn50", "few_shot")
        assert method.supports("clip_nano", "few_shot") is None


def test_tokens_serve_other_classes():
    given = pixel_inputs(GoldenFile("vpt_mvlpt")["in/token_ids"])
    classifier = VPTDeep().classifier(given)
    given.names, given.text = tuple("abcde"), lambda texts, *, truncate=False: torch.randn(len(texts), 64)
    other = VPTDeep().for_classes(classifier, given)
    assert other.tokens is classifier.tokens and other(golden_images("test", 2)).shape == (2, 5)


# --------------------------------------------------------------------------------------------------------- RePrompt


def blended(**options):
    given = pixel_inputs(GoldenFile("vpt_mvlpt")["in/token_ids"])
    given.train = labelled(tiny_images("train", 8), LABELS)
    given.recipe = with_options(RePrompt.recipe, tokens=4, **options)
    classifier = RePrompt().classifier(given)
    set_to(classifier, {"tokens": tokens_of_the_recipe()})
    return classifier.eval()


def test_without_its_neighbours_it_is_vpt_deep_and_trains_as_that():
    test, plain = golden_images("test", 6), made("mvlpt")
    assert torch.equal(blended(blend=0.0)(test), plain(test))
    classifier = blended().train()
    assert torch.equal(classifier(test), plain(test)) and trained(classifier) == {"tokens"}


def test_the_answer_is_the_blend_of_its_definition():
    classifier, test = blended(neighbours=3, blend=0.4, sharpness=5.5), golden_images("test", 6)
    keys, queries = unit(tiny_images("train", 8).double()), unit(tiny_images("test", 6).double())
    votes = torch.zeros(6, 3, dtype=torch.float64)
    for row, cosines in enumerate(queries @ keys.T):
        for place in cosines.argsort(descending=True)[:3]:
            votes[row, LABELS[place]] += torch.exp(-5.5 * (1 - cosines[place]))
    neighbours = votes / votes.sum(1, keepdim=True)
    prompted = made("mvlpt")(test).double().softmax(-1)
    torch.testing.assert_close(classifier(test).double().exp(), 0.4 * neighbours + 0.6 * prompted, rtol=1e-4, atol=1e-5)


def test_neighbours_alone_know_the_training_pictures_and_more_than_there_are_is_all():
    classifier = blended(neighbours=1, blend=1.0)
    assert torch.equal(classifier(golden_images("train", 8)).argmax(1), LABELS)
    votes = blended(neighbours=99, blend=1.0)(golden_images("test", 2)).exp()
    torch.testing.assert_close(votes.sum(1), torch.ones(2))
    assert RePrompt().for_classes(classifier, None) is None and "reconstruction" in RePrompt.label_note


def test_without_stored_features_it_says_what_to_do():
    with pytest.raises(ConesError, match=r"RePrompt needs the stored features of the training images.*encode pooled"):
        made("mvlpt", RePrompt)
