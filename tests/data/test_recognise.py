"""A folder is taken for what it is, by its files alone: format, splits, classes and task; or it is refused."""

import json
import unicodedata

import numpy as np
import pytest
from PIL import Image

from cones.data.formats import converter_named
from cones.data.formats.records import NativeFiles
from cones.data.recognise import recognise
from cones.data.recognise.layout import split_rule, split_word
from cones.runtime.errors import ConesError
from cones.runtime.strict import parse
from tests.data import exports
from tests.data.labelled_pictures import class_tree
from tests.data.made_up import OBJECT, XML, jpeg, write_tree
from tests.data.own import SPLITS, coco_json, noise
from tests.data.test_others_masks import png
from tests.data.volumes import scan, write_labels_of_series, write_nifti, write_series

BOXES = (("red cell", (2.0, 3.0, 10.0, 8.0)), ("Blé", (1.0, 1.0, 5.0, 6.0)))
TRUTH = tuple(
    exports.Item(name, split, (24, 16), BOXES[: 1 + number % 2], number)
    for number, (name, split) in enumerate(
        (("a", "train"), ("é", "train"), ("c d", "val"), ("cam0/z", "test"), ("b", "test"))
    )
)
CASES = [(name, quirk) for name, kind in exports.KINDS.items() for quirk in (None, *kind.harmless)]


def records_of(folder, recognised):
    """What the format reads with the entry's parameters."""
    converter = converter_named(recognised.format["name"], where=folder)
    keys = {key: value for key, value in recognised.format.items() if key != "name"}
    native = NativeFiles("it", folder, recognised.classes, task=recognised.task, own=True)
    return list(converter.convert(native, parse(converter.Parameters, keys, where="format")))


def objects_of(records):
    """{(split, name of the picture): its objects}, boxes to a hundredth of a pixel."""
    return {
        (record.split, unicodedata.normalize("NFC", record.image.rpartition("/")[2])): sorted(
            (
                one.class_name,
                *np.round(
                    np.sort([[one.box[0], one.box[0] + one.box[2]], [one.box[1], one.box[1] + one.box[3]]]), 2
                ).ravel(),
            )
            for one in record.objects
        )
        for record in records
    }


@pytest.mark.parametrize("name, quirk", CASES)
@pytest.mark.parametrize("place", [".", "export/of it"])
def test_an_export_of_a_tool_is_read_as_what_it_is(tmp_path, name, quirk, place):
    write_tree(tmp_path / "my set" / place, exports.KINDS[name].write(TRUTH, {quirk} if quirk else set()).files)
    recognised = recognise(tmp_path / "my set")
    assert recognised.format["name"] == name
    assert set(BOXES[0][:1] + BOXES[1][:1]) <= set(recognised.classes)
    assert recognised.task == ("instance_segmentation" if quirk == "polygons" else "detection")
    expected = {
        (None if name == "csv_boxes" else item.split, f"{item.name.split('/')[-1]}.png"): sorted(
            (word, *np.round([x, x + w, y, y + h], 2)) for word, (x, y, w, h) in item.objects
        )
        for item in TRUTH
    }
    assert objects_of(records_of(tmp_path / "my set", recognised)) == expected
    rule, _ = split_rule(recognised.splits)
    if name == "csv_boxes":
        assert rule == {"rule": "test20_then_holdout80"}
    else:
        assert rule == {"rule": "as_shipped", "shipped": dict(zip(SPLITS, SPLITS))}


# ------------------------------------------------------------------------------------------------- layouts of others


def voc_xml(name, *boxes):
    listed = "".join(OBJECT.format(*box) for box in boxes)
    return XML.format(name=name, width=40, height=30, objects=listed).encode()


