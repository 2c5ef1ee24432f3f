import json

import pytest

from cones.data.formats import coco, voc
from cones.data.formats.records import NativeFiles
from cones.runtime.errors import ConesError
from tests.data.made_up import OBJECT, XML, jpeg, voc_files, write_tree


def read_voc(tmp_path, files, **parameters):
    native = NativeFiles(dataset_id="cells", raw=write_tree(tmp_path, files), classes=["red", "white"])
    return list(voc.convert(native, voc.Parameters(root="VOC", **parameters)))


def test_voc_corners_are_kept_as_they_are(tmp_path):
    record = read_voc(tmp_path, voc_files({0: [("red", 2, 3, 20, 25), ("white", 0, 0, 40, 30)]}))[0]
    assert [one.box for one in record.objects] == [(2, 3, 18, 22), (0, 0, 40, 30)]
    assert record.item_id == "cell_00" and record.image == "VOC/JPEGImages/cell_00.jpg"
    assert record.stated_size == (40, 30) and record.split is None


def test_voc_difficult_objects_are_marked(tmp_path):
    files = voc_files(count=1)
    name = "VOC/Annotations/cell_00.xml"
    files[name] = files[name].replace(b"<difficult>0", b"<difficult>1")
    assert read_voc(tmp_path, files)[0].objects[0].difficult


def test_voc_without_objects_is_refused_unless_allowed(tmp_path):
    files = voc_files({3: []})
    with pytest.raises(ConesError, match=r"cells: VOC/Annotations/cell_03\.xml: XML without <object>.*allow_empty"):
        read_voc(tmp_path, files)
    assert read_voc(tmp_path, files, allow_empty=True)[3].objects == ()


def changed(name, content):
    files = voc_files(count=3)
    if content is None:
        del files[name]
    else:
        files[name] = content
    return files


RED = OBJECT.format("red", 1, 2, 3, 4)


def xml(name="cell_01", objects=RED):
    return XML.format(name=name, width=40, height=30, objects=objects).encode()


ONE = "VOC/Annotations/cell_01.xml"


@pytest.mark.parametrize(
    "files, words",
    [
        (changed(ONE, xml(objects=OBJECT.format("reed", 1, 2, 3, 4))), ["cell_01.xml", '"reed"', 'did you mean "red"']),
        (changed(ONE, xml(name="cell_02")), ["cell_01.xml", "names another picture", "cell_02.jpg"]),
        (changed(ONE, b"<annotation><filename>"), ["cell_01.xml", "broken XML"]),
        (changed(ONE, xml(objects="<object><name>red</name></object>")), ["cell_01.xml", "no usable <bndbox>"]),
        (changed(ONE, xml(objects=OBJECT.format("red", 1, 2, "x", 4))), ["cell_01.xml", "no usable <bndbox>"]),
        (
            changed("VOC/JPEGImages/cell_01.jpg", None),
            ["1 of 3 listed pictures are missing", "cell_01.jpg"],
        ),
        (changed(ONE, None), ["cell_01.jpg", "1 pictures have no XML"]),
        ({"other/readme.txt": b""}, ["VOC", "folder is missing", "found other"]),
        ({"VOC/JPEGImages/a.jpg": jpeg()}, ["VOC/Annotations", "no XML file"]),
    ],
)
def test_voc_faults_name_dataset_and_file(tmp_path, files, words):
    with pytest.raises(ConesError) as caught:
        read_voc(tmp_path, files)
    message = str(caught.value)
    assert message.startswith("dataset cells: ") and "next: " in message
    assert all(word in message for word in words), message


def document(**changes):
    return {
        "categories": [{"id": 0, "name": "cells"}, {"id": 1, "name": "white"}, {"id": 2, "name": "red"}],
        "images": [{"id": 0, "file_name": "a.jpg", "width": 40, "height": 30}],
        "annotations": [{"id": 0, "image_id": 0, "category_id": 2, "bbox": [1, 2, 3, 4.5]}],
        **changes,
    }


def read_coco(tmp_path, content, **parameters):
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    write_tree(tmp_path, {"x/train/_annotations.coco.json": text, "x/train/a.jpg": jpeg()})
    native = NativeFiles(dataset_id="cells", raw=tmp_path, classes=["red", "white"])
    return list(coco.convert(native, coco.Parameters(root="x", folders=("train",), **parameters)))


