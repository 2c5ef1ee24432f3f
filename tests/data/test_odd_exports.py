"""Exports as people have them, with what tools and spreadsheets do to them: read right, counted, or refused."""

import io
import json
import re

import numpy as np
import pytest
from PIL import Image, ImageFilter

from cones.runtime.errors import ConesError
from tests.data.own import AS_SHIPPED, COCO, DIVIDED, SPLITS, coco_json, coco_tree, encoded, noise, prepared

BOX = "<bndbox><xmin>2</xmin><ymin>3</ymin><xmax>20</xmax><ymax>25</ymax></bndbox>"
LINE = "1 0.5 0.5 0.5 0.2\n"  # the box (10, 12, 20, 6) of a picture of 40 x 30
SHAPE = {"label": "red", "points": [[2, 3], [12, 15]], "shape_type": "rectangle"}


def xml(box=BOX, *, more="", root="annotation", head=""):
    return f"{head}<{root}><object><name>red</name>{more}{box}</object></{root.split()[0]}>".encode()


def voc(count=10, content=None, picture=noise, suffix="png", **form):
    files = {f"Annotations/a{n}.xml": content or xml() for n in range(count)}
    files |= {f"JPEGImages/a{n}.{suffix}": picture(n) for n in range(count)}
    return {"files": files, "format": {"name": "voc", **form}, "split": DIVIDED}


def coco(change=None, **form):
    files = coco_tree()
    for split in SPLITS if change else ():
        content = json.loads(files[f"{split}/labels.json"])
        change(content)
        files[f"{split}/labels.json"] = json.dumps(content).encode()
    return {"files": files, "format": {**COCO, **form}}


def yolo(line=LINE, *, data="", lost=(), encoding="utf-8", **form):
    files = {"data.yaml": f"train: ../train/images\nval: ../val/images\ntest: ../test/images\n{data}".encode()}
    files["data.yaml"] += b"" if "names" in data else b"names: [red, white]\n"
    for seed, (split, n) in enumerate((("train", 0), ("train", 1), ("val", 0), ("test", 0))):
        files[f"{split}/images/{n}.png"] = noise(seed)
        files[f"{split}/labels/{n}.txt"] = line.encode(encoding)
    files = {name: content for name, content in files.items() if not name.startswith(tuple(lost) or ("?",))}
    return {"files": files, "format": {"name": "yolo", **form}, "split": AS_SHIPPED}


def labelme(*shapes, count=10, **more):
    content = {"shapes": shapes, "imageWidth": 40, "imageHeight": 30, **more}
    files = {f"a{n}.json": json.dumps(content).encode() for n in range(count)}
    return {"files": files | pictures("", count), "format": {"name": "labelme"}, "split": DIVIDED}


def cvat(shape='<box label="red" xtl="2" ytl="3" xbr="12" ybr="15"/>', *, more="", folder="images/"):
    images = "".join(f'<image id="{n}" name="a{n}.png" width="40" height="30">{shape}</image>' for n in range(10))
    files = {"annotations.xml": f"<annotations>{images}{more}</annotations>".encode(), **pictures(folder)}
    return {"files": files, "format": {"name": "cvat"}, "split": DIVIDED}


def pictures(folder, count=10):
    return {f"{folder}a{n}.png": noise(n) for n in range(count)}


HEAD = "name,xmin,ymin,xmax,ymax,class"


def csv(*lines, head=HEAD, row="{},2,3,12,15,red", encoding="utf-8", **form):
    lines = [head, *(row.format(f"a{n}.png") for n in range(10)), *lines]
    files = {"b.csv": "\r\n".join(lines).encode(encoding), **pictures("images/")}
    form = {"name": "csv_boxes", "annotations": "b.csv", "label": "class", **form}
    return {"files": files, "format": form, "split": DIVIDED}


def masks(pixels, names="masks/a{}.png", count=6, **form):
    files = {names.format(n): encoded(pixels) for n in range(count)} | pictures("images/", count)
    return {"files": files, "format": {"name": "masks", **form}, "split": DIVIDED, "classes": ["red"]}


def square(shade=255, around=0):
    pixels = np.zeros((30, 40), np.uint8)
    pixels[4:21, 5:26], pixels[5:20, 6:25] = around, shade
    return pixels


def with_files(described, **files):
    """The same export with further files; a content of None removes one."""
    every = {**described["files"], **files}
    return described | {"files": {name: content for name, content in every.items() if content is not None}}