def test_cocos_own_layout_finds_the_pictures_of_each_split_elsewhere(tmp_path):
    for split in ("train", "val"):
        lists = coco_json(["a.png", "b.png"], [(1, 1, [1, 1, 5, 5]), (2, 2, [1, 1, 9, 9])])
        files = {f"annotations/instances_{split}2017.json": lists}
        files |= {f"{split}2017/{name}.png": noise(n + 10 * (split == "val")) for n, name in enumerate("ab")}
        files[f"annotations/captions_{split}2017.json"] = json.dumps(
            {"images": [], "annotations": [{"image_id": 1, "caption": "a"}], "categories": []}
        ).encode()
        write_tree(tmp_path / "coco", files)
    recognised = recognise(tmp_path / "coco")
    assert recognised.format["images"] == {"train": "train2017", "val": "val2017"}
    assert len(records_of(tmp_path / "coco", recognised)) == 4
    rule, text = split_rule(recognised.splits)
    assert rule == {"rule": "holdout80", "shipped": {"test": "val"}} and "no test split" in text


def test_roboflows_layouts_of_coco_and_yolo_and_text_beside_pictures(tmp_path):
    files = {}
    for number, split in enumerate(("train", "valid", "test")):
        files[f"{split}/_annotations.coco.json"] = coco_json(["a.png"], [(1, 1, [1, 1, 5, 5])], ("red", "white"))
        files[f"{split}/a.png"] = noise(number)
    coco = recognise(write_tree(tmp_path / "coco", files))
    assert coco.format["files"]["val"] == "valid/_annotations.coco.json" and "images" not in coco.format
    assert split_rule(coco.splits)[0]["shipped"] == {"train": "train", "val": "val", "test": "test"}
    files = {"data.yaml": b"names: [red]\ntrain: ../train/images\nval: ../valid/images\ntest: ../test/images"}
    for number, split in enumerate(("train", "valid", "test")):
        files |= {f"{split}/images/a.png": noise(number), f"{split}/labels/a.txt": b"0 0.1 0.1 0.5 0.1 0.5 0.5"}
    yolo = recognise(write_tree(tmp_path / "yolo", files))
    assert yolo.task == "instance_segmentation" and {r.split for r in records_of(tmp_path / "yolo", yolo)} == set(
        SPLITS
    )
    beside = {"classes.txt": b"red\n", "pictures/a.png": noise(7), "pictures/a.txt": b"0 0.5 0.5 0.2 0.2\n"}
    flat = recognise(write_tree(tmp_path / "flat", beside))
    assert flat.format == {"name": "yolo", "data": "classes.txt", "images": "pictures"}
    assert [len(record.objects) for record in records_of(tmp_path / "flat", flat)] == [1]


def test_a_flat_folder_of_pictures_and_xml_has_no_splits(tmp_path):
    files = {f"{n}.xml": voc_xml(n, ("red", 1, 1, 9, 9)) for n in range(3)} | {f"{n}.jpg": jpeg() for n in range(3)}
    write_tree(tmp_path / "flat", files | {"3.xml": voc_xml(3), "3.jpg": jpeg(), "notes.txt": b"by hand"})
    recognised = recognise(tmp_path / "flat")
    assert (recognised.format["annotations"], recognised.format["images"], recognised.splits) == (".", ".", ())
    assert recognised.format["allow_empty"] and any("1 files name no object" in line for line in recognised.unknown)
    assert len(records_of(tmp_path / "flat", recognised)) == 4


def test_yolo_without_data_yaml_takes_its_names_from_the_list(tmp_path):
    files = {"classes.txt": b"red\nwhite\n"}
    for split in ("train", "val"):
        files |= {f"images/{split}/{n}.png": noise(n + 10 * (split == "val")) for n in range(2)}
        files |= {f"labels/{split}/{n}.txt": b"1 0.5 0.5 0.2 0.2" for n in range(2)}
    recognised = recognise(write_tree(tmp_path / "studio", files))
    assert recognised.classes == ["red", "white"] and recognised.splits == ("train", "val")
    assert {record.split for record in records_of(tmp_path / "studio", recognised)} == {"train", "val"}
    (tmp_path / "studio/classes.txt").unlink()
    with pytest.raises(ConesError, match="nothing names the classes"):
        recognise(tmp_path / "studio")


