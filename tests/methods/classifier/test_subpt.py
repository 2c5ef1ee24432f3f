"""SubPT and its extra names equal the official code; the first epochs are seen, the steps stay in their subspace."""

import numpy as np
import pytest
import torch

from baselines.text_prompts import subpt
from baselines.text_prompts.subpt import SubPT, SubspaceContext, principal_directions
from cones.methods.classifier import Recipe
from cones.models.dual_encoder import ImageFeatures, unit
from cones.runtime.errors import ConesError
from tests.golden.clip import recipe as golden_recipe
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS, NAMES
from tests.methods.classifier.golden_words import GoldenTokenizer, prompt_inputs, with_options
from tests.methods.classifier.inputs_of import gradients_of, normalised, take_steps, tiny_images
from tests.some_fast import first_two_fast

EXTRA = ("dog", "fire truck", "loaf of bread", "tree")
VARIANTS = {"sub": ((), True), "nfl": (EXTRA, False), "sub_nfl": (EXTRA, True)}  # extra names, whether projected


def path() -> torch.Tensor:
    """(8, 512): the contexts of FORMAT-A, A.7."""
    place = golden_recipe.normal("subpt/c0", (4, 128)) * 0.02
    found = [place]
    for number in range(1, 8):
        found.append(found[-1] + 0.01 * golden_recipe.normal(f"subpt/d{number}", (4, 128)))
    return torch.from_numpy(np.stack(found).astype(np.float32)).flatten(1)


def words_of(golden: GoldenFile) -> GoldenTokenizer:
    tokenizer = GoldenTokenizer(NAMES, golden["tokens"], before=4)
    tokenizer.learn(EXTRA, golden["nfl.tokens"], before=4)
    return tokenizer


def directions_hold(golden: GoldenFile) -> torch.Tensor:
    golden.compare("contexts_first8", path()[:, :8])
    golden.compare("mean", path().mean(0))
    directions = principal_directions(path(), 3)
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    golden.compare("U", directions * largest.sign(), within=2.4e-4)
    golden.compare("projector_diag", directions.square().sum(0), within=2.4e-4)
    centred = path() - path().mean(0)
    shares = (centred @ directions.T).square().sum(0) / centred.square().sum()
    golden.compare("explained_variance_ratio", shares)
    torch.testing.assert_close(directions @ directions.T, torch.eye(3), rtol=0, atol=1e-6)
    return directions


def variant_holds(golden: GoldenFile, variant: str, directions: torch.Tensor) -> None:
    (names, is_projected), method = VARIANTS[variant], SubPT()
    given = prompt_inputs(words_of(golden), recipe=with_options(method.recipe, vectors=4, extra_names=names))
    train, test = given.train.features, ImageFeatures(tiny_images("test", 6))
    classifier, start = method.classifier(given), path()[0].view(4, 128)
    classifier.context.data.copy_(start)
    golden.compare(f"{variant}.logits_train0", classifier(train))
    golden.compare(f"{variant}.logits_test0", classifier(test))
    terms = normalised(method.loss_terms(classifier, train, LABELS))
    golden.compare(f"{variant}.ce0", terms["cross_entropy"], within=1e-5)
    if names:
        golden.compare(f"{variant}.nfl0", terms["extra_names"], within=1e-5)
        golden.compare(f"{variant}.text_extra0_unit", unit(classifier.extra(classifier.context)))
    golden.compare(f"{variant}.total0", sum(terms.values()), within=1e-5)
    raw = gradients_of(sum(terms.values()), {"context": classifier.context})["context"]
    golden.compare(f"{variant}.grad_raw0", raw, within=1e-3)
    classifier.directions = directions if is_projected else None
    steps = take_steps(method, classifier, train, LABELS, method.recipe)
    golden.compare(f"{variant}.grad_used0", steps.gradients[0]["context"], within=1e-3)
    moved = steps.parameters[2]["context"] - start
    golden.compare(f"{variant}.update3", moved, within=4.4e-3)
    last = [value.item() for value in normalised(method.loss_terms(classifier, train, LABELS)).values()]
    totals = golden[f"{variant}.losses"]
    torch.testing.assert_close(torch.tensor(steps.losses), totals[:3].sum(1), rtol=1e-5, atol=0)
    torch.testing.assert_close(torch.tensor(last), totals[3], rtol=1e-5, atol=0)
    golden.compare(f"{variant}.logits_test3", classifier(test))
    if is_projected:
        outside = moved - classifier.projected(moved)
        golden.compare(f"{variant}.update3_outside_share", outside.norm() / moved.norm(), within=1.4e-2)


