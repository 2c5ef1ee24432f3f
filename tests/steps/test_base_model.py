"""A model before it is tuned: the size of its pictures at test, and by which vocabulary its captions are read."""

import pytest

from cones.experiment.cell import Plan
from cones.methods.prompts import encode_caption
from cones.models.checkpoints import build_detector, tokenizer_for
from cones.models.language import ClassPhrase
from cones.runtime.errors import ConesError
from cones.steps.base_model import base_detector, caption_tokenizer
from cones.steps.weights import make_weights

NAMES = [ClassPhrase("fish"), ClassPhrase("red blood cell")]
FULL_SIZE = {"glip_t", "glip_l", "uninext_r50"}


@pytest.mark.parametrize("side", [None, 96])
def test_pictures_at_test_have_the_size_that_the_suite_asks_for(tmp_path, monkeypatch, side):
    plan = Plan.load("ci", {"models": {"glip_nano": {"test_short_side": side}}})
    monkeypatch.chdir(tmp_path)
    make_weights(plan, "glip_nano")
    own, asked = build_detector("glip_nano").preprocessing, base_detector(plan, "glip_nano").preprocessing
    assert asked.short_side == (side or own.short_side) and asked.long_side_cap == own.long_side_cap


@pytest.mark.parametrize("model", sorted(FULL_SIZE))
def test_random_weights_read_captions_by_the_vocabulary_that_ships_and_the_log_says_so(model, caplog):
    caplog.set_level("INFO", "cones")
    found = encode_caption(caption_tokenizer(Plan.load("paper_smoke"), model), NAMES)
    assert found.ids.tolist() == encode_caption(tokenizer_for("glip_nano"), NAMES).ids.tolist()
    assert f"{model} starts at random" in caplog.text


def test_official_weights_need_their_own_vocabulary(tmp_path, monkeypatch):
    plan = Plan.load("paper_smoke", {"models": {"glip_t": {"initial_seed": None}}})
    monkeypatch.chdir(tmp_path)  # nothing was fetched here
    with pytest.raises(ConesError, match=r"vocab\.txt"):
        caption_tokenizer(plan, "glip_t")


def test_a_nano_model_says_nothing_of_it(caplog):
    caplog.set_level("INFO", "cones")
    caption_tokenizer(Plan.load("ci"), "glip_nano")
    assert not caplog.text