def test_a_table_of_boxes_by_other_columns(tmp_path):
    rows = b"Image,X1,Y1,X2,Y2,Label\na,0.1,0.1,0.5,0.5,red\nb,0.2,0.2,0.9,1.0,white\n"
    write_tree(tmp_path / "table", {"boxes.csv": rows, "pictures/a.png": noise(1), "pictures/b.png": noise(2)})
    recognised = recognise(tmp_path / "table")
    assert recognised.format["corners"] == ["X1", "Y1", "X2", "Y2"] and recognised.format["coordinates"] == "relative"
    assert [record.objects[0].box[0] for record in records_of(tmp_path / "table", recognised)] == [4.0, 8.0]
    (tmp_path / "table/boxes.csv").write_bytes(b"image,x,y,width,height\na,1,1,5,5\n")
    with pytest.raises(ConesError, match="by width and height; expected corners"):
        recognise(tmp_path / "table")


def mask(*values, kind=None):
    pixels = np.zeros((30, 40), np.uint8)
    for number, value in enumerate(values):
        pixels[2 + 8 * number : 8 + 8 * number, 3:12] = value
    return png(Image.fromarray(pixels, kind))


def masks(tmp_path, drawn, pictures="images", folder="masks", suffix=""):
    files = {f"{pictures}/{n}.png": noise(n) for n in range(3)} | {f"{folder}/{n}{suffix}.png": drawn for n in range(3)}
    return recognise(write_tree(tmp_path / "masks", files))


def test_white_on_black_is_one_class_whose_name_is_not_said(tmp_path):
    recognised = masks(tmp_path, mask(255), pictures="imgs", folder="ground_truth", suffix="_mask")
    assert recognised.format["folders"] == [{"images": "imgs", "masks": "ground_truth"}]
    assert recognised.classes == ["object"] and any("`classes`" in line for line in recognised.unknown)
    assert recognised.task == "instance_segmentation"
    assert [len(record.objects) for record in records_of(tmp_path / "masks", recognised)] == [1, 1, 1]


@pytest.mark.parametrize(
    "drawn, values, objects",
    [((1,), {1: "class 1"}, 1), ((1, 4), {1: "class 1", 4: "class 4"}, 2), ((2, 255), {2: "class 2", 255: None}, 1)],
)
def test_masks_of_numbers_have_a_class_for_each(tmp_path, drawn, values, objects):
    recognised = masks(tmp_path, mask(*drawn))
    assert recognised.format["values"] == values
    assert {len(record.objects) for record in records_of(tmp_path / "masks", recognised)} == {objects}


def test_masks_in_split_folders_keep_their_splits(tmp_path):
    files = {}
    for split in ("train", "validation"):
        for n in range(2):
            files |= {f"{split}/images/{n}.png": noise(n + 10 * len(split)), f"{split}/labels/{n}.png": mask(255)}
    recognised = recognise(write_tree(tmp_path / "masks", files))
    assert recognised.splits == ("train", "validation")
    records = records_of(tmp_path / "masks", recognised)
    assert sorted(record.item_id for record in records) == ["train/0", "train/1", "validation/0", "validation/1"]
    assert split_rule(recognised.splits)[0] == {"rule": "holdout80", "shipped": {"test": "validation"}}


# ------------------------------------------------------------------------------------------------------------ volumes


def test_nnunets_folders_say_their_labels_and_not_their_window(tmp_path):
    described = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "organ": 1, "lesion": 2}}
    files = {"dataset.json": json.dumps(described).encode(), "imagesTs/p9_0000.nii.gz": b"x"}
    files |= {f"imagesTr/p{n}_0000.nii.gz": b"x" for n in range(3)} | {f"labelsTr/p{n}.nii.gz": b"x" for n in range(3)}
    recognised = recognise(write_tree(tmp_path / "scans", files))
    assert recognised.format == {
        "name": "nifti",
        "images": "imagesTr",
        "labels": "labelsTr",
        "image_suffix": "_0000",
        "axis": "axial",
        "window": "full",
        "values": {1: "organ", 2: "lesion"},
    }
    assert recognised.slices and all(
        any(key in line for line in recognised.unknown) for key in ("`axis`", "`window`", "`split.patients`")
    )
    assert split_rule((), slices=True)[0]["patients"] == "^(.+)/[0-9]+$"


