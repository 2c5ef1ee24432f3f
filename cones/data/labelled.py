"""Prepare a dataset of labelled pictures: `items.json`, a record of each split, and their part of the manifest.

`items.json` is {"train": [[path, label], …], "val": …, "test": …}, paths relative to the dataset's folder, labels the
places of classes in the manifest's `classes`. `<split>.json` holds what the manifest says of a split.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from cones.data.class_maps import Numbers
from cones.data.class_trees import fault_of, tree_of_texts
from cones.data.formats.records import NativeFiles, Record
from cones.data.images import require_decodable
from cones.data.record_splits import kept_records, report, split_records
from cones.data.registry import SPLITS, Dataset, Source
from cones.data.splits import counted, digest
from cones.runtime.artifacts import sha256, write_json
from cones.runtime.errors import ConesError, closest

ITEMS = "items.json"
MOST_SHOTS = 16  # training pictures a class that the largest few-shot setting takes
READERS = 4  # threads; decoding and hashing release the interpreter's lock
AT_ONCE = 10_000  # pictures handed to them, so that a million do not wait in memory
FEW = f"a class with fewer than {MOST_SHOTS} training pictures: 16 shots take all it has"
TWO_CLASSES = "a picture that has another class elsewhere, both kept"
UNTESTED = "a class without a test picture: it is left out of means over classes"
SHARED_TEXT = "a class that texts call as another one"
TEST_ONLY = "a class that is only scored: there are no training pictures"


@dataclass(frozen=True)
class Division:
    """Which pictures are in which split, by their item ids, before any is decoded; `labels` says the class of each."""

    records: Sequence[Record]
    labels: Mapping[str, str]
    splits: Mapping[str, Sequence[str]]

    def per_class(self, split: str) -> Counter[str]:
        """{class: its pictures in a split}; 0 for others."""
        return Counter(self.labels[item] for item in self.splits[split])


def divided(
    dataset: Dataset,
    spec: Source,
    native: NativeFiles,
    records: Sequence[Record],
    names: Mapping[str, str | None],
) -> Division:
    """The records of a converter in their splits; ConesError for what `prepare_labelled` refuses by lists alone."""
    _require_classes(dataset, names, native)
    records = kept_records(records, spec, native)
    refuse_repeated(records, native)
    labels = {record.item_id: record.label for record in records}
    division = Division(records, labels, split_records(dataset, spec, records, labels))
    _require_pictures(dataset, names, division, native)
    return division


def prepare_labelled(
    dataset: Dataset,
    source: str,
    spec: Source,
    native: NativeFiles,
    records: Sequence[Record],
    names: Mapping[str, str | None],
    folder: Path,
) -> dict:
    """Check, split and write the records of a converter; returns what the manifest says of them.

    `names` are the classes in label order with what the files say a text calls each. ConesError for classes that are
    not those of the entry, pictures that do not decode, a class without a training picture where others have some.
    """
    division = divided(dataset, spec, native, records, names)
    labels, splits = division.labels, division.splits
    chosen = {item for items in splits.values() for item in items}
    files = {record.item_id: record.image for record in division.records if record.item_id in chosen}
    contents = contents_of(files, native)
    texts = texts_of(dataset, names, native)
    _note_pictures_of_two_classes(contents, labels, files, native)
    findings = report(splits, division.records, contents, spec, native)
    place = {name: label for label, name in enumerate(names)}
    items = {split: sorted([f"raw/{files[item]}", place[labels[item]]] for item in splits[split]) for split in SPLITS}
    return {
        "status": "ready",
        "reason": None,
        **write_items(dataset, source, folder, list(names), items),
        "texts": texts,
        "same_splits": spec.split.aliases,
        "report": findings,
        "pictures_sha256": pictures_digest({files[item]: contents[item] for item in files}),
    }


def write_items(
    dataset: Dataset,
    source: str,
    folder: Path,
    classes: Sequence[str],
    items: Mapping[str, Sequence[Sequence]],
    *,
    per_class: Mapping[str, Mapping[str, int]] | None = None,
    numbers: Numbers | None = None,
) -> dict:
    """Write `items.json` and `<split>.json`; returns the manifest's part about classes, texts and splits.

    Of pictures with class maps `per_class` counts those in which a class stands, and `numbers` says what maps hold.
    """
    write_json(folder / ITEMS, items, indent=None)
    splits = {}
    for split, listed in items.items():
        if per_class:
            found = per_class[split]
        else:
            found = Counter(classes[label] for _, *labels in listed for label in _present(labels))
        splits[split] = {
            "file": ITEMS,
            "images": len(listed),
            "per_class": {name: found[name] for name in classes},
            "items_sha256": digest([" ".join(map(str, item)) for item in listed]),
        }
        info = {"dataset": dataset.id, "source": source, "split": split}
        write_json(folder / f"{split}.json", {"info": info, **splits[split]})
    return {
        "classes": list(classes),
        "texts": [dataset.text_of(name) for name in classes],
        "template": dataset.sentence,
        "class_tree": _tree(dataset, classes),
        "items": {"file": ITEMS, "sha256": sha256(folder / ITEMS)},
        **({"class_map": asdict(numbers)} if numbers else {}),
        "splits": splits,
    }


def _present(labels: Sequence) -> Sequence[int]:
    """The classes of an item: its one label, or of (present, unknown) the first list."""
    return labels if len(labels) == 1 else labels[0]


def _tree(dataset: Dataset, classes: Sequence[str]) -> dict | None:
    """The entry's tree with its classes as texts name them; ConesError if it is not one of the files' classes."""
    if dataset.tree is None:
        return None
    if fault := fault_of(dataset.tree, classes, dataset.text_of):
        raise ConesError(
            "the tree does not fit the classes of the files",
            where=f"dataset {dataset.id}: tree",
            expected="each class once, as a leaf",
            found=fault,
            next_step="correct the tree",
        )
    return tree_of_texts(dataset.tree, dataset.text_of)


def content_digest(content: bytes) -> str:
    """What tells the files of two pictures apart."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def pictures_digest(contents: Mapping[str, str]) -> str:
    """sha256 over {file relative to raw/: digest of its content}, as the manifest holds it."""
    every = "".join(f"{file} {contents[file]}\n" for file in sorted(contents))
    return hashlib.sha256(every.encode()).hexdigest()


