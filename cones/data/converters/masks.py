"""Mask pictures: folders of pictures and of masks with the same stems, white objects on black.

A mask's bright regions become objects. Lossy masks (JPEG) are why a threshold stands in the middle of the grey scale.
Other formats with masks (ISIC 2016, TN3K, Kvasir-SEG) add their own file of labels, folds or boxes to this one.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from cones.data.converters.records import NativeFiles, Object, Record
from cones.data.masks import encoded
from cones.strict import Strict

FORMAT = {"name": "masks"}
VERSION = 1
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")


class Folder(Strict):
    """A folder of pictures, the folder of their masks, and the native split they are."""

    images: str
    masks: str
    split: str | None = None
    prefix: str = ""  # of the item ids, where two folders use the same stems


class Regions(Strict):
    """How a mask becomes objects: the guesses of the paper's reproduction, in one place."""

    threshold: int = Field(127, ge=0, le=254)  # a pixel belongs to an object if its grey value is above
    objects: Literal["components", "whole"] = "components"  # one per 8-connected region, or one for the whole mask
    min_area: int = Field(1, ge=1)  # pixels; smaller regions are specks, left out and counted in the report
    min_share: float = Field(0.0, ge=0, le=1)  # of the largest region's area: likewise
    keep_masks: bool = False  # True: objects carry their mask (RLE) and its area, for instance segmentation
    allow_empty: bool = False  # True: a mask without a region is a picture without objects, counted in the report


class Parameters(Regions):
    root: str = "."
    folders: tuple[Folder, ...] = (Folder(images="images", masks="masks"),)
    mask_suffix: str = ""  # what a mask's stem has beyond its picture's


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per picture, folder by folder, by name; `item_id` is `<prefix><stem>`.

    All objects are of the only class. A picture without mask, a mask without picture or of another size is an error.
    """
    yield from read(native, parameters, class_of=only_class(native, parameters.root))


def only_class(native: NativeFiles, file: Path | str) -> Callable[[str, str | None], str]:
    if len(native.classes) == 1:
        return lambda stem, split: native.classes[0]
    raise native.fault(
        "masks cannot tell classes apart",
        file,
        expected="one class",
        found=f"{len(native.classes)} classes",
        next_step="list one class in datasets.yaml, or use a format that reads labels, such as isic2016",
    )


def read(
    native: NativeFiles, parameters: Parameters, *, class_of: Callable[[str, str | None], str]
) -> Iterator[Record]:
    """The records of all folders; `class_of(stem, native split)` names the class of a picture's objects."""
    root = native.root(parameters.root)
    for folder in parameters.folders:
        pictures, masks = root / folder.images, root / folder.masks
        for stem, picture, mask in paired(native, pictures, masks, parameters.mask_suffix):
            objects = regions(native, parameters, mask, picture, class_of(stem, folder.split))
            yield Record(
                item_id=f"{folder.prefix}{stem}",
                image=native.relative(picture),
                objects=objects,
                split=folder.split,
            )


def paired(native: NativeFiles, pictures: Path, masks: Path, suffix: str = "") -> list[tuple[str, Path, Path]]:
    """`(stem, picture, mask)` by stem; what has no partner is an error."""
    found = {path.stem: path for path in files_in(pictures)}
    partners = {path.stem: path for path in files_in(masks)}
    if not found:
        raise native.fault("no picture here", pictures, next_step="fetch the dataset again, or check the mirror folder")
    wanted = {stem + suffix for stem in found}
    if missing := sorted(wanted - set(partners)):
        raise native.fault(
            f"{len(missing)} of {len(found)} masks are missing",
            masks,
            expected=f"{missing[0]}.*",
            next_step="fetch the dataset again, or complete the mirror folder",
        )
    if stray := sorted(set(partners) - wanted):
        raise native.fault(
            f"{len(stray)} masks have no picture",
            partners[stray[0]],
            expected=f"{pictures.name}/{stray[0].removesuffix(suffix)}.*",
            next_step="fetch the dataset again, or remove the mask",
        )
    return [(stem, found[stem], partners[stem + suffix]) for stem in sorted(found)]


def files_in(folder: Path) -> list[Path]:
    """The picture files of a folder by name."""
    return sorted(path for path in folder.glob("[!.]*") if path.suffix.lower() in SUFFIXES)


def bright(native: NativeFiles, file: Path, threshold: int, picture: Path) -> Any:
    """(height, width) bool: where the mask's grey value is above `threshold`; it must be of the picture's size."""
    import numpy as np

    from cones.data.images import load_image, upright_size
    from cones.errors import ConesError

    try:
        size = upright_size(picture)
        grey = np.asarray(load_image(file).convert("L"))
    except ConesError as error:
        raise native.fault(error.what, error.where, found=error.found, next_step=error.next_step) from None
    if grey.shape != size[::-1]:
        raise native.fault(
            "the mask is not of its picture's size",
            file,
            expected=f"{size[0]} x {size[1]}",
            found=f"{grey.shape[1]} x {grey.shape[0]}",
            next_step="they do not belong together: fetch the dataset again, or remove both",
        )
    return grey > threshold


def regions(native: NativeFiles, parameters: Regions, file: Path, picture: Path, class_name: str) -> tuple[Object, ...]:
    """The objects of one mask file."""
    mask = bright(native, file, parameters.threshold, picture)
    objects = objects_of(mask, parameters, class_name, lambda: native.note("a region too small, left out", file))
    if not objects:
        if not parameters.allow_empty:
            raise native.fault(
                "the mask is empty",
                file,
                expected=f"a region of {parameters.min_area} or more pixels brighter than {parameters.threshold}",
                next_step="mend the mask (0/1 masks need `threshold: 0`); if the picture really shows nothing, set "
                "`allow_empty: true` in the dataset's `format` in datasets.yaml",
            )
        native.note("a mask without a region, kept as a picture without objects", file)
    return objects


def objects_of(
    mask: Any, parameters: Regions, class_name: str, left_out: Callable[[], None] = lambda: None
) -> tuple[Object, ...]:
    """Objects of a (height, width) bool mask; `left_out()` is called for each region that is too small."""
    import numpy as np
    from scipy import ndimage

    if parameters.objects == "whole":
        labels, count = mask.astype(np.int32), int(mask.any())
    else:
        labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    least = max(parameters.min_area, parameters.min_share * areas.max(initial=0))
    objects = []
    for number, window in enumerate(ndimage.find_objects(labels), start=1):
        if areas[number - 1] < least:
            left_out()
            continue
        region = labels == number if parameters.keep_masks else None
        objects.append(object_of(class_name, window, int(areas[number - 1]), region))
    return tuple(objects)


def object_of(class_name: str, window: tuple[slice, slice], area: int, region: Any = None) -> Object:
    """An object that fills `window` (rows, columns); with `region` (height, width) bool it carries that mask."""
    rows, columns = window
    box = (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
    if region is None:
        return Object(class_name=class_name, box=box)
    return Object(class_name=class_name, box=box, area=area, segmentation=encoded(region))
