"""The `clip_nano` that ships: its digest, and that it knows what its record says, in worlds it never saw."""

from dataclasses import fields

import numpy as np
import pytest

from cones.data.registry import load_registry
from cones.miniature.classification.layouts import class_of
from cones.miniature.classification.pages import SIDE
from cones.miniature.classification.things import names
from cones.miniature.layouts import Page
from cones.miniature.painter import generator
from cones.miniature.pretraining.clip.recipe import CLIP_NANO, ClipRecipe
from cones.miniature.pretraining.clip.scores import features_of, zero_shot
from cones.miniature.pretraining.clip.validation import FIRST_WORLD, NamingTest
from cones.models.checkpoints import load_dual_encoder, tokenizer_for
from cones.runtime.artifacts import read_json, sha256
from cones.weights.shipped import shipped

WEIGHTS, RECORD = shipped("clip_nano")
REGISTRY = load_registry("config/datasets/classification_miniature.yaml")


@pytest.fixture(scope="module")
def model():
    return load_dual_encoder("clip_nano", WEIGHTS)


def test_the_file_is_that_of_the_record_and_the_recipe_that_of_the_code():
    record = read_json(RECORD)
    assert sha256(WEIGHTS) == record["sha256"] and WEIGHTS.stat().st_size == record["bytes"] < 4_000_000
    for field in fields(ClipRecipe):
        stated, ours = record["recipe"][field.name], getattr(CLIP_NANO, field.name)
        assert stated == (list(ours) if isinstance(ours, tuple) else ours), field.name
    assert set(record["drawn_sets"]) == {name for name, entry in REGISTRY.items() if entry.task == "classification"}


def test_it_names_things_of_a_world_that_it_never_saw(model):
    """One picture of each of 94 names; chance is 1.1 %."""
    scores = NamingTest(tokenizer_for("clip_nano"), SIDE, worlds=(FIRST_WORLD,)).scores(model)
    stated = read_json(RECORD)["validation"][-1]
    for key in ("names", "names_grey"):
        share = stated[key] / 100
        noise = 100 * np.sqrt(share * (1 - share) / 94)
        assert abs(scores[key] - stated[key]) < 4 * noise, key
    assert scores["names"] > 30


def test_it_names_things_of_world_0_without_training(model):
    """Two new pictures of each class of `nano_names`; chance is 2.3 %."""
    dataset = REGISTRY["nano_names"]
    count, paint = 2 * len(dataset.classes), names()
    pages = [
        Page(index, "test", paint(generator("shipped clip_nano", 0, index), dataset.classes, index))
        for index in range(count)
    ]
    labels = np.array([dataset.classes.index(class_of(page)) for page in pages])
    texts = [dataset.sentence.format(dataset.text_of(name)) for name in dataset.classes]
    found = zero_shot(model, tokenizer_for("clip_nano"), texts, features_of(model, pages), labels)
    assert found > 30
