"""What a folder that somebody has is: which native format, which splits, classes and task; or what was seen instead."""

from collections.abc import Callable
from pathlib import Path

from cones.data.recognise import class_folders, coco, csv_boxes, cvat, masks, voc, volumes, yolo
from cones.data.recognise.layout import Recognised, Tree
from cones.runtime.errors import ConesError, closest

RECOGNISERS: dict[str, Callable[[Tree], Recognised | None]] = {
    "yolo": yolo.recognise,
    "coco": coco.recognise,
    "voc": voc.recognise,
    "labelme": voc.recognise_labelme,
    "cvat": cvat.recognise,
    "csv_boxes": csv_boxes.recognise,
    "masks": masks.recognise,
    "nifti": volumes.recognise_nifti,
    "dicom": volumes.recognise_dicom,
    "class_folders": class_folders.recognise,
}
BY_FOLDERS_ALONE = "class_folders"  # what other formats' folders may look like: it is asked for where none of them fits


def recognise(folder: Path, format_name: str | None = None) -> Recognised:
    """What the folder is, by its files alone; `format_name` chooses where several formats fit.

    ConesError with what was seen if none fits, if several do, and for a folder of one format that leaves open what is
    what (two files for one split, pictures that are not there).
    """
    if not folder.is_dir():
        raise ConesError("there is no such folder", where=folder, next_step="correct the path")
    if format_name is not None and format_name not in RECOGNISERS:
        raise ConesError(
            f'"{format_name}" is no format that a folder can be recognised as',
            where="--format",
            next_step=closest(format_name, RECOGNISERS),
        )
    tree = Tree(folder)
    names = [format_name] if format_name else list(RECOGNISERS)
    found: dict[str, Recognised] = {}
    for name in names:
        if found and name == BY_FOLDERS_ALONE:
            continue
        is_asked = format_name == BY_FOLDERS_ALONE
        if (answer := class_folders.recognise_asked(tree) if is_asked else RECOGNISERS[name](tree)) is not None:
            found[name] = answer
    if not found:
        raise ConesError(
            "this folder is of no format known here"
            if format_name is None
            else f"this folder does not look like {names[0]}",
            where=folder,
            expected=", ".join(names),
            found="; ".join(filter(None, (tree.seen(), None if format_name else class_folders.almost(tree)))),
            next_step="docs/datasets.md shows what each format looks like; a format of your own: docs/extending.md",
        )
    if len(found) > 1:
        choices = "; ".join(f"{name}: {answer.why[0]}" for name, answer in found.items())
        raise ConesError(
            "this folder may be several things",
            where=folder,
            found=choices,
            next_step=f"say which: --format {' or --format '.join(found)}",
        )
    return next(iter(found.values()))
