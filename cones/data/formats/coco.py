"""COCO detection JSON.

By default each split is a folder of pictures with its annotation file, as Roboflow exports it. With `files` and
`images` each native split has an annotation file and the pictures lie elsewhere, as in COCO itself and in exports of
CVAT and Label Studio.

Class names are matched to the registry's, never ids: an export's ids start at 0 or 1. Roboflow adds a super category,
usually id 0, that no annotation refers to; it is left out. An id 0 that is referred to is a class like any other.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from cones.data.files import PictureFolder, item_names, leads_out, plain
from cones.data.formats.reading import flag, number_of, read_json, shown
from cones.data.formats.records import NOT_LISTED, NativeFiles, Object, Record
from cones.data.masks import area_of, bounds_of, checked_segmentation, scaled, turned_box
from cones.runtime.strict import Strict

FORMAT = {"name": "coco"}
VERSION = 3
KEYS = ("images", "annotations", "categories")


class Parameters(Strict):
    root: str = "."  # folder under raw/ that holds the split folders
    folders: tuple[str, ...] = ("train", "valid", "test")  # their names are the native splits
    annotations: tuple[str, ...] = ("annotations_without_background.json", "_annotations.coco.json")  # first present
    files: dict[str, str] | None = None  # instead of the two above: {native split: annotation file}
    images: str | dict[str, str] | None = None  # folder of pictures, or {native split: folder}
    coordinates: Literal["pixels", "relative"] = "pixels"  # relative: fractions of the picture's width and height


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per entry of `images`; `item_id` is `<native split>/<path below the picture folder, no suffix>`."""
    root = native.root(parameters.root)
    if parameters.files is not None:
        files = {split: _present(root, [name], "files", native) for split, name in parameters.files.items()}
    else:
        found = {folder: root / folder for folder in parameters.folders}
        files = {split: _present(found[split], parameters.annotations, "folders", native) for split in found}
    opened: dict[Path, PictureFolder] = {}
    used: set[Path] = set()
    for split, file in files.items():
        place = _picture_folder(split, file, root, native, parameters)
        if place not in opened:
            opened[place] = PictureFolder(place)
        yield from _Split(split, file, opened[place], native, parameters, used).records()
    for path in (path for folder in opened.values() for path in folder.paths if path not in used):
        native.note(NOT_LISTED, path)


def _present(folder: Path, names: Sequence[str], key: str, native: NativeFiles) -> Path:
    file = next((folder / name for name in names if (folder / name).is_file()), None)
    if file is None:
        raise native.fault(
            "no annotation file in this folder",
            folder,
            expected=" or ".join(names),
            found=native.instead(".json"),
            next_step=native.mend(f"correct `root` or `{key}` in {native.registry}"),
        )
    return file


def _picture_folder(split: str, file: Path, root: Path, native: NativeFiles, parameters: Parameters) -> Path:
    given = parameters.images
    name = given.get(split) if isinstance(given, dict) else given
    if name is None:
        return file.parent
    return native.root((root / name).relative_to(native.raw).as_posix(), key="format.images")


