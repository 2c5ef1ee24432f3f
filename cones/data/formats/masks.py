"""Mask pictures: folders of pictures and of masks with the same names.

A mask's bright regions become objects; with `values` every pixel holds the number of its class. The threshold lies in
the middle of the grey scale because lossy masks (JPEG) have no clean black and white.
Other formats with masks (ISIC 2016, TN3K, Kvasir-SEG) add their own file of labels, folds or boxes to this one.
"""

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field

from cones.data.files import PICTURES, PictureFolder, files_below, without_suffix
from cones.data.formats.records import NativeFiles, Object, Record
from cones.data.masks import encoded
from cones.runtime.strict import Strict

FORMAT = {"name": "masks"}
VERSION = 2
LOSSY = (".jpg", ".jpeg", ".jpe", ".jfif", ".webp")
SHADE_SHARE = 0.1  # of the pixels that are not black; fewer may be a soft edge
FAINT = 8  # a mask that is nowhere brighter holds numbers of classes rather than shades


class Folder(Strict):
    """A folder of pictures, the folder of their masks, and the native split they are."""

    images: str
    masks: str
    split: str | None = None
    prefix: str = ""  # of the item ids, where two folders use the same stems


class Grouping(Strict):
    """Which pixels of a mask are one object, and which objects are too small to be one."""

    objects: Literal["components", "whole"] = "components"  # one per 8-connected region, or one for the whole mask
    min_area: int = Field(1, ge=1)  # pixels; smaller regions are specks, left out and counted in the report
    min_share: float = Field(0.0, ge=0, le=1)  # of the largest region's area: likewise
    keep_masks: bool = False  # True: objects carry their mask (RLE) and its area, for instance segmentation


class Regions(Grouping):
    """How a mask becomes objects. The paper does not say; the defaults are this reproduction's choices."""

    threshold: int = Field(127, ge=0, le=254)  # a pixel belongs to an object if its grey value is above
    allow_empty: bool = False  # True: a mask without a region is a picture without objects, counted in the report


class Layout(Regions):
    """Where pictures and masks lie, and how a mask becomes objects."""

    root: str = "."
    folders: tuple[Folder, ...] = (Folder(images="images", masks="masks"),)
    mask_suffix: str = ""  # what a mask's name has beyond its picture's, before the file's suffix


class Parameters(Layout):
    values: dict[int, str | None] | None = None  # {pixel value: class}, null: not annotated; 0 is the background


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per picture, folder by folder, by name; `item_id` is `<prefix><path without suffix>`.

    Without `values` all objects are of the only class. A picture without mask, a mask without picture or of another
    size is an error.
    """
    if parameters.values is None:
        yield from read(native, parameters, class_of=only_class(native, parameters.root))
        return
    classes = {value: name and native.known_class(name, parameters.root) for value, name in parameters.values.items()}

    def objects(mask: Path, picture: Path, stem: str, split: str | None) -> tuple[Object, ...]:
        return objects_by_value(native, parameters, mask, picture, classes)

    yield from _records(native, parameters, objects)


def only_class(native: NativeFiles, file: Path | str) -> Callable[[str, str | None], str]:
    if len(native.classes) == 1:
        return lambda stem, split: native.classes[0]
    raise native.fault(
        "nothing here tells classes apart",
        file,
        expected="one class",
        found=f"{len(native.classes)} classes",
        next_step=f"list one class in {native.registry}, or say which is which: `values: {{1: first, 2: second}}` for "
        "masks, `label: <column>` for a CSV",
    )


def read(native: NativeFiles, parameters: Layout, *, class_of: Callable[[str, str | None], str]) -> Iterator[Record]:
    """The records of all folders; `class_of(stem, native split)` names the class of a picture's objects."""

    def objects(mask: Path, picture: Path, stem: str, split: str | None) -> tuple[Object, ...]:
        return regions(native, parameters, mask, picture, class_of(stem, split))

    yield from _records(native, parameters, objects)


def _records(native: NativeFiles, parameters: Layout, objects: Callable[..., tuple[Object, ...]]) -> Iterator[Record]:
    root = native.root(parameters.root)
    for folder in parameters.folders:
        pictures, masks = root / folder.images, root / folder.masks
        for stem, picture, mask in paired(native, pictures, masks, parameters.mask_suffix, prefix=folder.prefix):
            yield Record(
                item_id=f"{folder.prefix}{stem}",
                image=native.relative(picture),
                objects=objects(mask, picture, stem, folder.split),
                split=folder.split,
                stated_size=native.size_of(picture),  # which is the mask's
            )


