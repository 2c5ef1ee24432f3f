"""WiSE-FT equals the official code: end to end on the tiny CLIP, and its head alone."""

import numpy as np
import pytest
import torch

from baselines.weights import wise_ft_full
from baselines.weights.wise_ft import Head, WiSEFT
from baselines.weights.wise_ft_full import WiSEFTFull
from cones.models.dual_encoder import ImageFeatures, unit
from tests.golden.clip import recipe as golden_recipe
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS, golden_clip, golden_images
from tests.methods.classifier.inputs_of import inputs_of, labelled, losses_hold, take_steps, tiny_text
from tests.some_fast import first_two_fast

HEAD = {"head.weight": "weight", "head.bias": "bias", "classification_head.weight": "weight"}
HEAD["classification_head.bias"] = "bias"


def ours(name: str) -> str:
    return HEAD.get(name, f"encoder.{name}")


def gradients_hold(golden: GoldenFile, head: Head, train: torch.Tensor) -> None:
    loss = torch.nn.functional.cross_entropy(head(train), LABELS)
    golden.compare("loss/ce_total", loss, within=1e-5)
    trained = {name: value for name, value in head.named_parameters() if value.requires_grad}
    gradients = dict(zip(trained, torch.autograd.grad(loss, list(trained.values()))))
    names = [ours(str(name)) for name in golden.content["in/names_with_gradient"]]
    golden.unread.discard("in/names_with_gradient")
    assert sorted(names) == sorted(gradients)
    norms = torch.stack([gradients[name].norm() for name in names])
    golden.compare("grad/l2_norms_in_that_order", norms)
    golden.compare("grad/total_norm_before_clip", norms.norm(), within=1e-5)


def moved(parameters: dict[str, torch.Tensor], start: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    return parameters[name] - start[name]


@torch.no_grad()
def mixtures_hold(golden: GoldenFile, head: Head, start, end, train, test) -> None:
    for alpha in (0.0, 0.3, 0.5, 1.0):
        head.mix(start, end, alpha)
        golden.compare(f"wise/alpha_{alpha}_logits_test", head(test), within=2e-4)
        golden.compare(f"wise/alpha_{alpha}_logits_train", head(train), within=2e-4)
        golden.compare(f"wise/alpha_{alpha}_head_weight", head.weight, within=1e-5)
    given = {}
    for name, value in start.items():
        theirs = name.removeprefix("encoder.") if name.startswith("encoder.") else f"classification_head.{name}"
        drawn = golden_recipe.normal(f"wise/delta/{theirs}", value.shape) * 0.03
        given[name] = value + torch.from_numpy(drawn.astype(np.float32))
    for alpha in (0.0, 0.3, 0.5, 1.0):
        golden.compare(f"wise_given/alpha_{alpha}_logits_test", head.mix(start, given, alpha)(test), within=2e-4)


def numbers_hold() -> None:
    with GoldenFile("wiseft") as golden:
        text, train, test = tiny_text(golden["in/token_ids"]), golden_images("train", 8), golden_images("test", 6)
        method = WiSEFTFull()
        head = method.classifier(inputs_of(text, text, torch.arange(3), encoder=golden_clip()))
        golden.compare("init/head_weight", head.weight)
        assert torch.equal(head.bias.detach(), golden["init/head_bias"])
        golden.compare("mid/image_features_test", head.encoder.encode_image(test).pooled)
        golden.compare("logits/train", head(train))
        golden.compare("logits/test", head(test))
        gradients_hold(golden, head, train)
        start = head.trained_weights()
        steps = take_steps(method, head, train, LABELS, method.recipe)
        for key in golden.keys("grad_after_clip/"):
            golden.compare(key, steps.gradients[0][ours(key.split("/")[1])], within=1e-3)
        after = torch.nn.functional.cross_entropy(head(train), LABELS).item()
        losses_hold(golden, "loss/steps_0_1_2_3", [*steps.losses, after], within=2e-5)
        for key in golden.keys("step3delta/"):
            golden.compare(key, moved(steps.parameters[2], start, ours(key.split("/")[1])), within=5e-2)
        mixtures_hold(golden, head, start, steps.parameters[2], train, test)


def test_numbers_are_those_of_the_official_code():
    numbers_hold()


def with_recipe(**changes):
    return lambda patch: patch.setattr(WiSEFTFull, "recipe", WiSEFTFull.recipe.model_copy(update=changes))


def mixed_the_other_way(self, start, end, alpha):
    return ORIGINAL_MIX(self, end, start, alpha)


def head_not_mixed(self, start, end, alpha):
    head = {name: end[name] for name in ("weight", "bias")}
    return ORIGINAL_MIX(self, {**start, **head}, end, alpha)


ORIGINAL_MIX = Head.mix
MISTAKES = {
    "the decay in the gradient": with_recipe(optimiser="adam"),
    "a and 1 - a exchanged": lambda patch: patch.setattr(Head, "mix", mixed_the_other_way),
    "the head is not mixed": lambda patch: patch.setattr(Head, "mix", head_not_mixed),
    "a rate of 1e-3": with_recipe(learning_rate=1e-3),
    "no clipping": with_recipe(clip_norm=None),
    "no decay": with_recipe(weight_decay=0.0),
    "the head is not scaled": lambda patch: patch.setattr(
        wise_ft_full, "Head", lambda text, scale, encoder: Head(text, 1.0, encoder)
    ),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold()


def test_the_head_alone_is_zero_shot_at_its_start_and_mixes_to_what_validation_prefers():
    torch.manual_seed(0)
    images, text = torch.randn(12, 8), torch.randn(3, 8)
    labels, features = torch.tensor([0, 1, 2] * 4), ImageFeatures(images)
    method, given = WiSEFT(), inputs_of(text, images, labels, val=labelled(images, labels))
    head = method.classifier(given)
    torch.testing.assert_close(head(features), 10 * unit(images) @ unit(text).T)

    def tune(classifier):
        take_steps(method, classifier, features, labels, method.recipe.model_copy(update={"learning_rate": 0.1}), 60)

    start = head.weight.detach().clone()
    found = method.fit(head, given, tune)
    best = max(tried["accuracy"] for tried in found.tried)
    assert 100 * (head(features).argmax(1) == labels).double().mean() == pytest.approx(best, abs=1e-3)
    assert found.taken["alpha"] > 0 and not torch.equal(head.weight, start) and len(found.tried) == 11
    given.val = labelled(images[:0], labels[:0])
    assert method.fit(method.classifier(given), given, lambda classifier: None).taken == {"alpha": 0.5}
