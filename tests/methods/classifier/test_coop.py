"""CoOp equals the official code, at every position of the context; a word start is zero-shot bit for bit."""

import pytest
import torch

from baselines.text_prompts import context
from baselines.text_prompts.context import ContextClassifier, context_of_words
from baselines.text_prompts.coop import CoOp
from cones.methods.classifier import ClassifierMethod
from cones.models.clip.model import CLIP
from cones.models.dual_encoder import ImageFeatures, scaled_cosines
from cones.runtime.errors import ConesError
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS, NAMES
from tests.methods.classifier.golden_words import GoldenTokenizer, golden_vectors, prompt_inputs, with_options
from tests.methods.classifier.inputs_of import loss_of, losses_hold, take_steps, tiny_images
from tests.some_fast import first_two_fast

# options, name and shape of the start; None starts at the words
VARIANTS = {
    "end": ({"vectors": 4}, ("coop/ctx4", (4, 128))),
    "middle": ({"vectors": 4, "position": "middle"}, ("coop/ctx4", (4, 128))),
    "front": ({"vectors": 4, "position": "front"}, ("coop/ctx4", (4, 128))),
    "middle5": ({"vectors": 5, "position": "middle"}, ("coop/ctx5", (5, 128))),
    "end16": ({"vectors": 16}, ("coop/ctx16", (16, 128))),
    "words": ({"words": "a photo of a"}, None),
    "csc_end": ({"vectors": 4, "class_specific": True}, ("coop/ctx_csc4", (3, 4, 128))),
    "csc_middle": (
        {"vectors": 4, "class_specific": True, "position": "middle"},
        ("coop/ctx_csc4", (3, 4, 128)),
    ),
    "csc_front": (
        {"vectors": 4, "class_specific": True, "position": "front"},
        ("coop/ctx_csc4", (3, 4, 128)),
    ),
}
HARD_NAMES = ["737-800", "yellow-legged_gull", "dog"]


def started(given, start) -> ContextClassifier:
    classifier = CoOp().classifier(given)
    if start is not None:
        classifier.context.data.copy_(golden_vectors(*start, 0.02))
    return classifier


def variant_holds(golden: GoldenFile, variant: str, tokenizer: GoldenTokenizer) -> None:
    options, start = VARIANTS[variant]
    method, test = CoOp(), ImageFeatures(tiny_images("test", 6))
    given = prompt_inputs(tokenizer, recipe=with_options(method.recipe, **options))
    train, classifier = given.train.features, started(given, start)
    before, count = classifier.context.detach().clone(), classifier.texts.vectors
    rows = classifier.texts.rows_of(classifier.context)
    padding = given.encoder.embed_text(torch.zeros(3, 1, dtype=torch.int64))  # the file has a row behind the longest
    rows = torch.cat([rows, padding], 1)
    golden.compare(f"{variant}.prompts0", rows[:, : count + 7, ::8])
    golden.compare(f"{variant}.text0", classifier.class_texts())
    golden.compare(f"{variant}.logits_train0", classifier(train))
    golden.compare(f"{variant}.logits_test0", classifier(test))
    steps = take_steps(method, classifier, train, LABELS, method.recipe)
    golden.compare(f"{variant}.grad0", steps.gradients[0]["context"], within=1e-3)
    within = 1e-3 if variant == "words" else 1.2e-3  # the decay shows in the first alone
    golden.compare(f"{variant}.update3", steps.parameters[2]["context"] - before, within=within)
    losses = [*steps.losses, loss_of(method, classifier, train, LABELS)]
    losses_hold(golden, f"{variant}.losses", losses)
    golden.compare(f"{variant}.logits_test3", classifier(test))


def hard_names_hold(golden: GoldenFile) -> None:
    assert golden.texts("hard.names") == HARD_NAMES
    tokenizer = GoldenTokenizer(HARD_NAMES, golden["hard.tokens"], before=4)
    assert golden["hard.name_lens"].tolist() == [len(tokenizer.ids_of(name)) for name in HARD_NAMES]
    for position in ("middle", "front"):
        recipe = with_options(CoOp.recipe, vectors=4, position=position)
        given = prompt_inputs(tokenizer, names=HARD_NAMES, recipe=recipe)
        classifier = started(given, ("coop/ctx4", (4, 128)))
        golden.compare(f"hard.{position}.logits_test0", classifier(ImageFeatures(tiny_images("test", 6))))


