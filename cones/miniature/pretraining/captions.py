"""The text of a scene: a list of class names (detection) or a sentence about some of them (grounding)."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from cones.methods.prompts import EncodedCaption, encode_caption, encode_text
from cones.models.language import ClassPhrase, clean_class_name

MOST_NEGATIVES = 12  # names of things that are not there
NUMBERS = {1: "a", 2: "two", 3: "three", 4: "four", 5: "five"}
LINKS = (" and ", " with ", " near ", ", ")
# two words for one figure: neither is a negative for the other
SYNONYMS = ({"motorbike", "motorcycle"}, {"rabbit", "cottontail-rabbit"}, {"bicycle", "rider"}, {"person", "rider"})


@dataclass
class LabelledCaption:
    """A caption: ids (L,), class_positions (K, L) bool; labels (G,) the row of `class_positions` of each object;
    names (K,) of the rows."""

    ids: Tensor
    class_positions: Tensor
    labels: list[int]
    names: list[str]


def class_list(tokenizer, objects: list[str], names: list[str], rng: np.random.Generator) -> LabelledCaption:
    """The names of what is there and of up to twelve things that are not, shuffled: "car. dog. boat"."""
    there = sorted(set(objects))
    shunned = {word for pair in SYNONYMS for word in pair if pair & set(there)} | set(there)
    others = [name for name in names if name not in shunned]
    absent = rng.choice(others, int(rng.integers(0, MOST_NEGATIVES + 1)), replace=False).tolist()
    named = [(there + absent)[k] for k in rng.permutation(len(there) + len(absent))] or [str(rng.choice(names))]
    return _labelled(encode_caption(tokenizer, [ClassPhrase(name) for name in named]), named, objects)


def sentence(tokenizer, objects: list[str], place: str, rng: np.random.Generator) -> LabelledCaption:
    """The kinds of things in any order, counted, and where they are: "two dogs near a car on the grass"."""
    kinds = sorted(set(objects))
    named = [kinds[k] for k in rng.permutation(len(kinds))]
    text, spans = "", []
    for name in named:
        count = objects.count(name)
        text += (str(rng.choice(LINKS)) if text else "") + NUMBERS.get(count, "some") + " "
        word = clean_class_name(name)
        spans.append((len(text), len(text) + len(word)))
        text += word + ("s" if count > 1 else "")
    return _labelled(encode_text(tokenizer, f"{text} {place}".strip(), spans), named, objects)


def _labelled(encoded: EncodedCaption, named: list[str], objects: list[str]) -> LabelledCaption:
    return LabelledCaption(encoded.ids, encoded.class_positions, [named.index(name) for name in objects], named)
