"""Prepare a dataset of pictures with class maps: `items.json`, a record of each split, their part of the manifest.

`items.json` is {"train": [[path of the picture, path of its map], …], "val": …, "test": …}, relative to the dataset's
folder. Maps stay as they are; `class_map` in the manifest says how they number classes (`cones/data/class_maps.py`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from cones.data import labelled
from cones.data.class_maps import IGNORED, Numbers, read_class_map
from cones.data.formats.records import NativeFiles, Record
from cones.data.images import stored_size, upright_size
from cones.data.record_splits import kept_records, report, split_records
from cones.data.registry import SPLITS, Dataset, Source
from cones.data.splits import counted
from cones.data.turning import ORIENTATIONS, Turned, frames
from cones.runtime.errors import ConesError

UNTESTED = "a class that stands in no test picture"
UNTRAINED = "a class that stands in no training picture"
UNLABELLED = "a picture without a labelled pixel"
UNDECIDED = "a picture with an EXIF turn, whose class map is taken as of the picture as shown"


def prepare_mapped(
    dataset: Dataset,
    source: str,
    spec: Source,
    native: NativeFiles,
    records: Sequence[Record],
    numbers: Numbers,
    folder: Path,
) -> dict:
    """Check, split and write the records of a converter; returns what the manifest says of them.

    ConesError for pictures or maps that do not decode, a map of another size than its picture, of numbers that are no
    class, maps that are not as upright as their pictures, no test picture, no labelled pixel in them.
    """
    records = kept_records(records, spec, native)
    labelled.refuse_repeated(records, native)
    splits = split_records(dataset, spec, records, labels={})  # there may be nothing to train on
    if not splits["test"]:
        raise ConesError(
            "no picture to test on",
            where=f"dataset {dataset.id}",
            found=counted(splits),
            next_step=f"name a test split under `split.shipped` in {dataset.registry}",
        )
    chosen = {item for items in splits.values() for item in items}
    kept = {record.item_id: record for record in records if record.item_id in chosen}
    pictures = {item: record.image for item, record in kept.items()}
    contents = labelled.contents_of(pictures, native)
    maps = labelled.contents_of({item: record.class_map for item, record in kept.items()}, native)
    _check_turns(kept, native)
    classes_of = _classes_of(kept, native, numbers)
    per_class = {split: _pictures_of_classes(dataset, splits[split], classes_of) for split in SPLITS}
    if not any(per_class["test"].values()):
        raise ConesError(
            "no labelled pixel to test on",
            where=f"dataset {dataset.id}",
            found=f"{counted(splits)}; in the test maps every pixel is unlabelled",
            next_step=native.mend(f"complete the maps, or correct `unlabelled` in {dataset.registry}"),
        )
    _note_classes(dataset, per_class, bool(splits["train"]), native)
    texts = labelled.texts_of(dataset, dict.fromkeys(dataset.classes), native)
    items = {
        split: sorted([f"raw/{kept[item].image}", f"raw/{kept[item].class_map}"] for item in splits[split])
        for split in SPLITS
    }
    files = {pictures[item]: content for item, content in contents.items()}
    files |= {kept[item].class_map: content for item, content in maps.items()}
    return {
        "status": "ready",
        "reason": None,
        **labelled.write_items(dataset, source, folder, dataset.classes, items, per_class=per_class, numbers=numbers),
        "texts": texts,
        "same_splits": spec.split.aliases,
        "report": report(splits, records, contents, spec, native),
        "pictures_sha256": labelled.pictures_digest(files),
    }


def _classes_of(kept: Mapping[str, Record], native: NativeFiles, numbers: Numbers) -> dict[str, list[int]]:
    """{item: the classes that stand in its map}; ConesError for the first map that does not fit."""

    def read(record: Record) -> list[int]:
        picture, path = native.picture_root / record.image, native.raw / record.class_map
        try:
            found = read_class_map(path, numbers)
        except ConesError as error:
            details = {"expected": error.expected, "found": error.found, "next_step": error.next_step}
            raise native.fault(error.what, path, **details) from None
        if (size := upright_size(picture)) != found.shape[::-1]:
            raise native.fault(
                "the class map is not of its picture's size",
                path,
                expected=f"{size[0]} x {size[1]}",
                found=f"{found.shape[1]} x {found.shape[0]}",
                next_step=native.mend("remove both: they do not belong together"),
            )
        return [int(label) for label in np.unique(found) if label != IGNORED]

    with ThreadPoolExecutor(labelled.READERS) as pool:
        found = dict(zip(kept, pool.map(read, kept.values())))
    for item, classes in found.items():
        if not classes:
            native.note(UNLABELLED, kept[item].image)
    return found


def _check_turns(kept: Mapping[str, Record], native: NativeFiles) -> None:
    """ConesError for a picture with an EXIF turn whose map is of the picture as stored, or could be of either; in files
    that were fetched the latter is noted. Pictures are turned upright, and their maps stay as they are."""
    turned = []
    for item, record in kept.items():
        stored, orientation = stored_size(native.picture_root / record.image)
        if orientation in ORIENTATIONS:
            size, own_turn = stored_size(native.raw / record.class_map)
            frame = "upright" if own_turn == orientation else None  # the map turns with its picture by itself
            turned.append(Turned(item, orientation, stored, size, frame))
    known, _ = frames(turned)
    for picture in turned:
        frame, file = known.get(picture.item_id), kept[picture.item_id].image
        if frame == "upright":
            continue
        if frame is None and not native.own:
            native.note(UNDECIDED, file)
            continue
        what = "its class map is of the picture as stored" if frame else "nothing says which side of its map is up"
        raise native.fault(
            f"the picture is stored turned (EXIF), and {what}",
            file,
            expected="pictures and maps that are both upright",
            found=f"EXIF orientation {picture.orientation}, map of {picture.stated[0]} x {picture.stated[1]}",
            next_step="store the pictures upright, without an EXIF turn, as their maps were drawn (ImageMagick: "
            f'mogrify -auto-orient, or -strip), or leave this one out: `exclude: ["{picture.item_id}"]`',
        )


def _pictures_of_classes(dataset: Dataset, items: Sequence[str], classes_of: Mapping[str, list[int]]) -> dict[str, int]:
    """{class: pictures of a split in which it stands}."""
    found = Counter(label for item in items for label in classes_of[item])
    return {name: found[label] for label, name in enumerate(dataset.classes)}


def _note_classes(
    dataset: Dataset, per_class: Mapping[str, Mapping[str, int]], is_trained_on: bool, native: NativeFiles
) -> None:
    for name in dataset.classes:
        if not per_class["test"][name]:
            native.note(UNTESTED, name)
        if is_trained_on and not per_class["train"][name]:
            native.note(UNTRAINED, name)