def numbers_hold() -> None:
    with GoldenFile("coop") as golden:
        assert golden["labels"].tolist() == LABELS.tolist()
        golden.compare("img_train", tiny_images("train", 8))
        golden.compare("img_test", tiny_images("test", 6))
        tokenizer = GoldenTokenizer(NAMES, golden["tokens4"], before=4)
        assert golden["name_lens"].tolist() == [len(tokenizer.ids_of(name)) for name in NAMES]
        for count in (4, 5, 16):
            texts = [" ".join(["X"] * count + [f"{name}."]) for name in NAMES]
            golden.compare(f"tokens{count}", tokenizer(texts)[0])
        golden.compare("tokens_words", tokenizer([f"a photo of a {name}." for name in NAMES])[0])
        golden.compare("words.ctx0", context_of_words(prompt_inputs(tokenizer).encoder, tokenizer, "a photo of a"))
        for variant in VARIANTS:
            variant_holds(golden, variant, tokenizer)
        hard_names_hold(golden)


def test_numbers_are_those_of_the_official_code():
    numbers_hold()


def other_rows(change):
    original = context.placed_rows
    return lambda patch: patch.setattr(context, "placed_rows", lambda *given: original(*change(*given)))


def end_of_the_plain_name(patch) -> None:
    """The end's row as if no context stood before the name."""
    original = CLIP.encode_text
    patch.setattr(CLIP, "encode_text", lambda self, rows, ends, **more: original(self, rows, ends - 4, **more))


def more_before_the_name(patch) -> None:
    original = context.placed_rows

    def rows(vectors, name, length, position):
        found = original(vectors, name, length, position)
        if position == "middle" and vectors == 5:  # three before, two behind
            return [0, 1, 2, 3, *range(6, 6 + name), 4, 5, *range(6 + name, length)]
        return found

    patch.setattr(context, "placed_rows", rows)


def with_recipe(**changes):
    return lambda patch: patch.setattr(CoOp, "recipe", CoOp.recipe.model_copy(update=changes))


MISTAKES = {
    "the end of the name without context": end_of_the_plain_name,
    "end taken for middle and front": other_rows(
        lambda vectors, name, length, position: (vectors, name, length, "end")
    ),
    "three vectors before and two behind": more_before_the_name,
    "words counted for the name's tokens": other_rows(lambda vectors, name, *rest: (vectors, min(name, 3), *rest)),
    "no momentum": with_recipe(momentum=0.0),
    "no decay": with_recipe(weight_decay=0.0),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold()


@pytest.fixture
def tokenizer():
    return GoldenTokenizer(NAMES, GoldenFile("coop")["tokens4"], before=4)


@pytest.mark.parametrize("class_specific", [False, True])
def test_started_from_the_words_it_is_zero_shot_bit_for_bit(tokenizer, class_specific):
    recipe = with_options(CoOp.recipe, words="a photo of a", class_specific=class_specific)
    given = prompt_inputs(tokenizer, recipe=recipe)
    images = ImageFeatures(tiny_images("test", 6))
    zero_shot = ClassifierMethod.load("zero_shot").classifier(given)
    assert torch.equal(CoOp().classifier(given)(images), zero_shot(images))
    golden = GoldenFile("clip_vit")
    golden.compare("logits_test", zero_shot(images))


def test_only_the_context_trains_and_serves_other_classes(tokenizer):
    given = prompt_inputs(tokenizer, recipe=with_options(CoOp.recipe, vectors=4))
    classifier = CoOp().classifier(given)
    assert [name for name, value in classifier.named_parameters() if value.requires_grad] == ["context"]
    assert classifier.context.std().item() == pytest.approx(0.02, rel=0.1)
    take_steps(CoOp(), classifier, given.train.features, LABELS, CoOp.recipe, 2)
    given.names = ("toy car", "cat")
    other = CoOp().for_classes(classifier, given)
    images = ImageFeatures(tiny_images("test", 6))
    torch.testing.assert_close(other(images), classifier(images)[:, [1, 0]])
    given.recipe = with_options(CoOp.recipe, class_specific=True)
    assert CoOp().for_classes(classifier, given) is None


def test_several_contexts_give_the_texts_of_each(tokenizer):
    classifier = CoOp().classifier(prompt_inputs(tokenizer, recipe=with_options(CoOp.recipe, vectors=4)))
    several = golden_vectors("several", (2, 5, 4, 128), 0.1)
    found = classifier.texts(several[:, :, None])
    assert found.shape == (2, 5, 3, 64)
    for row in range(2):
        torch.testing.assert_close(found[row, 3], classifier.texts(several[row, 3]), rtol=1e-5, atol=1e-5)
    images = ImageFeatures(tiny_images("test", 6))
    torch.testing.assert_close(scaled_cosines(images.pooled, classifier.class_texts(), 10.0), classifier(images))


def test_an_unknown_position_is_refused(tokenizer):
    given = prompt_inputs(tokenizer, recipe=with_options(CoOp.recipe, position="before"))
    with pytest.raises(ConesError, match=r"options.position: unknown value; expected end or middle or front"):
        CoOp().classifier(given)