def paired(
    native: NativeFiles, pictures: Path, masks: Path, suffix: str = "", *, prefix: str = ""
) -> list[tuple[str, Path, Path]]:
    """`(path without suffix, picture, mask)` by name, sub-folders too; what has no partner is an error.

    Items that the entry excludes (`<prefix><path without suffix>`) are left out with their masks.
    """
    found, partners = PictureFolder(pictures), PictureFolder(masks)
    if not found.paths:
        raise native.fault("no picture here", pictures, next_step=native.mend("check the folder"))
    for other in (*found.others, *partners.others):
        native.note("a file that is no picture, left out", other)
    pairs, absent, used = [], [], set()
    for picture in found.paths:
        stem = without_suffix(PurePosixPath(found.relative(picture)))
        rivals, candidates = found.of_stem(stem), partners.of_stem(stem + suffix)
        if len(rivals) > 1 or len(candidates) > 1:  # a.jpg beside a.png: each needs the mask of its own suffix
            candidates = [path for path in candidates if path.suffix.lower() == picture.suffix.lower()]
            stem = found.relative(picture) if len(rivals) > 1 else stem
        used.update(candidates)
        if native.skips(f"{prefix}{stem}"):
            continue
        if candidates:
            pairs.append((stem, picture, candidates[0]))
        else:
            absent.append(f"{native.relative(masks)}/{without_suffix(PurePosixPath(stem)) + suffix}.*")
    if absent:
        spare = [native.relative(path) for path in partners.paths if path not in used]
        native.leave_out_missing(
            absent,
            len(found.paths),
            masks,
            what="masks",
            found=", ".join(spare[:2]) or None,
            key_hint="set `mask_suffix`, what a mask's name has beyond its picture's" if spare else None,
        )
    if stray := [path for path in partners.paths if path not in used]:
        expected = without_suffix(PurePosixPath(partners.relative(stray[0]))).removesuffix(suffix)
        raise native.fault(
            f"{len(stray)} masks have no picture",
            stray[0],
            expected=f"{pictures.name}/{expected}.*",
            next_step=native.mend("remove the mask"),
        )
    return sorted(pairs)


def files_in(folder: Path) -> list[Path]:
    """The picture files of a folder by name."""
    return files_below(folder, PICTURES, deep=False)


def grey_of(file: Path) -> Any:
    """(height, width) uint8 grey of a mask, what is transparent in it being background.

    Where the colours say nothing and the transparency does, the mask is what is opaque.
    """
    import numpy as np
    from PIL import Image

    from cones.data.images import as_rgb, open_upright

    picture = open_upright(file)
    if "A" not in picture.getbands() and "transparency" not in picture.info:
        return np.asarray(as_rgb(picture, file).convert("L"))
    picture = picture.convert("RGBA")
    opaque = np.asarray(picture.getchannel("A"))
    laid = Image.alpha_composite(Image.new("RGBA", picture.size, "black"), picture).convert("L")
    grey = np.asarray(laid)
    return opaque if grey.min() == grey.max() and opaque.min() < opaque.max() else grey


def values_of(file: Path) -> Any:
    """(height, width) int64: the number in each pixel of a mask, its shade or palette index; None: it has colours."""
    import numpy as np

    from cones.data.images import open_upright

    picture = open_upright(file)
    transparent = np.asarray(picture.getchannel("A")) == 0 if "A" in picture.getbands() else None
    pixels = np.asarray(picture.convert("RGB") if picture.mode == "CMYK" else picture).astype(np.int64)
    if pixels.ndim == 3:
        colours = pixels[..., :-1] if transparent is not None else pixels
        if transparent is not None:
            colours = np.where(transparent[..., None], 0, colours)
        if (colours != colours[..., :1]).any():
            return None
        pixels = colours[..., 0]
    return pixels


def bright(native: NativeFiles, file: Path, threshold: int, picture: Path) -> Any:
    """(height, width) bool: where the mask's grey value is above `threshold`; it must be of the picture's size."""
    return _of_the_pictures_size(native, file, picture, grey_of) > threshold


def _of_the_pictures_size(native: NativeFiles, file: Path, picture: Path, look: Callable[[Path], Any]) -> Any:
    from cones.runtime.errors import ConesError

    size = native.size_of(picture)
    try:
        pixels = look(file)
    except ConesError as error:
        raise native.fault(error.what, error.where, found=error.found, next_step=native.mend()) from None
    if pixels is not None and pixels.shape != size[::-1]:
        raise native.fault(
            "the mask is not of its picture's size",
            file,
            expected=f"{size[0]} x {size[1]}",
            found=f"{pixels.shape[1]} x {pixels.shape[0]}",
            next_step=native.mend("remove both: they do not belong together"),
        )
    return pixels


