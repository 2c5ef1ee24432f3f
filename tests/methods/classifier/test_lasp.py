"""LASP equals the official code, with clipped gradients and without, with noise and with extra names."""

import pytest
import torch

from baselines.text_prompts import lasp
from baselines.text_prompts.lasp import LASP, TEMPLATES, CorrectedTexts, with_noise
from cones.models.dual_encoder import unit
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS, NAMES, golden_clip, golden_images
from tests.methods.classifier.golden_words import GoldenTokenizer, golden_vectors, prompt_inputs, with_options
from tests.methods.classifier.inputs_of import normalised, take_steps, tiny_text
from tests.some_fast import first_two_fast

EXTRA = ("dog", "boat")
NOISE = golden_vectors("lasp/noise", (35, 3, 64), 1.0)
NORM_PARTS = [f"{norm}.{kind}" for norm in ("ln_1", "ln_2") for kind in ("weight", "bias")]
CORRECT_NOISE = with_noise


def given_of(golden: GoldenFile, **options):
    """An encoder of its own, because its norms train."""
    words = GoldenTokenizer(NAMES, golden["input/tokens"], before=4)
    words.learn(EXTRA, golden["virtual/tokens"][3:], before=4)
    hand = dict(zip(((t, n) for t in TEMPLATES for n in NAMES), tiny_text(golden["input/hand_tokens"]).flatten(0, 1)))
    rows = {template.format(name): row for (template, name), row in hand.items()}
    rows |= {template.format(name): torch.ones(64) for template in TEMPLATES for name in EXTRA}
    text = options.pop("text", lambda texts, *, truncate=False: torch.stack([rows[one] for one in texts]))
    recipe = with_options(LASP.recipe, **options)
    return prompt_inputs(words, encoder=golden_clip(), text=text, recipe=recipe)


def started(golden: GoldenFile, **options) -> CorrectedTexts:
    return LASP().classifier(given_of(golden, **options))


def norms(found: dict[str, torch.Tensor]) -> torch.Tensor:
    """(blocks, 4, D) of values by parameter name."""
    block = "texts.encoder.visual.transformer.resblocks"
    return torch.stack([torch.stack([found[f"{block}.{i}.{part}"] for part in NORM_PARTS]) for i in range(4)])


def start_holds(golden: GoldenFile, patch) -> None:
    method, classifier = LASP(), started(golden)
    train, test = golden_images("train", 8), golden_images("test", 6)
    golden.compare("input/ctx", classifier.context)
    assert torch.equal(classifier.correction, golden["input/w"])
    golden.compare("mid/hand_features", tiny_text(golden["input/hand_tokens"]))
    golden.compare("mid/text_features", classifier.class_texts())
    for split, pixels in (("train", train), ("test", test)):
        golden.compare(f"mid/image_features_{split}", classifier.encoder.encode_image(pixels).pooled)
        golden.compare(f"start/logits_{split}", classifier(pixels))
    trained = {name: value for name, value in classifier.named_parameters() if value.requires_grad}
    assert len(trained) == 2 + 16
    for suffix, toss in (("", [0.9]), ("_noise", [0.1])):
        tosses(patch, toss)
        terms = normalised(method.loss_terms(classifier, train, LABELS))
        if not suffix:
            golden.compare("loss/ce", terms["cross_entropy"], within=1e-5)
        golden.compare(f"loss/tt{suffix}", terms["between_texts"] / 5, within=1e-5)
        golden.compare(f"loss/total{suffix}", sum(terms.values()), within=1e-5)
        found = dict(zip(trained, torch.autograd.grad(sum(terms.values()), list(trained.values()))))
        for key, name in (("ctx", "context"), ("w", "correction")):
            golden.compare(f"grad{suffix}/{key}", found[name], within=1e-3)
        if not suffix:
            golden.compare("grad/ln", norms(found), within=1e-3)
            total = torch.stack([value.norm() for value in found.values()]).norm()
            golden.compare("grad/norm", total, within=1e-5)


def tosses(patch, values: list[float]) -> None:
    """What the toss of each step gives; the noise is the file's."""
    left = list(values)
    patch.setattr(torch, "rand", lambda *shape, **given: torch.tensor(left.pop(0)))
    patch.setattr(torch, "randn", lambda *shape, **given: NOISE)


def steps_hold(golden: GoldenFile, patch, kind: str, clip_norm: float | None) -> None:
    method, classifier = LASP(), started(golden)
    tosses(patch, [0.9, 0.1, 0.9])
    before = {name: value.detach().clone() for name, value in classifier.named_parameters()}
    recipe = method.recipe.model_copy(update={"clip_norm": clip_norm})
    steps = take_steps(method, classifier, golden_images("train", 8), LABELS, recipe)
    for number in (1, 3):
        for key, name in (("ctx", "context"), ("w", "correction")):
            expected = golden[f"steps_{kind}/{key}_{number}"] - before[name]
            distance = (steps.parameters[number - 1][name] - before[name] - expected).abs().max() / expected.std()
            assert distance < 1e-3, (kind, key, number, distance)
    moved = norms(steps.parameters[2]) - norms(before)
    golden.compare(f"steps_{kind}/ln_3_minus_start", moved, within=5e-2)
    torch.testing.assert_close(torch.tensor(steps.losses), golden[f"steps_{kind}/losses"], rtol=2e-4, atol=0)
    golden.compare(f"steps_{kind}/logits_test_3", classifier(golden_images("test", 6)))


