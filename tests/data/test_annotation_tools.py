"""What single tools write beside plain boxes: YOLO without data.yaml, LabelMe's circles and masks, CVAT's shapes."""

import base64
import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle

from cones.data.formats import cvat, labelme, yolo
from cones.data.formats.records import NativeFiles
from cones.runtime.errors import ConesError
from tests.data.made_up import write_tree
from tests.data.own import noise
from tests.data.test_others_masks import png


def read(converter, tmp_path, files, *, task="detection", **parameters):
    native = NativeFiles(
        dataset_id="mine", raw=write_tree(tmp_path, files), classes=["red", "white"], task=task, own=True
    )
    records = {one.item_id: one for one in converter.convert(native, converter.Parameters(**parameters))}
    return records, native.notes


# --------------------------------------------------------------------------------------------------------------- YOLO

LINE = b"1 0.5 0.5 0.5 0.2\n"


def test_label_studios_yolo_export_has_a_list_of_names_and_no_splits(tmp_path):
    files = {"classes.txt": b"red\nwhite\n", "images/a.png": noise(1), "labels/a.txt": LINE, "notes.json": b"{}"}
    records, _ = read(yolo, tmp_path, files, data="classes.txt", images="images")
    assert records["a"].split is None
    assert [(one.class_name, one.box) for one in records["a"].objects] == [("white", (10, 12, 20, 6))]


def test_splits_as_lists_of_pictures_and_labels_beside_them(tmp_path):
    files = {"data.yaml": b"names: [red, white]\ntrain: train.txt\nval: val.txt\n"}
    files |= {"train.txt": b"/home/me/darknet/obj/a.png\n./obj/b.png\n", "val.txt": b"obj/c.png\n"}
    for seed, name in enumerate("abc"):
        files |= {f"obj/{name}.png": noise(seed), f"obj/{name}.txt": LINE}
    records, _ = read(yolo, tmp_path, files)
    assert list(records) == ["train/obj/a", "train/obj/b", "val/obj/c"]
    assert all(len(record.objects) == 1 for record in records.values())


def test_key_points_behind_a_box_are_left_alone(tmp_path):
    files = {"data.yaml": b"names: [red, white]\ntrain: images\nkpt_shape: [2, 3]\n", "images/a.png": noise(1)}
    files["labels/a.txt"] = LINE.strip() + b" 0.1 0.1 2 0.2 0.2 1\n"
    assert read(yolo, tmp_path, files)[0]["train/a"].objects[0].box == (10, 12, 20, 6)


def test_yolo_polygons_are_masks_and_boxes_are_not(tmp_path):
    files = {"data.yaml": b"names: [red, white]\ntrain: images\n", "images/a.png": noise(1)}
    files["labels/a.txt"] = b"0 0.25 0.1 0.75 0.1 0.75 0.5\n"
    (one,) = read(yolo, tmp_path, files, task="instance_segmentation")[0]["train/a"].objects
    assert one.box == (10, 3, 20, 12) and one.area == 120
    assert one.segmentation == [[10, 3, 30, 3, 30, 15]]
    with pytest.raises(ConesError, match=r"labels/a\.txt: line 1 is a box, and the task is instance_segmentation"):
        read(yolo, tmp_path, files | {"labels/a.txt": LINE}, task="instance_segmentation")


@pytest.mark.parametrize(
    "names, words",
    [("[yes, no]", "YAML reads the name of class 0 as true"), ("[red]\nnc: 2", "nc is not the number of names")],
)
def test_names_that_are_none(tmp_path, names, words):
    files = {"data.yaml": f"names: {names}\ntrain: images\n".encode(), "images/a.png": noise(1), "labels/a.txt": LINE}
    with pytest.raises(ConesError, match=words):
        read(yolo, tmp_path, files)


def test_labels_in_another_place_are_not_taken_for_none(tmp_path):
    files = {"data.yaml": b"names: [red, white]\ntrain: images\n", "images/a.png": noise(1), "annotations/a.txt": LINE}
    with pytest.raises(ConesError, match=r"no picture of split train has a text file; expected labels/<name>\.txt"):
        read(yolo, tmp_path, files)


# ------------------------------------------------------------------------------------------------------------ LabelMe


def shape(points, kind="polygon", label="red", **more):
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}, **more}


def labelled(*shapes, **more):
    content = {"shapes": shapes, "imagePath": "a.png", "imageWidth": 40, "imageHeight": 30, **more}
    return {"a.json": json.dumps(content).encode(), "a.png": noise(1)}


def test_a_circle_is_its_centre_and_a_point_on_it(tmp_path):
    (one,) = read(labelme, tmp_path, labelled(shape([[20, 15], [20, 25]], "circle")))[0]["a"].objects
    assert one.box == pytest.approx((10, 5, 20, 20)) and one.area == pytest.approx(314, rel=0.01)


