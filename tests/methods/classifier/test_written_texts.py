"""The texts that ship: every class of a drawn set has some, and each can be read by the nano model's text encoder."""

from pathlib import Path

import pytest

from baselines.training_free.vcd import described
from baselines.training_free.written_texts import FILES, WrittenTexts, texts_about
from cones.runtime.errors import ConesError
from cones.runtime.strict import parse, read_yaml

ROOT = Path(__file__).parents[3]
REGISTRY = ROOT / "config/datasets/classification_miniature.yaml"
VOCABULARY = ROOT / "cones/models/clip/nano_vocab.txt"
CONTEXT = 32  # of clip_nano


def names_of(dataset: str) -> list[str]:
    if not REGISTRY.exists():
        pytest.skip("the drawn sets have no registry here")
    return [name.replace("_", " ") for name in read_yaml(REGISTRY)[dataset]["classes"]]


@pytest.mark.parametrize("dataset", FILES)
def test_every_class_of_a_drawn_set_has_texts_that_fit_the_nano_model(dataset):
    names = names_of(dataset)
    about = texts_about(dataset, names)
    assert all(one.sentences and one.descriptors for one in about)
    from cones.models.clip.tokenizer import load_word_piece_tokenizer

    tokenizer = load_word_piece_tokenizer(VOCABULARY, CONTEXT)
    texts = [text for one in about for text in one.sentences]
    texts += [described(name, one) for name, written in zip(names, about) for one in written.descriptors]
    assert tokenizer(texts)[0].shape == (len(texts), CONTEXT)  # a text that is too long is refused


def test_a_file_of_another_form_is_refused_with_the_place():
    with pytest.raises(ConesError, match=r"mine.yaml: classes.cat.sentence: unknown key"):
        parse(WrittenTexts, {"source": "me", "classes": {"cat": {"sentence": ["A cat."]}}}, where="mine.yaml")
