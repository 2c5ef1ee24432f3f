"""The captions of the registry's datasets as bert-base-uncased reads them (bert_captions.json, from its own tokenizer).

Word pieces are compared where its vocabulary is at hand: checkpoints/official/vocab.txt, or CONES_BERT_VOCABULARY.
"""

import json
import os
import re
from pathlib import Path

import pytest

from cones.data.registry import load_registry
from cones.methods.prompts import encode_caption
from cones.models.checkpoints import tokenizer_for
from cones.models.language import ClassPhrase, caption
from cones.runtime.artifacts import sha256
from cones.weights.official import official_files

CAPTIONS = json.loads(Path(__file__).with_name("bert_captions.json").read_text(encoding="utf-8"))
CLS, SEP, FULL_STOP = 101, 102, 1012
VOCABULARY = Path(os.environ.get("CONES_BERT_VOCABULARY", "checkpoints/official/vocab.txt"))


def phrases_of(name: str) -> list[ClassPhrase]:
    dataset, _, kind = name.partition("/")
    entry = load_registry()[dataset]
    phrases = entry.manual_prompts if kind == "manual_prompts" else entry.phrases
    return [ClassPhrase(**phrase.model_dump()) for phrase in phrases]


def words_of(text: str) -> list[str]:
    """As BERT divides a text before it looks for word pieces: at spaces and around each sign."""
    return re.findall(r"[^\W_]+|[^\s\w]|_", text.lower())


def test_every_dataset_has_its_caption():
    registry = load_registry()
    named = {f"{name}/prompts" for name in registry}
    named |= {f"{name}/manual_prompts" for name, entry in registry.items() if entry.manual_prompts}
    assert set(CAPTIONS) == named


@pytest.mark.parametrize("name", CAPTIONS)
def test_the_text_and_which_words_stand_for_a_class(name):
    known, phrases = CAPTIONS[name], phrases_of(name)
    text, spans = caption(phrases)
    assert text == known["caption"]
    ids, positions = known["ids"], known["positions"]
    assert (ids[0], ids[-1]) == (CLS, SEP) and len(positions) == len(phrases)
    assert len(ids) >= 2 + len(words_of(text)), "a word has one piece or more"
    for (start, end), places in zip(spans, positions):
        assert places == list(range(places[0], places[-1] + 1)) and len(places) >= len(words_of(text[start:end]))
        stops_before = text[:start].count(".")  # a full stop is a piece of its own
        assert ids[: places[0]].count(FULL_STOP) == stops_before


def test_a_word_has_the_same_pieces_in_every_caption():
    """Of class names that are one word."""
    pieces: dict[str, list[int]] = {}
    for known in CAPTIONS.values():
        for name, places in zip(known["caption"].lower().split(". "), known["positions"]):
            if re.fullmatch(r"[a-z]+", name):
                found = [known["ids"][place] for place in places]
                assert pieces.setdefault(name, found) == found
    assert len(pieces) > 20


@pytest.mark.skipif(not VOCABULARY.exists(), reason="the vocabulary of bert-base-uncased is not at hand")
@pytest.mark.parametrize("name", CAPTIONS)
def test_the_word_pieces(name):
    assert sha256(VOCABULARY) == official_files()["bert-base-uncased"].sha256
    encoded = encode_caption(tokenizer_for("glip_t", VOCABULARY), phrases_of(name))
    assert encoded.ids.tolist() == CAPTIONS[name]["ids"]
    assert [row.nonzero().flatten().tolist() for row in encoded.class_positions] == CAPTIONS[name]["positions"]
