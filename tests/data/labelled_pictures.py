"""Labelled pictures of one's own, made by a test: their registry entry, and what `prepare` makes of them."""

from pathlib import Path

import yaml

from cones.data.classification import read_items
from cones.data.download import fetch
from cones.data.prepare import prepare
from cones.data.registry import load_registry
from tests.data.made_up import write_tree
from tests.data.own import AS_SHIPPED, SPLITS, entry, noise

CLASSES = ("cat", "dog", "Sea_Lion")


class Labelled:
    """A prepared dataset: its manifest, and the pictures of its splits as {path: class}."""

    def __init__(self, manifest: dict, folder: Path):
        self.manifest, self.folder = manifest, folder
        self.items = read_items(folder)
        self.notes = {what: found["count"] for what, found in manifest["report"]["notes"].items()}

    def classes(self, split: str) -> dict[str, str]:
        return {item.path: self.manifest["classes"][item.label] for item in self.items[split]}

    def counts(self) -> list[int]:
        return [len(self.items[split]) for split in SPLITS]


def labelled(
    tmp_path: Path,
    files: dict[str, bytes],
    *,
    format,
    split=AS_SHIPPED,
    classes=(),
    texts=None,
    template=None,
    **source,
) -> Labelled:
    """Lay `files` into a folder, describe it by an entry in `mine.yaml`, fetch and prepare it."""
    folder = write_tree(tmp_path / "pictures", files)
    content = entry(folder, format=format, split=split, classes=classes, task="classification", **source)
    content |= {"group": "natural", "texts": texts or {}} | ({"template": template} if template else {})
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"my_pictures": content}, sort_keys=False), encoding="utf-8")
    dataset = load_registry(tmp_path / "mine.yaml")["my_pictures"]
    fetch(dataset, "official", tmp_path / "data")
    return Labelled(prepare(dataset, "official", tmp_path / "data"), tmp_path / "data/official/my_pictures")


def class_tree(counts=(3, 1, 2), classes=CLASSES, splits=SPLITS, first=0) -> dict[str, bytes]:
    """`<split>/<class>/<n>.png`, so many pictures of each class in each split; all pictures differ."""
    files, seed = {}, first
    for split, count in zip(splits, counts):
        for name in classes:
            for number in range(count):
                files[f"{split}/{name}/{number}.png".removeprefix("./")] = noise(seed := seed + 1, 24, 16)
    return files
