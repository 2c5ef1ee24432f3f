"""The spread of a random start as a number; two spreads are measured on the text encoder that the vectors stand for."""

from pathlib import Path

from cones.methods.settings import StartStd
from cones.models.family import family_named
from cones.models.language import LanguageFeatures
from cones.runtime.artifacts import load_tensors
from cones.runtime.errors import ConesError


def start_std(
    start: StartStd | None, *, model: str, weights: Path, text_states: LanguageFeatures | None = None
) -> float | None:
    """The standard deviation that `start` names, of the model whose base weights a file holds; None stays None.

    `word` is read from the word embeddings in `weights`; no text encoder is built for it. `output` is measured on
    `text_states`, over the positions that stand for the classes.
    """
    if start == "word":
        return word_embeddings_std(model, weights)
    if start == "output":
        stands_for_class = text_states.class_positions[0].any(dim=0)  # (L,)
        return text_states.hidden[0, stands_for_class].std().item()  # of (P, D)
    return start


def word_embeddings_std(model: str, weights: Path) -> float:
    name = f"{family_named(model).text_prefix}embeddings.word_embeddings.weight"
    tensors, _ = load_tensors(weights, wanted=lambda key: key == name)
    if name not in tensors:
        raise ConesError(
            f'the start "word" needs the word embeddings of the text encoder, {name}',
            where=weights,
            found=f"no such weight of {model}",
            next_step="set `start_std` to a number or to output",
        )
    return tensors[name].float().std().item()