@dataclass
class _Split:
    """One annotation file and the folder of its pictures."""

    split: str
    file: Path
    pictures: PictureFolder
    native: NativeFiles
    parameters: Parameters
    used: set[Path]  # the pictures that are listed, of all splits

    def records(self) -> Iterator[Record]:
        content = self._content()
        names = self._class_names(content)
        images = self._images(content["images"])
        annotations = self._annotations(content["annotations"], images)
        shared = _shared_folders([plain(image["file_name"]) for image in images.values()])
        found = {key: self._picture(key, image, shared) for key, image in images.items()}
        self.used.update(filter(None, found.values()))
        shown_names = {
            key: self.pictures.relative(path) if path else plain(images[key]["file_name"])
            for key, path in found.items()
        }
        items = item_names(shown_names.values())
        absent, disagreeing = [], _Disagreement()
        for key in sorted(images, key=lambda key: (images[key]["file_name"], str(key))):
            item = f"{self.split}/{items[shown_names[key]]}"
            if self.native.skips(item):
                continue
            path = found[key]
            if path is None:
                absent.append(self.native.relative(self.pictures.folder / plain(images[key]["file_name"])))
                continue
            size = self.native.size_of(path) if self.parameters.coordinates == "relative" else None
            yield Record(
                item_id=item,
                image=self.native.relative(path),
                objects=tuple(self._object(one, names, size, disagreeing) for one in annotations[key]),
                split=self.split,
                stated_size=_stated_size(images[key]),
                frame="upright" if size else None,
            )
        disagreeing.refuse_if_most(self.native, self.file)
        if absent:
            self.native.leave_out_missing(absent, len(images), self.file, key_hint=self._where_pictures_may_be(absent))

    # ------------------------------------------------------------------------------------------------ the three lists

    def _content(self) -> dict:
        content = read_json(self.file, self.native)
        if not isinstance(content, dict):
            raise self._fault("not COCO: the top level must be a mapping")
        for key in KEYS:
            value = content.get(key)
            if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
                raise self._fault(
                    "not the shape of COCO annotations",
                    expected=f"lists of mappings: {', '.join(KEYS)}",
                    found=f'nothing named "{key}"' if key not in content else f"{key}: {shown(value)}",
                )
        return content

    def _class_names(self, content: dict) -> dict[Any, str]:
        """`{native category id: class name}` of the categories that annotations refer to, each checked."""
        listed: dict[Any, str] = {}
        for number, category in enumerate(content["categories"]):
            key = self._identifier(category.get("id"), f"the id of category number {number}")
            name = category.get("name")
            if not isinstance(name, str | int) or isinstance(name, bool) or not str(name).strip():
                raise self._fault(f"category id {key} has no name", expected="text", found=shown(name))
            if listed.setdefault(key, str(name)) != str(name):
                raise self._fault(
                    f"category id {key} stands for two classes",
                    expected="ids of their own",
                    found=f'"{listed[key]}" and "{name}"',
                    next_step="give one of them another id in `categories` and in its annotations",
                )
        annotations = enumerate(content["annotations"])
        used = {self._identifier(one.get("category_id"), f"category_id of {_named(one, n)}") for n, one in annotations}
        if missing := sorted(used - set(listed), key=str):
            raise self._fault(
                f"annotations refer to category id {missing[0]}, which is not listed",
                found=f"ids {sorted(listed, key=str)}",
            )
        return {key: self.native.known_class(name, self.file) for key, name in listed.items() if key in used}

    def _images(self, listed: list[dict]) -> dict[Any, dict]:
        images: dict[Any, dict] = {}
        names: dict[str, Any] = {}
        for number, image in enumerate(listed):
            key = self._identifier(image.get("id"), f"the id of image number {number}")
            name = image.get("file_name")
            if not isinstance(name, str) or not name.strip():
                raise self._fault(f"image {key} has no file_name", expected="text", found=shown(name))
            if key in images:
                raise self._fault(
                    f"the image id {key} is used twice", found=f'"{images[key]["file_name"]}" and "{name}"'
                )
            if plain(name) in names:
                raise self._fault(
                    f'the picture "{name}" is listed twice',
                    found=f"image ids {names[plain(name)]} and {key}",
                    next_step="leave one entry and give all boxes its id",
                )
            images[key] = image
            names[plain(name)] = key
        return images

    def _annotations(self, listed: list[dict], images: Mapping) -> Mapping[Any, list[tuple[str, dict]]]:
        """`{image id: [(how a message calls it, annotation)]}`"""
        of_image = defaultdict(list)
        for number, annotation in enumerate(listed):
            name = _named(annotation, number)
            key = self._identifier(annotation.get("image_id"), f"image_id of {name}")
            if key not in images:
                raise self._fault(
                    f"annotations refer to image id {key}, which is not listed", found=name, expected="an id of images"
                )
            of_image[key].append((name, annotation))
        return of_image

    # ----------------------------------------------------------------------------------------------------- one of them

    def _identifier(self, value: Any, what: str) -> Any:
        """An id as a number, also where it is written as text; other text as it is."""
        if isinstance(value, str) and value.strip() and number_of(value) is None:
            return value
        number = number_of(value)
        if number is None or number != int(number):
            raise self._fault(f"{what} is no id", expected="a whole number or text", found=shown(value))
        return int(number)

    def _picture(self, key: Any, image: dict, shared: int) -> Path | None:
        """The picture of an entry of `images`, or None.

        Where the folder of pictures is named, folders of another machine and the first `shared` folders, which all
        names have in common, are ignored.
        """
        name = plain(image["file_name"])
        is_elsewhere = leads_out(name)
        if not is_elsewhere and (path := self.pictures.named(name)):
            return path
        if self.parameters.images is not None and is_elsewhere:
            return self.pictures.by_end(name)
        if self.parameters.images is not None:
            parts = PurePosixPath(name).parts
            ends = ("/".join(parts[start:]) for start in range(1, shared + 1))
            return next(filter(None, map(self.pictures.named, ends)), None)
        if is_elsewhere:
            raise self._fault(
                f"image {key} has a path that leaves its folder",
                expected="a path below the folder of this file",
                found=f'"{image["file_name"]}"',
                next_step="correct file_name, or say where the pictures lie: `images: <folder>` in the dataset's "
                f"`format` in {self.native.registry}",
            )
        return None

    def _object(
        self, named: tuple[str, dict], names: dict, size: tuple[int, int] | None, disagreeing: "_Disagreement"
    ) -> Object:
        name, annotation = named
        crowd = flag(annotation.get("iscrowd"), what=f"iscrowd of {name}", file=self.file, native=self.native)
        if flag(annotation.get("ignore"), what=f"ignore of {name}", file=self.file, native=self.native) and not crowd:
            self.native.note("an annotation with `ignore`, kept as an object (COCO goes by iscrowd alone)", self.file)
        box, segmentation = annotation.get("bbox"), annotation.get("segmentation") or None
        if segmentation and (self.native.wants_masks or not box):
            segmentation = self._checked(segmentation, name, size)
        elif self.native.wants_masks:
            raise self._fault(
                f"{name} has no segmentation",
                expected="polygons or RLE, as the task is instance_segmentation",
                found=shown(annotation.get("segmentation")),
                next_step=f"add it, or set `task: detection` in {self.native.registry}",
            )
        if box:
            box = turned_box(self._box(box, name, size), 0.0 if segmentation else _rotation(annotation))
        else:
            box = segmentation and bounds_of(segmentation)
        if box is None:
            raise self._fault(
                f"{name} has no box",
                expected="bbox: [x, y, width, height]",
                found=shown(annotation["bbox"]) if "bbox" in annotation else "none",
            )
        disagreeing.compare(name, box, annotation.get("segmentation"), size)
        return Object(
            class_name=names[self._identifier(annotation["category_id"], name)],
            box=box,
            area=self._area(annotation, segmentation, size),
            segmentation=segmentation if self.native.wants_masks else None,
            crowd=crowd,
        )

    def _box(self, box: Any, name: str, size: tuple[int, int] | None) -> tuple[float, float, float, float]:
        values = [number_of(value) for value in box] if isinstance(box, list) else []
        if len(values) != 4 or None in values:
            raise self._fault(
                f"{name} has no usable box", expected="bbox: [x, y, width, height] as numbers", found=shown(box)
            )
        factors = size * 2 if size else (1, 1, 1, 1)
        return tuple(value * factor for value, factor in zip(values, factors, strict=True))

    def _checked(self, segmentation: Any, name: str, size: tuple[int, int] | None) -> Any:
        try:
            found = checked_segmentation(segmentation)
        except ValueError as error:
            raise self._fault(
                f"{name} has no usable segmentation",
                expected="polygons [[x, y, …], …] or RLE {size, counts}",
                found=error,
            ) from None
        return scaled(found, size) if size else found

    def _area(self, annotation: dict, segmentation: Any, size: tuple[int, int] | None) -> float | None:
        """The area of the polygon or mask, by which AP of small, medium and large objects goes; None for a mere box."""
        if not annotation.get("segmentation"):
            return None
        stated = number_of(annotation.get("area"))
        if stated and stated > 0 and size is None:
            return stated
        try:
            return area_of(segmentation if size else checked_segmentation(annotation["segmentation"]))
        except ValueError:
            return None

    def _where_pictures_may_be(self, absent: Sequence[str]) -> str | None:
        if self.parameters.images is not None:
            return None
        base = PurePosixPath(absent[0]).name
        near = PictureFolder(self.native.raw).of_base(base)
        folder = self.native.relative(near[0].parent) if near else "<folder>"
        return f"say where the pictures lie (`images: {folder}` in the dataset's `format`)"

    def _fault(self, what: str, **details: object):
        return self.native.fault(what, self.file, **{"next_step": self.native.mend(), **details})


