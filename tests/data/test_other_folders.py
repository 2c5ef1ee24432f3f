"""How other people lay out their folders: hidden files, one folder for all, sub-folders, bad and missing pictures."""

import pytest

from cones.runtime.errors import ConesError
from tests.data.native import mask
from tests.data.own import AS_SHIPPED, COCO, DIVIDED, SPLITS, coco_json, coco_tree, noise, prepared

BOX = "<bndbox><xmin>2</xmin><ymin>3</ymin><xmax>20</xmax><ymax>25</ymax></bndbox>"


def xml(extra="", *, filename="", objects=1, head=""):
    name = f"<filename>{filename}</filename>" if filename else ""
    return f"{head}<annotation>{name}{f'<object><name>red</name>{extra}{BOX}</object>' * objects}</annotation>".encode()


def voc_tree(count=6, **changes):
    files = {f"Annotations/a_{n}.xml": xml(**changes) for n in range(count)}
    return files | {f"JPEGImages/a_{n}.png": noise(n) for n in range(count)}


VOC = {"name": "voc"}


def voc(tmp_path, files, **described):
    return prepared(tmp_path, files, **{"format": VOC, "split": DIVIDED, **described})


def test_files_that_systems_leave_are_no_pictures_and_no_annotations(tmp_path):
    litter = ("Annotations/._a_0.xml", "JPEGImages/._a_0.png", "JPEGImages/Thumbs.db", "JPEGImages/desktop.ini")
    litter += ("JPEGImages/.DS_Store", "JPEGImages/@eaDir/a_0.png", "__MACOSX/a.xml")
    result = voc(tmp_path, voc_tree() | dict.fromkeys(litter, b"\0\5\x16\7"))
    assert sum(result.counts()) == 6 and result.report["notes"] == {}


def test_pictures_and_xml_in_one_folder(tmp_path):
    files = {f"train/{name.split('/')[1]}": content for name, content in voc_tree().items()}
    result = voc(tmp_path, files, format={**VOC, "annotations": "train", "images": "train"})
    assert sum(result.counts()) == 6


def test_roboflows_voc_export_with_its_splits(tmp_path):
    files = {}
    for seed, split in enumerate(("train", "train", "valid", "test")):
        files |= {f"{split}/{seed}.xml": xml(), f"{split}/{seed}.png": noise(seed)}
    split = {"rule": "as_shipped", "shipped": {"train": "train", "val": "valid", "test": "test"}}
    form = {**VOC, "folders": ["train", "valid", "test"], "annotations": ".", "images": "."}
    result = voc(tmp_path, files, format=form, split=split)
    assert result.counts() == [2, 1, 1] and result.items("test") == ["test/3"]


def test_xml_and_pictures_in_sub_folders_pair_by_path(tmp_path):
    files = {}
    for n in range(6):
        files |= {f"Annotations/p{n % 2}/{n // 2}.xml": xml(), f"JPEGImages/p{n % 2}/{n // 2}.png": noise(n)}
    result = voc(tmp_path, files)
    assert sorted(item for split in SPLITS for item in result.items(split)) == [
        f"p{p}/{n}" for p in (0, 1) for n in range(3)
    ]


@pytest.mark.parametrize("written", ["a_0", "a_0.jpg", "A_0.PNG", "C:\\photos\\a_0.png", "folder/a_0.png", ""])
def test_the_picture_with_the_xmls_own_name_is_taken(tmp_path, written):
    files = voc_tree() | {"Annotations/a_0.xml": xml(filename=written)}
    assert "JPEGImages/a_0.png" in voc(tmp_path, files).objects()


def test_filename_decides_between_two_suffixes_or_nothing_does(tmp_path):
    files = voc_tree() | {"JPEGImages/a_0.jpg": noise(50)}
    with pytest.raises(ConesError, match=r"a_0\.xml: two pictures have the XML's name.*found a_0\.jpg, a_0\.png"):
        voc(tmp_path, files)