def below(folder, described):
    return described | {"files": {folder + name: content for name, content in described["files"].items()}}


def renamed(described, old, new):
    return described | {"files": {name.replace(old, new): content for name, content in described["files"].items()}}


def without(described, ending):
    kept = {name: content for name, content in described["files"].items() if not name.endswith(ending)}
    return described | {"files": kept}


def changed(key, value):
    """A change of the COCO document: each annotation gets `key`."""
    return lambda content: [one.update({key: value}) for one in content["annotations"]]


def turned_by(degrees):
    return f"<attributes><attribute><name>rotation</name><value>{degrees}</value></attribute></attributes>"


READ = {
    "COCO: a box that CVAT turned": (coco(changed("attributes", {"rotation": 90.0})), (1, 4, 12, 10)),
    "VOC: a box that CVAT turned": (voc(content=xml(more=turned_by(90))), (0, 5, 22, 18)),
    "VOC: a namespace": (voc(content=xml(root='annotation xmlns="http://x.org/v"')), (2, 3, 18, 22)),
    "VOC: boxes counted from 1": (
        voc(content=xml("<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>41</xmax><ymax>31</ymax></bndbox>")),
        (1, 1, 39, 29),
    ),
    "YOLO: text files in UTF-16": (yolo(encoding="utf-16"), (10, 12, 20, 6)),
    "YOLO: boxes and polygons": (yolo(LINE + "0 0.1 0.1 0.5 0.1 0.5 0.6 0.1 0.6"), (10, 12, 20, 6)),
    "YOLO: a data set below its data.yaml": (
        renamed(below("ds/", yolo(data="path: ds\n")), "ds/data.yaml", "data.yaml"),
        (10, 12, 20, 6),
    ),
    "LabelMe: X-AnyLabeling's turned boxes": (
        labelme({**SHAPE, "points": [[2, 3], [12, 5], [11, 15], [1, 13]], "shape_type": "rotation"}),
        (1, 3, 11, 12),
    ),
    "LabelMe: a label that is a number": (labelme({**SHAPE, "label": 1}) | {"classes": ["1"]}, (2, 3, 10, 12)),
    "LabelMe: a path of Windows": (labelme(SHAPE, imagePath="..\\pictures\\a.png"), (2, 3, 10, 12)),
    "CSV: UTF-16 without a mark": (csv(encoding="utf-16-le"), (2, 3, 10, 12)),
    "CSV: semicolons and decimal commas": (
        csv(head=HEAD.replace(",", ";"), row="{};2,5;3;12;15,25;red"),
        (2.5, 3, 9.5, 12.25),
    ),
    "CSV: Excel's first line": (csv(head="sep=;\r\n" + HEAD.replace(",", ";"), row="{};2;3;12;15;red"), (2, 3, 10, 12)),
    "CSV: rows without text": (csv(",,,,,", "", " , ,,,,"), (2, 3, 10, 12)),
    "CSV: paths of another machine": (csv(row="C:\\data\\images\\{},2,3,12,15,red"), (2, 3, 10, 12)),
    "CSV: line breaks in a remark": (csv(head=HEAD + ",remark", row='{},2,3,12,15,red,"two\nlines"'), (2, 3, 10, 12)),
    "masks: soft edges": (
        masks(np.asarray(Image.fromarray(square()).filter(ImageFilter.GaussianBlur(1.0)))),
        (6, 5, 19, 15),
    ),
}


@pytest.mark.parametrize("described, box", READ.values(), ids=READ)
def test_what_tools_write_is_read_right(tmp_path, described, box):
    boxes = [objects[0][1] for objects in prepared(tmp_path, **described).objects().values()]
    assert len(boxes) >= 4 and all(one == pytest.approx(box, abs=0.01) for one in boxes)


def pages(n):
    first, second = (Image.fromarray(np.full((30, 40, 3), n + shade, np.uint8)) for shade in (0, 100))
    first.putpixel((0, 0), (255, n, 0))
    first.save(buffer := io.BytesIO(), "TIFF", save_all=True, append_images=[second])
    return buffer.getvalue()


def twelve_bits(n):
    return encoded(np.random.default_rng(n).integers(0, 4096, (30, 40)).astype(np.uint16))


