"""Checks of a dataset before anything is tuned on it: plausible boxes, something to test on, no leaks."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from cones.data.boxes import number, ordered
from cones.data.coco import ValidatedDataset
from cones.data.formats.records import NativeFiles, Record
from cones.data.registry import GENERATION, SPLITS, Dataset, Source
from cones.data.splits import counted
from cones.runtime.errors import ConesError, closest

OFF_BY_ONE = 2  # pixels, in width and height together: corners counted from 1, or drawn to the edge
MANY = 10  # boxes; fewer that reach out of their pictures say nothing about how boxes are written

Splits = Mapping[str, Sequence[str]]


def exclude(records: Sequence[Record], spec: Source, native: NativeFiles) -> list[Record]:
    """The records without those that the entry excludes; ConesError for an excluded id that does not exist."""
    kept = [record for record in records if not native.skips(record.item_id)]
    if unknown := sorted(native.exclude - native.excluded):
        raise ConesError(
            f'`exclude` names an item that is not there: "{unknown[0]}"',
            where=f"dataset {native.dataset_id}",
            found=f"items such as {', '.join(record.item_id for record in kept[:3])}",
            next_step=f"{_nearest(unknown[0], kept)}correct `exclude` in {native.registry}",
        )
    return kept


def _nearest(item: str, records: Sequence[Record]) -> str:
    guess = closest(item, [record.item_id for record in records])
    return f"{guess} " if guess.startswith("did you mean") else ""


def refuse_fractions(records: Sequence[Record], native: NativeFiles) -> None:
    """ConesError for pictures whose boxes all lie within the first pixel: they were written as fractions.

    In a folder of one's own one such picture is enough: folders are merged from several exports.
    """
    sized = ((record, [one for one in record.objects if one.box[2] and one.box[3]]) for record in records)
    tiny = [record for record, objects in sized if objects and all(map(_within_a_pixel, objects))]
    boxed = sum(bool(record.objects) for record in records)
    if tiny and (native.own or len(tiny) == boxed):
        first = tiny[0]
        raise native.fault(
            f"all boxes of {len(tiny)} of {boxed} pictures lie within one pixel: they look like fractions",
            first.image,
            expected="pixels",
            found=list(first.objects[0].box),
            next_step=f"set `coordinates: relative` in its `format` in {native.registry} (formats coco, voc and "
            "csv_boxes), or correct the boxes",
        )


def _within_a_pixel(annotated) -> bool:
    x, y, width, height = ordered(annotated.box)
    return x >= 0 and y >= 0 and x + width <= 1.001 and y + height <= 1.001 and annotated.segmentation is None


def refuse_corners(validated: ValidatedDataset, native: NativeFiles) -> None:
    """ConesError if most boxes reach out of their pictures: corners were taken for widths, or pictures are others."""
    report = validated.report
    outside = [one for one in report.clipped if sum(one["box"][2:]) - sum(one["kept"][2:]) > OFF_BY_ONE]
    outside += [dropped for dropped in report.dropped if dropped["reason"] != "no area"]
    if native.own and len(outside) >= MANY and 2 * len(outside) > report.listed:
        raise native.fault(
            f"{len(outside)} of {report.listed} boxes reach out of their pictures",
            outside[0]["file"],
            expected="boxes in pixels of these pictures",
            found=outside[0]["box"],
            next_step="look whether the boxes are corners instead of widths and heights, or of larger pictures",
        )


def refuse_widths(validated: ValidatedDataset, native: NativeFiles) -> None:
    """ConesError if what is read as corners must be widths and heights: some lie before their beginning, and no box has
    its centre in the right or lower half of its picture."""
    report = validated.report
    boxes = [(image, one["bbox"]) for image, one in validated.with_annotations()]
    if not native.own or not report.reordered or len(boxes) < MANY:
        return
    if all(2 * x + w <= image["width"] and 2 * y + h <= image["height"] for image, (x, y, w, h) in boxes):
        first = report.reordered[0]
        raise native.fault(
            f"{len(report.reordered)} of {report.listed} boxes end before they begin, and no box lies in the right or "
            "lower half of its picture: their corners look like widths and heights",
            first["file"],
            expected="xmin, ymin, xmax, ymax",
            found=[number(value) for value in _corners(first["box"])],
            next_step="write xmax = xmin + width and ymax = ymin + height",
        )


def _corners(box: Sequence[float]) -> tuple[float, float, float, float]:
    x, y, width, height = box
    return x, y, x + width, y + height


def note_oddities(validated: ValidatedDataset, native: NativeFiles) -> None:
    """Count boxes that a picture has twice, of one class (each is an object, so a perfect detector misses one), and
    boxes that fill their picture, as a mask does whose background is white."""
    seen = set()
    for image, one in validated.with_annotations():
        if one["bbox"] == [0, 0, image["width"], image["height"]]:
            native.note("a box that fills its whole picture", image["file_name"])
        key = (image["id"], one["category_id"], *one["bbox"])
        if key in seen:
            native.note("a box that is there twice, both kept", image["file_name"])
        seen.add(key)


def require_what_is_needed(
    dataset: Dataset, splits: Splits, validated: ValidatedDataset, native: NativeFiles, *, selects_on_validation: bool
) -> None:
    """ConesError without boxes to train and test on, masks where masks are scored, or a val split if it selects."""
    if dataset.task == GENERATION:
        return
    where = f"dataset {dataset.id}"
    boxes = {
        split: sum(not one["iscrowd"] for item in splits[split] for one in validated.annotations[item])
        for split in SPLITS
    }
    if not splits["test"]:
        raise ConesError(
            "nothing is left to test on",
            where=where,
            found=counted(splits),
            next_step="add pictures (test20_then_holdout80 needs five, or five patients), name a split of the files "
            "under `split.shipped` (test: …), or take `rule: test20_then_holdout80`, in " + native.registry,
        )
    if selects_on_validation and not boxes["val"]:
        raise ConesError(
            "nothing is there to validate on" if not splits["val"] else "no validation picture has a box",
            where=where,
            expected="a validation split, as the weights that are best on it are kept",
            found=counted(splits),
            next_step="name one under `split.shipped` (val: …) in " + native.registry + ", or keep the last weights: "
            "`selection: last` under `tuning` in the suite",
        )
    for split, purpose in (("train", "train"), ("test", "test")):
        if not boxes[split]:
            raise ConesError(
                f"no picture to {purpose} on has a box",
                where=where,
                found=f"{len(splits[split])} pictures, none with an object; {_whereabouts(validated, native)}",
                next_step="look at the annotations, and at `threshold` or `values` where they are masks",
            )
    if native.wants_masks:
        _require_masks(validated, native)


def _whereabouts(validated: ValidatedDataset, native: NativeFiles) -> str:
    """How many boxes are listed, and why those of them are gone that are."""
    dropped = Counter(one["reason"] for one in validated.report.dropped)
    crowds = sum(one["iscrowd"] for _, one in validated.with_annotations())
    parts = [f"{validated.report.listed} boxes are listed"]
    parts += [f"crowds among them (iscrowd), which count as no object: {crowds}"] if crowds else []
    parts += [f"{count} dropped ({reason})" for reason, count in dropped.items()]
    parts += [f"{what}: {len(files)}" for what, files in native.notes.items()]
    return ", ".join(parts)


def _require_masks(validated: ValidatedDataset, native: NativeFiles) -> None:
    for item, annotations in validated.annotations.items():
        if any("segmentation" not in annotation for annotation in annotations):
            raise native.fault(
                "an object has no mask, and the task is instance_segmentation",
                validated.images[item]["file_name"],
                next_step="set `keep_masks: true` where the format reads masks, take another (coco, yolo, "
                f"labelme, cvat, masks …), or set `task: detection`, in {native.registry}",
            )


def leaks(
    splits: Splits, contents: Mapping[str, str], files: Mapping[str, str], spec: Source, native: NativeFiles
) -> dict:
    """`{"count", "examples"}` of pictures that stand in two splits; refused in a folder of one's own.

    `contents` holds a digest by item id, `files` the picture's file; what a file is called does not count. Splits that
    are declared to be the same files (test: val), and items without a digest, do not either.
    """
    same = spec.split.aliases
    where = defaultdict(list)
    for split in SPLITS:
        for item in splits[split] if split not in same else ():
            if content := contents.get(item):
                where[content].append((split, item))
    shared = [places for places in where.values() if len({split for split, _ in places}) > 1]
    examples = [[f"{split}: {files[item]}" for split, item in places] for places in shared]
    if shared and native.own and not spec.allow_leaks:
        pairs = {frozenset(pair) for places in shared for pair in itertools.combinations({s for s, _ in places}, 2)}
        between = "; ".join(
            " and ".join(split for split in SPLITS if split in pair) for pair in sorted(pairs, key=sorted)
        )
        raise ConesError(
            f"{len(shared)} pictures are in two splits ({between})",
            where=f"dataset {native.dataset_id}",
            found=" and ".join(examples[0]),
            next_step="remove them from one of the splits; if it is meant so, say that splits are the same files "
            f"(shipped: {{val: x, test: x}}), or set `allow_leaks: true` beside `format`, in {native.registry}",
        )
    return {"count": len(shared), "examples": examples[:10]}


def torn_groups(splits: Splits, groups: Mapping[str, str | None], spec: Source, native: NativeFiles) -> dict | None:
    """`{"count", "in_two_splits", "examples"}` of patients; None if none are known. A torn one that `patients` named is
    refused unless leaks are allowed."""
    same = spec.split.aliases
    places = defaultdict(set)
    for split in SPLITS:
        for item in splits[split] if split not in same else ():
            if group := groups.get(item):
                places[group].add(split)
    if not places:
        return None
    torn = sorted(group for group, splits_of_group in places.items() if len(splits_of_group) > 1)
    if torn and spec.split.patients is not None and not spec.allow_leaks:
        raise ConesError(
            f"{len(torn)} of {len(places)} patients are in two splits",
            where=f"dataset {native.dataset_id}",
            found=f"{torn[0]} in {' and '.join(split for split in SPLITS if split in places[torn[0]])}",
            next_step="move their pictures into one split, let the rule divide (test20_then_holdout80 keeps patients "
            f"together), or set `allow_leaks: true` beside `format`, in {native.registry}",
        )
    return {"count": len(places), "in_two_splits": len(torn), "examples": torn[:10]}
