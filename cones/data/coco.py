"""Canonical COCO and its gate: whatever a converter yields, only what pycocotools scores rightly gets through.

Measured traps the gate closes: annotation id 0 or used twice, a missing area, a box without area (each silently ruins
AP), a box partly outside, a box that is not finite, a picture that opens but does not decode.
"""

import hashlib
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cones.data.converters.records import NativeFiles, Object, Record
from cones.data.images import load_image
from cones.errors import ConesError

EXAMPLES = 50  # faults named in the report, of each kind; all are counted
DECIMALS = 3  # of a pixel


@dataclass
class Report:
    """What the gate changed or noticed. Each list entry names the picture."""

    listed: int = 0
    dropped: list[dict] = field(default_factory=list)
    clipped: list[dict] = field(default_factory=list)
    size_differs: list[dict] = field(default_factory=list)
    difficult: int = 0

    def summary(self) -> dict:
        """The form in which the manifest holds it; long lists are cut, their counts never."""
        lists = {"dropped": self.dropped, "clipped": self.clipped, "size_differs": self.size_differs}
        named = {key: {"count": len(values), "examples": values[:EXAMPLES]} for key, values in lists.items()}
        return {"boxes_listed": self.listed, "difficult": self.difficult, **named}


@dataclass
class Gated:
    """All pictures of a dataset in canonical form. Ids are unique over the whole dataset, so a picture has the same
    id in whichever split it stands; they start at 1 in the order of item ids."""

    images: dict[str, dict]  # item id -> COCO image
    annotations: dict[str, list[dict]]  # item id -> COCO annotations
    categories: list[dict]
    report: Report
    pictures_sha256: str  # of all picture files: paths and contents

    def document(self, item_ids: Iterable[str]) -> dict:
        """The COCO document of one split, ordered by id."""
        images = sorted((self.images[item] for item in item_ids), key=lambda image: image["id"])
        items = {image["id"]: item for item, image in self.images.items()}
        return {
            "images": images,
            "annotations": [one for image in images for one in self.annotations[items[image["id"]]]],
            "categories": self.categories,
        }


def categories(classes: Sequence[str]) -> list[dict]:
    """COCO categories: ids 1..K in registry order."""
    return [{"id": number, "name": name} for number, name in enumerate(classes, start=1)]


def gate(records: Iterable[Record], native: NativeFiles) -> Gated:
    """Check every record against its decoded picture; raises ConesError naming dataset and file."""
    ordered = sorted(records, key=lambda record: (record.item_id, record.image))
    _refuse_repeated_items(ordered, native)
    gated = Gated({}, {}, categories(native.classes), Report(), "")
    ids = {category["name"]: category["id"] for category in gated.categories}
    pictures = hashlib.sha256()
    for number, record in enumerate(ordered, start=1):
        width, height = _decode(record, native, pictures, gated.report)
        gated.images[record.item_id] = {
            "id": number,
            "file_name": record.image,
            "width": width,
            "height": height,
        }
        gated.annotations[record.item_id] = [
            {"image_id": number, "category_id": ids[one.class_name], **shape}
            for one in record.objects
            if (shape := _shape(one, record, (width, height), native, gated.report))
        ]
    every = (annotation for annotations in gated.annotations.values() for annotation in annotations)
    for number, annotation in enumerate(every, start=1):
        annotation["id"] = number
    gated.pictures_sha256 = pictures.hexdigest()
    return gated


def counts(document: dict) -> dict:
    """Images, boxes, images without a box, and boxes per class of one split document."""
    names = {category["id"]: category["name"] for category in document["categories"]}
    per_class = Counter(names[annotation["category_id"]] for annotation in document["annotations"])
    with_boxes = {annotation["image_id"] for annotation in document["annotations"]}
    return {
        "images": len(document["images"]),
        "boxes": len(document["annotations"]),
        "without_boxes": len(document["images"]) - len(with_boxes),
        "per_class": {name: per_class[name] for name in names.values()},
    }


def _refuse_repeated_items(records: Sequence[Record], native: NativeFiles) -> None:
    for before, after in itertools.pairwise(records):
        if before.item_id == after.item_id:
            raise native.fault(
                f'two pictures share the item id "{after.item_id}"', after.image, found=f"also {before.image}"
            )


def _decode(record: Record, native: NativeFiles, pictures, report: Report) -> tuple[int, int]:
    """(width, height) of the decoded, upright picture; its content goes into the digest `pictures`."""
    path = native.picture_root / record.image
    try:
        size = load_image(path).size
    except ConesError as error:
        raise native.fault(error.what, record.image, found=error.found, next_step=error.next_step) from None
    pictures.update(f"{record.image} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    if record.stated_size and record.stated_size != size:
        report.size_differs.append({"file": record.image, "stated": list(record.stated_size), "found": list(size)})
    return size


def _shape(one: Object, record: Record, size: tuple[int, int], native: NativeFiles, report: Report) -> dict | None:
    """Box, area and flags of one object after clipping to the picture; None if nothing is left (reported)."""
    report.listed += 1
    report.difficult += one.difficult
    if len(one.box) != 4 or not all(map(math.isfinite, one.box)):
        raise native.fault(
            f"a box of class {one.class_name} is not finite",
            record.image,
            found=one.box,
            next_step="correct the annotation file",
        )
    x, y, width, height = one.box
    left, right = _clip(x, size[0]), _clip(x + width, size[0])
    top, bottom = _clip(y, size[1]), _clip(y + height, size[1])
    box = [_number(value) for value in (left, top, right - left, bottom - top)]
    fault = {"file": record.image, "class": one.class_name, "box": [_number(value) for value in one.box]}
    if box[2] <= 0 or box[3] <= 0:
        reason = "no area" if width <= 0 or height <= 0 else "outside the picture"
        report.dropped.append({**fault, "reason": reason})
        return None
    if any(abs(a - b) > 10**-DECIMALS for a, b in zip((left, top, right, bottom), (x, y, x + width, y + height))):
        report.clipped.append({**fault, "kept": box})
    if isinstance(one.segmentation, dict) and tuple(one.segmentation["size"]) != (size[1], size[0]):
        raise native.fault(
            "a mask is not of the picture's size",
            record.image,
            expected=f"{size[0]} x {size[1]}",
            found="{1} x {0}".format(*one.segmentation["size"]),
            next_step="picture and annotation are of different versions: fetch the dataset again",
        )
    shape = {"bbox": box, "area": _number(one.area or box[2] * box[3]), "iscrowd": int(one.crowd)}
    return shape if one.segmentation is None else {**shape, "segmentation": one.segmentation}


def _clip(value: float, limit: int) -> float:
    return min(max(value, 0.0), float(limit))


def _number(value: float) -> int | float:
    """Rounded to a thousandth of a pixel, whole numbers without a point: the same text everywhere."""
    rounded = round(float(value), DECIMALS)
    return int(rounded) if rounded.is_integer() else rounded
