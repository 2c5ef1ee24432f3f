"""A preview of a prepared dataset: several of its pictures with boxes, masks and class names drawn over them."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cones.data.class_maps import IGNORED, Numbers, read_class_map
from cones.data.download import dataset_dir
from cones.data.drawing import class_colours, classes_of, tile, write_sheet
from cones.data.masks import boxes_of, encoded
from cones.data.registry import SPLITS, Dataset
from cones.data.task_rules import DENSE, LABELLED
from cones.runtime.artifacts import read_json
from cones.runtime.errors import ConesError

MAPS_LOOKED_AT = 60  # of a split, before some are chosen
SMALL_TILE = (200, 200)  # of a labelled picture at most, pixels


@dataclass(frozen=True)
class Candidate:
    """A picture that a sheet may show: `kinds` are what its choice counts beside classes, such as split and folder."""

    image: dict
    objects: list[dict]  # COCO annotations
    kinds: tuple[Hashable, ...] = ()


def preview(dataset: Dataset, source: str, data_dir: str | Path, out: str | Path, *, pictures: int = 9) -> Path:
    """Draw `pictures` pictures (chosen so that every class is shown, always the same ones) into the PNG `out`. Labelled
    pictures are shown class by class, each with its class below.

    ConesError if the dataset is not prepared.
    """
    folder = dataset_dir(data_dir, source, dataset.id)
    manifest = read_json(folder / "manifest.json")
    if manifest["status"] != "ready":
        raise ConesError(
            "nothing to show: its files are not here",
            where=f"dataset {dataset.id}",
            found=manifest["reason"],
            next_step=f"python -m cones datasets show {dataset.id} says how to get them",
        )
    if manifest["task"] == DENSE:
        return _map_sheet(dataset, source, manifest, folder, out, pictures)
    if manifest["task"] in LABELLED:
        return _class_sheet(dataset, source, manifest, folder, out, pictures)
    candidates = [
        Candidate(image, objects, kinds=(Path(image["file_name"]).parent, split))
        for split in SPLITS
        for image, objects in annotated(read_json(folder / f"{split}.json"))
    ]
    if not candidates:
        raise ConesError(
            "the dataset has no pictures",
            where=folder,
            next_step="look at manifest.json there: what was dropped, and why",
        )
    colours = class_colours(dataset.classes)
    counts = ", ".join(f"{split} {manifest['splits'][split]['images']}" for split in SPLITS)
    boxes = sum(manifest["splits"][split]["boxes"] for split in SPLITS)
    return write_sheet(
        out,
        [
            tile(folder / "raw" / candidate.image["file_name"], candidate.objects, colours, _caption(candidate))
            for candidate in choose(candidates, pictures)
        ],
        columns=3,
        title=dataset.paper_name,
        about=[f"{dataset.id} · source {source} · images: {counts} · {boxes} boxes"],
        colours=colours,
    )


def _class_sheet(dataset: Dataset, source: str, manifest: dict, folder: Path, out: str | Path, pictures: int) -> Path:
    """Labelled pictures: the first of every class, then the second, as many as asked for; one of several classes stands
    under the first of them."""
    of_class: dict[int, list[tuple[str, str, list[int]]]] = defaultdict(list)
    for split in reversed(SPLITS):
        for path, label, *unknown in read_json(folder / manifest["items"]["file"])[split]:
            shows = label if unknown else [label]
            if shows:
                of_class[shows[0]].append((split, path, shows))
    rounds = itertools.zip_longest(*(of_class[label] for label in sorted(of_class)))
    chosen = itertools.islice((one for turn in rounds for one in turn if one), pictures)
    texts, shown = manifest["texts"], []
    for split, path, shows in chosen:
        said = ", ".join(texts[label] for label in shows)
        shown.append(tile(folder / path, [], {}, f"{split} · {said} · {Path(path).name}", room=SMALL_TILE))
    counts = ", ".join(f"{split} {manifest['splits'][split]['images']}" for split in SPLITS)
    about = f"{dataset.id} · source {source} · images: {counts} · {len(texts)} classes"
    return write_sheet(
        out, shown, columns=4, title=dataset.paper_name, about=[about, f"“{dataset.sentence}”"], colours={}
    )


def _map_sheet(dataset: Dataset, source: str, manifest: dict, folder: Path, out: str | Path, pictures: int) -> Path:
    """Pictures with their class maps as tints, each class with its name."""
    numbers, listed = Numbers(**manifest["class_map"]), read_json(folder / manifest["items"]["file"])
    some = [(split, one) for split in SPLITS for one in listed[split][:MAPS_LOOKED_AT]]
    candidates = [
        Candidate(
            {"file_name": path}, objects_of_map(read_class_map(folder / place, numbers)), (Path(path).parent, split)
        )
        for split, (path, place) in some
    ]
    colours = class_colours(dataset.classes)
    chosen = choose(candidates, pictures)
    shown = [tile(folder / one.image["file_name"], one.objects, colours, _caption(one)) for one in chosen]
    counts = ", ".join(f"{split} {manifest['splits'][split]['images']}" for split in SPLITS)
    about = f"{dataset.id} · source {source} · images: {counts} · {len(dataset.classes)} classes"
    used = {dataset.classes[entry["category_id"] - 1] for one in chosen for entry in one.objects}
    colours = {name: colour for name, colour in colours.items() if name in used}
    return write_sheet(out, shown, columns=3, title=dataset.paper_name, about=[about], colours=colours)


def objects_of_map(class_map: np.ndarray) -> list[dict]:
    """The classes of a map as annotations with masks, one each."""
    labels = [int(label) for label in np.unique(class_map) if label != IGNORED]
    if not labels:
        return []
    masks = np.stack([class_map == label for label in labels])
    boxes = [[x, y, right - x, bottom - y] for x, y, right, bottom in boxes_of(masks).tolist()]
    return [
        {"category_id": label + 1, "bbox": box, "area": float(mask.sum()), "segmentation": encoded(mask)}
        for label, box, mask in zip(labels, boxes, masks)
    ]


def annotated(document: dict) -> list[tuple[dict, list[dict]]]:
    """(image, its annotations) of a COCO document, in its order."""
    objects = defaultdict(list)
    for annotation in document["annotations"]:
        objects[annotation["image_id"]].append(annotation)
    return [(image, objects[image["id"]]) for image in document["images"]]


def choose(candidates: Sequence[Candidate], count: int) -> list[Candidate]:
    """At most `count` candidates, always the same: each next one shows the classes, then kinds, shown least so far."""
    left, chosen, shown = list(candidates), [], Counter()
    while left and len(chosen) < count:
        best = max(
            range(len(left)),
            key=lambda index: (
                sum(1 / (1 + shown[category]) ** 2 for category in classes_of(left[index].objects)),
                *(-shown[kind] for kind in left[index].kinds),
                -index,
            ),
        )
        chosen.append(left.pop(best))
        shown.update({*classes_of(chosen[-1].objects), *chosen[-1].kinds})
    return chosen


def _caption(candidate: Candidate) -> str:
    """Split, number of objects (or the folder of a picture without), file name."""
    folder, split = candidate.kinds
    count = len(candidate.objects)
    what = f"{count} object{'' if count == 1 else 's'}" if count else folder.name
    return f"{split} · {what} · {Path(candidate.image['file_name']).name}"
