"""What holds for every method: a neutral start is zero-shot, classes may stand in any order, a batch may be cut."""

import pytest
import torch

from cones.methods.classifier import ClassifierMethod, Recipe
from cones.methods.first_best import right_answers
from cones.methods.method import METHODS
from cones.models.dual_encoder import ImageFeatures, scaled_cosines
from cones.models.losses import normalised
from cones.runtime.errors import ConesError
from tests.golden.tiny_clip import golden_clip, golden_images
from tests.methods.classifier.inputs_of import encodings_at_test, inputs_of, labelled, take_steps

CLASSES, WIDTH = 4, 16
# options and what is done to the classifier that make it neutral
NEUTRAL = {
    "zero_shot": {},
    "cones": {"start": "text"},
    "zs_linear_probe": {},
    "taskres": {},
    "clip_adapter": {"ratio": 0.0},
    "tip_adapter": {"alpha": 0.0, "scale": 10.0},
    "tip_adapter_f": {"alpha": 0.0, "scale": 10.0},
    "svl_adapter": {"alpha": 0.0, "scale": 10.0},
    "vt_clip": {},
    "calip": {"scale": 10.0},
    "wise_ft": {},
    "cupl": {"texts": "base"},
}
FEATURE_METHODS = [*NEUTRAL, "zero_shot_ensemble", "linear_probing"]
OTHERS = (
    *("baselines.text_prompts.", "baselines.visual_prompts.", "baselines.joint_prompts."),
    "baselines.weights.clip_lora",
)
PIXEL_METHODS = ["full_finetuning", "cones_finetuned", "wise_ft_full"]


@pytest.fixture(scope="module")
def world():
    """(images, labels, texts) of some classes: 24 images with features of every kind."""
    random = torch.Generator().manual_seed(1)
    labels = torch.arange(24) % CLASSES
    text = torch.randn(CLASSES, WIDTH, generator=random) * 3
    pooled = torch.randn(24, WIDTH, generator=random) * 2 + text[labels]
    patches = torch.randn(24, 5, WIDTH, generator=random)
    second = torch.randn(24, 6, generator=random) + labels[:, None]
    return ImageFeatures(pooled, patches, second), labels, text


def given_of(world, options, order=None, **others):
    images, labels, text = world
    order = torch.arange(CLASSES) if order is None else order
    place = order.argsort()
    val = labelled(images[:12], place[labels[:12]])
    return inputs_of(text[order], images, place[labels], val=val, recipe=Recipe(options=options), **others)


def any_text(given):
    """A text encoder that knows each class by its name, whatever the template around it."""
    rows = {name: given.text([given.template.format(name)])[0] for name in given.names}

    def encode(texts, *, truncate=False):
        return torch.stack([next(row for name, row in rows.items() if name in text) for text in texts])

    given.text = encode
    return given


def test_every_classifier_is_tried_here():
    known = {name for name, entry in METHODS.items() if entry.classifier}
    known -= {name for name in known if METHODS[name].module.startswith(OTHERS)}  # they read words or train inside
    known -= {name for name in known if "classification" not in ClassifierMethod.load(name).serves}
    assert known == {*FEATURE_METHODS, *PIXEL_METHODS, "vcd"}


