"""A split cut to a few pictures: the same ones everywhere, and those with objects first."""

from toy import ToyDetector, paint_split

from cones.data.batches import Split
from cones.data.few_pictures import few_pictures, read_split
from cones.runtime.artifacts import read_json, write_json


def document(images: int, shown: list[int], crowds: list[int] = ()) -> dict:
    annotations = [{"image_id": image, "iscrowd": 0} for image in shown]
    annotations += [{"image_id": image, "iscrowd": 1} for image in crowds]
    return {"images": [{"id": image} for image in range(images)], "annotations": annotations, "categories": ["kept"]}


def ids(coco: dict) -> list[int]:
    return [image["id"] for image in coco["images"]]


def test_pictures_with_objects_come_first_then_those_of_small_ids():
    coco = document(8, shown=[7, 3, 7], crowds=[0])
    assert ids(few_pictures(coco, 1)) == [3]
    assert ids(few_pictures(coco, 4)) == [0, 1, 3, 7]  # in the order of the file
    cut = few_pictures(coco, 2)
    assert cut["categories"] == ["kept"] and [a["image_id"] for a in cut["annotations"]] == [7, 3, 7]


def test_no_limit_and_one_that_is_not_reached_change_nothing():
    coco = document(3, shown=[1])
    assert few_pictures(coco, None) is coco and few_pictures(coco, 9) == coco


def test_a_split_and_its_document_are_cut_alike(tmp_path):
    paint_split(tmp_path, "test", images=6, seed=0)
    content = read_json(tmp_path / "test.json")
    first = min(image["id"] for image in content["images"])
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] != first]
    write_json(tmp_path / "test.json", content)
    preprocessing = ToyDetector.preprocessing
    split = Split(tmp_path, "test", preprocessing=preprocessing, inclusive=False, pictures=2)
    assert split.coco == read_split(tmp_path / "test.json", 2)
    assert len(split) == 2 and first not in [image["id"] for image in split.images]
    assert len(Split(tmp_path, "test", preprocessing=preprocessing, inclusive=False)) == 6
