"""Token ids as the official tokenizer gives them, and vocabularies that are not CLIP's.

The real vocabulary is looked for in CONES_CLIP_VOCABULARY, checkpoints/official and ../shared/data/vocab.
"""

import gzip
import json
import os
from itertools import islice, product
from pathlib import Path

import pytest
import torch
from tokenizers.pre_tokenizers import ByteLevel

from cones.models.clip.tokenizer import clean, load_bpe_tokenizer, load_word_piece_tokenizer
from cones.models.text_sizes import NANO_VOCABULARY
from cones.runtime.errors import ConesError
from tests.golden.reading import GoldenFile

FILE = "bpe_simple_vocab_16e6.txt.gz"
PLACES = ("checkpoints/official", "../shared/data/vocab")
GIVEN = os.environ.get("CONES_CLIP_VOCABULARY")
REAL = next(filter(Path.exists, map(Path, [GIVEN] if GIVEN else [f"{place}/{FILE}" for place in PLACES])), None)
needs_the_real_one = pytest.mark.skipif(REAL is None, reason="CLIP's vocabulary is not at hand")
NAMES = ("cat", "toy car", "white blood cell")
LETTERS = sorted(ByteLevel.alphabet())
START, END = 49406, 49407


@pytest.fixture(scope="module")
def real():
    return load_bpe_tokenizer(REAL.resolve(), 77)


def made_up_merges(count=48894):
    """As many merges as CLIP has: two bytes to one word each, in order of the alphabet."""
    return [f"{first} {last}</w>" for first, last in islice(product(LETTERS, LETTERS), count)]


def written(folder, lines, name=FILE):
    path = folder / name
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("\n".join(["#version: made up", *lines, "beyond these"]) + "\n")
    return path


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    return load_bpe_tokenizer(written(tmp_path_factory.mktemp("vocabulary"), made_up_merges()), 8)


@needs_the_real_one
def test_golden_token_ids(real):
    golden = GoldenFile("clip_vit")
    ids, ends = real([f"a photo of a {name}." for name in NAMES])
    golden.compare("tokens", ids)
    golden.compare("eot", ends)
    golden.compare("ctx.tokens", real([f"X X X X {name}." for name in NAMES])[0])
    assert [len(real.ids_of(name)) for name in NAMES] == [1, 2, 3]


@needs_the_real_one
def test_names_of_several_pieces(real):
    """From the official tokenizer by way of CoOp (FORMAT-A, A.3, `hard.tokens`)."""
    assert real.ids_of("737-800") == [278, 274, 278, 268, 279, 271, 271]
    assert real.ids_of("yellow-legged gull") == [4481, 268, 25830, 28778]


@needs_the_real_one
def test_a_text_that_is_cut_ends_with_the_end(real):
    ids, ends = real(["cat " * 100, "cat"], truncate=True)
    assert ids[0].tolist() == [START, *[2368] * 75, END] and ends.tolist() == [76, 2]
    assert ids[1].tolist() == [START, 2368, END, *[0] * 74]


