"""Whether a folder is a YOLO export: data.yaml or a list of names, and text files of fractions beside the pictures."""

from pathlib import Path
from typing import Any

import yaml

from cones.data.formats.reading import number_of
from cones.data.recognise.layout import Recognised, Tree, split_word
from cones.runtime.errors import ConesError

SPLITS = ("train", "val", "test")
LISTS = ("classes.txt", "obj.names", "names.txt", "predefined_classes.txt")
LOOKED_AT = 300  # text files, to see whether they hold boxes or polygons


def recognise(tree: Tree) -> Recognised | None:
    described = {path: content for path in tree.with_suffix(".yaml", ".yml") if (content := _content(path))}
    texts = _texts(tree)
    if described:
        return _of_yaml(tree, described, texts)
    lists = [path for path in tree.files if path.name.lower() in LISTS]
    if not texts or not all(map(_is_of_fractions, texts[:5])):
        return None
    if len(lists) != 1:
        raise ConesError(
            "this looks like YOLO, but " + ("nothing names the classes" if not lists else "several lists name classes"),
            where=tree.folder,
            expected="data.yaml with `names`, or one classes.txt with a name a line",
            found=", ".join(map(tree.name, lists)) or f"{len(texts)} text files of fractions",
            next_step="put such a file there" if not lists else "leave one of them",
        )
    (names,) = lists
    places = {path.parent for path in tree.pictures}
    folders = {tree.name(place): split_word(tree.name(place)) for place in sorted(places)}
    by_word = {word: name for name, word in folders.items() if word}
    images: Any = by_word if by_word and len(by_word) == len(folders) else _common(tree, places)
    return Recognised(
        format=tree.format("yolo", data=tree.name(names), images=images),
        classes=[line.strip() for line in names.read_text("utf-8-sig", "replace").splitlines() if line.strip()],
        task=_task(texts),
        splits=tuple(images) if isinstance(images, dict) else (),
        why=(f"{len(texts)} text files of fractions in folders `labels`", f"{tree.name(names)} names the classes"),
    )


def _of_yaml(tree: Tree, described: dict[Path, dict], texts: list[Path]) -> Recognised:
    if len(described) > 1:
        raise ConesError(
            "several files may be the data.yaml of a YOLO export",
            where=tree.folder,
            found=", ".join(map(tree.name, described)),
            next_step="leave one of them in the folder",
        )
    ((file, content),) = described.items()
    names = content["names"]
    listed = (
        names if isinstance(names, list) else [names[key] for key in sorted(names, key=lambda k: number_of(k) or 0)]
    )
    words = [split for split in SPLITS if content.get(split) or (split == "val" and content.get("valid"))]
    root = file.parent.relative_to(tree.folder).as_posix()
    place = {} if root == "." else {"root": root}
    data = {} if file.name == "data.yaml" else {"data": file.name}
    return Recognised(
        format={"name": "yolo", **place, **data},
        classes=[str(name).strip() for name in listed],
        task="detection" if "kpt_shape" in content else _task(texts),
        splits=tuple(words),
        why=(
            f"{tree.name(file)} has `names` and {', '.join(words) or 'no split'}",
            f"{len(texts)} text files of boxes or polygons",
        ),
    )


def _content(file: Path) -> dict | None:
    try:
        content = yaml.safe_load(file.read_text("utf-8-sig"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return content if isinstance(content, dict) and isinstance(content.get("names"), list | dict) else None


def _texts(tree: Tree) -> list[Path]:
    """The text files in folders `labels`, or else those that have the names of pictures."""
    texts = tree.with_suffix(".txt")
    stems = {path.stem for path in tree.pictures}
    in_labels = [path for path in texts if any(part.lower() == "labels" for part in path.relative_to(tree.root).parts)]
    return in_labels or [path for path in texts if path.stem in stems]


def _is_of_fractions(file: Path) -> bool:
    return all(
        len(values) >= 5 and None not in values and all(-0.1 <= value <= 1.1 for value in values[1:])
        for values in _lines(file)
    )


def _lines(file: Path) -> list[list[float | None]]:
    lines = (line.split() for line in file.read_text("utf-8-sig", "replace").splitlines())
    return [[number_of(word) for word in words] for words in lines if words]


def _task(texts: list[Path]) -> str:
    """Masks where every object looked at is a polygon, else boxes, to which polygons become too."""
    lengths = {len(values) for file in texts[:LOOKED_AT] for values in _lines(file)}
    return "instance_segmentation" if lengths and min(lengths) > 6 else "detection"


def _common(tree: Tree, places: set[Path]) -> str:
    """The folder that holds all pictures; `images` where there is one, because `labels` is its twin."""
    shared = [parent for parent in [*min(places).parents, min(places)] if all(p.is_relative_to(parent) for p in places)]
    inside = [place for place in shared if place.is_relative_to(tree.root)]
    return tree.name(max(inside, key=lambda place: len(place.parts)))
