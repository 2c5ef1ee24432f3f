"""Canonical COCO and its gate: of a converter's records only those pass that pycocotools scores correctly.

Measured traps the gate closes: annotation id 0 or used twice, a missing area, a box without area (each silently ruins
AP), a box partly outside, a box that is not finite, a picture that opens but does not decode.
"""

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from PIL import Image

from cones.data.boxes import shape_of
from cones.data.formats.records import EXAMPLES, NativeFiles, Record
from cones.data.images import Picture, load_picture
from cones.data.turning import ORIENTATIONS, Turned, frames
from cones.runtime.errors import ConesError

DARK = 32  # of 255: a scan of 12 bits in a file of 16 is nowhere brighter than 15


@dataclass
class Report:
    """The changes and findings of the gate; each list entry names the picture."""

    listed: int = 0
    dropped: list[dict] = field(default_factory=list)
    clipped: list[dict] = field(default_factory=list)
    reordered: list[dict] = field(default_factory=list)  # boxes drawn from right to left or from bottom to top
    size_differs: list[dict] = field(default_factory=list)
    turned: list[dict] = field(default_factory=list)  # pictures whose annotations turned with them (EXIF)
    undecided: list[dict] = field(default_factory=list)  # with an EXIF turn; their annotations are taken as upright
    difficult: int = 0

    def summary(self) -> dict:
        """The report as the manifest holds it: long lists are cut, counts are complete."""
        names = ("dropped", "clipped", "reordered", "size_differs", "turned", "undecided")
        lists = {name: getattr(self, name) for name in names}
        named = {key: {"count": len(values), "examples": values[:EXAMPLES]} for key, values in lists.items()}
        return {"boxes_listed": self.listed, "difficult": self.difficult, **named}


@dataclass
class ValidatedDataset:
    """All pictures of a dataset in canonical form. Ids are unique over the whole dataset, so a picture has the same
    id in whichever split it stands; they start at 1 in the order of item ids."""

    images: dict[str, dict]  # item id -> COCO image
    annotations: dict[str, list[dict]]  # item id -> COCO annotations
    categories: list[dict]
    report: Report
    pictures_sha256: str = ""  # of all picture files: paths and contents
    contents: dict[str, str] = field(default_factory=dict)  # item id -> digest of its pixels; not of one-value pictures

    @property
    def files(self) -> dict[str, str]:
        """{item id: file of the picture}"""
        return {item: image["file_name"] for item, image in self.images.items()}

    def with_annotations(self) -> Iterator[tuple[dict, dict]]:
        """(COCO image, COCO annotation) of every annotation."""
        for item, annotations in self.annotations.items():
            yield from ((self.images[item], annotation) for annotation in annotations)

    def document(self, item_ids: Iterable[str]) -> dict:
        """The COCO document of one split, ordered by id."""
        images = sorted((self.images[item] for item in item_ids), key=lambda image: image["id"])
        items = {image["id"]: item for item, image in self.images.items()}
        return {
            "images": images,
            "annotations": [annotation for image in images for annotation in self.annotations[items[image["id"]]]],
            "categories": self.categories,
        }


def categories(classes: Sequence[str]) -> list[dict]:
    """COCO categories: ids 1..K in registry order."""
    return [{"id": number, "name": name} for number, name in enumerate(classes, start=1)]


def gate(records: Iterable[Record], native: NativeFiles) -> ValidatedDataset:
    """Check every record against its decoded picture; raises ConesError naming dataset and file."""
    ordered = sorted(records, key=lambda record: (record.item_id, record.image))
    _refuse_repeated_items(ordered, native)
    validated = ValidatedDataset({}, {}, categories(native.classes), Report())
    pictures = hashlib.sha256()
    turned = {}
    for number, record in enumerate(ordered, start=1):
        picture = _decode(record, native, pictures)
        width, height = picture.image.size
        _note_what_is_lost(picture, record, native)
        validated.images[record.item_id] = {"id": number, "file_name": record.image, "width": width, "height": height}
        if digest := _content_digest(picture.image):
            validated.contents[record.item_id] = digest
        if picture.orientation in ORIENTATIONS:
            stated = record.stated_size or _mask_size(record)
            turned[record.item_id] = Turned(
                record.item_id, picture.orientation, picture.stored_size, stated, record.frame
            )
    validated.pictures_sha256 = pictures.hexdigest()
    _decide_frames(ordered, turned, native, validated.report)
    ids = {category["name"]: category["id"] for category in validated.categories}
    for record in ordered:
        image, turn = validated.images[record.item_id], turned.get(record.item_id)
        _check_stated_size(record, (image["width"], image["height"]), turn, native, validated.report)
        validated.annotations[record.item_id] = [
            {"image_id": image["id"], "category_id": ids[annotated.class_name], **shape}
            for annotated in record.objects
            if (shape := shape_of(annotated, record, image, turn, native, validated.report))
        ]
    every = (annotation for annotations in validated.annotations.values() for annotation in annotations)
    for number, annotation in enumerate(every, start=1):
        annotation["id"] = number
    return validated


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
        if before.item_id == after.item_id and before.image == after.image:
            raise native.fault(
                f'the item "{after.item_id}" is there twice',
                after.image,
                next_step=native.mend("leave one entry of this picture, with all its boxes"),
            )
        if before.item_id == after.item_id:
            raise native.fault(
                f'two pictures share the item id "{after.item_id}"',
                after.image,
                found=f"also {before.image}",
                next_step=native.mend(
                    "give one of them another name, or give its folder a `prefix` or split of its own"
                ),
            )