def _require_classes(dataset: Dataset, names: Mapping[str, object], native: NativeFiles) -> None:
    """ConesError unless the files have the entry's classes in its order, where it names any."""
    where = f"dataset {dataset.id}"
    if len(names) < 2:
        raise ConesError(
            "fewer than two classes", where=where, found=", ".join(names) or "none", next_step=native.mend()
        )
    for name in dataset.texts:
        if name not in names:
            raise ConesError(
                f'`texts` names what is no class of the files: "{name}"',
                where=where,
                next_step=f"{closest(name, names)} correct `texts` in {dataset.registry}",
            )
    if dataset.classes and list(names) != dataset.classes:
        missing = [name for name in dataset.classes if name not in names]
        more = [name for name in names if name not in dataset.classes]
        parts = [f"not in the files: {', '.join(missing[:5])}"] if missing else []
        parts += [f"in the files alone: {', '.join(more[:5])}"] if more else []
        raise ConesError(
            "the files have other classes than the entry" if parts else "the files have their classes in another order",
            where=where,
            expected=f"{len(dataset.classes)} classes",
            found="; ".join(parts) or ", ".join(list(names)[:5]),
            next_step=native.mend(f"correct `classes` in {dataset.registry}, or leave it out: the files say it"),
        )


def refuse_repeated(records: Sequence[Record], native: NativeFiles) -> None:
    for item, count in Counter(record.item_id for record in records).items():
        if count > 1:
            raise native.fault(
                f"the picture is listed {count} times", item, next_step=native.mend("leave one line or file of it")
            )


