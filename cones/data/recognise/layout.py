"""A folder that somebody has: which files it holds, which of its words are splits, and what it was taken for."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from cones.data.files import PICTURES, files_below, is_hidden, plain, without_suffix
from cones.data.formats.records import NativeFiles
from cones.runtime.errors import ConesError

WORDS = {
    "train": ("train", "training", "tr"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "ts"),
}


@dataclass(frozen=True)
class Recognised:
    """What a folder was taken for: the part of a registry entry that its files decide.

    format   {"name": a native format, and its parameters}
    splits   the files' own words for splits, as `format` gives them; none: they have no splits
    why      what was seen, in lines
    unknown  what the files do not say, each with the key that says it
    slices   the pictures are slices of volumes, and item ids are `<volume>/<index>`
    """

    format: dict
    classes: list[str]
    task: str
    splits: tuple[str, ...] = ()
    why: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    slices: bool = False


@dataclass(frozen=True)
class Tree:
    """The files of a folder. `root` is the folder, or the only folder in it, whose name `prefix` then is."""

    folder: Path
    native: NativeFiles = field(init=False)

    def __post_init__(self):
        stub = NativeFiles(dataset_id=self.folder.name, raw=self.folder, classes=(), own=True, registry="the entry")
        object.__setattr__(self, "native", stub)

    @cached_property
    def root(self) -> Path:
        place = self.folder
        while True:
            inside = [entry for entry in sorted(place.iterdir()) if not is_hidden(entry.name)]
            folders = [entry for entry in inside if entry.is_dir()]
            if len(inside) != 1 or not folders:
                return place
            place = folders[0]

    @cached_property
    def files(self) -> list[Path]:
        return files_below(self.root)

    def with_suffix(self, *suffixes: str) -> list[Path]:
        return [path for path in self.files if path.suffix.lower() in suffixes]

    @cached_property
    def pictures(self) -> list[Path]:
        return self.with_suffix(*PICTURES)

    def name(self, path: Path) -> str:
        """A path below `root`, as a registry entry writes it; `.` for the root itself."""
        return plain(path.relative_to(self.root).as_posix())

    def seen(self) -> str:
        """What lies in the folder, for a message: its folders, and how many files of each kind."""
        kinds: dict[str, int] = {}
        for path in self.files:
            kind = path.suffix.lower() or "no suffix"
            kinds[kind] = kinds.get(kind, 0) + 1
        most = sorted(kinds.items(), key=lambda item: -item[1])[:6]
        return ", ".join(f"{count} {kind}" for kind, count in most) or "no file"

    def format(self, name: str, **parameters: object) -> dict:
        """The entry's `format`, without parameters that are None and with `root` where it is not the folder itself."""
        root = self.root.relative_to(self.folder).as_posix()
        place = {} if root == "." else {"root": root}
        return {"name": name, **place, **{key: value for key, value in parameters.items() if value is not None}}

    def folder_with(self, names: Sequence[str], near: Path, word: str | None = None) -> Path | None:
        """The folder below which all these pictures lie under these names; else one that holds all their base names.

        `near`, where their list lies, goes first, then folders whose path has the `word`, then the shallowest.
        """
        places = {parent for path in self.pictures for parent in path.parents if parent.is_relative_to(self.root)}
        ordered = sorted(
            places,
            key=lambda place: (place != near, split_word(self.name(place)) != word, len(place.parts), str(place)),
        )
        wanted = [plain(name) for name in names]
        for place in ordered:
            if all((place / name).is_file() for name in wanted):
                return place
        bases = {PurePosixPath(name).name for name in wanted}
        for place in ordered:
            if bases <= {path.name for path in self.pictures if path.is_relative_to(place)}:
                return place
        return None

    def picture_folder_of(self, stems: Iterable[str], annotations: Path) -> Path | None:
        """The folder whose pictures have these names without suffix: that of the annotations, else a sibling."""
        stems = set(stems)
        beside = [annotations, *sorted(path for path in annotations.parent.iterdir() if path.is_dir())]
        for place in dict.fromkeys([beside[0], *sorted(beside[1:], key=lambda path: "image" not in path.name.lower())]):
            inside = {without_suffix(path.relative_to(place)) for path in self.pictures if path.is_relative_to(place)}
            if inside & stems:
                return place
        return None


def split_word(text: str) -> str | None:
    """Which of our splits a name speaks of: `instances_train2017` -> train; None if of none, or of several."""
    tokens = {re.sub(r"\d+$", "", token) for token in re.split(r"[^a-z0-9]+", text.lower())}
    found = [split for split, words in WORDS.items() if tokens & set(words)]
    return found[0] if len(found) == 1 else None


def split_rule(words: Sequence[str], *, slices: bool = False, labelled: bool = False) -> tuple[dict, str]:
    """(the entry's `split`, what it means in a line) of the files' own words for splits.

    `slices`: of volumes, which stay whole. `labelled`: pictures of one class each, where each class is divided.
    """
    ours: dict[str, str] = {}
    for word in words:
        if split := split_word(word):
            if split in ours:
                raise ConesError(
                    f"two parts of the folder may be {split}",
                    where=f"{ours[split]} and {word}",
                    next_step="rename or move one of them, or write the entry by hand (docs/datasets.md)",
                )
            ours[split] = word
    whole = {"patients": "^(.+)/[0-9]+$"} if slices else {}
    if ours.keys() == WORDS.keys():
        shipped = {split: ours[split] for split in WORDS}
        return {"rule": "as_shipped", "shipped": shipped}, "train, val and test as the files have them"
    if ours.keys() == {"train", "val"}:
        text = "the files have no test split: theirs of validation is the test, and a fifth of train the validation"
        return {"rule": "holdout80", "shipped": {"test": ours["val"]}, **whole}, text
    if ours.keys() == {"train", "test"}:
        text = "test as the files have it; a fifth of train is the validation"
        return {"rule": "holdout80", "shipped": {"test": ours["test"]}, **whole}, text
    if labelled:
        text = "by a fixed rule, each class by itself: half to learn from, a fifth to validate on, the rest is the test"
        return {"rule": "per_class_50_20_30"}, text
    what = "volumes" if slices else "pictures"
    text = f"by a fixed rule: a fifth of the {what} is the test, of the rest a fifth the validation"
    return {"rule": "test20_then_holdout80", **whole}, text