def test_filename_of_another_picture_is_refused(tmp_path):
    files = voc_tree() | {"Annotations/a_0.xml": xml(filename="a_1.png")}
    with pytest.raises(ConesError, match=r'a_0\.xml: the XML names another picture.*found "a_1\.png"'):
        voc(tmp_path, files)


@pytest.mark.parametrize(
    "word, difficult", [("true", 1), ("0.0", 0), ("1.0", 1), ("Unspecified", 0), ("", 0), ("no", 0)]
)
def test_words_for_difficult(tmp_path, word, difficult):
    result = voc(tmp_path, voc_tree(extra=f"<difficult>{word}</difficult>"))
    assert result.report["difficult"] == 6 * difficult
    assert result.report["boxes_listed"] == 6 and (len(result.report["notes"]) == 1) == (word == "Unspecified")


def test_a_word_for_difficult_that_is_none_is_refused_by_name(tmp_path):
    with pytest.raises(ConesError, match=r'<difficult> of an object of class red is neither yes nor no.*found "2"'):
        voc(tmp_path, voc_tree(extra="<difficult>2</difficult>"))


@pytest.mark.parametrize("encoding", ["gb2312", "shift_jis", "utf-8", "utf-16", "iso-8859-1"])
def test_xml_in_a_declared_encoding(tmp_path, encoding):
    name = "blé" if encoding in ("utf-8", "utf-16", "iso-8859-1") else "日"
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?><annotation><object><name>{name}</name>{BOX}</object></annotation>'
    )
    files = voc_tree() | {"Annotations/a_0.xml": text.encode(encoding)}
    result = voc(tmp_path, files, classes=("red", name))
    assert result.objects()["JPEGImages/a_0.png"][0][0] == name


def test_sizes_that_are_no_numbers_are_not_stated_ones(tmp_path):
    size = "<size><width>40.0</width><height>30</height></size>"
    files = voc_tree() | {"Annotations/a_0.xml": xml().replace(b"<annotation>", f"<annotation>{size}".encode())}
    assert voc(tmp_path, files).report["size_differs"]["count"] == 0


# ---------------------------------------------------------------------------------------------------- COCO's layouts


def standard(prefix=""):
    """COCO's own: annotations/instances_<split>.json, pictures in <split>/."""
    files = {}
    for name, content in coco_tree().items():
        split, base = name.split("/")
        files[f"annotations/instances_{split}.json" if base == "labels.json" else f"{prefix}{name}"] = content
    return files


FILES = {"name": "coco", "files": {split: f"annotations/instances_{split}.json" for split in SPLITS}}


@pytest.mark.parametrize("prefix", ["", "images/"])
def test_cocos_standard_layout_with_a_picture_folder_for_each_split(tmp_path, prefix):
    images = {split: f"{prefix}{split}" for split in SPLITS}
    result = prepared(tmp_path, standard(prefix), format={**FILES, "images": images})
    assert result.counts() == [3, 1, 1] and result.items("test") == ["test/test_0"]


def test_without_the_key_the_message_names_it_and_the_folder(tmp_path):
    with pytest.raises(ConesError, match=r"3 of 3 listed pictures are missing; .*`images: train`") as caught:
        prepared(tmp_path, standard(), format=FILES)
    assert "fetch" not in str(caught.value)


@pytest.mark.parametrize(
    "written", ["/home/me/export/a.png", "../../label-studio/data/a.png", "C:\\data\\a.png", "a.png"]
)
def test_where_the_picture_folder_is_named_folders_of_other_machines_say_nothing(tmp_path, written):
    names = [written, *(f"{n}.png" for n in range(5))]
    files = {f"pictures/{name}": noise(n) for n, name in enumerate(("a.png", *names[1:]))}
    files["result.json"] = coco_json(names, [(n, 1, [2, 3, 10, 12]) for n in range(1, 7)])
    form = {"name": "coco", "files": {"all": "result.json"}, "images": "pictures"}
    assert "pictures/a.png" in prepared(tmp_path, files, format=form, split=DIVIDED).objects()


