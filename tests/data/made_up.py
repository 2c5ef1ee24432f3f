"""A made-up dataset "cells" in VOC layout: its files, its archive, its registry entry."""

import io
import zipfile
from pathlib import Path

from PIL import Image

from cones.data.registry import Dataset

XML = """<annotation><filename>{name}.jpg</filename><size><width>{width}</width><height>{height}</height></size>
{objects}</annotation>"""
OBJECT = """<object><name>{}</name><difficult>0</difficult>
<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"""


def jpeg(width=40, height=30) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (200, 150, 150)).save(buffer, "JPEG")
    return buffer.getvalue()


def voc_files(boxes=None, count=10) -> dict[str, bytes]:
    """A VOC tree of `count` pictures; `boxes` maps a picture's number to its [(class, corners …)]."""
    files = {}
    for number in range(count):
        name = f"cell_{number:02d}"
        listed = (boxes or {}).get(number, [("red", 2, 3, 20, 25)])
        objects = "".join(OBJECT.format(*box) for box in listed)
        files[f"VOC/Annotations/{name}.xml"] = XML.format(name=name, width=40, height=30, objects=objects).encode()
        files[f"VOC/JPEGImages/{name}.jpg"] = jpeg()
    return files


def write_tree(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def zipped(files: dict[str, bytes], prefix="") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(prefix + name), content)
    return buffer.getvalue()


def cells_entry(**changes) -> Dataset:
    """The registry entry of the made-up dataset; `archive=…`, `format=…` and `source=…` change those parts."""
    archive = {"filename": "cells.zip", **changes.pop("archive", {})}
    source = {
        "archives": [archive],
        "format": {"name": "voc", "root": "VOC", **changes.pop("format", {})},
        "split": {"rule": "stable_cut"},
        "expected": {"images": {"train": 6, "val": 2, "test": 2}},
        **changes.pop("source", {}),
    }
    entry = {
        "id": "cells",
        "paper_name": "Cells",
        "group": "non_radiology",
        "task": "detection",
        "classes": ["red", "white"],
        "home": "https://example.org/cells",
        "licence": "MIT",
        "access": "open",
        "sources": {"official": source},
    }
    return Dataset.model_validate({**entry, **changes})
