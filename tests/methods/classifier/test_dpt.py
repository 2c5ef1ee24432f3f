"""DPT with class-aware image tokens equals the official code in both phases of its loss."""

import pytest
import torch
from torch.nn import functional as F

from baselines.joint_prompts import class_aware, dpt
from baselines.joint_prompts.class_aware import ClassAwareTokens
from baselines.joint_prompts.dpt import DPT, DualPrompts
from cones.models.dual_encoder import scaled_cosines, unit
from cones.models.losses import normalised
from tests.golden.clip import recipe as golden_recipe
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS, NAMES, golden_clip, golden_images
from tests.methods.classifier.golden_words import GoldenTokenizer, golden_vectors, prompt_inputs, with_options
from tests.methods.classifier.inputs_of import encodings_at_test, labelled, take_steps, tiny_text
from tests.methods.classifier.prompted_images import set_to, steps_hold, trained
from tests.models.clip.seen import outputs_of

PREFIX = "dpt/image_encoder.transformer."
LAYERS = {
    "meta_nets.{}.weight": "query_of.weight",
    "meta_nets.{}.bias": "query_of.bias",
    "attns.{}.qmlp.weight": "query.weight",
    "attns.{}.kmlp.weight": "key.weight",
    "attns.{}.vmlp.weight": "value.weight",
    "lns.{}.weight": "read_norm.weight",
    "lns.{}.bias": "read_norm.bias",
    "classfiers.{}.weight": "read.weight",
    "lns2.{}.weight": "token_norm.weight",
    "lns2.{}.bias": "token_norm.bias",
}


def made(golden, aware_from=None, **options):
    """With the golden start."""
    tokenizer = GoldenTokenizer(NAMES, golden["in/token_ids"], before=4)
    given = prompt_inputs(tokenizer, encoder=golden_clip())
    given.text = lambda texts, *, truncate=False: tiny_text(golden["in/hand_token_ids"])
    given.train = labelled(torch.zeros(8, 0), LABELS)
    own = {"vectors": 4, "tokens": 4, "likely": 2, "aware_from": aware_from, **options}
    given.recipe = with_options(DPT.recipe, **own)
    classifier = DPT().classifier(given)
    free, blocks = (aware_from or 4) - 1, 4 - (aware_from or 4) + 1
    values = {"context": golden_vectors("dpt/prompt_learner.ctx", (4, 128), 0.1)}
    values["tokens"] = golden_vectors(f"{PREFIX}ctx_learner.ctx", (free, 4, 192), 0.5)
    rows = golden_vectors(f"{PREFIX}extractor.ctx", (blocks, 10, 192), 0.5)
    for number in range(blocks):
        values[f"aware.{number}.rows"] = rows[number]
        for theirs, ours in LAYERS.items():
            name = f"{PREFIX}extractor.{theirs.format(number)}"
            shape = tuple(classifier.get_parameter(f"aware.{number}.{ours}").shape)
            values[f"aware.{number}.{ours}"] = torch.from_numpy(golden_recipe.value(name, shape))
    assert set(values) == trained(classifier)
    set_to(classifier, values)
    return classifier


def compare(golden, kind, values, within):
    golden.compare(f"{kind}/prompt_learner.ctx", values["context"], within=within)
    golden.compare(f"{kind}/ctx_learner.ctx", values["tokens"], within=within)
    golden.compare(f"{kind}/extractor.ctx", values["aware.0.rows"][None], within=within)
    for theirs, ours in LAYERS.items():
        golden.compare(f"{kind}/extractor.{theirs.format(0)}", values[f"aware.0.{ours}"], within=within)


def readings_hold(golden, classifier, tag, count):
    images = golden_images(tag, count)
    seen, frozen = classifier.readings(images), classifier.texts.encoder.encode_image(images).pooled
    golden.compare(f"logits/{tag}", seen["z"])
    golden.compare(f"logits/{tag}_frozen_image_learned_text", seen["z1"])
    golden.compare(f"logits/{tag}_prompted_image_hand_text", seen["z2"])
    golden.compare(f"mid/{tag}_topk_classes", seen["top"])
    golden.compare(f"mid/{tag}_aux_logits", seen["read"][0].transpose(0, 1))
    golden.compare(f"mid/{tag}_zero_shot_logits", scaled_cosines(frozen, classifier.hand, 10.0))