# --------------------------------------------------------------------------------------- what a person wants left out


def test_a_bad_picture_can_be_excluded_by_its_item_id(tmp_path):
    files = coco_tree() | {"train/train_1.png": b"no picture"}
    with pytest.raises(
        ConesError, match=r"train_1\.png: the picture cannot be decoded.*`exclude: \[\"train/train_1\"\]`"
    ):
        prepared(tmp_path, files, format=COCO)
    result = prepared(tmp_path, files, format=COCO, exclude=["train/train_1"])
    assert result.counts() == [2, 1, 1] and result.report["excluded"] == {"count": 1, "examples": ["train/train_1"]}


def test_an_excluded_item_that_is_not_there_is_a_slip(tmp_path):
    with pytest.raises(ConesError, match=r'`exclude` names an item that is not there: "train/train_7".*did you mean'):
        prepared(tmp_path, coco_tree(), format=COCO, exclude=["train/train_7"])


def test_an_excluded_xml_need_not_even_be_xml(tmp_path):
    files = voc_tree() | {"Annotations/a_2.xml": b"<annot", "JPEGImages/odd.png": noise(30)}
    result = voc(tmp_path, files, exclude=["a_2", "odd"])
    assert sum(result.counts()) == 5 and result.report["excluded"]["count"] == 2


@pytest.mark.parametrize("kind", ["coco", "voc", "masks"])
def test_missing_pictures_are_counted_as_far_as_they_are_allowed(tmp_path, kind, caplog):
    caplog.set_level("INFO")
    files, lost = {
        "coco": (coco_tree(), "train/train_1.png"),
        "voc": (voc_tree(), "JPEGImages/a_1.png"),
        "masks": (mask_tree(), "masks/m1.png"),
    }[kind]
    del files[lost]
    described = {
        "coco": {"format": COCO, "split": AS_SHIPPED},
        "voc": {"format": VOC, "split": DIVIDED},
        "masks": {"format": {"name": "masks"}, "split": DIVIDED, "classes": ["red"]},
    }[kind]
    with pytest.raises(ConesError, match=r"1 of . (listed pictures|masks) are missing; .*`allow_missing: 1`"):
        prepared(tmp_path, files, **described)
    result = prepared(tmp_path, files, **described, allow_missing=1)
    assert result.report["missing"]["count"] == 1
    assert "1 listed picture missing" in caplog.records[-1].message


# -------------------------------------------------------------------------------------------------------------- masks


def mask_tree(count=6):
    files = {f"images/m{n}.png": noise(n) for n in range(count)}
    return files | {f"masks/m{n}.png": mask((5, 6, 15, 20)) for n in range(count)}


def test_masks_of_any_suffix_and_in_sub_folders_are_found_and_the_rest_is_counted(tmp_path):
    files = mask_tree(3)
    for n in range(3, 6):
        files |= {f"images/p/m{n}.webp": noise(n, kind="WEBP"), f"masks/p/m{n}.gif": mask((5, 6, 15, 20), kind="GIF")}
    files["images/readme.txt"] = b"hello"
    result = prepared(tmp_path, files, format={"name": "masks"}, split=DIVIDED, classes=["red"])
    assert sum(result.counts()) == 6 and "p/m3" in [item for split in SPLITS for item in result.items(split)]
    assert result.report["notes"]["a file that is no picture, left out"]["examples"] == ["images/readme.txt"]


def test_equal_stems_pair_by_their_suffix(tmp_path):
    files = mask_tree(4) | {"images/a.png": noise(20), "images/a.jpg": noise(21, kind="JPEG")}
    files |= {"masks/a.png": mask((1, 1, 9, 9)), "masks/a.jpg": mask((20, 1, 29, 9), kind="JPEG")}
    result = prepared(tmp_path, files, format={"name": "masks"}, split=DIVIDED, classes=["red"])
    assert result.objects()["images/a.png"] == [("red", (1, 1, 8, 8))]
