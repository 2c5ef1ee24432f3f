"""Whether a folder is a COCO export: JSON files with images, annotations and categories."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cones.data.formats.coco import KEYS
from cones.data.recognise.documents import json_files
from cones.data.recognise.layout import Recognised, Tree, split_word
from cones.runtime.errors import ConesError

ASKED = 20  # file names that say where the pictures lie


@dataclass(frozen=True)
class _List:
    """One annotation file: class names by id, names of some pictures, and whether every object has a mask."""

    file: Path
    word: str | None
    classes: dict[str, str]
    names: list[str]
    images: int
    has_masks: bool


def recognise(tree: Tree) -> Recognised | None:
    lists = [_read(tree, file, content) for file, content in json_files(tree) if _is_coco(content)]
    if not lists:
        return None
    chosen = _one_per_split(tree, lists)
    images = {}
    for word, one in chosen.items():
        place = tree.folder_with(one.names, one.file.parent, split_word(word))
        if place is not None and place != one.file.parent:
            images[word] = tree.name(place)
    classes: dict[str, str] = {}
    for one in chosen.values():
        classes |= one.classes
    names = list(dict.fromkeys(classes[key] for key in sorted(classes, key=_by_number)))
    files = {word: tree.name(one.file) for word, one in chosen.items()}
    count = sum(one.images for one in chosen.values())
    return Recognised(
        format=tree.format("coco", files=files, images=_for_all(images, chosen, tree)),
        classes=names,
        task="instance_segmentation" if all(one.has_masks for one in chosen.values()) else "detection",
        splits=tuple(word for word in chosen if split_word(word)),
        why=(f"{', '.join(files.values())} list {count} pictures with COCO annotations",),
    )


def _is_coco(content: Any) -> bool:
    """Lists of images, annotations and categories, and boxes in them: captions and panoptic files have none."""
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in KEYS):
        return False
    return not content["annotations"] or any("bbox" in one for one in content["annotations"] if isinstance(one, dict))


def _read(tree: Tree, file: Path, content: dict) -> _List:
    objects = [one for one in content["annotations"] if isinstance(one, dict)]
    used = {str(one.get("category_id")) for one in objects}
    names = [str(image["file_name"]) for image in content["images"] if isinstance(image, dict) and "file_name" in image]
    return _List(
        file=file,
        word=split_word(file.stem) or split_word(file.parent.name),
        classes={
            str(one.get("id")): str(one.get("name"))
            for one in content["categories"]
            if isinstance(one, dict) and str(one.get("id")) in used
        },
        names=names[:: max(1, len(names) // ASKED)][:ASKED],
        images=len(content["images"]),
        has_masks=bool(objects) and all(one.get("segmentation") for one in objects),
    )


def _one_per_split(tree: Tree, lists: list[_List]) -> dict[str, _List]:
    """{the files' word for a split: its file}; one file alone has all; ConesError where two are of one split."""
    if len(lists) == 1 and not lists[0].word:
        return {"all": lists[0]}
    chosen: dict[str, _List] = {}
    for one in lists:
        word = one.word or tree.name(one.file.with_suffix("")).replace("/", "_")
        if word in chosen:
            raise ConesError(
                f"two COCO files may be the {word} split",
                where=tree.folder,
                found=f"{tree.name(chosen[word].file)} and {tree.name(one.file)}",
                next_step="leave one of them in the folder",
            )
        chosen[word] = one
    return chosen


def _for_all(images: dict[str, str], chosen: dict[str, _List], tree: Tree) -> dict[str, str] | str | None:
    """`images` of the entry: one folder where all files have the same, None where pictures lie beside their files."""
    if not images:
        return None
    if len(images) == len(chosen) and len(set(images.values())) == 1:
        return next(iter(images.values()))
    return {word: images.get(word, tree.name(one.file.parent)) for word, one in chosen.items()}


def _by_number(key: str) -> tuple[int, str]:
    return (int(key), "") if key.lstrip("-").isdigit() else (10**9, key)