def _decode(record: Record, native: NativeFiles, pictures) -> Picture:
    """The decoded, upright picture; the content of its file goes into the digest `pictures`."""
    path = native.picture_root / record.image
    try:
        picture = load_picture(path)
    except ConesError as error:
        cure = (
            f'mend this picture, or leave it out: `exclude: ["{record.item_id}"]` beside `format` in {native.registry}'
        )
        raise native.fault(error.what, record.image, found=error.found, next_step=native.mend(cure)) from None
    pictures.update(f"{record.image} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return picture


def _note_what_is_lost(picture: Picture, record: Record, native: NativeFiles) -> None:
    if picture.frames > 1:
        native.note("a picture of several frames, the first is taken", record.image)
    if picture.deep and 0 < max(high for _, high in picture.image.getextrema()) < DARK:
        native.note("a 16-bit picture that uses less than an eighth of its range, nearly black", record.image)


def _content_digest(image: Image.Image) -> str | None:
    """Digest of the upright pixels, the same under any name or file type; None if all pixels are equal."""
    if all(low == high for low, high in image.getextrema()):
        return None
    return hashlib.blake2b(f"{image.size}".encode() + image.tobytes(), digest_size=16).hexdigest()


def _mask_size(record: Record) -> tuple[int, int] | None:
    """(width, height) that an object's RLE states."""
    masks = (annotated.segmentation for annotated in record.objects if isinstance(annotated.segmentation, dict))
    return next(((int(width), int(height)) for height, width in (mask["size"] for mask in masks)), None)


def _decide_frames(records: Sequence[Record], turned: dict[str, Turned], native: NativeFiles, report: Report) -> None:
    """Leave in `turned` the pictures whose annotations must turn with them; note or refuse the undecidable."""
    known, unknown = frames(list(turned.values()))
    with_objects = {record.item_id: record for record in records if record.objects}
    for item in unknown:
        if item not in with_objects:
            continue
        file = with_objects[item].image
        if native.own:
            raise native.fault(
                "the picture is stored turned (EXIF), and nothing says whether its boxes are of the picture as stored "
                "or as shown",
                file,
                found=f"EXIF orientation {turned[item].orientation}, no size in the annotation that would tell",
                next_step="store the pictures upright, without an EXIF turn, as their boxes were drawn (ImageMagick: "
                f'mogrify -auto-orient, or -strip), or leave this one out: `exclude: ["{item}"]`',
            )
        report.undecided.append({"file": file, "orientation": turned[item].orientation})
    for item in list(turned):
        if known.get(item) != "stored":
            del turned[item]
        elif item in with_objects:
            report.turned.append({"file": with_objects[item].image, "orientation": turned[item].orientation})


def _check_stated_size(
    record: Record, size: tuple[int, int], turn: Turned | None, native: NativeFiles, report: Report
) -> None:
    """Report or refuse a stated size that is not the picture's, upright or stored: its boxes are of another version."""
    if record.stated_size in (None, size) or (turn and record.stated_size == turn.stored):
        return
    if native.own and record.objects:
        raise native.fault(
            "the picture is not of the size that its annotation states, so its boxes are of another version of it",
            record.image,
            expected=f"{record.stated_size[0]} x {record.stated_size[1]}",
            found=f"{size[0]} x {size[1]}",
            next_step="take the picture that was annotated, or scale its boxes and correct the size in the annotation",
        )
    report.size_differs.append({"file": record.image, "stated": list(record.stated_size), "found": list(size)})
