"""TN3K: JPEG masks of thyroid nodules, and a JSON per cross-validation fold.

A fold lists positions in the trainval pictures ordered by number, not file names; both are equal only while no number
is missing. The pictures of `folders` without a split are the ones the fold divides.
"""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

from cones.data.formats import masks
from cones.data.formats.records import NativeFiles, Record
from cones.runtime.errors import message_of

FORMAT = {"name": "tn3k"}
VERSION = 1


class Parameters(masks.Layout):
    root: str = "tn3k"
    folders: tuple[masks.Folder, ...] = (
        masks.Folder(images="trainval-image", masks="trainval-mask"),
        masks.Folder(images="test-image", masks="test-mask", split="test", prefix="test/"),
    )
    min_area: int = 50
    fold: str = "tn3k-trainval-fold0.json"  # folds 0-3 have the paper's 2303/576; which of them is a guess


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per picture; native splits are train and val (the fold) and test (the folder)."""
    records = list(masks.read(native, parameters, class_of=masks.only_class(native, parameters.root)))
    divided = sorted((record for record in records if record.split is None), key=lambda record: _number(record, native))
    splits = read_fold(native.root(parameters.root) / parameters.fold, len(divided), native)
    yield from (record for record in records if record.split is not None)
    for record, split in zip(divided, splits, strict=True):
        yield dataclasses.replace(record, split=split)


def read_fold(file: Path, pictures: int, native: NativeFiles) -> list[str]:
    """The split of each position; every position of 0 … pictures - 1 must be in exactly one."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        lists = {split: [int(position) for position in content[split]] for split in ("train", "val")}
    except FileNotFoundError:
        raise native.fault("the fold file is missing", file, next_step=native.mend()) from None
    except (ValueError, KeyError, TypeError) as error:
        raise native.fault(
            "not a fold file",
            file,
            expected='{"train": [positions], "val": [positions]}',
            found=message_of(error),
            next_step=native.mend(),
        ) from None
    if sorted(lists["train"] + lists["val"]) != list(range(pictures)):
        raise native.fault(
            "the fold does not divide these pictures",
            file,
            expected=f"each position of 0 to {pictures - 1} once",
            found=f"{len(lists['train'])} + {len(lists['val'])} positions",
            next_step=native.mend(
                "correct the files: pictures and fold are of different versions, or some are missing"
            ),
        )
    val = set(lists["val"])
    return ["val" if position in val else "train" for position in range(pictures)]


def _number(record: Record, native: NativeFiles) -> int:
    if not record.item_id.isdecimal():
        raise native.fault(
            "the picture's name is not a number",
            record.image,
            expected="0000.jpg, 0001.jpg …",
            next_step="the fold counts pictures by number: rename or remove it",
        )
    return int(record.item_id)