def numbers_hold() -> None:
    with GoldenFile("subpt") as golden:
        assert golden["labels"].tolist() == LABELS.tolist()
        given = prompt_inputs(words := words_of(golden), recipe=with_options(SubPT.recipe, extra_names=EXTRA))
        golden.compare("nfl.anchor_tokens", words([f"a photo of a {name}." for name in EXTRA])[0])
        golden.compare("nfl.anchors_unit", SubPT().classifier(given).anchors)
        directions = directions_hold(golden)
        for variant in VARIANTS:
            variant_holds(golden, variant, directions)


def test_numbers_are_those_of_the_official_code():
    numbers_hold()


def of_rows(change):
    """Directions of something else than the contexts."""
    right = principal_directions
    return lambda patch: patch.setitem(globals(), "principal_directions", lambda rows, rank: right(change(rows), rank))


def not_centred(patch) -> None:
    patch.setitem(globals(), "principal_directions", lambda rows, rank: torch.linalg.svd(rows).Vh[:rank])


def summed(patch) -> None:
    mean = SubspaceContext.distance
    patch.setattr(SubspaceContext, "distance", lambda self, texts: len(texts) * mean(self, texts))


MISTAKES = {
    "the mean is not subtracted": not_centred,
    "differences of epochs": of_rows(lambda rows: rows.diff(dim=0)),
    "feature by feature": of_rows(lambda rows: rows.view(8, 4, 128).transpose(1, 2).flatten(1)),
    "outside of the subspace": lambda patch: patch.setattr(
        SubspaceContext, "projected", lambda self, grad, inside=SubspaceContext.projected: grad - inside(self, grad)
    ),
    "no projection": lambda patch: patch.setattr(SubspaceContext, "projected", lambda self, gradient: gradient),
    "extra names are added up": summed,
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold()


@pytest.mark.parametrize("form", ["code", "paper"])
def test_the_first_epochs_of_stage_one_make_the_subspace_of_stage_two(form):
    golden, method, runs = GoldenFile("subpt"), SubPT(), []
    recipe = Recipe(learning_rate=2e-2, weight_decay=0.0, epochs=4, batch_size=4, warmup_epochs=0)
    own = {"vectors": 4, "epochs_seen": 3, "rank": 2, "form": form}
    given = prompt_inputs(words_of(golden), recipe=with_options(recipe, **{**method.recipe.options, **own}))

    def tune(classifier, images=None):
        before = classifier.context.detach().clone()
        steps = take_steps(method, classifier, given.train.features, LABELS, recipe, 8)  # two steps an epoch
        runs.append((before, torch.stack([one["context"] for one in steps.parameters]), steps.gradients))

    classifier = method.classifier(given)
    start = classifier.context.detach().clone()
    assert method.fit(classifier, given, tune) is None and len(runs) == 2
    after_epochs = runs[0][1][1::2]
    torch.testing.assert_close(
        classifier.projected(torch.eye(512)[0]),
        SubspaceContext.projected(_with(principal_directions(after_epochs[:3].flatten(1), 2)), torch.eye(512)[0]),
    )
    assert torch.equal(runs[0][0], start)
    assert torch.equal(runs[1][0], start if form == "code" else after_epochs[0])
    used = torch.stack([one["context"].flatten() for one in runs[1][2]])
    assert torch.linalg.matrix_rank(used / used.norm(), tol=1e-5) <= 2
    moved = classifier.context.detach() - runs[1][0]
    torch.testing.assert_close(classifier.projected(moved), moved, rtol=0, atol=1e-6)  # no decay here
    assert moved.abs().max() > 1e-4


def _with(directions):
    return type("Directions", (), {"directions": directions})()


def test_a_subspace_of_more_epochs_than_are_trained_is_refused():
    given = prompt_inputs(words_of(GoldenFile("subpt")), recipe=with_options(SubPT.recipe, epochs_seen=300))
    with pytest.raises(ConesError, match=r"expected rank < epochs_seen <= 200; found rank 10, epochs_seen 300"):
        SubPT().fit(SubPT().classifier(given), given, tune=None)
    assert subpt.METHOD["classifier"] == "SubPT"
