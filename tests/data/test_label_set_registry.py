"""The shipped sets of several classes a picture: files laid out as the real ones are go through their own entries."""

import json
from pathlib import Path

import pytest
import yaml

from cones.data.captions import read_captions
from cones.data.classification import read_items
from cones.data.download import fetch
from cones.data.prepare import prepare
from cones.data.registry import load_registry
from tests.data.made_up import write_tree
from tests.data.own import coco_json, noise

FILE = Path("config/datasets/classification.yaml")
ONE = "<object><name>{}</name><difficult>{}</difficult><bndbox>{}</bndbox></object>"
CORNERS = "<xmin>2</xmin><ymin>2</ymin><xmax>20</xmax><ymax>20</ymax>"
CAPTIONS = json.dumps({"annotations": [{"caption": text} for text in ("Two women on a couch.", "A hot dog.", "Sky.")]})


def voc_tree() -> dict[str, bytes]:
    """Six pictures as VOC 2007 has them, the first with a difficult bird and a cat."""
    shown = [
        [("bird", 1), ("cat", 0)],
        [("dog", 0)],
        [("sofa", 0), ("person", 0)],
        [("cat", 0)],
        [("dog", 0)],
        [("bird", 0)],
    ]
    root, files = "VOCdevkit/VOC2007", {}
    for number, objects in enumerate(shown):
        body = "".join(ONE.format(name, difficult, CORNERS) for name, difficult in objects)
        stem = f"{number:06d}"
        xml = f"<annotation><filename>{stem}.jpg</filename>{body}</annotation>"
        files |= {
            f"{root}/Annotations/{stem}.xml": xml.encode(),
            f"{root}/JPEGImages/{stem}.jpg": noise(number, kind="JPEG"),
        }
    for name, numbers in (("trainval", (0, 1, 2)), ("test", (3, 4, 5)), ("train", (0,)), ("val", (1, 2))):
        files[f"{root}/ImageSets/Main/{name}.txt"] = "".join(f"{number:06d}\n" for number in numbers).encode()
    return files | {"coco/annotations/captions_train2014.json": CAPTIONS.encode()}


def coco_tree(classes) -> dict[str, bytes]:
    """Pictures and annotations as COCO 2014 has them; one is empty, one has a crowd of people."""
    files, box = {}, [2, 2, 10, 10]
    for split, first in (("train", 0), ("val", 3)):
        names = [f"COCO_{split}2014_{number:012d}.jpg" for number in range(first, first + 3)]
        crowd = {"id": 9, "image_id": 2, "category_id": 1, "bbox": box, "iscrowd": 1, "area": 100, "segmentation": []}
        boxes = [(1, classes.index("hot dog") + 1, box), (1, classes.index("couch") + 1, box), crowd]
        files[f"annotations/instances_{split}2014.json"] = coco_json(names, boxes, classes)
        files |= {f"{split}2014/{name}": noise(first + at, kind="JPEG") for at, name in enumerate(names)}
    return files | {"annotations/captions_train2014.json": CAPTIONS.encode()}


def through_its_entry(name, files, tmp_path):
    """The set's own entry, but with a folder in the place of archives and without their counts."""
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))[name]
    source = content["sources"]["official"]
    source |= {"folder": str(write_tree(tmp_path / "files", files))}
    content["sources"]["official"] = {
        key: value for key, value in source.items() if key not in ("archives", "expected")
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({name: content}, sort_keys=False), encoding="utf-8")
    dataset = load_registry(tmp_path / "mine.yaml")[name]
    fetch(dataset, "official", tmp_path / "data")
    manifest, folder = prepare(dataset, "official", tmp_path / "data"), tmp_path / "data/official" / name
    items = {
        split: [[dataset.classes[label] for label in item.present] for item in found]
        for split, found in read_items(folder).items()
    }
    said = [[dataset.classes[place] for place in places] for _, places in read_captions(folder, manifest)]
    return items, said, read_items(folder)["train"], dataset


def test_voc_goes_by_its_lists_and_what_is_difficult_is_unknown(tmp_path):
    items, said, train, dataset = through_its_entry("voc2007", voc_tree(), tmp_path)
    assert items == {"train": [["cat"], ["dog"], ["person", "sofa"]], "val": [], "test": [["cat"], ["dog"], ["bird"]]}
    assert [dataset.classes[label] for label in train[0].unknown] == ["bird"]
    assert said == [["person", "sofa"], ["dog"]]  # it knows no hot dog: of that the word "dog" is read


def test_coco_leaves_empty_pictures_out_and_counts_crowds(tmp_path):
    classes = load_registry(FILE)["coco2014"].classes
    items, said, _, _ = through_its_entry("coco2014", coco_tree(classes), tmp_path)
    assert items == {"train": [["hot dog", "couch"], ["person"]], "val": [], "test": [["hot dog", "couch"], ["person"]]}
    assert said == [["person", "couch"], ["hot dog"]]


@pytest.mark.parametrize("name, classes, images", [("voc2007", 20, (5011, 4952)), ("coco2014", 80, None)])
def test_what_the_entries_say(name, classes, images):
    entry = load_registry(FILE)[name]
    assert len(entry.classes) == classes and entry.sentence == "a photo of a {}." and entry.task == "multi_label"
    expected = entry.source("official").expected
    assert (expected and (expected.images.train, expected.images.test)) == images
    assert all(word != name for name, words in entry.synonyms.items() for word in words)
