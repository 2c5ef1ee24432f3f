"""Native layouts: painted pictures -> the files of an archive, named and arranged as the real dataset has them."""

import hashlib
import io
import json
from dataclasses import dataclass
from xml.sax.saxutils import escape

from cones.data.registry import SPLITS, Dataset, Source
from cones.miniature.painter import Painted

JPEG_QUALITY = 93
ORIGIN = "Drawn by the miniature of this project; no picture of the real dataset is used."


@dataclass(frozen=True)
class Page:
    """One painted picture and the split it was painted for."""

    index: int
    split: str
    painted: Painted


def jpeg(page: Page) -> bytes:
    buffer = io.BytesIO()
    page.painted.image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def bccd(dataset: Dataset, source: Source, pages: list[Page]) -> dict[str, bytes]:
    """The GitHub repository of BCCD: one top folder, a Pascal VOC tree below."""
    top = f"{source.archives[0].strip}"
    root = f"{top}/{source.format.parameters['root']}"
    files = {f"{top}/README.md": f"# BCCD\n{ORIGIN}\n".encode()}
    stems = {page.index: f"BloodImage_{page.index:05d}" for page in pages}
    for page in pages:
        files[f"{root}/JPEGImages/{stems[page.index]}.jpg"] = jpeg(page)
        files[f"{root}/Annotations/{stems[page.index]}.xml"] = _voc_xml(stems[page.index], page.painted).encode()
    lists = {split: [stems[page.index] for page in pages if page.split == split] for split in SPLITS}
    lists["trainval"] = sorted(lists["train"] + lists["val"])
    for name, members in lists.items():
        files[f"{root}/ImageSets/Main/{name}.txt"] = "".join(f"{stem}\n" for stem in members).encode()
    return files


def aquarium(dataset: Dataset, source: Source, pages: list[Page]) -> dict[str, bytes]:
    """An ODinW zip: a Roboflow COCO export, pictures and annotations side by side in train, valid and test."""
    return _roboflow(dataset, source, pages, supercategory="creatures")


def _roboflow(dataset: Dataset, source: Source, pages: list[Page], *, supercategory: str) -> dict[str, bytes]:
    root = source.format.parameters["root"]
    files = {
        f"{root}/README.dataset.txt": f"# {dataset.paper_name}\n{ORIGIN}\n".encode(),
        f"{root}/README.roboflow.txt": f"{ORIGIN}\n".encode(),
    }
    for split, folder in source.split.shipped.items():
        document = _roboflow_document(dataset, supercategory)
        for page in (page for page in pages if page.split == split):
            content = jpeg(page)
            name = f"IMG_{2000 + page.index}_jpg.rf.{hashlib.sha256(content).hexdigest()[:32]}.jpg"
            files[f"{root}/{folder}/{name}"] = content
            _add_picture(document, name, page.painted, dataset.classes)
        files[f"{root}/{folder}/_annotations.coco.json"] = json.dumps(document).encode()
        document["categories"] = [category for category in document["categories"] if category["id"] != 0]
        files[f"{root}/{folder}/annotations_without_background.json"] = json.dumps(document).encode()
    return files


def _roboflow_document(dataset: Dataset, supercategory: str) -> dict:
    listed = [{"id": 0, "name": supercategory, "supercategory": "none"}]
    for number, name in enumerate(dataset.classes, start=1):
        listed.append({"id": number, "name": name, "supercategory": supercategory})
    info = {"year": "2020", "version": "2", "description": ORIGIN, "contributor": "", "url": "", "date_created": ""}
    licences = [{"id": 1, "url": "", "name": "drawn"}]
    return {"info": info, "licenses": licences, "categories": listed, "images": [], "annotations": []}


def _add_picture(document: dict, name: str, painted: Painted, classes: list[str]) -> None:
    number = len(document["images"])  # Roboflow's ids start at 0
    width, height = painted.image.size
    image = {"id": number, "license": 1, "file_name": name, "height": height, "width": width, "date_captured": ""}
    document["images"].append(image)
    for one in painted.objects:
        left, top, right, bottom = one.box
        document["annotations"].append(
            {
                "id": len(document["annotations"]),
                "image_id": number,
                "category_id": classes.index(one.class_name) + 1,
                "bbox": [left, top, right - left, bottom - top],
                "area": (right - left) * (bottom - top),
                "segmentation": [],
                "iscrowd": 0,
            }
        )


def _voc_xml(stem: str, painted: Painted) -> str:
    width, height = painted.image.size
    objects = "".join(
        f"\t<object>\n\t\t<name>{escape(one.class_name)}</name>\n\t\t<pose>Unspecified</pose>\n"
        "\t\t<truncated>0</truncated>\n\t\t<difficult>0</difficult>\n\t\t<bndbox>\n"
        "\t\t\t<xmin>{}</xmin>\n\t\t\t<ymin>{}</ymin>\n\t\t\t<xmax>{}</xmax>\n\t\t\t<ymax>{}</ymax>\n".format(*one.box)
        + "\t\t</bndbox>\n\t</object>\n"
        for one in painted.objects
    )
    return (
        f"<annotation>\n\t<folder>JPEGImages</folder>\n\t<filename>{stem}.jpg</filename>\n"
        "\t<source>\n\t\t<database>Unknown</database>\n\t</source>\n"
        f"\t<size>\n\t\t<width>{width}</width>\n\t\t<height>{height}</height>\n\t\t<depth>3</depth>\n\t</size>\n"
        f"\t<segmented>0</segmented>\n{objects}</annotation>\n"
    )