def extra_names_hold(golden: GoldenFile, patch) -> None:
    tosses(patch, [0.9])
    tokens, words = golden["virtual/tokens"], GoldenTokenizer(NAMES, golden["input/tokens"], before=4)
    words.learn(EXTRA, tokens[3:], before=4)
    for name in (*NAMES, *EXTRA):  # the plain templates of names that the file has no ids of
        assert len(words.ids_of(name)) in (1, 2, 3)
    hand_ids = golden["input/hand_tokens"]
    ids = {}
    for t, template in enumerate(TEMPLATES):
        row, cat = hand_ids[t, 0].tolist(), words.ids_of("cat")[0]
        place = row.index(cat)
        for name in (*NAMES, *EXTRA):
            ids[template.format(name)] = (row[:place] + words.ids_of(name) + row[place + 1 :])[:77]
    text = lambda texts, *, truncate=False: tiny_text(torch.tensor([ids[one] for one in texts]))  # noqa: E731
    method, classifier = LASP(), started(golden, text=text, extra_names=EXTRA)
    names = [f"a photo of a {name}." for name in (*NAMES, *EXTRA)]
    assert torch.equal(words(names)[0][:, 5:], tokens[:, 5:])
    terms = normalised(method.loss_terms(classifier, golden_images("train", 8), LABELS))
    golden.compare("virtual/ce", terms["cross_entropy"], within=1e-5)
    golden.compare("virtual/tt", terms["between_texts"] / 5, within=1e-5)
    golden.compare("virtual/total", sum(terms.values()), within=1e-5)
    found = torch.autograd.grad(sum(terms.values()), [classifier.context, classifier.correction])
    golden.compare("virtual/grad_ctx", found[0], within=1e-3)
    golden.compare("virtual/grad_w", found[1], within=1e-3)
    test = golden_images("test", 6)
    golden.compare("virtual/logits_test", classifier.compare(test, classifier.class_texts()))
    assert torch.equal(classifier(test), classifier.compare(test, classifier.class_texts())[:, :3])


def numbers_hold(patch) -> None:
    with GoldenFile("lasp") as golden:
        assert golden.texts("input/templates") == TEMPLATES
        start_holds(golden, patch)
        steps_hold(golden, patch, "clip", 1.0)
        steps_hold(golden, patch, "noclip", None)
        extra_names_hold(golden, patch)


def test_numbers_are_those_of_the_official_code(monkeypatch):
    numbers_hold(monkeypatch)


def transposed(self, texts, hand):
    """The softmax over hand-written texts."""
    logits = self.scale * unit(texts) @ hand.transpose(1, 2)  # (T, names, names)
    targets = torch.arange(len(texts)).repeat(len(hand))
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets)


MISTAKES = {
    "hand-written texts are not unit": lambda patch: patch.setattr(
        lasp, "unit", lambda vectors: vectors if not vectors.requires_grad else unit(vectors)
    ),
    "unit again after the noise": lambda patch: patch.setattr(
        lasp, "with_noise", lambda *given: unit(CORRECT_NOISE(*given))
    ),
    "the softmax over hand-written texts": lambda patch: patch.setattr(CorrectedTexts, "between_texts", transposed),
    "norms at the full rate": lambda patch: patch.setattr(LASP, "rate_factor", lambda self, name: 1.0),
    "no decay": lambda patch: patch.setattr(LASP, "recipe", LASP.recipe.model_copy(update={"weight_decay": 0.0})),
    "no momentum": lambda patch: patch.setattr(LASP, "recipe", LASP.recipe.model_copy(update={"momentum": 0.0})),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold(monkeypatch)


def test_noise_comes_with_one_toss_for_all_and_is_the_same_in_all_parts_of_a_step():
    hand, found = torch.zeros(5, 3, 64), []
    for step in range(40):
        torch.manual_seed(step)  # as the training loop does before each step
        found.append(with_noise(hand, 0.05, 0.5))
        torch.rand(step)  # dropout of a part
        assert torch.equal(with_noise(hand, 0.05, 0.5), found[-1])
    noisy = [one for one in found if one.any()]
    assert 10 < len(noisy) < 30 and all(one.all() for one in noisy)
    assert torch.stack(noisy).std().item() == pytest.approx(0.05, rel=0.05)


def test_other_classes_get_the_trained_context_and_norms():
    golden = GoldenFile("lasp")
    given = given_of(golden)
    classifier, pixels = LASP().classifier(given), golden_images("test", 6)
    take_steps(LASP(), classifier, golden_images("train", 8), LABELS, LASP.recipe, 1)
    given.names = ("toy car", "cat")
    other = LASP().for_classes(classifier, given)
    torch.testing.assert_close(other(pixels), classifier(pixels)[:, [1, 0]])
