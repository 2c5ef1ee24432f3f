"""Kvasir-SEG: JPEG masks of polyps, and kavsir_bboxes.json (upstream's spelling), which is only compared with them."""

import json
from collections.abc import Iterator
from pathlib import Path

from cones.data.formats import masks
from cones.data.formats.records import NativeFiles, Record
from cones.runtime.errors import message_of

FORMAT = {"name": "kvasir_seg"}
VERSION = 1


class Parameters(masks.Layout):
    root: str = "Kvasir-SEG"
    min_area: int = 100
    keep_masks: bool = True
    listed_boxes: str = "kavsir_bboxes.json"


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per picture, `item_id` its id; where the JSON lists another number of boxes, the report says so."""
    file = native.root(parameters.root) / parameters.listed_boxes
    listed = read_counts(file, native)
    if listed is None:
        native.note("the file of boxes is absent, masks were not compared with it", file)
    for record in masks.read(native, parameters, class_of=masks.only_class(native, parameters.root)):
        if listed is not None and listed.get(record.item_id) != len(record.objects):
            native.note(f"the mask has another number of polyps than {file.name}", record.image)
        yield record


def read_counts(file: Path, native: NativeFiles) -> dict[str, int] | None:
    """`{id: number of listed boxes}`, None if there is no such file."""
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return {name: len(entry["bbox"]) for name, entry in content.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise native.fault(
            "not the shape of Kvasir's boxes",
            file,
            expected='{"<id>": {"bbox": [{"xmin": …}, …]}}',
            found=message_of(error),
            next_step=native.mend(),
        ) from None