def test_nifti_labels_without_names_are_looked_into(tmp_path):
    pytest.importorskip("nibabel")
    for n in range(2):
        values, labels = scan(n)
        write_nifti(tmp_path / f"scans/images/p{n}.nii.gz", values)
        write_nifti(tmp_path / f"scans/labels/p{n}.nii.gz", labels)
    recognised = recognise(tmp_path / "scans")
    assert recognised.format["name"] == "nifti" and "image_suffix" not in recognised.format
    assert recognised.format["values"] == {1: "class 1", 2: "class 2"}


def test_dicom_series_and_their_label_volumes(tmp_path):
    pytest.importorskip("SimpleITK")
    for n in range(2):
        values, labels = scan(n)
        write_series(tmp_path / f"scans/series/p{n}/ct", values, f"P{n}")
        write_labels_of_series(tmp_path / f"scans/labels/p{n}/ct.nii.gz", labels)
    recognised = recognise(tmp_path / "scans")
    assert (recognised.format["name"], recognised.format["images"], recognised.format["labels"]) == (
        "dicom",
        "series",
        "labels",
    )
    assert recognised.format["values"] == {1: "class 1", 2: "class 2"}


def test_dicom_series_without_labels_are_refused(tmp_path):
    files = {"a/1.dcm": bytes(128) + b"DICM" + bytes(9)}
    with pytest.raises(ConesError, match=r"no label volumes; expected labels/.*\.nii\.gz"):
        recognise(write_tree(tmp_path / "scans", files | {"b/1.dcm": files["a/1.dcm"]}))


# ------------------------------------------------------------------------------------------------------------ refused


def test_what_may_be_several_things_is_refused_with_the_choices(tmp_path):
    both = exports.yolo(TRUTH, set()).files | {"cvat/" + k: v for k, v in exports.cvat(TRUTH, set()).files.items()}
    write_tree(tmp_path / "both", both)
    with pytest.raises(ConesError, match=r"may be several things.*yolo: .*cvat: .*--format yolo or --format cvat"):
        recognise(tmp_path / "both")
    assert recognise(tmp_path / "both", "cvat").format["name"] == "cvat"
    with pytest.raises(ConesError, match="does not look like voc"):
        recognise(tmp_path / "both", "voc")
    with pytest.raises(ConesError, match='did you mean "coco"'):
        recognise(tmp_path / "both", "cocoo")


@pytest.mark.parametrize(
    "files, words",
    [
        ({"a.png": b"x", "notes.txt": b"x"}, r"no format known here.*found 1 \.png, 1 \.txt"),
        ({}, "no format known here.*found no file"),
        (
            {"instances_train.json": coco_json(["a.png"], [(1, 1, [1, 1, 2, 2])])}
            | {"keypoints_train.json": coco_json(["a.png"], [(1, 1, [1, 1, 2, 2])])},
            "two COCO files may be the train split; found .*instances_train.json and .*keypoints_train.json",
        ),
        (
            {"a/1.xml": voc_xml(1), "a/1.jpg": b"x", "b/1.xml": voc_xml(1), "b/1.jpg": b"x"},
            "several folders that are no splits",
        ),
        ({"1.xml": voc_xml(1), "2.png": b"x"}, "no pictures have the names"),
        (
            {"data.yaml": b"names: [a]\ntrain: x", "other.yaml": b"names: [b]\ntrain: x"},
            "several files may be the data.yaml",
        ),
        ({"boxes.csv": b"name,xmin,ymin,xmax,ymax\na.png,1,1,5,5\n"}, "the pictures that the table names are not here"),
    ],
)
def test_what_is_not_clear_is_refused_with_what_was_seen(tmp_path, files, words):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConesError, match=words):
        recognise(write_tree(tmp_path / "folder", files))