COUNTED = {
    "COCO: a picture that no file lists": (
        with_files(coco(), **{"train/x.png": noise(90)}),
        "a picture that no annotation names, left out",
        1,
    ),
    "COCO: boxes listed twice": (
        coco(lambda content: content["annotations"].extend(map(dict, list(content["annotations"])))),
        "a box that is there twice, both kept",
        5,
    ),
    "COCO: ignore": (
        coco(changed("ignore", 1)),
        "an annotation with `ignore`, kept as an object (COCO goes by iscrowd alone)",
        5,
    ),
    "CVAT: a picture that the XML does not list": (
        with_files(cvat(), **{"images/x.png": noise(90)}),
        "a picture that no annotation names, left out",
        1,
    ),
    "CSV: a row with a name alone": (
        with_files(csv("x.png,,,,,"), **{"images/x.png": noise(90), "images/y.png": noise(91)}),
        "a picture without a row in the CSV, kept as a picture without boxes",
        1,
    ),
    "pages": (voc(picture=pages, suffix="tif"), "a picture of several frames, the first is taken", 10),
    "12 bits in a file of 16": (
        voc(picture=twelve_bits),
        "a 16-bit picture that uses less than an eighth of its range, nearly black",
        10,
    ),
    "masks: white around the object": (masks(255 - square()), "a box that fills its whole picture", 6),
    "masks: colours": (
        masks(np.stack([square(), square(), 0 * square()], axis=2)),
        "a mask with colours, read by its brightness",
        6,
    ),
}


@pytest.mark.parametrize("described, note, count", COUNTED.values(), ids=COUNTED)
def test_what_may_be_meant_is_counted(tmp_path, described, note, count):
    assert prepared(tmp_path, **described).report["notes"][note]["count"] == count