def test_shapes_of_one_group_and_label_are_one_object(tmp_path):
    triangle, square = [[2, 3], [12, 3], [2, 13]], [[20, 3], [30, 3], [30, 13], [20, 13]]
    parts = [shape(triangle, group_id=1), shape(square, group_id=1), shape(square, group_id=1, label="white")]
    objects = read(labelme, tmp_path, labelled(*parts), task="instance_segmentation")[0]["a"].objects
    assert [(one.class_name, one.box, one.area) for one in objects] == [
        ("red", (2, 3, 28, 10), 150),
        ("white", (20, 3, 10, 10), None),
    ]
    assert len(objects[0].segmentation) == 2


def test_a_mask_lies_at_its_first_point(tmp_path):
    piece = np.zeros((6, 8), bool)
    piece[1:5, 2:7] = True
    code = base64.b64encode(png(Image.fromarray(piece))).decode()
    drawn = shape([[10, 5], [17, 10]], "mask", mask=code)
    (one,) = read(labelme, tmp_path, labelled(drawn), task="instance_segmentation")[0]["a"].objects
    assert one.box == (12, 6, 5, 4) and one.area == 20 and rle.area(one.segmentation) == 20
    with pytest.raises(ConesError, match=r"a\.json: shape number 0 \(red\) has no usable mask"):
        read(labelme, tmp_path, labelled(shape([[10, 5], [17, 10]], "mask", mask="?")))


def test_pictures_apart_from_their_json(tmp_path):
    files = {
        f"json/{name}" if name.endswith("json") else f"img/{name}": text
        for name, text in labelled(shape([[1, 1], [9, 9]], "rectangle")).items()
    }
    assert read(labelme, tmp_path, files, annotations="json", images="img")[0]["a"].objects[0].box == (1, 1, 8, 8)


# --------------------------------------------------------------------------------------------------------------- CVAT


def task(shapes, size='width="40" height="30"'):
    text = f'<annotations><image id="0" name="a.png" {size}>{shapes}</image></annotations>'
    return {"annotations.xml": text.encode(), "images/a.png": noise(1)}


def one_of(tmp_path, shapes, **more):
    (one,) = read(cvat, tmp_path, task(shapes), task="instance_segmentation", **more)[0]["a"].objects
    return one


def test_an_ellipse(tmp_path):
    one = one_of(tmp_path, '<ellipse label="red" cx="20" cy="15" rx="10" ry="5"/>')
    assert one.box == pytest.approx((10, 10, 20, 10)) and one.area == pytest.approx(157, rel=0.01)
    turned = one_of(tmp_path, '<ellipse label="red" cx="20" cy="15" rx="10" ry="5" rotation="90"/>')
    assert turned.box == pytest.approx((15, 5, 10, 20))


def test_a_mask_is_written_row_by_row(tmp_path):
    one = one_of(tmp_path, '<mask label="red" rle="1, 2, 2, 1" left="10" top="5" width="3" height="2"/>')
    drawn = np.zeros((30, 40), bool)
    drawn[5, 11:13] = drawn[6, 12] = True
    assert (rle.decode(one.segmentation).astype(bool) == drawn).all() and one.box == (11, 5, 2, 2) and one.area == 3


@pytest.mark.parametrize(
    "shapes, words",
    [
        ('<mask label="red" rle="1, 2" left="10" top="5" width="3" height="2"/>', "runs of 3 pixels for 3 x 2"),
        ('<mask label="red" rle="0, 6" left="38" top="5" width="3" height="2"/>', "leaves the picture"),
        ('<polygon label="red" points="1,1;2,2"/>', r"polygon number 0 of image 0 \(a\.png\) is not usable"),
        ('<spiral label="red"/>', "a shape that this format does not know"),
        ('<box label="blue" xtl="1" ytl="1" xbr="2" ybr="2"/>', 'unknown class "blue"'),
    ],
)
def test_a_shape_that_cannot_be_read(tmp_path, shapes, words):
    with pytest.raises(ConesError, match=words):
        read(cvat, tmp_path, task(shapes), task="instance_segmentation")


def test_a_cuboid_is_the_box_around_it(tmp_path):
    names = {"xtl1": 5, "ytl1": 6, "xbl1": 5, "ybl1": 16, "xtr1": 15, "ytr1": 6, "xbr1": 15, "ybr1": 16}
    names |= {name.replace("1", "2"): value + 3 for name, value in names.items()}
    one = one_of(
        tmp_path, f'<cuboid label="red" {" ".join(f"{name}={str(value)!r}" for name, value in names.items())}/>'
    )
    assert one.box == (5, 6, 13, 13)
