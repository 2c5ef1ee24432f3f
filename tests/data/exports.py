"""One truth (pictures, boxes, classes, splits) written as each format's tools write it, with their quirks."""

import csv
import io
import json
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from hypothesis import strategies as st

from tests.data.own import AS_SHIPPED, SPLITS, noise

CLASSES = ("red cell", "white", "Blé")
SIZES = ((24, 16), (16, 24), (20, 20))
NAMES = ("a", "b.v1.rf.x", "cam0/a", "cam1/a", "c d", "é", "Z")


@dataclass(frozen=True)
class Item:
    """One picture of the truth. `name` is its path below the folder of its split, without suffix."""

    name: str
    split: str
    size: tuple[int, int]
    objects: tuple[tuple[str, tuple[float, float, float, float]], ...]
    number: int

    @property
    def content(self) -> bytes:
        return _picture(self.number, *self.size)


@cache
def _picture(number: int, width: int, height: int) -> bytes:
    return noise(number, width, height)


@st.composite
def truths(draw) -> tuple[Item, ...]:
    items = []
    for split in SPLITS:
        for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)):
            width, height = draw(st.sampled_from(SIZES))
            objects = []
            for _ in range(draw(st.integers(0 if items and items[-1].split == split else 1, 3))):
                x, y = draw(st.integers(0, width - 3)), draw(st.integers(0, height - 3))
                across, down = draw(st.integers(2, width - x)), draw(st.integers(2, height - y))
                half = draw(st.sampled_from((0.0, 0.5)))
                box = (
                    (x + half, y + half, across - 2 * half, down - 2 * half)
                    if min(across, down) > 2
                    else (x, y, across, down)
                )
                objects.append((draw(st.sampled_from(CLASSES)), tuple(map(float, box))))
            items.append(Item(name, split, (width, height), tuple(objects), len(items)))
    return tuple(items)


@dataclass
class Export:
    """Files, how a registry entry describes them, and where each picture lies: `{file: item}`."""

    files: dict[str, bytes]
    format: dict
    pictures: dict[str, Item]
    split: dict = field(default_factory=lambda: dict(AS_SHIPPED))


def corners(box):
    x, y, width, height = box
    return x, y, x + width, y + height


def litter(export: Export) -> None:
    """What systems leave behind, beside every file."""
    for name in list(export.files):
        folder, _, base = name.rpartition("/")
        export.files[f"{folder}/._{base}".lstrip("/")] = b"\0\5\x16\7"
        export.files[f"{folder}/Thumbs.db".lstrip("/")] = b"\xd0\xcf"


# --------------------------------------------------------------------------------------------------------------- COCO


def coco(items, quirks, classes=CLASSES) -> Export:
    export = Export({}, {"name": "coco", "folders": list(SPLITS), "annotations": ["labels.json"]}, {})
    first = 0 if "ids from zero" in quirks else 1
    for split in SPLITS:
        images, annotations = [], []
        for number, item in enumerate([one for one in items if one.split == split], start=first):
            name = f"{item.name}.png"
            export.files[f"{split}/{name}"] = item.content
            export.pictures[f"{split}/{name}"] = item
            listed = name.replace("/", "\\") if "backslashes" in quirks else name
            image = {"id": number, "file_name": listed, "width": item.size[0], "height": item.size[1]}
            if "no sizes" in quirks:
                image |= {"width": 0, "height": None}
            images.append(image)
            for class_name, box in item.objects:
                x, y, width, height = box
                if "backwards" in quirks:
                    x, y, width, height = x + width, y + height, -width, -height
                annotation = {"id": len(annotations), "image_id": number, "bbox": [x, y, width, height], "iscrowd": "0"}
                annotation["category_id"] = classes.index(class_name) + first
                if "ids as text" in quirks:
                    annotation |= {key: str(annotation[key]) for key in ("id", "image_id", "category_id")}
                annotations.append(annotation)
        categories = [{"id": n, "name": name} for n, name in enumerate(classes, start=first)]
        categories += [{"id": 99, "name": "super"}]
        _coco_faults(images, annotations, categories, quirks)
        text = json.dumps({"images": images, "annotations": annotations, "categories": categories}).encode()
        export.files[f"{split}/labels.json"] = b"\xef\xbb\xbf" + text if "mark" in quirks else text
    if "missing picture" in quirks:
        del export.files[next(name for name in export.files if name.endswith(".png"))]
    return export


