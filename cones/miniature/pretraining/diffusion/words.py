"""What is said of an icon, and the tokenizer that knows these words."""

import numpy as np

from cones.miniature.icons import COLOURS, NOUNS, PATTERNS, PLACES, Icon
from cones.miniature.pretraining.diffusion.recipe import TEXT_POSITIONS
from cones.models.stable_diffusion.prompts import TEMPLATES

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
    """A CLIP tokenizer whose word pieces are learnt from every word that captions and templates can hold."""
    from tokenizers import pre_tokenizers
    from tokenizers.trainers import BpeTrainer
    from transformers import CLIPTokenizer

    start, end = "<|startoftext|>", "<|endoftext|>"
    phrases = [*(template.format("") for template in TEMPLATES), *PLACES, *COLOURS, *PATTERNS, *NOUNS, "and"]
    words = sorted({word for phrase in phrases for word in phrase.split()})
    empty = CLIPTokenizer(vocab={start: 0, end: 1}, merges=[])
    trainer = BpeTrainer(
        vocab_size=4096,
        special_tokens=[start, end],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    empty.backend_tokenizer.train_from_iterator([" ".join(words)] * 2, trainer)
    model = _model(empty)
    # CLIP's vocabulary also holds every byte as the end of a word
    vocabulary = [*model["vocab"], *(f"{piece}</w>" for piece in sorted(pre_tokenizers.ByteLevel.alphabet()))]
    ordered = {piece: number for number, piece in enumerate(dict.fromkeys(vocabulary))}
    merges = [tuple(pair) if not isinstance(pair, str) else tuple(pair.split(" ")) for pair in model["merges"]]
    return CLIPTokenizer(vocab=ordered, merges=merges, model_max_length=TEXT_POSITIONS)


def _model(tokenizer) -> dict:
    import json

    return json.loads(tokenizer.backend_tokenizer.to_str())["model"]