@torch.no_grad()
def inside_holds(golden, classifier):
    """What the class-aware part sees and makes on the training pictures."""
    module, seen = classifier.aware[0], {}

    def weights(queries, rows):
        seen.update(queries=queries, rows=rows, weights=ClassAwareTokens.weights(module, queries, rows))
        return seen["weights"]

    module.weights = weights
    blocks = {"last": "visual.transformer.resblocks.3"}
    module.register_forward_hook(lambda module, inputs, output: seen.update(tokens=output[0]))
    with outputs_of(classifier.texts.encoder, blocks) as outputs:
        pooled_of(classifier, golden)
    golden.compare("mid/cavpt_queries_k_b_d", seen["queries"].transpose(0, 1))
    golden.compare("mid/cavpt_attention_map", seen["weights"])
    golden.compare("mid/cavpt_attention_output", module.value(seen["weights"] @ seen["rows"]).transpose(0, 1))
    golden.compare("mid/cavpt_prompts_k_b_d", seen["tokens"].transpose(0, 1))
    golden.compare("mid/cavpt_input_tokens_image0_rows_0_1", seen["rows"][0, :2])
    assert outputs["last"].shape[1] == golden["mid/seq_len_last_block"]
    golden.compare("mid/hand_text_unit", classifier.hand)
    golden.compare("mid/text_features", classifier.texts(classifier.context))
    del module.weights


def pooled_of(classifier, golden):
    found, encode = [], classifier.texts.encoder.encode_image
    classifier.texts.encoder.encode_image = lambda *a, **k: found.append(encode(*a, **k)) or found[-1]
    classifier.readings(golden_images("train", 8))
    del classifier.texts.encoder.encode_image
    golden.compare("mid/image_features", found[-1].pooled)


def losses_of(classifier):
    terms = normalised(DPT().loss_terms(classifier, golden_images("train", 8), LABELS))
    return {name: value.item() for name, value in terms.items()}


def phase_holds(golden, number):
    classifier = made(golden, first_epochs=30 if number == 1 else 0)
    found, key = losses_of(classifier), f"loss/phase{number}_"
    golden.compare(f"{key}aux_ce", found["right_query"] / 0.3, within=1e-5)
    golden.compare(f"{key}total", sum(found.values()), within=1e-5)
    golden.compare(f"{key}ce_both", found["cross_entropy"] / (0.1 if number == 1 else 1.0), within=1e-5)
    if number == 1:
        golden.compare(f"{key}ce_frozen_image_learned_text", found["frozen_image"], within=1e-5)
        golden.compare(f"{key}ce_prompted_image_hand_text", found["hand_text"], within=1e-5)
    steps = steps_hold(golden, f"{key}steps_0_1_2_3", DPT(), classifier, DPT.recipe)
    compare(golden, f"grad_phase{number}", steps.gradients[0], 1e-3)
    compare(golden, f"step3_phase{number}", steps.parameters[2], 1e-4)
    golden.compare(f"step3_phase{number}/logits_test", classifier(golden_images("test", 6)))


def numbers_hold() -> None:
    with GoldenFile("dpt") as golden:
        classifier = made(golden)
        golden.compare("init/prompt_learner.ctx", classifier.context, within=1e-6)
        golden.compare("init/ctx_learner.ctx", classifier.tokens, within=1e-6)
        golden.compare("init/extractor.ctx", classifier.aware[0].rows[None], within=1e-6)
        for tag, count in (("train", 8), ("test", 6)):
            readings_hold(golden, classifier, tag, count)
        inside_holds(golden, classifier)
        for number in (1, 2):
            phase_holds(golden, number)
        lower = made(golden, aware_from=3).readings(golden_images("test", 6))
        golden.compare("bottomlimit3/logits_test", lower["z"])
        for place, block in enumerate((2, 3)):
            golden.compare(f"bottomlimit3/aux_logits_layer{block}", lower["read"][place].transpose(0, 1))


