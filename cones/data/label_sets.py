"""Prepare a dataset whose pictures show several classes each: those of their boxes.

`items.json` is {"train": [[path, [present], [unknown]], …], …}: places in the manifest's `classes`; all others are
absent. A class of which a picture has `difficult` objects alone is unknown there: Pascal VOC leaves such pictures out
of the class's score (VOC 2007 development kit, classification task), where DualCoOp's code (sunxm2357/DualCoOp 49e71d7,
dataloaders/pascal_voc.py) counts them as absent. A crowd is a present class, and a picture without any object is left
out, as in that code's reading of COCO.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cones.data.captions import write_captions
from cones.data.formats.records import NativeFiles, Object, Record
from cones.data.labelled import contents_of, pictures_digest, texts_of, write_items
from cones.data.record_splits import kept_records, report, split_records
from cones.data.registry import SPLITS, Dataset, Source
from cones.data.splits import counted
from cones.runtime.errors import ConesError

WITHOUT = "a picture without an object, left out"
NO_AREA = "a picture with a box of no area, whose class counts as there"
UNCERTAIN = "a class of a picture that has difficult objects alone: unknown there"
UNSEEN = "a class that no training picture shows"
UNTESTED = "a class that no test picture shows: it has no average precision"


class LabelSet(NamedTuple):
    """The classes that a picture shows, and those of which nobody can say: places in the list of classes."""

    present: tuple[int, ...]
    unknown: tuple[int, ...]


def label_set(objects: Sequence[Object], place: Mapping[str, int]) -> LabelSet:
    """Of the boxes of a picture; a class with one object that is not difficult is there."""
    present = {place[one.class_name] for one in objects if not one.difficult}
    unknown = {place[one.class_name] for one in objects} - present
    return LabelSet(tuple(sorted(present)), tuple(sorted(unknown)))


def prepare_label_sets(
    dataset: Dataset, source: str, spec: Source, native: NativeFiles, records: Sequence[Record], folder: Path
) -> dict:
    """Check, split and write the records of a converter of boxes; returns what the manifest says of them.

    ConesError for pictures that do not decode, without test pictures, or with captions that name no class.
    """
    records = kept_records(records, spec, native)
    place = {name: label for label, name in enumerate(dataset.classes)}
    sets = {record.item_id: label_set(record.objects, place) for record in records}
    records = _with_objects(records, native)
    splits = split_records(dataset, spec, records)
    chosen = {item for items in splits.values() for item in items}
    files = {record.item_id: record.image for record in records if record.item_id in chosen}
    _require_pictures(dataset, splits, sets, native)
    contents = contents_of(files, native)
    texts = texts_of(dataset, dict.fromkeys(dataset.classes), native)
    captions = write_captions(dataset, native, native.raw / spec.captions, folder) if spec.captions else None
    findings = report(splits, records, contents, spec, native)
    rows = {item: [f"raw/{files[item]}", *map(list, sets[item])] for item in files}
    items = {split: sorted(rows[item] for item in splits[split]) for split in SPLITS}
    return {
        "status": "ready",
        "reason": None,
        **write_items(dataset, source, folder, dataset.classes, items),
        "texts": texts,
        "captions": captions,
        "same_splits": spec.split.aliases,
        "report": findings,
        "pictures_sha256": pictures_digest({files[item]: contents[item] for item in files}),
    }


def _with_objects(records: Sequence[Record], native: NativeFiles) -> list[Record]:
    for record in records:
        if not record.objects:
            native.note(WITHOUT, record.image)
        elif any(0 in one.box[2:] for one in record.objects):
            native.note(NO_AREA, record.image)
    return [record for record in records if record.objects]


def _require_pictures(
    dataset: Dataset, splits: Mapping[str, Sequence[str]], sets: Mapping[str, LabelSet], native: NativeFiles
) -> None:
    """ConesError without test pictures; classes that a split lacks, and what is unknown, are noted."""
    if not splits["test"]:
        bare = [f"{len(names)} pictures without an object left out" for names in [native.notes.get(WITHOUT)] if names]
        raise ConesError(
            "no picture to test on",
            where=f"dataset {dataset.id}",
            found=", ".join([counted(splits), *bare]),
            next_step=f"name a test split under `split.shipped`, or take a rule that makes one, in {dataset.registry}",
        )
    if not any(sets[item].present for item in splits["test"]):
        raise ConesError(
            "no test picture shows any class for certain",
            where=f"dataset {dataset.id}",
            found=f"{counted(splits)}; in the test pictures every object is difficult",
            next_step=f"name another test split under `split.shipped` in {dataset.registry}, or mend the annotations",
        )
    for what, split in ((UNSEEN, "train"), (UNTESTED, "test")):
        shown = {label for item in splits[split] for label in sets[item].present}
        for label, name in enumerate(dataset.classes):
            if label not in shown and splits[split]:
                native.note(what, name)
    for split in SPLITS:
        for item in splits[split]:
            for label in sets[item].unknown:
                native.note(UNCERTAIN, f"{dataset.classes[label]} of {item}")