def test_coco_matches_classes_by_name_and_leaves_out_the_unused_super_category(tmp_path):
    (record,) = read_coco(tmp_path, document())
    assert (record.item_id, record.split, record.image) == ("train/a", "train", "x/train/a.jpg")
    assert [(one.class_name, one.box) for one in record.objects] == [("red", (1, 2, 3, 4.5))]


def test_coco_keeps_a_category_zero_that_is_used(tmp_path):
    used = document(
        categories=[{"id": 0, "name": "red"}, {"id": 1, "name": "white"}],
        annotations=[{"id": 0, "image_id": 0, "category_id": 0, "bbox": [1, 2, 3, 4]}],
    )
    assert read_coco(tmp_path, used)[0].objects[0].class_name == "red"


def test_coco_refuses_a_super_category_that_annotations_use(tmp_path):
    used = document(annotations=[{"id": 0, "image_id": 0, "category_id": 0, "bbox": [1, 2, 3, 4]}])
    with pytest.raises(ConesError, match='unknown class "cells"'):
        read_coco(tmp_path, used)


def test_coco_prefers_the_file_without_background(tmp_path):
    better = document(annotations=[])
    write_tree(tmp_path, {"x/train/annotations_without_background.json": json.dumps(better).encode()})
    assert read_coco(tmp_path, document())[0].objects == ()


@pytest.mark.parametrize(
    "content, words",
    [
        (b"{", ["broken JSON"]),
        ([], ["top level must be a mapping"]),
        ({"images": []}, ["not the shape of COCO", "annotations"]),
        (document(annotations=[{"image_id": 0, "category_id": 9, "bbox": [1, 2, 3, 4]}]), ["category id 9"]),
        (document(annotations=[{"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4]}]), ["image id 7"]),
        (document(annotations=[{"image_id": 0, "category_id": 1, "bbox": [1, 2]}]), ["annotation number 0", "[1, 2]"]),
        (document(images=document()["images"] * 2), ["the image id 0 is used twice", "a.jpg"]),
        (document(images=[{"id": 0, "file_name": "b.jpg"}]), ["1 of 1 listed pictures are missing", "b.jpg"]),
        (document(images=[{"id": 0, "file_name": "../../b.jpg"}]), ["leaves its folder"]),
    ],
)
def test_coco_faults_name_dataset_and_file(tmp_path, content, words):
    with pytest.raises(ConesError) as caught:
        read_coco(tmp_path, content)
    message = str(caught.value)
    assert message.startswith("dataset cells: x/train/_annotations.coco.json: ") and "next: " in message
    assert all(word in message for word in words), message


def test_coco_folder_without_annotations_is_named(tmp_path):
    write_tree(tmp_path, {"x/train/a.jpg": jpeg()})
    native = NativeFiles(dataset_id="cells", raw=tmp_path, classes=["red"])
    with pytest.raises(ConesError, match="dataset cells: x/train: no annotation file"):
        list(coco.convert(native, coco.Parameters(root="x")))


def test_coco_splits_that_share_a_folder_are_read_file_by_file(tmp_path):
    one, two = document(), document(images=[{"id": 0, "file_name": "b.jpg", "width": 40, "height": 30}])
    files = {"x/train_a.json": json.dumps(one).encode(), "x/val_a.json": json.dumps(two).encode()}
    write_tree(tmp_path, {**files, "x/a.jpg": jpeg(), "x/b.jpg": jpeg()})
    native = NativeFiles(dataset_id="cells", raw=tmp_path, classes=["red", "white"])
    parameters = coco.Parameters(root="x", files={"train": "train_a.json", "val": "val_a.json"})
    found = [(record.item_id, record.split, record.image) for record in coco.convert(native, parameters)]
    assert found == [("train/a", "train", "x/a.jpg"), ("val/b", "val", "x/b.jpg")]
    with pytest.raises(ConesError, match=r"no annotation file in this folder; expected test_a\.json; .*`files`"):
        list(coco.convert(native, coco.Parameters(root="x", files={"test": "test_a.json"})))
