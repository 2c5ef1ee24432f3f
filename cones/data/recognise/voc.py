"""Whether a folder is in Pascal VOC's form, one XML per picture, or in LabelMe's, one JSON per picture.

Both lie the same way: annotations beside their pictures or in a folder of their own, in one place or in split folders.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cones.data.files import without_suffix
from cones.data.formats.labelme import OPEN
from cones.data.recognise.documents import common_folders, json_files, xml_files
from cones.data.recognise.layout import Recognised, Tree, split_word
from cones.runtime.errors import ConesError


@dataclass
class _Seen:
    """The annotation files, the class names in them, those without an object, and the kinds of shapes."""

    files: list[Path] = field(default_factory=list)
    classes: set[str] = field(default_factory=set)
    empty: int = 0
    shapes: set[str] = field(default_factory=set)


def recognise(tree: Tree) -> Recognised | None:
    seen = _Seen()
    for file, content in xml_files(tree):
        if content.tag == "annotation" and content.find("segmentation/polygon") is None:
            seen.files.append(file)
            names = [(one.findtext("name") or "").strip() for one in content.iter("object")]
            seen.classes.update(names)
            seen.empty += not names
    if not seen.files:
        return None
    unknown = ("ImageSets are not read: the splits are made anew (`split`)",) if _has_image_sets(tree) else ()
    return _recognised(tree, "voc", seen, f"{len(seen.files)} Pascal VOC files (XML)", unknown)


def recognise_labelme(tree: Tree) -> Recognised | None:
    seen = _Seen()
    for file, content in json_files(tree):
        if isinstance(content, dict) and isinstance(content.get("shapes"), list):
            seen.files.append(file)
            shapes = [shape for shape in content["shapes"] if _encloses(shape)]
            seen.classes.update(str(shape.get("label")).strip() for shape in shapes)
            seen.shapes.update(str(shape.get("shape_type") or "polygon") for shape in shapes)
            seen.empty += not shapes
    if not seen.files:
        return None
    return _recognised(tree, "labelme", seen, f"{len(seen.files)} LabelMe files (JSON)", ())


def _encloses(shape: Any) -> bool:
    return isinstance(shape, dict) and shape.get("shape_type") not in OPEN


def _recognised(tree: Tree, name: str, seen: _Seen, what: str, unknown: tuple[str, ...]) -> Recognised:
    pairs = {place: _pictures(tree, place, seen.files) for place in common_folders(seen.files)}
    folders, annotations, images = _layout(tree, pairs)
    kinds = seen.shapes - {"rectangle"}
    masks = name == "labelme" and bool(kinds) and "rectangle" not in seen.shapes
    if kinds and not masks:
        unknown += ("rectangles and outlines are mixed: boxes are taken of all (`task`)",)
    if seen.empty:
        unknown += (f"{seen.empty} files name no object: taken as pictures without objects (`allow_empty`)",)
    beside = "beside their pictures" if annotations == images else f"pictures in {images}"
    return Recognised(
        format=tree.format(
            name,
            folders=folders or None,
            annotations=annotations,
            images=images,
            allow_empty=True if seen.empty else None,
        ),
        classes=sorted(seen.classes),
        task="instance_segmentation" if masks else "detection",
        splits=tuple(folders),
        why=(f"{what} in {', '.join(folders) or annotations}, {beside}",),
        unknown=unknown,
    )


def _pictures(tree: Tree, place: Path, files: list[Path]) -> Path:
    stems = {without_suffix(file.relative_to(place)) for file in files if file.is_relative_to(place)}
    found = tree.picture_folder_of(stems, place)
    if found is None:
        raise ConesError(
            "no pictures have the names of these annotation files",
            where=f"{tree.folder}: {tree.name(place)}",
            expected=f"{min(stems)}.jpg, .png … beside it, or in a folder beside `{place.name}`",
            next_step="put the pictures there",
        )
    return found


def _layout(tree: Tree, pairs: dict[Path, Path]) -> tuple[list[str], str, str]:
    """(split folders, annotations, pictures) as both formats name them, the latter two below each split folder."""
    if len(pairs) == 1:
        ((annotations, images),) = pairs.items()
        return [], tree.name(annotations), tree.name(images)
    parts: dict[str, tuple[str, str]] = {}
    for annotations, images in pairs.items():
        folder = tree.name(annotations).split("/")[0]
        base = tree.root / folder
        if not images.is_relative_to(base) or folder in parts:
            break
        parts[folder] = (annotations.relative_to(base).as_posix(), images.relative_to(base).as_posix())
    if len(parts) == len(pairs) and len(set(parts.values())) == 1 and all(map(split_word, parts)):
        return list(parts), *next(iter(parts.values()))
    raise ConesError(
        "annotation files lie in several folders that are no splits",
        where=tree.folder,
        found=", ".join(map(tree.name, pairs)),
        next_step="name the folders train, val and test, or put all files into one; or write the entry by hand "
        "(docs/datasets.md)",
    )


def _has_image_sets(tree: Tree) -> bool:
    return any("ImageSets" in path.parts for path in tree.with_suffix(".txt"))
