"""Captions of a dataset: sentences, and which of its classes each names.

TaI-DPT (arXiv 2211.12739, section 3.2) finds the nouns of a caption by lemmas and a list of synonyms of each class.
Here a class is named by the words that texts use for it and by the entry's `synonyms`, in the singular or the plural;
of several phrases that begin at one word the longest is taken, and its words name nothing else: where hot dogs are a
class, a hot dog is no dog. Where they are none (VOC), its last word is read as one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from cones.data.registry import Dataset
from cones.runtime.artifacts import read_json, sha256, write_json
from cones.runtime.errors import ConesError

CAPTIONS = "captions.json"  # [[text, [places of classes]], …]
IRREGULAR = {"men": "man", "women": "woman", "people": "person", "children": "child", "mice": "mouse", "geese": "goose"}
ENDINGS = (("ies", "y"), ("ves", "fe"), ("ves", "f"), ("es", ""), ("s", ""))


def write_captions(dataset: Dataset, file: Path, folder: Path) -> dict:
    """Write `captions.json`, those of a file that name a class; returns the manifest's part about it. ConesError if the
    file holds none, or none that names a class."""
    texts = captions_of(file)
    phrases = [[dataset.text_of(name), *dataset.synonyms.get(name, ())] for name in dataset.classes]
    known = known_phrases(phrases)
    named = [[text, places] for text in texts if (places := classes_named(text, known))]
    if not named:
        raise ConesError(
            "no caption names a class",
            where=file,
            found=f"{len(texts)} captions, such as {texts[0]!r}" if texts else "no caption",
            next_step=f"add `synonyms`, words by which captions name a class, in {dataset.registry}",
        )
    write_json(folder / CAPTIONS, named, indent=None)
    counts = {"texts": len(named), "without_a_class": len(texts) - len(named)}
    return {"file": CAPTIONS, "sha256": sha256(folder / CAPTIONS), **counts}


def captions_of(file: Path) -> list[str]:
    """COCO's captions (`annotations`, each with a `caption`), or the lines of a text file."""
    if not file.is_file():
        raise ConesError(
            "the captions are missing", where=file, next_step="complete the files, or correct `captions` of the source"
        )
    if file.suffix.lower() != ".json":
        return [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    content = read_json(file)
    try:
        return [" ".join(one["caption"].split()) for one in content["annotations"]]
    except (KeyError, TypeError, AttributeError):
        raise ConesError(
            "not COCO's captions",
            where=file,
            expected='{"annotations": [{"caption": "…"}, …]}',
            next_step="name another file as `captions` of the source, or a text file with a caption a line",
        ) from None


def read_captions(folder: Path, manifest: Mapping) -> list[tuple[str, list[int]]]:
    """The captions of a prepared dataset with the places of the classes that each names; none without captions."""
    if not manifest.get("captions"):
        return []
    return [(text, places) for text, places in read_json(folder / manifest["captions"]["file"])]


def known_phrases(phrases: Sequence[Sequence[str]]) -> dict[tuple[str, ...], int]:
    """{the words of a phrase: the place of its class}, of the phrases of each class."""
    return {tuple(words_of(phrase)): place for place, of_class in enumerate(phrases) for phrase in of_class}


def classes_named(text: str, known: Mapping[tuple[str, ...], int]) -> list[int]:
    """The places of the classes that a text names."""
    longest, words, found, at = max(map(len, known)), words_of(text), set(), 0
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
    return re.findall(r"[a-z0-9]+", text.lower())


def singulars(word: str) -> list[str]:
    """The word, and what it may be the plural of."""
    found = [word, *filter(None, [IRREGULAR.get(word)])]
    return found + [word.removesuffix(end) + instead for end, instead in ENDINGS if word.endswith(end)]
