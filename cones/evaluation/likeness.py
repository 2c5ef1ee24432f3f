"""Likeness of generated pictures to their subject and to their prompt: cosines of unit feature rows.

Everything is averaged picture -> prompt -> subject, so a prompt with more pictures weighs no more
(docs/spec/generation.md A.6). A number that does not exist, such as the diversity of one picture, is None.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

COPY = 0.95  # cosine from which on a picture counts as a copy of a real one


@dataclass(frozen=True)
class SubjectFeatures:
    """One extractor's unit rows of one subject.

    generated  per prompt (G, D)
    real       (R, D), the pictures the subject was learnt from
    others     (R', D) per other subject of the dataset, by name: its real pictures
    same_noun  those of them with the subject's class noun
    texts      per prompt (D,): class noun kept, identifier dropped; None where the extractor reads no texts
    """

    generated: Mapping[str, Tensor]
    real: Tensor
    others: Mapping[str, Tensor] = field(default_factory=dict)
    same_noun: Collection[str] = ()
    texts: Mapping[str, Tensor] | None = None


def likeness(features: SubjectFeatures) -> dict[str, float | dict[str, float] | None]:
    """The likeness of one subject's pictures by one extractor.

    fidelity       mean cosine over all (generated, real) pairs: CLIP-I, DINO
    text           mean cosine of a picture and its prompt: CLIP-T
    real_real      mean cosine over pairs of different real pictures: the ceiling of fidelity
    other_subject  mean cosine of generated pictures and real ones of other subjects of the noun
    margin         fidelity above other_subject: identity rather than class
    diversity      1 - mean cosine over pairs generated for one prompt; 0 is a collapse
    nearest_real   mean over generated pictures of the cosine to the nearest real one
    copies         share of generated pictures whose nearest real one is at COPY or above
    to_others      fidelity to each other subject, by name: what an exchange of embeddings would score
    """
    generated, real = features.generated, features.real
    to_real = {prompt: rows @ real.T for prompt, rows in generated.items()}  # (G, R)
    nearest = {prompt: cosines.amax(dim=1) for prompt, cosines in to_real.items()}  # (G,)
    fidelity = _over_prompts(Tensor.mean, to_real)
    to_others = {
        name: _over_prompts(Tensor.mean, {prompt: rows @ other.T for prompt, rows in generated.items()})
        for name, other in features.others.items()
    }
    other_subject = _mean([to_others[name] for name in features.same_noun])
    to_text = features.texts and {prompt: rows @ features.texts[prompt] for prompt, rows in generated.items()}  # (G,)
    alike = _mean([pairs for rows in generated.values() if (pairs := mean_of_pairs(rows)) is not None])
    return {
        "fidelity": fidelity,
        "text": _over_prompts(Tensor.mean, to_text) if to_text else None,
        "real_real": mean_of_pairs(real),
        "other_subject": other_subject,
        "margin": None if other_subject is None else fidelity - other_subject,
        "diversity": None if alike is None else 1 - alike,
        "nearest_real": _over_prompts(Tensor.mean, nearest),
        "copies": _over_prompts(lambda cosines: (cosines >= COPY).float().mean(), nearest),
        "to_others": to_others,
    }


def mean_of_pairs(rows: Tensor) -> float | None:
    """Mean cosine over pairs of different rows of (N, D), or None with fewer than two."""
    count = len(rows)
    if count < 2:
        return None
    products = rows @ rows.T  # (N, N)
    return float(products.sum() - products.diagonal().sum()) / (count * (count - 1))


def _over_prompts(score: Callable[[Tensor], Tensor], per_prompt: Mapping[str, Tensor]) -> float:
    return _mean([float(score(cosines)) for cosines in per_prompt.values()])


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
