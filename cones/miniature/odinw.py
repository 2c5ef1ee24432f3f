"""ODinW zips: Roboflow COCO exports as GLIP ships them, pictures and annotations side by side in train, valid, test."""

import hashlib
import json

from cones.data.registry import Dataset, Source
from cones.miniature.layouts import ORIGIN, Page, jpeg
from cones.miniature.painter import Painted

# the super category that Roboflow lists with id 0 and no annotation refers to
SUPERCATEGORIES = {
    "pascal_voc": "VOC",
    "aerial_maritime_drone_large": "movable-objects",
    "aquarium": "creatures",
    "cottontail_rabbits": "Cottontail-Rabbit",
    "egohands_generic": "hands",
    "north_america_mushrooms": "mushroom",
    "packages": "packages",
    "raccoon": "raccoons",
    "shellfish_openimages": "shellfish",
    "vehicles_openimages": "vehicles",
    "pistols": "Guns",
    "pothole": "potholes",
    "thermal_dogs_and_people": "dogs-person",
    "nano_scenes": "things",
}
WITH_MINIVAL = ("egohands_generic", "vehicles_openimages")  # a part of valid once more, in a folder of its own
BARE, WITH_SUPER = "annotations_without_background.json", "_annotations.coco.json"


def layout(dataset: Dataset, source: Source, pages: list[Page]) -> dict[str, bytes]:
    """The files of one zip. With `format.files` all splits share one folder, each with its own annotation file."""
    parameters = source.format.parameters
    root = parameters["root"]
    files = {
        f"{root}/README.dataset.txt": f"# {dataset.paper_name}\n{ORIGIN}\n".encode(),
        f"{root}/README.roboflow.txt": f"{ORIGIN}\n".encode(),
    }
    for split, word in source.split.shipped.items():
        if split in source.split.aliases:
            continue
        members = [page for page in pages if page.split == split]
        if "files" in parameters:
            files |= _folder(dataset, members, root, parameters["files"][word], None)
        else:
            files |= _folder(dataset, members, f"{root}/{word}", BARE, WITH_SUPER)
        if split == "val" and dataset.id in WITH_MINIVAL:
            files |= _folder(dataset, members[: len(members) // 2], f"{root}/mini_val", BARE, WITH_SUPER)
    return files


def _folder(dataset: Dataset, pages: list[Page], folder: str, bare: str, with_super: str | None) -> dict[str, bytes]:
    """Pictures and their annotations: `bare` without the super category, `with_super` with it."""
    files, document = {}, _document(dataset)
    for page in pages:
        content = jpeg(page)
        name = f"IMG_{2000 + page.index}_jpg.rf.{hashlib.sha256(content).hexdigest()[:32]}.jpg"
        files[f"{folder}/{name}"] = content
        _add_picture(document, name, page.painted, dataset.classes)
    if with_super:
        files[f"{folder}/{with_super}"] = json.dumps(document).encode()
    document["categories"] = [category for category in document["categories"] if category["id"] != 0]
    files[f"{folder}/{bare}"] = json.dumps(document).encode()
    return files


def _document(dataset: Dataset) -> dict:
    above = SUPERCATEGORIES[dataset.id]
    listed = [{"id": 0, "name": above, "supercategory": "none"}]
    for number, name in enumerate(dataset.classes, start=1):
        listed.append({"id": number, "name": name, "supercategory": above})
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