def _coco_faults(images, annotations, categories, quirks) -> None:
    if "category twice" in quirks:
        categories[1]["id"] = categories[0]["id"]
        for one in annotations:
            one["category_id"] = categories[0]["id"]
    if "image twice" in quirks:
        images.append(dict(images[0]))
    if "another size" in quirks:
        for image in images:
            image |= {"width": 77, "height": 77}
    if "no box" in quirks:
        annotations[0]["bbox"] = []
    if "fractions" in quirks:
        for one in annotations:
            one["bbox"] = [value / 30 for value in one["bbox"]]
    if "unknown class" in quirks:
        categories[0]["name"] = categories[1]["name"] = categories[2]["name"] = "blue"


# ---------------------------------------------------------------------------------------------------------------- VOC


def voc(items, quirks) -> Export:
    form = {"name": "voc", "folders": list(SPLITS), "allow_empty": True}
    if "one folder" in quirks:
        form |= {"annotations": ".", "images": "."}
    export = Export({}, form, {})
    for item in items:
        pictures, annotations = ("", "") if "one folder" in quirks else ("JPEGImages/", "Annotations/")
        picture = f"{item.split}/{pictures}{item.name}.png"
        export.files[picture], export.pictures[picture] = item.content, item
        export.files[f"{item.split}/{annotations}{item.name}.xml"] = _voc_xml(item, quirks)
    if "missing picture" in quirks:
        del export.files[next(iter(export.pictures))]
    if "missing xml" in quirks:
        del export.files[next(name for name in export.files if name.endswith(".xml"))]
    return export


def _voc_xml(item: Item, quirks) -> bytes:
    base = item.name.split("/")[-1]
    said = {"no filename": "", "filename without suffix": base, "filename elsewhere": f"C:\\x\\{base}.JPG"}
    filename = next((text for quirk, text in said.items() if quirk in quirks), f"{base}.png")
    filename = "other.png" if "another filename" in quirks else filename
    scale = 2 if "another size" in quirks else 1
    width, height = (side * scale for side in item.size)
    objects = ""
    for class_name, box in item.objects:
        left, top, right, bottom = corners(box)
        if "backwards" in quirks:
            left, top, right, bottom = right, bottom, left, top
        if "fractions" in quirks:
            left, top, right, bottom = (value / 30 for value in (left, top, right, bottom))
        if "no box" in quirks:
            left = "x"
        difficult = "maybe" if "odd words" in quirks else "Unspecified" if "words" in quirks else "0.0"
        objects += (
            f"<object><name>{class_name}</name><difficult>{difficult}</difficult><bndbox><xmin>{left}</xmin>"
            f"<ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
        )
    encoding = "iso-8859-1" if "latin" in quirks else "utf-8"
    return (
        f'<?xml version="1.0" encoding="{encoding}"?><annotation><filename>{filename}</filename><size>'
        f"<width>{width}</width><height>{height}</height></size>{objects}</annotation>"
    ).encode(encoding)


# --------------------------------------------------------------------------------------------------------------- YOLO


def yolo(items, quirks, classes=CLASSES) -> Export:
    export, head = Export({}, {"name": "yolo"}, {}), []
    for item in items:
        twin = "{}/{}" if "split first" in quirks else "{1}/{0}"
        picture = f"{twin.format(item.split, 'images')}/{item.name}.png"
        export.files[picture], export.pictures[picture] = item.content, item
        if item.objects or "empty files" in quirks:
            name = unicodedata.normalize("NFD", item.name) if "apart" in quirks else item.name
            lines = [_yolo_line(classes.index(class_name), box, item.size, quirks) for class_name, box in item.objects]
            export.files[f"{twin.format(item.split, 'labels')}/{name}.txt"] = "\n".join(lines).encode()
        folder = twin.format(item.split, "images")
        head.append((item.split, f"../{folder}" if "paths with .." in quirks else f"./{folder}"))
    names = dict(enumerate(classes)) if "names by number" in quirks else list(classes)
    content = {"path": "/content/data", "names": names, "nc": len(classes), **dict(head)}
    if "names missing" in quirks:
        content["names"] = list(classes)[:0]
    export.files["data.yaml"] = json.dumps(content).encode()  # JSON is YAML
    if "names by number" in quirks:
        export.files["data.yaml"] = (
            export.files["data.yaml"].replace(b'"0"', b"0").replace(b'"1"', b"1").replace(b'"2"', b"2")
        )
    if "two suffixes" in quirks:
        first, item = next((name, item) for name, item in export.pictures.items() if item.objects)
        export.files[first.removesuffix("png") + "jpg"] = noise(1000)
    if "missing picture" in quirks:
        boxed = next(name for name, item in export.pictures.items() if item.objects)
        del export.files[boxed]
    return export


