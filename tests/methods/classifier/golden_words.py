"""Token ids of the golden files as a tokenizer, and inputs for methods whose vectors stand among them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from baselines.text_prompts.context import PLACEHOLDER, WORDS
from cones.methods.classifier import ClassifierInputs, Recipe
from cones.models.dual_encoder import ImageFeatures
from tests.golden.clip import recipe as golden_recipe
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS, NAMES
from tests.methods.classifier.inputs_of import inputs_of, tiny_clip, tiny_images

START, END, CONTEXT = 49406, 49407, 77


class GoldenTokenizer:
    """Knows the phrases whose ids a golden file holds, and any text made of them."""

    context_length = CONTEXT

    def __init__(self, names: Sequence[str], ids: Tensor, *, before: int):
        """ids (K, 77) of texts "… name." with `before` tokens before each name."""
        self.phrases = {PLACEHOLDER: [343], WORDS: [320, 1125, 539, 320]}
        self.learn(names, ids, before=before)

    def learn(self, names: Sequence[str], ids: Tensor, *, before: int) -> None:
        for name, row in zip(names, ids.tolist(), strict=True):
            end = row.index(END)
            self.phrases[name], self.phrases["."] = row[1 + before : end - 1], row[end - 1 : end]

    def ids_of(self, text: str) -> list[int]:
        found, rest = [], text.strip()
        while rest:
            phrase = max((one for one in self.phrases if rest.startswith(one)), key=len)
            found += self.phrases[phrase]
            rest = rest.removeprefix(phrase).strip()
        return found

    def __call__(self, texts: Sequence[str], *, truncate: bool = False) -> tuple[Tensor, Tensor]:
        ids = torch.zeros(len(texts), CONTEXT, dtype=torch.int64)
        for row, text in zip(ids, texts):
            tokens = torch.tensor([START, *self.ids_of(text), END])
            row[: len(tokens)] = tokens
        return ids, ids.argmax(1)


def golden_vectors(name: str, shape: Sequence[int], scale: float) -> Tensor:
    """Vectors by name, as the golden numbers start from them."""
    return torch.from_numpy((golden_recipe.normal(name, shape) * scale).astype(np.float32))


def prompt_inputs(
    tokenizer: GoldenTokenizer, *, names: Sequence[str] = NAMES, recipe: Recipe | None = None, **others
) -> ClassifierInputs:
    """Inputs of the tiny CLIP: its 8 training pictures, their labels, the template "a photo of a {}."."""
    encoder = tiny_clip()

    @torch.no_grad()
    def text(texts: Sequence[str], *, truncate: bool = False) -> Tensor:
        ids, ends = tokenizer(texts)
        return encoder.encode_text(encoder.embed_text(ids), ends)

    given = {"names": tuple(names), "text": text, "encoder": encoder, "tokenizer": tokenizer, "recipe": recipe}
    given |= {"train": ImageFeatures(tiny_images("train", 8)), "labels": LABELS, **others}
    return inputs_of(torch.zeros(0, 64), **given)


def with_options(recipe: Recipe, **options) -> Recipe:
    return recipe.model_copy(update={"options": {**recipe.options, **options}})


def step_holds(golden: GoldenFile, key: str, found: Tensor, start: Tensor, within: float = 1e-2) -> None:
    """A parameter after some steps is the golden one: what it moved by, in standard deviations of that, with the
    rounding of the parameter as the floor."""
    golden.compare(key, found, within=1e-4)
    expected = torch.from_numpy(golden.content[key]) - golden.part(key, start)
    moved = golden.part(key, found) - golden.part(key, start)
    assert (moved - expected).abs().max() <= within * expected.std() + 4e-9, f"{key}: {expected.std()}"
