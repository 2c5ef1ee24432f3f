"""Layouts of sets of labelled pictures, as the real ones are packed."""

import json
from collections import Counter

from cones.data.registry import SPLITS, Dataset, Source
from cones.miniature.layouts import Page, jpeg


def class_folders(dataset: Dataset, source: Source, pages: list[Page]) -> dict[str, bytes]:
    """`<split>/<class>/<class>_0001.jpg`; numbers begin anew in each folder."""
    names = _numbered([f"{page.split}/{class_of(page)}/{class_of(page)}" for page in pages])
    return {name: jpeg(page) for name, page in zip(names, pages)}


def coop_split(dataset: Dataset, source: Source, pages: list[Page]) -> dict[str, bytes]:
    """`<images>/<class>/<class>_0001.jpg` and, beside the pictures' folder, CoOp's split file with the words of each
    class (KaiyangZhou/CoOp, datasets/oxford_pets.py: `save_split`)."""
    parameters = source.format.parameters
    root, images = parameters["root"], parameters["images"]
    places = _numbered([f"{class_of(page)}/{class_of(page)}" for page in pages])
    lines: dict[str, list[tuple[str, int, str]]] = {split: [] for split in SPLITS}
    for place, page in zip(places, pages):
        name = class_of(page)
        lines[page.split].append((place, dataset.classes.index(name), name))
    files = {f"{root}/{images}/{place}": jpeg(page) for place, page in zip(places, pages)}
    return {**files, f"{root}/{parameters['split_file']}": json.dumps(lines).encode()}


LAYOUTS = {"class_folders": class_folders, "coop_split": coop_split}


def layout(dataset: Dataset, source: Source, pages: list[Page]) -> dict[str, bytes]:
    """The files of the archive in the format that the entry names."""
    return LAYOUTS[source.format.name](dataset, source, pages)


def class_of(page: Page) -> str:
    return page.painted.objects[0].class_name


def _numbered(stems: list[str]) -> list[str]:
    """Each with the count of those like it so far: `dog_0001.jpg`."""
    count: Counter = Counter()
    names = []
    for stem in stems:
        count[stem] += 1
        names.append(f"{stem}_{count[stem]:04d}.jpg")
    return names