def regions(native: NativeFiles, parameters: Regions, file: Path, picture: Path, class_name: str) -> tuple[Object, ...]:
    """The objects of one mask file."""
    grey = _of_the_pictures_size(native, file, picture, grey_of)
    mask, brightest = grey > parameters.threshold, int(grey.max())
    if native.own and file.suffix.lower() not in LOSSY:
        _refuse_shades(grey, parameters.threshold, file, native)
        if values_of(file) is None:
            native.note("a mask with colours, read by its brightness", file)
    objects = objects_of(mask, parameters, class_name, lambda: native.note("a region too small, left out", file))
    if objects:
        return objects
    faint = not mask.any() and brightest and file.suffix.lower() not in LOSSY and (native.own or brightest <= FAINT)
    if faint or not parameters.allow_empty:
        nothing = f"; if the picture really shows nothing, set `allow_empty: true` in its `format` in {native.registry}"
        raise native.fault(
            "the mask is empty",
            file,
            expected=f"a region of {parameters.min_area} or more pixels brighter than {parameters.threshold}",
            found=f"nothing brighter than {brightest}",
            next_step="mend the mask (0/1 masks need `threshold: 0`, masks of several classes `values`)"
            + ("" if faint else nothing),
        )
    native.note("a mask without a region, kept as a picture without objects", file)
    return objects


def _refuse_shades(grey: Any, threshold: int, file: Path, native: NativeFiles) -> None:
    """ConesError if a shade below the threshold fills an area wider than a soft edge: it is a class, or the object."""
    import numpy as np
    from scipy import ndimage

    counts = np.bincount(grey.ravel(), minlength=256)
    counts[0] = 0
    darker = int(counts[: threshold + 1].argmax())
    if not counts[threshold + 1 :].any() or counts[darker] < counts.sum() * SHADE_SHARE:
        return
    if ndimage.binary_erosion(grey == darker, np.ones((3, 3))).any():  # an edge is narrower
        raise native.fault(
            f"the mask holds the shade {darker}, which counts as background",
            file,
            expected=f"objects brighter than `threshold` ({threshold}), all else black",
            found=f"{counts[darker]} pixels of {darker}, {counts[threshold + 1 :].sum()} brighter than {threshold}",
            next_step=f"if it belongs to an object, set `threshold: {darker - 1}`, and if shades or colours are "
            f"classes, name them in `values`, in {native.registry}; otherwise paint it black",
        )


def objects_by_value(
    native: NativeFiles, parameters: Regions, file: Path, picture: Path, classes: dict[int, str | None]
) -> tuple[Object, ...]:
    """The objects of one mask whose pixels hold the numbers of classes; a number that `classes` lacks is refused."""
    import numpy as np

    pixels = _of_the_pictures_size(native, file, picture, values_of)
    found = [] if pixels is None else [int(value) for value in np.unique(pixels)]
    if pixels is None or (unknown := [value for value in found if value and value not in classes]):
        raise native.fault(
            "the mask's pixels are colours, not numbers"
            if pixels is None
            else f"the mask holds the value {unknown[0]}",
            file,
            expected=f"0 and {', '.join(map(str, sorted(classes)))}, as `values` says",
            found=None if pixels is None else ", ".join(map(str, found[:12])),
            next_step=f"name it in `values` in {native.registry} (null: left out), or correct the mask",
        )
    objects: list[Object] = []
    for value, class_name in sorted(classes.items()):
        if class_name is None:
            if value in found:
                native.note(f"pixels of the value {value}, which `values` leaves out", file)
            continue
        left_out = lambda: native.note("a region too small, left out", file)  # noqa: E731
        objects += objects_of(pixels == value, parameters, class_name, left_out)
    if not objects:
        if not parameters.allow_empty:
            raise native.fault(
                "the mask is empty",
                file,
                expected=f"a region of {parameters.min_area} or more pixels of a value that `values` names",
                next_step="mend the mask; if the picture really shows nothing, set `allow_empty: true` in its "
                f"`format` in {native.registry}",
            )
        native.note("a mask without a region, kept as a picture without objects", file)
    return tuple(objects)


def objects_of(
    mask: Any, parameters: Grouping, class_name: str, left_out: Callable[[], None] = lambda: None
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