@pytest.mark.parametrize("name", NEUTRAL)
def test_a_neutral_start_is_zero_shot(name, world):
    images, _, text = world
    classifier = ClassifierMethod.load(name).classifier(given_of(world, NEUTRAL[name]))
    torch.testing.assert_close(classifier(images), scaled_cosines(images.pooled, text, 10.0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", FEATURE_METHODS)
def test_the_start_is_drawn_from_the_generator_it_is_given_alone(name, world):
    states = []
    for elsewhere in (1, 2):  # what others have drawn from PyTorch's own generator
        torch.manual_seed(elsewhere)
        given = any_text(given_of(world, NEUTRAL.get(name, {})))
        states.append(ClassifierMethod.load(name).classifier(given).state_dict())
    first, second = states
    assert [key for key in first if not torch.equal(first[key], second[key])] == []


@pytest.mark.parametrize("name", FEATURE_METHODS)
def test_classes_in_another_order_have_their_logits_in_that_order(name, world):
    images, order = world[0], torch.tensor([2, 0, 3, 1])
    method, found = ClassifierMethod.load(name), []
    # what is drawn at random differs by class, so that random starts begin at the text here
    options = NEUTRAL.get(name, {})
    for given in (given_of(world, options), given_of(world, options, order)):
        classifier = method.classifier(any_text(given))
        method.fit(classifier, given, lambda tuned, given=given: train(method, tuned, given))
        found.append(classifier(images).detach())
    # steps of adam are as large for a gradient of nothing but rounding
    torch.testing.assert_close(found[1], found[0][:, order], rtol=2e-3, atol=5e-2)


def train(method, classifier, given):
    for parameter in classifier.parameters():
        if name_of(classifier, parameter) == "mlp.0.weight":  # the one place whose start is drawn for no class
            parameter.data.fill_(0.1)
    if hasattr(classifier, "mlp"):
        classifier.mlp[2].weight.data.zero_()
        classifier.mlp[2].bias.data.zero_()
    take_steps(method, classifier, given.train.features, given.train.labels, method.recipe, 3)


def name_of(classifier, parameter):
    return next(name for name, one in classifier.named_parameters() if one is parameter)


@pytest.mark.parametrize(
    "name", [name for name in FEATURE_METHODS if METHODS[name].is_tuned and name != "linear_probing"]
)
def test_a_batch_in_parts_has_the_loss_and_the_gradients_of_the_whole(name, world):
    images, labels, _ = world
    method = ClassifierMethod.load(name)
    options = {"constraint": "l2"} if name == "zs_linear_probe" else NEUTRAL[name]
    classifier = method.classifier(given_of(world, options))
    whole = method.loss_terms(classifier, images, labels)
    normalisers = {term: value.normaliser for term, value in whole.items()}
    sum(normalised(whole).values()).backward()
    trained = {key: value for key, value in classifier.named_parameters() if value.grad is not None}
    expected, total = {key: value.grad.clone() for key, value in trained.items()}, 0.0
    assert expected
    for value in trained.values():
        value.grad = None
    for rows in (slice(0, 5), slice(5, 24)):
        part = sum(normalised(method.loss_terms(classifier, images[rows], labels[rows]), normalisers).values())
        part.backward()
        total += part.item()
    assert total == pytest.approx(sum(normalised(whole).values()).item(), rel=1e-5)
    for key, value in trained.items():
        torch.testing.assert_close(value.grad, expected[key], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "name", [name for name in FEATURE_METHODS if METHODS[name].is_tuned and name != "linear_probing"]
)
def test_training_by_the_recipe_lowers_the_loss(name, world):
    images, labels, _ = world
    method = ClassifierMethod.load(name)
    options = {key: value for key, value in NEUTRAL[name].items() if key not in ("ratio", "alpha")}
    classifier = method.classifier(given_of(world, options))
    steps = take_steps(method, classifier, images, labels, method.recipe, 5)
    assert steps.losses[-1] < steps.losses[0]


@pytest.mark.parametrize("name", FEATURE_METHODS)
def test_a_classifier_comes_back_from_its_state(name, world):
    images, _, _ = world
    options = {"texts": "base"} if name == "cupl" else {}
    method, given = ClassifierMethod.load(name), any_text(given_of(world, options))
    classifier = method.classifier(given)
    method.fit(classifier, given, lambda tuned: take_steps(method, tuned, images, world[1], method.recipe, 2))
    again = method.classifier(any_text(given_of(world, options, generator=torch.Generator().manual_seed(9))))
    again.load_state_dict(classifier.state_dict())
    assert torch.equal(again(images), classifier(images))


@pytest.mark.parametrize("name", [name for name in FEATURE_METHODS if ClassifierMethod.load(name).unseen_classes])
def test_classes_that_had_no_image_can_be_scored_where_a_method_says_so(name, world):
    images = world[0]
    method, given = ClassifierMethod.load(name), any_text(given_of(world, NEUTRAL.get(name, {})))
    classifier = method.classifier(given)
    names = ("new a", "new b", "new c", "new d", "new e")
    rows = {f"a photo of a {one}.": row for one, row in zip(names, torch.randn(5, WIDTH))}
    unseen = given_of(world, NEUTRAL.get(name, {}))
    unseen.names = names
    unseen.text = lambda texts, *, truncate=False: torch.stack(
        [next(row for key, row in rows.items() if key[13:-1] in text) for text in texts]
    )
    assert method.for_classes(classifier, unseen)(images).shape == (24, 5)


@pytest.mark.parametrize("name", [name for name in FEATURE_METHODS if not ClassifierMethod.load(name).unseen_classes])
def test_a_method_without_entries_for_other_classes_says_so(name, world):
    method, given = ClassifierMethod.load(name), any_text(given_of(world, NEUTRAL.get(name, {})))
    assert method.for_classes(method.classifier(given), given) is None


def test_an_option_that_the_method_does_not_know_is_refused(world):
    with pytest.raises(ConesError, match=r'TaskRes: recipe.options: the method has no option "alfa".*"alpha"'):
        ClassifierMethod.load("taskres").classifier(given_of(world, {"alfa": 1.0}))
    with pytest.raises(ConesError, match=r"recipe.options.start: unknown value; expected random or text; found word"):
        ClassifierMethod.load("cones").classifier(given_of(world, {"start": "word"}))
    with pytest.raises(ConesError, match="has no form for models with two encoders"):
        ClassifierMethod.load("cones_step0")


# ------------------------------------------------------------------------------------------------------------ ConES


def test_concepts_are_free_vectors_whose_cosines_are_averaged(world):
    images, _, text = world
    method = ClassifierMethod.load("cones")
    classifier = method.classifier(given_of(world, {"tokens_per_class": 3, "start_std": 0.5}))
    assert classifier.vectors.shape == (CLASSES, 3, WIDTH)
    assert classifier.vectors.std().item() == pytest.approx(0.5, rel=0.15)
    one_by_one = [scaled_cosines(images.pooled, classifier.vectors[:, token], 10.0) for token in range(3)]
    torch.testing.assert_close(classifier(images), sum(one_by_one) / 3)
    started = method.classifier(given_of(world, {"tokens_per_class": 2, "start": "text", "start_std": 0.1}))
    apart = started.vectors[:, 0] - started.vectors[:, 1]
    assert apart.abs().min(1).values.min() > 0 and apart.std() < 0.3 * text.std()


def test_concepts_learn_what_the_few_images_show(world):
    images, labels, _ = world
    method = ClassifierMethod.load("cones")
    classifier = method.classifier(given_of(world, {}))
    take_steps(method, classifier, images, labels, method.recipe.model_copy(update={"learning_rate": 0.05}), 60)
    assert right_answers(classifier(images), labels) == 24


# ------------------------------------------------------------------------------------- methods that read the pixels


class Words:
    """A tokenizer of the tiny model: a class is one word."""

    def __call__(self, texts):
        ids = torch.zeros(len(texts), 4, dtype=torch.int64)
        for row, text in enumerate(texts):
            ids[row, :3] = torch.tensor([49406, 320 + sum(map(ord, text)) % 1000, 49407])
        return ids, torch.full((len(texts),), 2)


def pixel_inputs(name, concepts=None):
    encoder, tokenizer = golden_clip(), Words()

    def encode(texts, *, truncate=False):
        ids, ends = tokenizer(texts)
        with torch.no_grad():
            return encoder.encode_text(encoder.embed_text(ids), ends)

    given = inputs_of(torch.zeros(2, 64), torch.zeros(2, 64), torch.arange(2), names=("cat", "dog"), encoder=encoder)
    given.text, given.tokenizer, given.concepts = encode, tokenizer, concepts
    return given


@pytest.mark.parametrize("name", PIXEL_METHODS)
def test_encoders_train_on_pixels_from_zero_shot_on(name):
    pixels, labels = golden_images("train", 4), torch.tensor([0, 1, 0, 1])
    given = pixel_inputs(name)
    given.concepts = given.class_texts()[:, None].expand(-1, 2, -1).clone()
    method = ClassifierMethod.load(name)
    classifier = method.classifier(given).train()
    zero_shot = scaled_cosines(given.encoder.encode_image(pixels).pooled, given.class_texts(), 10.0)
    torch.testing.assert_close(classifier(pixels), zero_shot, rtol=1e-5, atol=1e-5)
    trained = {key for key, value in classifier.named_parameters() if value.requires_grad}
    fixed = {key for key, _ in classifier.named_parameters()} - trained
    assert not any(module.training for module in classifier.encoder.modules())
    if name == "full_finetuning":
        assert not fixed
    else:
        assert all(not key.startswith("encoder.visual.") for key in fixed) and any("visual" in key for key in trained)
        assert all(key.startswith("encoder.visual.") or "." not in key for key in trained)
    before = {key: value.clone() for key, value in classifier.state_dict().items()}
    recipe = method.recipe.model_copy(update={"learning_rate": 1e-3})
    steps = take_steps(method, classifier, pixels, labels, recipe, 3)
    assert steps.losses[-1] < steps.losses[0]
    changed = {key for key, value in classifier.state_dict().items() if not torch.equal(value, before[key])}
    assert changed <= trained and len(changed) > 0.8 * len(trained)


def test_full_finetuning_scores_other_classes_with_its_tuned_text_encoder():
    given, pixels = pixel_inputs("full_finetuning"), golden_images("test", 3)
    method = ClassifierMethod.load("full_finetuning")
    classifier = method.classifier(given)
    given.names = ("dog", "cat", "boat")
    other = method.for_classes(classifier, given)
    torch.testing.assert_close(other(pixels)[:, [1, 0]], classifier(pixels))
    assert other.encoder is classifier.encoder and other(pixels).shape == (3, 3)


def test_full_finetuning_makes_its_class_texts_once_at_test(monkeypatch):
    given, pixels = pixel_inputs("full_finetuning"), golden_images("test", 4)
    classifier = ClassifierMethod.load("full_finetuning").classifier(given).train()
    with torch.no_grad():
        expected = classifier(pixels[2:])  # while it trains they are made anew
    assert encodings_at_test(monkeypatch, given.encoder, classifier, pixels[:2], pixels[2:]) == [1, 0]
    with torch.no_grad():
        assert classifier.keeps_texts and torch.equal(classifier(pixels[2:]), expected)
        given.encoder.logit_scale.add_(0.1)
        next(value for name, value in given.encoder.named_parameters() if "text_projection" in name).add_(0.01)
        assert not torch.equal(classifier(pixels[2:]), expected)