def test_numbers_are_those_of_the_official_code():
    numbers_hold()


ORIGINAL = ClassAwareTokens.forward


def of_all_pairs(seen, labels, alpha):
    return ORIGINAL_TERM({**seen, "top": labels[:, None].expand_as(seen["top"])}, labels, alpha)


ORIGINAL_TERM = dpt.right_query
MISTAKES = {
    "unit texts ask": lambda patch: patch.setattr(
        ClassAwareTokens, "forward", lambda self, rows, texts: ORIGINAL(self, rows, unit(texts))
    ),
    "another scale": lambda patch: patch.setattr(class_aware, "INNER", 192),
    "every query is read": lambda patch: patch.setattr(dpt, "right_query", of_all_pairs),
    "one rate for all": lambda patch: patch.setattr(DPT, "rate_factor", lambda self, name: 1.0),
    "no decay": lambda patch: patch.setattr(DPT, "recipe", DPT.recipe.model_copy(update={"weight_decay": 0.0})),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold()


def test_the_rows_of_the_picture_are_detached_and_the_learned_rows_are_not():
    module = ClassAwareTokens(8, 12, 3, std=0.1, generator=torch.Generator().manual_seed(0))
    rows, texts = torch.randn(2, 5, 12, requires_grad=True), torch.randn(2, 3, 8, requires_grad=True)
    tokens, read = module(rows, texts)
    (tokens.square().sum() + read.square().sum()).backward()
    assert rows.grad is None and texts.grad.abs().sum() > 0 and module.rows.grad.abs().sum() > 0


def test_the_second_phase_begins_with_its_epoch_and_comes_back_from_a_state():
    golden = GoldenFile("dpt")
    classifier = made(golden, first_epochs=2)  # an epoch of 8 pictures is one step
    assert "hand_text" in losses_of(classifier)
    train = golden_images("train", 8)
    take_steps(DPT(), classifier, train, LABELS, DPT.recipe, 1)
    assert "hand_text" in losses_of(classifier)
    take_steps(DPT(), classifier, train, LABELS, DPT.recipe, 1)
    assert set(losses_of(classifier)) == {"cross_entropy", "right_query"}
    again = made(golden, first_epochs=2)
    again.load_state_dict(classifier.state_dict())
    assert losses_of(again) == losses_of(classifier)


def test_a_batch_in_parts_has_the_loss_of_the_whole_and_none_right_is_nothing():
    golden = GoldenFile("dpt")
    classifier, train = made(golden), golden_images("train", 8)
    whole = DPT().loss_terms(classifier, train, LABELS)
    normalisers = {name: term.normaliser for name, term in whole.items()}
    parts = [
        normalised(DPT().loss_terms(classifier, train[rows], LABELS[rows]), normalisers)
        for rows in (slice(0, 3), slice(3, 8))
    ]
    for name, value in normalised(whole).items():
        assert sum(part[name] for part in parts).item() == pytest.approx(value.item(), rel=1e-5)
    wrong = torch.tensor([2, 2])
    seen = {"top": torch.tensor([[0, 1], [1, 0]]), "read": torch.randn(1, 2, 2, 3)}
    assert normalised({"right_query": dpt.right_query(seen, wrong, 0.3)})["right_query"] == 0


def test_it_serves_no_other_classes_and_no_model_without_rows():
    classifier = made(GoldenFile("dpt"))
    assert isinstance(classifier, DualPrompts) and DPT().for_classes(classifier, None) is None
    assert "no sequence" in DPT().supports("clip_rn50", "few_shot")
    assert F.softmax(classifier(golden_images("test", 2)), -1).shape == (2, 3)


def test_class_texts_are_made_once_at_test(monkeypatch):
    golden = GoldenFile("dpt")
    classifier, again = made(golden), made(golden)
    images = golden_images("test", 6)
    with torch.no_grad():
        expected = again.eval()(images[3:])
    assert encodings_at_test(monkeypatch, classifier.texts.encoder, classifier, images[:3], images[3:]) == [1, 0]
    with torch.no_grad():
        assert classifier.keeps_texts and torch.equal(classifier(images[3:]), expected)