@needs_the_real_one
def test_a_directory_of_transformers_is_the_same_tokenizer(real, tmp_path):
    transformers = pytest.importorskip("transformers")
    with gzip.open(REAL, "rt", encoding="utf-8") as file:
        merges = file.read().split("\n")[1:48895]
    entries = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), *(merge.replace(" ", "") for merge in merges)]
    vocabulary = {entry: i for i, entry in enumerate([*entries, "<|startoftext|>", "<|endoftext|>"])}
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (tmp_path / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
    theirs = transformers.CLIPTokenizer.from_pretrained(str(tmp_path))
    ours = load_bpe_tokenizer(tmp_path, 77)
    texts = [
        *("a photo of a Boeing 737-800, a type of aircraft.", "It's   the DOG'S\n2nd  toy!!", "naïve café \u2013 10%"),
        *("日本語 картина 🐶", "what's 3.5x?", "'tis", "a_b c's", "ß ﬁ ½ ²", "x" * 60),
    ]
    for text in texts:
        expected = theirs(text)["input_ids"]
        assert [START, *ours.ids_of(text), END] == [START, *real.ids_of(text), END] == expected, text


def test_entries_are_bytes_then_bytes_at_the_end_of_a_word_then_merges(made_up):
    first, last = LETTERS.index("a"), LETTERS.index("b")
    assert made_up.ids_of("a") == [256 + first]
    assert made_up.ids_of("ab") == [512 + 256 * first + last]
    assert made_up.ids_of("cab") == [LETTERS.index("c"), 512 + 256 * first + last]
    assert made_up.ids_of("a b") == [256 + first, 256 + last] and made_up.ids_of("") == []
    assert (made_up.start, made_up.end, made_up.entries) == (START, END, END + 1)


def test_rows_are_start_text_end_and_zeros(made_up):
    ids, ends = made_up(["a b", ""])
    assert ids.dtype == torch.int64 and ids.shape == (2, 8)
    assert ids[0].tolist() == [START, *made_up.ids_of("a b"), END, 0, 0, 0, 0]
    assert ids[1].tolist() == [START, END, 0, 0, 0, 0, 0, 0] and ends.tolist() == [3, 1]


def test_words_numbers_and_signs_are_never_joined(made_up):
    for text, pieces in {"12": ["1", "2"], "a1": ["a", "1"], "a!": ["a", "!"], "a-b": ["a", "-", "b"]}.items():
        assert made_up.ids_of(text) == [made_up.ids_of(piece)[0] for piece in pieces]
    assert made_up.ids_of("a's") == [*made_up.ids_of("a"), *made_up.ids_of("'s")]
    assert len(made_up.ids_of("'s")) == 1  # "'" and "s" make an entry here


def test_a_text_that_is_too_long_is_refused_with_its_beginning(made_up):
    made_up(["a b a b a b"])
    with pytest.raises(ConesError, match=r'"a b a b a b a": the text is too long .* at most 8 tokens.* found 9'):
        made_up(["a", "a b a b a b a"])
    ids, ends = made_up(["a b a b a b a"], truncate=True)
    assert ids[0, -1] == END and ends.tolist() == [7]


def test_texts_are_cleaned():
    assert clean("  A &amp;amp; B\n\tC ") == "a & b c"
    assert clean("the dog\u2019s \u201cball\u201d") == 'the dog\'s "ball"'
    assert clean("cafe\u0301") == "caf\u00e9"


@pytest.mark.parametrize(
    "lines, expected",
    [
        (made_up_merges(100), "101 merges instead of 48894 or more"),
        ([*made_up_merges(48893), "one"], 'the line "one" where two pieces belong'),
        ([*made_up_merges(48893), "! !</w>"], "49407 entries instead of 49408"),
        ([*made_up_merges(48893), "nowhere at_all"], "nowhere"),
    ],
    ids=["too short", "no pair", "one twice", "unknown pieces"],
)
def test_another_vocabulary_is_refused(tmp_path, lines, expected):
    with pytest.raises(ConesError, match=f"not CLIP's vocabulary.*{expected}"):
        load_bpe_tokenizer(written(tmp_path, lines), 77)


def test_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(ConesError, match="CLIP's vocabulary is missing"):
        load_bpe_tokenizer(tmp_path / FILE, 77)
    with pytest.raises(ConesError, match=r"vocab\.json: CLIP's vocabulary is missing"):
        load_bpe_tokenizer(tmp_path, 77)
    whole = written(tmp_path, made_up_merges()).read_bytes()
    for content in (b"<!doctype html>", whole[: len(whole) // 2]):
        (tmp_path / FILE).write_bytes(content)
        with pytest.raises(ConesError, match="not CLIP's vocabulary"):
            load_bpe_tokenizer(tmp_path / FILE, 77)
    (tmp_path / FILE).unlink()
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b</w>\n")
    for content in ('{"a": 0}', "[1]", "{"):
        (tmp_path / "vocab.json").write_text(content)
        with pytest.raises(ConesError, match="not CLIP's vocabulary"):
            load_bpe_tokenizer(tmp_path, 77)


def test_word_pieces_have_the_same_interface():
    tokenizer = load_word_piece_tokenizer(NANO_VOCABULARY, 12)
    pieces = NANO_VOCABULARY.read_text(encoding="utf-8").splitlines()
    ids, ends = tokenizer(["A Bird.", "a &amp; b"])
    found = [[pieces[i] for i in row] for row in ids]
    assert found[0] == ["[CLS]", "a", "bird", ".", "[SEP]", *["[PAD]"] * 7]
    assert found[1][:5] == ["[CLS]", "a", "&", "b", "[SEP]"] and ends.tolist() == [4, 4]
    assert [pieces[i] for i in tokenizer.ids_of("qbird")] == ["q", *(f"##{letter}" for letter in "bird")]
    assert (tokenizer.entries, tokenizer.context_length) == (len(pieces), 12)
    with pytest.raises(ConesError, match="too long"):
        tokenizer(["a " * 11])


def test_a_word_that_the_nano_vocabulary_cannot_spell_is_refused():
    """Else every such name would be the same text, and its classes one."""
    tokenizer = load_word_piece_tokenizer(NANO_VOCABULARY, 32)
    assert tokenizer.ids_of("Käfer") == tokenizer.ids_of("kafer") != tokenizer.ids_of("kafers")
    with pytest.raises(ConesError, match=r"cannot spell a word; found 狐.; next: .*`texts`") as caught:
        tokenizer(["a photo of a 狐."])
    assert "\n" not in str(caught.value)


def test_a_name_that_is_too_long_says_where_to_shorten_it():
    with pytest.raises(ConesError, match=r"at most 32 tokens.*found 43; next: shorten .*`texts`.*`template`"):
        load_word_piece_tokenizer(NANO_VOCABULARY, 32)(["cat " * 41])