class _Disagreement:
    """Counts boxes that differ from the bounds of their own polygons: written as corners, or in another unit."""

    def __init__(self) -> None:
        self.compared, self.names = 0, []

    def compare(self, name: str, box: Sequence[float], segmentation: Any, size: tuple[int, int] | None) -> None:
        if not isinstance(segmentation, list):
            return
        try:
            polygons = checked_segmentation(segmentation)
        except ValueError:
            return
        around = bounds_of(scaled(polygons, size) if size else polygons)
        slack = max(2.0, 0.25 * max(around[2:]))
        self.compared += 1
        if any(abs(a - b) > slack for a, b in zip(box, around, strict=True)):
            self.names.append(f"{name}: box {list(box)}, polygon {[round(value, 1) for value in around]}")

    def refuse_if_most(self, native: NativeFiles, file: Path) -> None:
        if 2 * len(self.names) > self.compared:
            raise native.fault(
                f"{len(self.names)} of {self.compared} boxes are not those of their polygons",
                file,
                expected="bbox: [x, y, width, height] in pixels",
                found=self.names[0],
                next_step="correct the boxes (corners are no widths), or remove the polygons",
            )


def _named(annotation: dict, number: int) -> str:
    return f"annotation {annotation['id']}" if annotation.get("id") is not None else f"annotation number {number}"


def _rotation(annotation: dict) -> float:
    """The degrees by which a box is turned, as CVAT writes them among an annotation's attributes."""
    attributes = annotation.get("attributes")
    return (number_of(attributes.get("rotation")) if isinstance(attributes, dict) else None) or 0.0


def _shared_folders(names: Sequence[str]) -> int:
    """How many leading folders all names have in common."""
    folders = [PurePosixPath(name).parts[:-1] for name in names]
    levels = zip(*folders, strict=False)
    return next((depth for depth, level in enumerate(levels) if len(set(level)) > 1), min(map(len, folders), default=0))


def _stated_size(image: dict) -> tuple[int, int] | None:
    """(width, height) where the entry states one; tools that do not know it write zeros."""
    width, height = number_of(image.get("width")), number_of(image.get("height"))
    return (int(width), int(height)) if width and height and width > 0 and height > 0 else None