@pytest.mark.parametrize(
    "name, split",
    [
        ("train2017", "train"),
        ("instances_val", "val"),
        ("Validation", "val"),
        ("my-test", "test"),
        ("straining", None),
        ("train_test", None),
    ],
)
def test_words_for_splits(name, split):
    assert split_word(name) == split


def test_two_words_for_one_split_are_refused():
    with pytest.raises(ConesError, match="train and training"):
        split_rule(("train", "training", "test"))
    assert split_rule(("train", "test"))[0] == {"rule": "holdout80", "shipped": {"test": "test"}}
    assert split_rule(("batch1", "batch2"))[0] == {"rule": "test20_then_holdout80"}


# ------------------------------------------------------------------------------------------------- labelled pictures


def test_folders_of_classes_are_labelled_pictures(tmp_path):
    write_tree(tmp_path / "set" / "inner", class_tree((2,), splits=(".",)) | {"README.txt": b"about"})
    recognised = recognise(tmp_path / "set")
    assert recognised.format == {"name": "class_folders", "root": "inner"} and recognised.task == "classification"
    assert recognised.classes == ["Sea_Lion", "cat", "dog"] and recognised.splits == ()
    assert {(one.label, one.image.split("/")[1]) for one in records_of(tmp_path / "set", recognised)} == {
        (name, name) for name in recognised.classes
    }


def test_split_folders_above_the_classes_are_splits(tmp_path):
    write_tree(tmp_path / "set", class_tree((2, 1, 1), splits=("Training", "valid", "test")))
    recognised = recognise(tmp_path / "set")
    assert recognised.format == {"name": "class_folders", "folders": ["Training", "valid", "test"]}
    shipped = {"train": "Training", "val": "valid", "test": "test"}
    assert split_rule(recognised.splits)[0] == {"rule": "as_shipped", "shipped": shipped}
    assert {one.split for one in records_of(tmp_path / "set", recognised)} == {"Training", "valid", "test"}


@pytest.mark.parametrize(
    "files, words",
    [
        (class_tree() | {"labels.csv": b"a,b"}, "labels.csv may say more of the pictures.*--format class_folders"),
        (class_tree() | {"train/cat/notes.txt": b"mine"}, "train/cat/notes.txt may say more.*--format class_folders"),
        (class_tree() | {"loose.png": noise(1)}, "loose.png lies beside train, val, test"),
        (class_tree() | {"train/loose.png": noise(1)}, "train/loose.png lies in no folder of a class"),
        (class_tree() | {"other/cat/1.png": noise(1)}, "other lies beside train, val, test"),
        (class_tree() | {"train/images/1.png": noise(1)}, '"images" is no name of a class'),
        (class_tree(classes=("cat",)), r"all pictures of train are of one class \(cat\)"),
        (class_tree(classes=("cat",), splits=(".",)), "0.png lies in no folder of a class"),
    ],
)
def test_what_folders_alone_do_not_say_is_not_guessed(tmp_path, files, words):
    write_tree(tmp_path / "set", files)
    with pytest.raises(ConesError, match=f"of no format known here.*{words}") as caught:
        recognise(tmp_path / "set")
    assert "\n" not in str(caught.value)


def test_files_beside_class_folders_are_passed_over_where_somebody_says_so(tmp_path):
    write_tree(tmp_path / "set", class_tree() | {"train/cat/notes.txt": b"mine"})
    recognised = recognise(tmp_path / "set", "class_folders")
    assert recognised.classes == ["Sea_Lion", "cat", "dog"]
    assert "train/cat/notes.txt is passed over" in recognised.why[1]
    write_tree(tmp_path / "set", {"train/loose.png": noise(1)})
    with pytest.raises(ConesError, match=r"these are no class folders: train/loose\.png lies in no folder of a class"):
        recognise(tmp_path / "set", "class_folders")
