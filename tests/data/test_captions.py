"""Which classes a caption names: words, plurals and synonyms, the longest phrase first."""

import json

import pytest

from cones.data.captions import captions_of, classes_named, known_phrases, singulars
from cones.data.formats.records import NativeFiles
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


def test_a_class_in_the_plural_is_named_by_its_singular_unless_that_is_another_class():
    known = known_phrases([["Platelets"], ["wine glasses"], ["glass"], ["glasses"], ["toes"], ["kites"]])
    assert classes_named("a platelet, a wine glass, glasses", known) == [0, 1, 3]
    assert classes_named("a glass", known) == [2]
    assert classes_named("a kit to go", known) == []


def test_words_of_any_script_are_words():
    known = known_phrases([["Blé"], ["красный"], ["белый"], ["+"]])
    assert classes_named("un ble\u0301, красный", known) == [0, 1]
    assert classes_named("bl + -", known) == []
    assert classes_named("nothing at all", known_phrases([["+"], ["-"]])) == []


def test_a_word_is_its_own_singular():
    assert "bus" in singulars("bus") and "bus" in singulars("buses") and "puppy" in singulars("puppies")


def read(file):
    return captions_of(file, NativeFiles("mine", file.parent, ["dog"], own=True, registry="mine.yaml"))


def test_captions_are_read_from_coco_and_from_lines(tmp_path):
    (tmp_path / "captions.json").write_text(
        json.dumps({"annotations": [{"caption": " a dog\n runs "}, {"caption": "b"}]})
    )
    (tmp_path / "captions.txt").write_text("a dog runs\n\nb\n")
    assert read(tmp_path / "captions.json") == read(tmp_path / "captions.txt") == ["a dog runs", "b"]


def test_a_caption_may_name_a_file(tmp_path):
    (tmp_path / "captions.txt").write_text("a dog runs\ncat.jpg shows a cat\nthe dog of dog.png\n")
    assert len(read(tmp_path / "captions.txt")) == 3


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_captions_are_read_in_the_encodings_of_other_files(tmp_path, encoding):
    (tmp_path / "captions.txt").write_text("a dog runs\nblé\n", encoding=encoding)
    (tmp_path / "captions.json").write_text('{"annotations": [{"caption": "blé"}]}', encoding=encoding)
    assert read(tmp_path / "captions.txt") == ["a dog runs", "blé"] and read(tmp_path / "captions.json") == ["blé"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("captions.txt", "blé".encode("latin-1"), "captions.txt: the file cannot be read as text.*save it as UTF-8"),
        ("captions.json", b'{"annot', "captions.json: broken JSON.*next: correct the file"),
        ("captions.csv", b"image,caption\n1,a dog", "not read from tables; expected .json or .txt; next: write"),
        ("captions.jsonl", b'{"caption": "a dog"}', "not read from lines of JSON; expected .json or .txt; next: write"),
        ("captions.txt", b'{"caption": "a dog"}\n{"caption": "b"}', "not captions alone; .* found '{\"caption.*next"),
        ("Flickr8k.token.txt", b"10_6.jpg#0\tA dog .\n10_6.jpg#1\tA cat .", "expected a caption a line; found '10_6"),
        ("captions.txt", b"image,caption\n10_6.jpg,A dog .\n10_6.JPG,A cat .\n", "not captions alone.*next: write"),
    ],
)
def test_captions_that_cannot_be_read_are_refused_in_a_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConesError, match=message):
        read(tmp_path / name)


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "boxes.json").write_text('{"annotations": [{"bbox": []}]}')
    with pytest.raises(ConesError, match="not COCO's captions"):
        read(tmp_path / "boxes.json")
    with pytest.raises(ConesError, match="the captions are missing"):
        read(tmp_path / "none.txt")
