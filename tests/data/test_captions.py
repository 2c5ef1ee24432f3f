"""Which classes a caption names: words, plurals and synonyms, the longest phrase first."""

import json

import pytest

from cones.data.captions import captions_of, classes_named, known_phrases, singulars
from cones.runtime.errors import ConesError

KNOWN = known_phrases([["person", "man", "woman"], ["dog"], ["hot dog"], ["bus"], ["wine glass"], ["knife"]])


@pytest.mark.parametrize(
    "text, places",
    [
        ("A man walks his Dog.", [0, 1]),
        ("Two dogs and three people", [0, 1]),
        ("a hot dog", [2]),
        ("a hot dog beside a dog", [1, 2]),
        ("hot dogs on buses", [2, 3]),
        ("women with wine glasses and knives", [0, 4, 5]),
        ("a glass of wine", []),
        ("a dogma about manholes", []),
        ("bushes", []),
        ("", []),
    ],
)
def test_what_a_caption_names(text, places):
    assert classes_named(text, KNOWN) == places


def test_a_word_is_its_own_singular():
    assert "bus" in singulars("bus") and "bus" in singulars("buses") and "puppy" in singulars("puppies")


def test_captions_are_read_from_coco_and_from_lines(tmp_path):
    (tmp_path / "captions.json").write_text(
        json.dumps({"annotations": [{"caption": " a dog\n runs "}, {"caption": "b"}]})
    )
    (tmp_path / "captions.txt").write_text("a dog runs\n\nb\n")
    assert captions_of(tmp_path / "captions.json") == captions_of(tmp_path / "captions.txt") == ["a dog runs", "b"]


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "boxes.json").write_text('{"annotations": [{"bbox": []}]}')
    with pytest.raises(ConesError, match="not COCO's captions"):
        captions_of(tmp_path / "boxes.json")
    with pytest.raises(ConesError, match="the captions are missing"):
        captions_of(tmp_path / "none.txt")
