"""What is said of an icon, and the tokenizer that knows these words."""

import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from cones.miniature.icons import COLOURS, NOUNS, PATTERNS, PLACES, Icon
from cones.miniature.pretraining.diffusion.recipe import TEXT_POSITIONS
from cones.models.stable_diffusion.prompts import TEMPLATES

END = "</w>"  # of a word
WORDS_LEFT_OUT = {"colours": 0.1, "second": 0.25, "pattern": 0.25, "place": 0.3}


def described(icon: Icon, *, colours: bool = True, second: bool = True, pattern: bool = True) -> str:
    """`red and white striped dog`; a plain icon's pattern is not said, nor is a second colour without a first."""
    said = ([icon.main, "and", icon.second] if second else [icon.main]) if colours else []
    said += [icon.pattern] if pattern and icon.pattern != "plain" else []
    return " ".join([*said, icon.noun])


def caption(icon: Icon, rng: np.random.Generator) -> str:
    """`a photo of the red striped dog in the snow`: any template; words are left out now and then."""
    kept = {what: rng.uniform() >= share for what, share in WORDS_LEFT_OUT.items()}
    template = TEMPLATES[int(rng.integers(len(TEMPLATES)))] if rng.uniform() < 0.7 else "a {}"
    place = f" {icon.place}" if kept.pop("place") else ""
    return template.format(described(icon, **kept)) + place


def build_tokenizer():
    """A CLIP tokenizer to which every word that captions and templates can hold is one piece."""
    from tokenizers import pre_tokenizers
    from transformers import CLIPTokenizer

    phrases = [*(template.format("") for template in TEMPLATES), *PLACES, *COLOURS, *PATTERNS, *NOUNS, "and"]
    merges = byte_pair_merges({word for phrase in phrases for word in re.findall(r"\w+|[^\w\s]+", phrase)})
    # CLIP's vocabulary begins with every byte, then every byte as the end of a word
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = ["<|startoftext|>", "<|endoftext|>", *alphabet, *(f"{each}{END}" for each in alphabet)]
    vocabulary = dict.fromkeys([*pieces, *map("".join, merges)])
    ordered = {piece: number for number, piece in enumerate(vocabulary)}
    return CLIPTokenizer(vocab=ordered, merges=merges, model_max_length=TEXT_POSITIONS)


def byte_pair_merges(words: Iterable[str]) -> list[tuple[str, str]]:
    """The most frequent pair of neighbours first, until every word is one piece.

    Of equally frequent pairs the first by the alphabet: the trainer of `tokenizers` orders those another way in every
    process, so that a run that was taken up again would read its own captions wrongly.
    """
    spelled = [(*word[:-1], f"{word[-1]}{END}") for word in words]
    merges = []
    while pairs := Counter(pair for pieces in spelled for pair in pairwise(pieces)):
        merges.append(min(pairs, key=lambda pair: (-pairs[pair], pair)))
        spelled = [_merged(pieces, merges[-1]) for pieces in spelled]
    return merges


def _merged(pieces: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    found: list[str] = []
    for piece in pieces:
        if found and (found[-1], piece) == pair:
            found[-1] += piece
        else:
            found.append(piece)
    return tuple(found)