def _yolo_line(number, box, size, quirks) -> str:
    left, top, right, bottom = corners(box)
    across, down = (1, 1) if "pixels" in quirks else size
    values = [(left + right) / 2 / across, (top + bottom) / 2 / down, (right - left) / across, (bottom - top) / down]
    if "polygons" in quirks:
        ring = [(left, top), (right, top), (right, bottom), (left, bottom)]
        values = [value / side for point in ring for value, side in zip(point, (across, down))]
    if "scores" in quirks:
        values.append(0.9)
    number += 7 if "class number" in quirks else 0
    return " ".join(map(repr, (number, *values)))


# ------------------------------------------------------------------------------------------------------ LabelMe, CVAT


def labelme(items, quirks) -> Export:
    export = Export({}, {"name": "labelme", "folders": list(SPLITS), "allow_empty": True}, {})
    for item in items:
        picture = f"{item.split}/{item.name}.png"
        export.files[picture], export.pictures[picture] = item.content, item
        shapes = []
        for number, (class_name, box) in enumerate(item.objects):
            left, top, right, bottom = corners(box)
            points, kind = [[left, top], [right, bottom]], "rectangle"
            if "backwards" in quirks:
                points = [[right, top], [left, bottom]]
            if "polygons" in quirks:
                points, kind = [[left, top], [right, top], [right, bottom], [left, bottom]], "polygon"
            if "no box" in quirks:
                points = points[:1]
            shape = {"label": class_name, "points": points, "shape_type": kind, "group_id": None, "flags": {}}
            shapes.append(shape | ({"shape_type": "spiral"} if "odd shape" in quirks else {}))
            if "parts" in quirks and not {"odd shape", "no box"} & quirks:  # two halves of one object
                middle = (left + right) / 2
                halves = ([[left, top], [middle, bottom]], [[middle, top], [right, bottom]])
                shapes[-1:] = [
                    shape | {"points": half, "shape_type": "rectangle", "group_id": number} for half in halves
                ]
        scale = 2 if "another size" in quirks else 1
        said = f"..\\pictures\\{item.name.split('/')[-1]}.png"
        content = {"shapes": shapes, "imagePath": said, "imageData": None}
        content |= {"imageWidth": item.size[0] * scale, "imageHeight": item.size[1] * scale}
        shapes += [{"label": CLASSES[0], "points": [[1, 1]], "shape_type": "point"}] if "points" in quirks else []
        export.files[f"{item.split}/{item.name}.json"] = json.dumps(content).encode()
    if "missing picture" in quirks:
        del export.files[next(iter(export.pictures))]
    if "missing json" in quirks:
        del export.files[next(name for name in export.files if name.endswith(".json"))]
    return export


def cvat(items, quirks) -> Export:
    export, images = Export({}, {"name": "cvat"}, {}), ""
    for number, item in enumerate(items):
        name, subset = f"{item.split}/{item.name}.png", f' subset="{item.split}"'
        export.files[f"images/{name}"], export.pictures[f"images/{name}"] = item.content, item
        shapes = "".join(_cvat_shape(class_name, box, quirks) for class_name, box in item.objects)
        listed = f"{item.name}.png" if "names below the subset" in quirks else name
        scale = 2 if "another size" in quirks else 1
        width, height = (side * scale for side in item.size)
        images += f'<image id="{number}" name="{listed}"{subset} width="{width}" height="{height}">{shapes}</image>'
    track = "<track id='0' label='white'/>" if "video" in quirks else ""
    text = f'<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>{images}{track}</annotations>'
    export.files["annotations.xml"] = text.encode()
    if "missing picture" in quirks:
        del export.files[next(iter(export.pictures))]
    return export


