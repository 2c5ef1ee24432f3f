"""Small native files of the medical formats, written by hand: what converters are tested on."""

import io

import numpy as np
from PIL import Image

from cones.data.formats.records import NativeFiles
from tests.data.made_up import write_tree


def picture(width=40, height=30, kind="JPEG") -> bytes:
    return encoded(np.full((height, width, 3), 128, np.uint8), kind)


def mask(*boxes, width=40, height=30, kind="PNG", value=255) -> bytes:
    """White rectangles (left, top, right, bottom), right and bottom exclusive, on black."""
    grey = np.zeros((height, width), np.uint8)
    for left, top, right, bottom in boxes:
        grey[top:bottom, left:right] = value
    return encoded(grey, kind)


def encoded(pixels: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return buffer.getvalue()


def read(converter, folder, files, classes=("lesion",), pictures=None, **parameters):
    """(records, notes) of a converter on `files` laid into `folder`."""
    native = NativeFiles(dataset_id="cells", raw=write_tree(folder, files), classes=list(classes), pictures=pictures)
    return list(converter.convert(native, converter.Parameters(**parameters))), native.notes


def boxes(record) -> list[tuple]:
    return [one.box for one in record.objects]