REFUSED = {
    "COCO: all boxes are crowds": (coco(changed("iscrowd", 1)), r"no picture to train on has a box.*crowds among.*: 5"),
    "COCO: all boxes empty": (coco(changed("bbox", [0, 0, 0, 0])), r"train on has a box.*5 dropped \(no area\)"),
    "COCO: all boxes outside": (coco(changed("bbox", [50, 60, 9, 9])), r"5 dropped \(outside the picture\)"),
    "COCO: the file of another folder": (
        renamed(coco(), "train/labels", "annotations/train"),
        r"train: no annotation file .*; found annotations/train\.json, test/labels\.json.*`root` or `folders`",
    ),
    "COCO: pictures below the folder": (
        renamed(renamed(coco(images="img"), "train/train", "img/sub/train"), "val/val", "img/sub/val"),
        r"expected img/train_0\.png; found img/sub/train_0\.png.*or correct `images`",
    ),
    "COCO: a Git LFS pointer": (
        with_files(coco(), **{"train/labels.json": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"}),
        r"broken JSON; found a Git LFS pointer .*git lfs pull",
    ),
    "COCO: another encoding": (
        with_files(coco(), **{"train/labels.json": coco_json(["a.png"]).replace(b"red", "é".encode("latin-1"))}),
        r"broken JSON.*next: save it as UTF-8",
    ),
    "VOC: another kind of XML": (
        voc(content=xml(root="annotations"), allow_empty=True),
        r"a0\.xml: not a VOC file; expected <annotation>; found <annotations>.*cvat",
    ),
    "VOC: turned boxes of rolabelImg": (
        voc(content=xml("<robndbox><cx>1</cx></robndbox>")),
        r"no usable <bndbox>.*found <name> <robndbox>",
    ),
    "VOC: two boxes of one object": (voc(content=xml(BOX + BOX)), "class red has more than one <bndbox>"),
    "VOC: folders of other names": (
        renamed(voc(), "Annotations", "annotations"),
        r"Annotations: no XML file here; found annotations/a0\.xml.*`annotations`",
    ),
    "VOC: a kind of picture that is none": (
        renamed(voc(), ".png", ".heic"),
        r"10 of 10 listed pictures are missing.*found JPEGImages/a0\.heic.*save such files as PNG or JPEG",
    ),
    "VOC: no splits of its own": (
        voc() | {"split": AS_SHIPPED},
        r"the files name no splits of their own.*`rule: test20_then_holdout80`",
    ),
    "VOC: a Git LFS pointer": (
        with_files(voc(), **{"JPEGImages/a3.png": b"version https://git-lfs.github.com/spec/v1\n"}),
        r"a3\.png: the picture cannot be decoded; found a Git LFS pointer",
    ),
    "YOLO: Roboflow's test folder is not there": (
        yolo(lost=["test"]),
        r"the pictures of split test are not there; .*take `test` out of data\.yaml",
    ),
    "YOLO: data.yaml below a folder": (
        below("My v1/", yolo()),
        r"the file of class names is missing.*found My v1/data\.yaml.*`root` or `data`",
    ),
    "YOLO: darknet's names": (
        with_files(yolo(), **{"data.yaml": None, "obj.names": b"red\nwhite\n"}),
        r"the file of class names is missing.*found obj\.names",
    ),
    "LabelMe: pictures in the JSON files": (
        without(labelme(SHAPE, imageData="iVBO"), ".png"),
        r"10 of 10 listed pictures are missing.*found no picture at all.*`imageData`",
    ),
    "LabelMe: another JSON": (
        with_files(labelme(SHAPE), **{"classes.json": b'["red"]'}),
        r'classes\.json: not a LabelMe file.*`exclude: \["classes"\]`',
    ),
    "CVAT: pictures one folder below": (cvat(folder="images/default/"), r"found images/default/a0\.png.*`images`"),
    "CVAT: a picture listed twice": (
        cvat(more='<image id="99" name="a0.png"/>'),
        r'annotations\.xml: the picture "a0\.png" is listed twice; found image ids 0 and 99',
    ),
    "CVAT: nothing but lines": (
        cvat('<polyline label="red" points="1,1;2,2"/>'),
        r"no picture to train on has a box.*encloses nothing \(polyline\), left out: 10",
    ),
    "CSV: widths in place of corners": (
        csv(row="{},16,12,10,8,red"),
        r"10 of 10 boxes end before they begin.*widths and heights.*found \[16, 12, 10, 8\]",
    ),
    "CSV: names that a spreadsheet changed": (
        csv(row="0{},2,3,12,15,red"),
        r"expected images/0a0\.png; found pictures such as images/a0\.png",
    ),
    "CSV: a column twice": (csv(head=HEAD + ",class", row="{},2,3,12,15,red,white"), 'two columns "class"'),
    "CSV: a row without a class": (csv("a0.png,1,2,3,4,"), r"line 12 holds no box of a picture and a class"),
    "CSV: thousands": (csv(row='{},"1,200",3,12,15,red'), r"line 2 holds no box"),
    "CSV: a workbook": (with_files(csv(), **{"b.csv": b"PK\3\4\0\0"}), r"found an Excel workbook or zip archive"),
    "CSV: an empty file": (with_files(csv(), **{"b.csv": b""}), r'no column "name".*found nothing'),
    "masks: the object darker than its border": (
        masks(square(38, 220)),
        r"the mask holds the shade 38.*found 285 pixels of 38, 72 brighter.*`threshold: 37`.*`values`",
    ),
    "masks: names with more than the picture's": (
        masks(square(), names="masks/a{}_mask.png"),
        r"6 of 6 masks are missing.*found masks/a0_mask\.png.*`mask_suffix`",
    ),
}  # fmt: skip


@pytest.mark.parametrize("described, words", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_right_is_refused_and_says_what_is_there(tmp_path, described, words):
    with pytest.raises(ConesError) as caught:
        prepared(tmp_path, **described)
    message = str(caught.value)
    assert re.search(words, message) and "\n" not in message and "fetch" not in message, message


def test_a_list_of_each_split_as_voc_and_cvat_have_them(tmp_path):
    lists = {"train": "ImageSets/Main/train.txt", "val": "ImageSets/Main/val.txt", "test": "ImageSets/Main/test.txt"}
    names = {"train": "a0\na1  1\na2 -1\na3\na4\n", "val": "a5\r\na6\r\n", "test": "a7.xml\na8\na9\n"}
    described = voc(lists=lists) | {"split": AS_SHIPPED}
    described["files"] |= {lists[split]: names[split].encode() for split in SPLITS}
    result = prepared(tmp_path / "sound", **described)
    assert result.counts() == [5, 2, 3] and sorted(result.items("test")) == ["a7", "a8", "a9"]
    with pytest.raises(ConesError, match=r"val\.txt: a0 stands in two lists; found train and val"):
        prepared(tmp_path / "twice", **with_files(described, **{lists["val"]: b"a0\n"}))
    with pytest.raises(
        ConesError, match=r"1 of 10 listed names are missing; expected b5 \(of ImageSets/Main/val\.txt\)"
    ):
        prepared(tmp_path / "lost", **with_files(described, **{lists["val"]: b"b5\na6\n"}))