def _cvat_shape(class_name, box, quirks) -> str:
    left, top, right, bottom = corners(box)
    if "no box" in quirks:
        return f'<box label="{class_name}" xtl="{left}" ytl="{top}" xbr="x" ybr="{bottom}"/>'
    if "polygons" in quirks:
        points = f"{left},{top};{right},{top};{right},{bottom};{left},{bottom}"
        return f'<polygon label="{class_name}" points="{points}" occluded="0" z_order="0"/>'
    if "a quarter turn" in quirks:  # the same box, drawn lying and turned by 90 degrees
        x, y, width, height = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
        turned = (x - height / 2, y - width / 2, x + height / 2, y + width / 2)
        places = " ".join(f'{key}="{value}"' for key, value in zip(("xtl", "ytl", "xbr", "ybr"), turned))
        return f'<box label="{class_name}" rotation="90.0" {places}/>'
    if "backwards" in quirks:
        left, top, right, bottom = right, bottom, left, top
    open_shape = f'<points label="{class_name}" points="1,1"/>' if "points" in quirks else ""
    return f'<box label="{class_name}" xtl="{left}" ytl="{top}" xbr="{right}" ybr="{bottom}"/>{open_shape}'


# ---------------------------------------------------------------------------------------------------------------- CSV


def csv_boxes(items, quirks) -> Export:
    """Without splits of its own: the split is a rule's, and only boxes are compared."""
    form = {"name": "csv_boxes", "annotations": "boxes.csv", "label": "class"}
    export = Export({}, form, {}, split={"rule": "test20_then_holdout80"})
    text = io.StringIO()
    rows = csv.writer(text, delimiter=";" if "semicolons" in quirks else ",")
    rows.writerow(["name", "xmin", "ymin", "xmax", "ymax", "class"])
    for item in items:
        picture = f"{item.split}/{item.name}.png"
        export.files[f"images/{picture}"], export.pictures[f"images/{picture}"] = item.content, item
        for class_name, box in item.objects:
            left, top, right, bottom = corners(box)
            if "backwards" in quirks:
                left, right = right, left
            if "no box" in quirks:
                left = ""
            rows.writerow(
                [
                    picture.replace("/", "\\") if "backslashes" in quirks else picture,
                    left,
                    top,
                    right,
                    bottom,
                    class_name,
                ]
            )
    wide = "utf-16" if "wide" in quirks else "utf-8-sig"
    export.files["boxes.csv"] = text.getvalue().encode(wide)
    if "missing picture" in quirks:
        del export.files[next(name for name, item in export.pictures.items() if item.objects)]
    return export


@dataclass(frozen=True)
class Kind:
    """A format's writer, the quirks that change nothing, and those that must be refused."""

    write: Callable
    harmless: tuple[str, ...]
    refused: tuple[str, ...]
    truths: Callable = truths
    needs: tuple[str, ...] = ()  # libraries of the extra `medical`


KINDS = {
    "coco": Kind(
        coco,
        ("ids from zero", "backslashes", "no sizes", "backwards", "ids as text", "mark"),
        ("missing picture", "category twice", "image twice", "another size", "no box", "fractions", "unknown class"),
    ),
    "voc": Kind(
        voc,
        ("one folder", "no filename", "filename without suffix", "filename elsewhere", "backwards", "words", "latin"),
        ("missing picture", "missing xml", "another filename", "another size", "fractions", "no box", "odd words"),
    ),
    "yolo": Kind(
        yolo,
        ("split first", "empty files", "paths with ..", "names by number", "polygons", "apart"),
        ("names missing", "missing picture", "two suffixes", "pixels", "scores", "class number"),
    ),
    "labelme": Kind(
        labelme,
        ("backwards", "polygons", "parts", "points"),
        ("no box", "odd shape", "another size", "missing picture", "missing json"),
    ),
    "cvat": Kind(
        cvat,
        ("polygons", "a quarter turn", "backwards", "points", "names below the subset"),
        ("another size", "video", "no box", "missing picture"),
    ),
    "csv_boxes": Kind(csv_boxes, ("semicolons", "backwards", "backslashes", "wide"), ("no box", "missing picture")),
}