def _require_pictures(
    dataset: Dataset,
    names: Mapping[str, object],
    division: Division,
    native: NativeFiles,
) -> None:
    """ConesError without test pictures, or if a class has no training picture while others have; what is short of
    few-shot settings, or of the test, is noted."""
    splits, found = division.splits, {split: division.per_class(split) for split in SPLITS}
    where = f"dataset {dataset.id}"
    if not splits["test"]:
        raise ConesError(
            "no picture to test on",
            where=where,
            found=counted(splits),
            next_step=f"name a test split under `split.shipped`, or take a rule that makes one, in {dataset.registry}",
        )
    empty = [name for name in names if not found["train"][name]]
    if splits["train"] and empty:
        raise ConesError(
            f"{len(empty)} of {len(names)} classes have no training picture",
            where=where,
            found=f"{', '.join(empty[:5])}; {counted(splits)}",
            next_step=native.mend("put pictures there, or take the class out"),
        )
    for name in names:
        if not splits["train"]:
            native.note(TEST_ONLY, name)
        elif found["train"][name] < MOST_SHOTS:
            native.note(FEW, name)
        if not found["test"][name]:
            native.note(UNTESTED, name)


def texts_of(dataset: Dataset, names: Mapping[str, str | None], native: NativeFiles) -> list[str]:
    """What texts call each class: as the entry says, else as the files do, else the class's own name."""
    texts = {
        name: dataset.text_of(name) if name in dataset.texts or given is None else dataset.text_of(given)
        for name, given in names.items()
    }
    first: dict[str, str] = {}
    for name, text in texts.items():
        other = first.setdefault(text.casefold(), name)  # text encoders read lower case alone
        if other != name:
            native.note(SHARED_TEXT, f"{name} ({text}) as {other}")
    return list(texts.values())


def contents_of(files: Mapping[str, str], native: NativeFiles) -> dict[str, str]:
    """{item: digest of its file}; ConesError with the number of pictures that do not decode, and the first of them."""

    def check(item: str) -> str | ConesError:
        path = native.picture_root / files[item]
        try:
            content = path.read_bytes()
            require_decodable(path, content)
        except FileNotFoundError:
            return ConesError("the picture is missing")
        except ConesError as error:
            return error
        return content_digest(content)

    items, found = list(files), {}
    with ThreadPoolExecutor(READERS) as pool:
        for start in range(0, len(items), AT_ONCE):
            part = items[start : start + AT_ONCE]
            found.update(zip(part, pool.map(check, part)))
    broken = {item: error for item, error in found.items() if isinstance(error, ConesError)}
    if broken:
        first, error = next(iter(sorted(broken.items())))
        raise native.fault(
            error.what if len(broken) == 1 else f"{len(broken)} pictures cannot be read, the first: {error.what}",
            files[first],
            found=error.found,
            next_step=native.mend(
                f'mend {"it" if len(broken) == 1 else "them"}, or leave out what is broken: `exclude: ["{first}"'
                f"{', …' if len(broken) > 1 else ''}]` beside `format` in {native.registry}"
            ),
        )
    return found


def _note_pictures_of_two_classes(
    contents: Mapping[str, str], labels: Mapping[str, str], files: Mapping[str, str], native: NativeFiles
) -> None:
    of_content: defaultdict[str, list[str]] = defaultdict(list)
    for item, content in contents.items():
        of_content[content].append(item)
    for items in of_content.values():
        if len({labels[item] for item in items}) > 1:
            native.note(TWO_CLASSES, " = ".join(files[item] for item in _firsts(items, labels)))


def _firsts(items: Iterable[str], labels: Mapping[str, str]) -> list[str]:
    """The first item of each class."""
    return list({labels[item]: item for item in sorted(items, reverse=True)}.values())[::-1]
