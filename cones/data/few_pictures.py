"""A split cut to a few pictures, so that a whole suite can be seen running in little time."""

from pathlib import Path

from cones.runtime.artifacts import read_json


def read_split(file: str | Path, pictures: int | None = None) -> dict:
    """The COCO document of a split's file, cut to `pictures` images; None: all of it."""
    return few_pictures(read_json(file), pictures)


def few_pictures(coco: dict, pictures: int | None) -> dict:
    """A COCO document with at most `pictures` images: those with objects first, then by id; None: as it is."""
    if pictures is None:
        return coco
    shown = {annotation["image_id"] for annotation in coco["annotations"] if not annotation.get("iscrowd")}
    order = sorted(coco["images"], key=lambda image: (image["id"] not in shown, image["id"]))
    kept = {image["id"] for image in order[:pictures]}
    return {
        **coco,
        "images": [image for image in coco["images"] if image["id"] in kept],
        "annotations": [annotation for annotation in coco["annotations"] if annotation["image_id"] in kept],
    }


def scored_on(pictures: int | None) -> str:
    """What the scores of a suite with this limit are of, in words."""
    return "the whole test split" if pictures is None else f"at most {pictures} pictures of the test split"
