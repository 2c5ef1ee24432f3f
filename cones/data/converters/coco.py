"""COCO detection JSON as Roboflow exports it: folders of pictures, each with its annotation file beside them.
An export whose splits share one folder is read by `files`, one annotation file per native split.

Class names are matched to the registry's, never ids: an export's ids start at 0 or 1. Roboflow adds a super category,
usually id 0, that no annotation refers to; it is left out. An id 0 that is referred to is a class like any other.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from cones.data.converters.records import NativeFiles, Object, Record
from cones.errors import said_by
from cones.strict import Strict

FORMAT = {"name": "coco"}
VERSION = 1


class Parameters(Strict):
    root: str = "."  # folder under raw/ that holds the split folders
    folders: tuple[str, ...] = ("train", "valid", "test")  # their names are the native splits
    annotations: tuple[str, ...] = ("annotations_without_background.json", "_annotations.coco.json")  # first present
    files: dict[str, str] | None = None  # instead of the two above: {native split: annotation file}, pictures beside it


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per entry of `images`, split by split; `item_id` is `<native split>/<stem>`."""
    root = native.root(parameters.root)
    if parameters.files is not None:
        for split, name in parameters.files.items():
            yield from _read(split, _present(root, [name], "files", native), native)
        return
    for folder in parameters.folders:
        file = _present(root / folder, parameters.annotations, "folders", native)
        yield from _read(folder, file, native)


def _present(folder: Path, names: Sequence[str], key: str, native: NativeFiles) -> Path:
    file = next((folder / name for name in names if (folder / name).is_file()), None)
    if file is None:
        raise native.fault(
            "no annotation file in this folder",
            folder,
            expected=" or ".join(names),
            next_step=f"fetch the dataset again, or correct `{key}` in datasets.yaml",
        )
    return file


def _read(split: str, file: Path, native: NativeFiles) -> Iterator[Record]:
    content = _load(file, native)
    try:
        names = _class_names(content, file, native)
        objects = defaultdict(list)
        for annotation in content["annotations"]:
            objects[annotation["image_id"]].append(_object(annotation, names, file, native))
        images = sorted(content["images"], key=lambda image: image["file_name"])
        ids = [image["id"] for image in images]
        records = [_record(image, split, file.parent, tuple(objects[image["id"]]), native) for image in images]
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise native.fault(
            "not the shape of COCO annotations",
            file,
            expected="images, annotations, categories",
            found=said_by(error),
            next_step="fetch the dataset again",
        ) from None
    _check_references(ids, objects, file, native)
    _check_pictures(records, file, native)
    yield from records


def _load(file: Path, native: NativeFiles) -> dict:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # also digits without end, and nesting without end
        raise native.fault("broken JSON", file, found=error, next_step="fetch the dataset again") from None
    if not isinstance(content, dict):
        raise native.fault("not COCO: the top level must be a mapping", file, next_step="fetch the dataset again")
    return content


def _class_names(content: dict, file: Path, native: NativeFiles) -> dict[int, str]:
    """`{native category id: class name}` of the categories that annotations refer to, each checked."""
    used = {annotation["category_id"] for annotation in content["annotations"]}
    names = {category["id"]: category["name"] for category in content["categories"] if category["id"] in used}
    if missing := sorted(used - set(names), key=str):
        raise native.fault(
            f"annotations refer to category id {missing[0]}, which is not listed",
            file,
            found=f"ids {sorted(names)}",
            next_step="fetch the dataset again",
        )
    return {identifier: native.known_class(name, file) for identifier, name in names.items()}


def _object(annotation: dict, names: dict[int, str], file: Path, native: NativeFiles) -> Object:
    x, y, width, height = (float(value) for value in annotation["bbox"])
    return Object(
        class_name=names[annotation["category_id"]],
        box=(x, y, width, height),
        crowd=bool(annotation.get("iscrowd", 0)),
    )


def _record(image: dict, split: str, folder: Path, objects: tuple[Object, ...], native: NativeFiles) -> Record:
    name = image["file_name"]
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(f'the path "{name}" of a picture, which leaves its folder')
    width, height = int(image.get("width") or 0), int(image.get("height") or 0)
    return Record(
        item_id=f"{split}/{Path(name).stem}",
        image=native.relative(folder / name),
        objects=objects,
        split=split,
        stated_size=(width, height) if width > 0 and height > 0 else None,
    )


def _check_references(ids: list, objects: dict, file: Path, native: NativeFiles) -> None:
    if len(set(ids)) != len(ids):
        raise native.fault("an image id is used twice", file, next_step="fetch the dataset again")
    if stray := sorted(set(objects) - set(ids), key=str):
        raise native.fault(
            f"annotations refer to image id {stray[0]}, which is not listed", file, next_step="fetch the dataset again"
        )


def _check_pictures(records: list[Record], file: Path, native: NativeFiles) -> None:
    missing = [record.image for record in records if not (native.raw / record.image).is_file()]
    if missing:
        raise native.fault(
            f"{len(missing)} of {len(records)} listed pictures are missing",
            file,
            expected=missing[0],
            next_step="fetch the dataset again, or complete the mirror folder",
        )
