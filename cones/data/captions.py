"""Captions of a dataset: sentences, and which of its classes each names.

TaI-DPT (arXiv 2211.12739, section 3.2) finds the nouns of a caption by lemmas and a list of synonyms of each class.
Here a class is named by the words that texts use for it and by the entry's `synonyms`, in the singular or the plural;
of several phrases that begin at one word the longest is taken, and its words name nothing else: where hot dogs are a
class, a hot dog is no dog. Where they are none (VOC), its last word is read as one.
The singular of a phrase names its class as well.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from cones.data.files import PICTURES
from cones.data.formats.reading import read_json as read_native
from cones.data.formats.reading import read_text
from cones.data.formats.records import NativeFiles
from cones.data.registry import Dataset
from cones.runtime.artifacts import read_json, sha256, write_json

CAPTIONS = "captions.json"  # [[text, [places of classes]], …]
IRREGULAR = {"men": "man", "women": "woman", "people": "person", "children": "child", "mice": "mouse", "geese": "goose"}
BEFORE_ES = ("s", "x", "z", "ch", "sh", "o")  # buses, boxes, potatoes; but a kite is no kit
UNNAMING = "a caption that names no class, left out"
UNNAMED = "a class that no caption names"
TABLES, JSON_LINES = (".csv", ".tsv", ".xlsx"), (".jsonl", ".ndjson")
NOT_LINES = dict.fromkeys(TABLES, "tables") | dict.fromkeys(JSON_LINES, "lines of JSON")
# a line of Flickr8k.token.txt, of Kaggle's captions.txt, of JSON: a caption and more, all of it read as words
WITH_MORE = re.compile(rf"\S+({'|'.join(map(re.escape, PICTURES))})\b|\{{", re.IGNORECASE)
SHOWN = 60  # characters of a caption in a report
ENDINGS = (("ies", "y"), ("ves", "fe"), ("ves", "f"), ("es", ""), ("s", ""))


def write_captions(dataset: Dataset, native: NativeFiles, file: Path, folder: Path) -> dict:
    """Write `captions.json`, those of a file that name a class; returns the manifest's part about it. ConesError if the
    file holds none, or none that names a class. Captions that are left out and classes that none names are noted."""
    texts = captions_of(file, native)
    phrases = [[dataset.text_of(name), *dataset.synonyms.get(name, ())] for name in dataset.classes]
    known = known_phrases(phrases)
    found = [(text, classes_named(text, known)) for text in texts]
    named = [[text, places] for text, places in found if places]
    if not named:
        raise native.fault(
            "no caption names a class",
            file,
            found=f"{len(texts)} captions, such as {texts[0]!r}" if texts else "no caption",
            next_step=f"add `synonyms`, words by which captions name a class, in {dataset.registry}",
        )
    for text, places in found:
        if not places:
            native.note(UNNAMING, text[:SHOWN])
    ever = {place for _, places in named for place in places}
    for place, name in enumerate(dataset.classes):
        if place not in ever:
            native.note(UNNAMED, name)
    write_json(folder / CAPTIONS, named, indent=None)
    counts = {"texts": len(named), "without_a_class": len(texts) - len(named)}
    return {"file": CAPTIONS, "sha256": sha256(folder / CAPTIONS), **counts}


def captions_of(file: Path, native: NativeFiles) -> list[str]:
    """COCO's captions (`annotations`, each with a `caption`), or the lines of a text file in UTF-8 or UTF-16."""
    if not file.is_file():
        step = native.mend(f"complete the files, or correct `captions` of the source in {native.registry}")
        raise native.fault("the captions are missing", file, next_step=step)
    if (kind := NOT_LINES.get(file.suffix.lower())) is not None:
        step = native.mend("write the captions alone to a text file, one a line, and name that")
        raise native.fault(f"captions are not read from {kind}", file, expected=".json or .txt", next_step=step)
    if file.suffix.lower() != ".json":
        return _lines(file, native)
    content = read_native(file, native)
    try:
        return [" ".join(one["caption"].split()) for one in content["annotations"]]
    except (KeyError, TypeError, AttributeError):
        raise native.fault(
            "not COCO's captions",
            file,
            expected='{"annotations": [{"caption": "…"}, …]}',
            next_step="name another file as `captions` of the source, or a text file with a caption a line",
        ) from None


def _lines(file: Path, native: NativeFiles) -> list[str]:
    lines = [line.strip() for line in read_text(file, native).splitlines() if line.strip()]
    with_more = [line for line in lines if WITH_MORE.match(line)]
    if 2 * len(with_more) > len(lines):
        raise native.fault(
            "the lines are not captions alone",
            file,
            expected="a caption a line",
            found=f"{with_more[0][:SHOWN]!r}",
            next_step=native.mend("write the captions alone, without names of pictures and keys, one a line"),
        )
    return lines


def read_captions(folder: Path, manifest: Mapping) -> list[tuple[str, list[int]]]:
    """The captions of a prepared dataset with the places of the classes that each names; none without captions."""
    if not manifest.get("captions"):
        return []
    return [(text, places) for text, places in read_json(folder / manifest["captions"]["file"])]


def known_phrases(phrases: Sequence[Sequence[str]]) -> dict[tuple[str, ...], int]:
    """{the words of a phrase: the place of its class}, of the phrases of each class, and their singulars where these
    are no phrase of another class; a phrase without letters and digits names nothing."""
    found = {
        words: place for place, of_class in enumerate(phrases) for one in of_class if (words := tuple(words_of(one)))
    }
    for (*before, last), place in list(found.items()):
        for one in singulars(last):
            found.setdefault((*before, one), place)
    return found


def classes_named(text: str, known: Mapping[tuple[str, ...], int]) -> list[int]:
    """The places of the classes that a text names."""
    longest, words, found, at = max(map(len, known), default=0), words_of(text), set(), 0
    while at < len(words):
        for length in range(min(longest, len(words) - at), 0, -1):
            *before, last = words[at : at + length]
            place = next((known[key] for one in singulars(last) if (key := (*before, one)) in known), None)
            if place is not None:
                found.add(place)
                at += length - 1
                break
        at += 1
    return sorted(found)


def words_of(text: str) -> list[str]:
    """Runs of letters and digits of any script, in lower case and the composed form of Unicode."""
    return re.findall(r"[^\W_]+", unicodedata.normalize("NFC", text).lower())


def singulars(word: str) -> list[str]:
    """The word, and what it may be the plural of."""
    found = [word, *filter(None, [IRREGULAR.get(word)])]
    for end, instead in ENDINGS:
        stem = word.removesuffix(end)
        if stem != word and (end != "es" or (len(stem) > 2 and stem.endswith(BEFORE_ES))):
            found.append(stem + instead)
    return found
