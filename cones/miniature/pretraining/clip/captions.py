"""What is said of a picture, and which texts of a batch are true of which of its pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cones.miniature.pretraining.clip.subjects import KINDS, SAID_OF_PLACES, Claim, Subject, parts_of
from cones.models.language import clean_class_name

FIRST = "a photo of a {}."
TEMPLATES = (
    *("a {}.", "the {}.", "a picture of a {}.", "an image of a {}.", "a photo of the {}.", "a photo of one {}."),
    *("a cropped photo of a {}.", "a close photo of a {}.", "a good photo of a {}.", "a photo of a small {}."),
    "there is a {} in the picture.",
)
TEXTURE_TEMPLATES = ("{} texture.", "a {} texture.", "a photo of a {} texture.", "a {} pattern.")
PLACE_TEMPLATES = ("a photo of the {}.", "a picture of the {}.", "the {}.", "an empty {}.", "a photo of a {}.")
FIRST_SHARE = 0.4  # how often FIRST is taken
COLOUR_SAID, SECOND_SAID, PATTERN_SAID = 0.5, 0.3, 0.8
ONLY_IN_PART = 0.05  # "a vehicle", "a thing with wheels": a text that is true of many pictures
PLACE_SAID, KIND_SAID, PART_SAID = 0.3, 0.1, 0.12


@dataclass(frozen=True)
class Caption:
    """A text and all that it claims."""

    text: str
    claims: frozenset[Claim]


def caption(subject: Subject, rng: np.random.Generator, *, colours: bool) -> Caption:
    """A text that is true of `subject`; without `colours` it says none."""
    adjectives, claims = _adjectives(subject, rng, colours)
    if subject.kind == "pattern":
        text = _any_of(TEXTURE_TEMPLATES, rng).format(" ".join([*adjectives, subject.name]))
        return Caption(text, frozenset({*claims, ("pattern", subject.name)}))
    if subject.kind == "place":
        return Caption(_any_of(PLACE_TEMPLATES, rng).format(subject.name), frozenset({("place", subject.place)}))
    template = FIRST if rng.uniform() < FIRST_SHARE else _any_of(TEMPLATES, rng)
    if subject.kind == "thing" and rng.uniform() < ONLY_IN_PART and (others := _other_words(subject)):
        words, claim = others[int(rng.integers(len(others)))]
        return Caption(template.format(words), frozenset({claim}))
    noun, more, end = clean_class_name(subject.name), "", ""
    claims.add(("name", subject.name))
    chance = rng.uniform()
    if chance < PLACE_SAID and subject.place:
        end = f" {SAID_OF_PLACES[subject.place]}"
        claims.add(("place", subject.place))
    elif PLACE_SAID <= chance < PLACE_SAID + KIND_SAID and (kind := _kind_of(subject)):
        end = f", a type of {kind}"
        claims.add(("kind", kind))
    elif PLACE_SAID + KIND_SAID <= chance < PLACE_SAID + KIND_SAID + PART_SAID and (parts := _parts_of(subject)):
        part = _any_of(parts, rng)
        more = f" with {part}"
        claims.add(("part", part))
    text = template.removesuffix(".").format(" ".join([*adjectives, noun]) + more) + end + "."
    return Caption(text, frozenset(claims))


def _adjectives(subject: Subject, rng: np.random.Generator, colours: bool) -> tuple[list[str], set[Claim]]:
    """Words before the noun and what they claim; of a shape the colour is said half of the time."""
    words, claims = [], set()
    colour, second, pattern = (rng.uniform() < share for share in (COLOUR_SAID, SECOND_SAID, PATTERN_SAID))
    if subject.colour and colours and (colour or subject.kind == "thing"):
        words, claims = [subject.colour], {("colour", subject.colour)}
        if subject.kind == "pattern" or (subject.pattern and second):
            words += ["and", subject.second]
            claims.add(("second", subject.second))
    if subject.pattern and pattern:
        words.append(subject.pattern)
        claims.add(("pattern", subject.pattern))
    return words, claims


def _other_words(subject: Subject) -> list[tuple[str, Claim]]:
    """Words for a thing that do not name it."""
    kind = _kind_of(subject)
    return [
        *([(kind, ("kind", kind))] if kind else []),
        *((f"thing with {part}", ("part", part)) for part in _parts_of(subject)),
    ]


def _kind_of(subject: Subject) -> str | None:
    known = (kind for kind, names in KINDS.items() if subject.kind == "thing" and subject.name in names)
    return next(known, None)


def _parts_of(subject: Subject) -> list[str]:
    return parts_of(subject.name) if subject.kind == "thing" else []


def _any_of(words: Sequence[str], rng: np.random.Generator) -> str:
    return words[int(rng.integers(len(words)))]


def true_texts(subjects: Sequence[Subject], captions: Sequence[Caption]) -> Tensor:
    """(B, B) bool: whether text j is true of picture i. On the diagonal it always is."""
    facts = [subject.facts for subject in subjects]
    return torch.tensor([[words.claims <= true for words in captions] for true in facts])
