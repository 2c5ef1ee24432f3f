"""Instance maps (CPM-17): a picture and an array in which every pixel holds the number of its object, 0 = background.

The map is a MATLAB file with the key `inst_map`, or the text of the original challenge: `width height`, then one number
per pixel, row by row. Touching objects have numbers of their own, which connected regions of a mask would merge.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from cones.data.formats import masks
from cones.data.formats.records import NativeFiles, Object, Record
from cones.runtime.strict import Strict

FORMAT = {"name": "instance_maps"}
VERSION = 1


class Folder(Strict):
    images: str
    labels: str
    split: str | None = None
    prefix: str = ""  # of the item ids, where two folders use the same stems


class Parameters(Strict):
    root: str = "."
    folders: tuple[Folder, ...] = (Folder(images="Images", labels="Labels"),)
    key: str = "inst_map"
    label_suffixes: tuple[str, ...] = (".mat", "_mask.txt")  # the first present is read
    min_area: int = Field(10, ge=1)  # pixels; smaller instances are left out and counted in the report
    keep_masks: bool = False


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per picture, folder by folder; `item_id` is `<prefix><stem>`, one object per number in the map."""
    root = native.root(parameters.root)
    class_name = masks.only_class(native, parameters.root)("", None)
    for folder in parameters.folders:
        pictures = masks.files_in(root / folder.images)
        if not pictures:
            raise native.fault("no picture here", root / folder.images, next_step=native.mend())
        for picture in pictures:
            file = _label_file(root / folder.labels, picture.stem, native, parameters)
            yield Record(
                item_id=f"{folder.prefix}{picture.stem}",
                image=native.relative(picture),
                objects=_objects(_read_map(file, picture, native, parameters), file, class_name, native, parameters),
                split=folder.split,
                stated_size=native.size_of(picture),  # which is the map's
            )


def _label_file(folder: Path, stem: str, native: NativeFiles, parameters: Parameters) -> Path:
    candidates = [folder / f"{stem}{suffix}" for suffix in parameters.label_suffixes]
    if file := next((path for path in candidates if path.is_file()), None):
        return file
    raise native.fault(
        "the instance map is missing",
        folder,
        expected=" or ".join(path.name for path in candidates),
        next_step=native.mend("complete the folder"),
    )


def _read_map(file: Path, picture: Path, native: NativeFiles, parameters: Parameters) -> Any:
    """(height, width) int32, of the picture's size."""
    import numpy as np

    from cones.data.images import upright_size
    from cones.runtime.errors import ConesError, message_of

    try:
        numbers = _read_text(file) if file.suffix == ".txt" else _read_matlab(file, parameters.key)
        size = upright_size(picture)
    except ConesError as error:
        raise native.fault(error.what, error.where, found=error.found, next_step=error.next_step) from None
    except Exception as error:  # scipy raises ValueError, TypeError, KeyError, zlib.error … on damaged files
        raise native.fault(
            "not a readable instance map",
            file,
            expected=f'a 2-D array "{parameters.key}"' if file.suffix != ".txt" else "width, height, then pixels",
            found=message_of(error),
            next_step=native.mend(),
        ) from None
    if numbers.shape != size[::-1]:
        raise native.fault(
            "the instance map is not of its picture's size",
            file,
            expected=f"{size[0]} x {size[1]}",
            found=" x ".join(map(str, numbers.shape[::-1])),
            next_step=native.mend("remove both: they do not belong together"),
        )
    if numbers.min() < 0 or (numbers != np.floor(numbers)).any():
        raise native.fault(
            "the map holds numbers that are no object numbers",
            file,
            expected="0, 1, 2 …",
            next_step=native.mend(),
        )
    return numbers.astype(np.int32)


def _read_matlab(file: Path, key: str) -> Any:
    from scipy.io import loadmat

    return loadmat(file, variable_names=[key])[key]


def _read_text(file: Path) -> Any:
    import numpy as np

    width, height, *numbers = file.read_text(encoding="ascii").split()
    return np.array(numbers, dtype=np.int64).reshape(int(height), int(width))


def _objects(
    numbers: Any, file: Path, class_name: str, native: NativeFiles, parameters: Parameters
) -> tuple[Object, ...]:
    import numpy as np
    from scipy import ndimage

    _, compact = np.unique(numbers, return_inverse=True)
    compact = compact.reshape(numbers.shape) + (1 if numbers.min() > 0 else 0)  # 0 stays the background
    areas = np.bincount(compact.ravel())
    objects = []
    for number, window in enumerate(ndimage.find_objects(compact), start=1):
        if areas[number] < parameters.min_area:
            native.note(f"an instance below {parameters.min_area} pixels, left out", file)
            continue
        region = compact == number if parameters.keep_masks else None
        objects.append(masks.object_of(class_name, window, int(areas[number]), region))
    if not objects:
        native.note("an instance map without objects", file)
    return tuple(objects)
