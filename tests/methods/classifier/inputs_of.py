"""What a classifier's tests share: inputs made of given tensors, training steps at a constant rate, the tiny CLIP."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cones.methods.classifier import Classifier, ClassifierInputs, ClassifierMethod, LabelledFeatures, Recipe
from cones.methods.recipes import groups_of, optimiser_of
from cones.models.dual_encoder import ImageFeatures
from cones.models.losses import normalised
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS, NAMES, golden_clip, golden_images


def labelled(images: Tensor | ImageFeatures, labels: Tensor, views: Tensor | None = None) -> LabelledFeatures:
    images = images if isinstance(images, ImageFeatures) else ImageFeatures(images)
    return LabelledFeatures(images, labels, views)


def inputs_of(
    class_texts: Tensor,
    train: Tensor | ImageFeatures,
    labels: Tensor = LABELS,
    *,
    val: LabelledFeatures | None = None,
    views: Tensor | None = None,
    scale: float = 10.0,
    recipe: Recipe | None = None,
    **others,
) -> ClassifierInputs:
    """Inputs whose class texts are the rows of `class_texts` (K, d); without validation unless it is given."""
    names = tuple(f"class {number}" for number in range(len(class_texts))) if len(class_texts) != 3 else NAMES
    rows = {f"a photo of a {name}.": row for name, row in zip(names, class_texts)}
    given = {
        "names": names,
        "template": "a photo of a {}.",
        "text": lambda texts, *, truncate=False: torch.stack([rows[one] for one in texts]),
        "logit_scale": scale,
        "recipe": recipe or Recipe(),
        "generator": torch.Generator().manual_seed(0),
        "train": labelled(train, labels, views),
        "val": val or labelled(torch.zeros(0, class_texts.shape[1]), torch.zeros(0, dtype=torch.int64)),
    }
    return ClassifierInputs(**{**given, **others})


@dataclass
class Steps:
    """What each step saw and left: losses before it, gradients before it, parameters after it."""

    losses: list[float] = field(default_factory=list)
    gradients: list[dict[str, Tensor]] = field(default_factory=list)
    parameters: list[dict[str, Tensor]] = field(default_factory=list)


def take_steps(
    method: ClassifierMethod,
    classifier: Classifier,
    images: ImageFeatures | Tensor,
    labels: Tensor,
    recipe: Recipe,
    count: int = 3,
) -> Steps:
    """Steps of the recipe's optimiser at its full rate, each on the whole set; gradients as the optimiser got them."""
    trained = {name: value for name, value in classifier.named_parameters() if value.requires_grad}
    optimiser, steps = optimiser_of(recipe, groups_of(method, recipe, trained)), Steps()
    for _ in range(count):
        optimiser.zero_grad()
        terms = normalised(method.loss_terms(classifier, images, labels))
        separate = {term: gradients_of(terms[term], trained) for term in method.separate_terms}
        sum(value for term, value in terms.items() if term not in separate).backward()
        method.adjust_gradients(classifier, separate)
        steps.losses.append(sum(terms.values()).item())
        if recipe.clip_norm:
            torch.nn.utils.clip_grad_norm_(trained.values(), recipe.clip_norm)
        steps.gradients.append({name: value.grad.clone() for name, value in trained.items() if value.grad is not None})
        optimiser.step()
        steps.parameters.append({name: value.detach().clone() for name, value in trained.items()})
    return steps


def gradients_of(loss: Tensor, trained: dict[str, Tensor]) -> dict[str, Tensor]:
    return dict(zip(trained, torch.autograd.grad(loss, list(trained.values()), retain_graph=True)))


@torch.no_grad()
def loss_of(method: ClassifierMethod, classifier: Classifier, images: ImageFeatures | Tensor, labels: Tensor) -> float:
    return sum(normalised(method.loss_terms(classifier, images, labels)).values()).item()


def losses_hold(golden: GoldenFile, key: str, found: Sequence[float], within: float = 1e-5) -> None:
    """Each loss is the golden one, relative to its size."""
    expected = golden[key]
    assert len(found) == len(expected)
    torch.testing.assert_close(torch.tensor(found), expected, rtol=within, atol=0)


tiny_clip = functools.cache(golden_clip)


@torch.no_grad()
def tiny_text(ids: Tensor) -> Tensor:
    """Token ids (..., L) through the tiny text encoder -> (..., d)."""
    rows = ids.reshape(-1, ids.shape[-1])
    features = tiny_clip().encode_text(tiny_clip().embed_text(rows), rows.argmax(-1))
    return features.reshape(*ids.shape[:-1], -1)


@functools.cache
def tiny_images(tag: str, count: int) -> Tensor:
    """(count, d) of the recipe's pictures."""
    with torch.no_grad():
        return tiny_clip().encode_image(golden_images(tag, count)).pooled


@torch.no_grad()
def encodings_at_test(monkeypatch, encoder, classifier: Classifier, *batches) -> list[int]:
    """How often the text encoder runs for each batch of test images."""
    encode, seen, counts = encoder.encode_text, [], []
    monkeypatch.setattr(encoder, "encode_text", lambda *given, **more: seen.append(1) or encode(*given, **more))
    classifier.eval()
    for batch in batches:
        before = len(seen)
        classifier(batch)
        counts.append(len(seen) - before)
    return counts
