"""What is said of pictures: only what is true of them, and never anything medical or of world 0."""

import re

import numpy as np
import pytest
import torch

from cones.data.registry import load_registry
from cones.miniature.icons import COLOURS
from cones.miniature.pretraining.clip.captions import Caption, caption, true_texts
from cones.miniature.pretraining.clip.pictures import paint_subject, subject_number
from cones.miniature.pretraining.clip.subjects import MIX, SHOWN_PATTERNS, Subject
from cones.miniature.pretraining.clip.validation import FIRST_WORLD, NamingTest
from cones.miniature.pretraining.scenes import WORLDS
from cones.models.checkpoints import tokenizer_for

MANY = 3000


@pytest.fixture(scope="module")
def subjects():
    return [subject_number(0, number) for number in range(MANY)]


def captions_of(subjects, colours):
    rng = np.random.default_rng(1)
    return [caption(subject, rng, colours=colours) for subject in subjects]


def test_pictures_show_the_kinds_in_their_shares_and_never_world_0(subjects):
    for kind, share in MIX.items():
        found = np.mean([subject.kind == kind for subject in subjects])
        assert abs(found - share) < 4 * np.sqrt(share * (1 - share) / MANY), kind
    worlds = {subject.world for subject in subjects if subject.kind == "thing"}
    assert min(worlds) >= 1 and max(worlds) < WORLDS <= FIRST_WORLD


def test_validation_lies_in_worlds_of_its_own():
    worlds = {subject.world for subject in NamingTest(tokenizer=None, side=64).subjects}
    assert worlds <= {1, *range(FIRST_WORLD, FIRST_WORLD + 4)}


@pytest.mark.parametrize("colours", [True, False])
def test_every_text_is_true_of_its_picture(subjects, colours):
    for subject, words in zip(subjects, captions_of(subjects, colours)):
        assert words.claims and words.claims <= subject.facts, words.text


def test_a_text_says_all_that_it_claims(subjects):
    for words in captions_of(subjects, colours=True):
        for what, word in words.claims:
            assert word in words.text, (what, words.text)


def test_without_colours_no_colour_is_said(subjects):
    def coloured(captions):
        return sum(bool(set(re.findall(r"\w+", words.text)) & set(COLOURS)) for words in captions)

    assert coloured(captions_of(subjects, colours=False)) == 0
    assert coloured(captions_of(subjects, colours=True)) > 0.15 * MANY


def test_words_are_known_and_fit_the_context_and_none_is_medical(subjects):
    tokenizer = tokenizer_for("clip_nano")
    texts = [words.text for words in captions_of(subjects, colours=True)]
    _, ends = tokenizer(texts)
    assert ends.max() < 20
    pieces = {piece for text in texts for piece in re.findall(r"\w+", text)}
    assert all(len(tokenizer.ids_of(piece)) == 1 for piece in pieces)
    sets = load_registry("config/datasets/classification_miniature.yaml")
    medical = {
        word
        for entry in sets.values()
        if entry.group != "natural"
        for name in entry.classes
        for word in entry.text_of(name).lower().split()
    }
    assert medical - pieces == medical - {"red"}


def test_two_patterns_of_the_drawn_set_are_never_shown():
    classes = load_registry("config/datasets/classification_miniature.yaml")["nano_patterns"].classes
    assert set(classes) - set(SHOWN_PATTERNS) == {"cracked", "spiral"}


def test_texts_that_are_true_of_other_pictures_are_found():
    dog, cat = Subject("thing", "dog", "grass", 7), Subject("thing", "cat", "sea", 7)
    red_car = Subject("thing", "car", "grass", 9, colour="red", second="blue")
    rider = Subject("thing", "rider", "street", 5)
    subjects = [dog, cat, red_car, rider]
    captions = [
        Caption("an animal.", frozenset({("kind", "animal")})),
        Caption("a cat in the sea.", frozenset({("name", "cat"), ("place", "sea")})),
        Caption("a red thing with wheels.", frozenset({("colour", "red"), ("part", "wheels")})),
        Caption("a bicycle.", frozenset({("name", "bicycle")})),
    ]
    expected = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert torch.equal(true_texts(subjects, captions), torch.tensor(expected, dtype=torch.bool))


def test_a_named_colour_is_painted():
    """The middle of a plain shape is nearest to the colour that its text names."""
    right = 0
    words = list(COLOURS)
    for number, word in enumerate(words):
        subject = Subject("shape", "square", None, colour=word, second="red")
        pixels = np.asarray(paint_subject(subject, np.random.default_rng(number), 64).image(), np.float32)
        found = pixels[28:36, 28:36].mean(axis=(0, 1))
        right += min(words, key=lambda name: np.abs(found - COLOURS[name]).sum()) == word
    assert right >= len(words) - 2
