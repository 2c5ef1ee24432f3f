"""Whether a folder is pictures with a table of boxes: a CSV file with columns for a picture and four corners."""

from collections.abc import Sequence
from pathlib import Path

from cones.data.files import PICTURES, plain
from cones.data.formats.reading import Table, read_table
from cones.data.recognise.layout import Recognised, Tree
from cones.runtime.errors import ConesError

CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
    ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"),
)
SIZED = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("bbox_x", "bbox_y", "bbox_width", "bbox_height"))
PICTURE = ("filename", "file_name", "image", "image_name", "image_path", "path", "file", "picture", "name", "image_id")
LABEL = ("class", "label", "class_name", "category", "label_name", "category_name")
ASKED = 20


def recognise(tree: Tree) -> Recognised | None:
    read = {file: _table(tree, file) for file in tree.with_suffix(".csv", ".tsv")}
    tables = {file: table for file, table in read.items() if table and table.rows and _box(table.columns)}
    if not tables:
        return None
    if len(tables) > 1:
        raise ConesError(
            "several tables of boxes",
            where=tree.folder,
            found=", ".join(map(tree.name, tables)),
            next_step="join them into one file, or make a folder, and so a dataset, of each",
        )
    ((file, table),) = tables.items()
    rows = [row for _, row in table.rows]
    columns = {column.lower(): column for column in table.columns}
    corners, is_corners = _box(table.columns)
    if not is_corners:
        raise ConesError(
            "a table of boxes by width and height",
            where=tree.name(file),
            expected=f"corners: {', '.join(CORNERS[0])}",
            found=", ".join(corners),
            next_step="write the right and lower edge in place of width and height",
        )
    picture = next((columns[name] for name in PICTURE if name in columns), None)
    if picture is None:
        raise ConesError(
            "no column names the pictures",
            where=tree.name(file),
            expected=" or ".join(PICTURE[:4]),
            found=", ".join(table.columns),
            next_step="rename that column",
        )
    label = next((columns[name] for name in LABEL if name in columns and columns[name] != picture), None)
    images = _images(tree, file, [row[picture] for row in rows])
    values = [table.number(row[corner]) for row in rows for corner in corners]
    known = [value for value in values if value is not None]
    is_relative = bool(known) and max(known) <= 1
    unknown = () if label else ("no column names a class: written `object`, one class (`classes`)",)
    return Recognised(
        format=tree.format(
            "csv_boxes",
            images=tree.name(images),
            annotations=tree.name(file),
            picture=picture,
            corners=list(corners),
            label=label,
            coordinates="relative" if is_relative else None,
        ),
        classes=sorted({row[label] for row in rows}) if label else ["object"],
        task="detection",
        why=(f"{tree.name(file)} has {len(rows)} boxes in the columns {', '.join(corners)}",),
        unknown=unknown,
    )


def _table(tree: Tree, file: Path) -> Table | None:
    try:
        return read_table(file, tree.native, "annotations")
    except ConesError:
        return None


def _box(columns: Sequence[str]) -> tuple[tuple[str, ...], bool] | None:
    """(the four columns of a box as the table writes them, whether they are corners); None if it has none."""
    known = {column.lower(): column for column in columns}
    for names, is_corners in [(names, True) for names in CORNERS] + [(names, False) for names in SIZED]:
        if all(name in known for name in names):
            return tuple(known[name] for name in names), is_corners
    return None


def _images(tree: Tree, file: Path, names: list[str]) -> Path:
    """The folder of the pictures, whose names may lack their suffix."""
    asked = [plain(name.strip()) for name in dict.fromkeys(names)][:: max(1, len(set(names)) // ASKED)][:ASKED]
    stems = {path.with_suffix("").as_posix() for path in tree.pictures}
    places = {parent for path in tree.pictures for parent in path.parents if parent.is_relative_to(tree.root)}
    for place in sorted(places, key=lambda place: (place != file.parent / "images", len(place.parts), str(place))):
        if all(_is_there(place, name, stems) for name in asked):
            return place
    raise ConesError(
        "the pictures that the table names are not here",
        where=tree.name(file),
        expected=asked[0],
        found=tree.seen(),
        next_step="put the folder of pictures beside the table",
    )


def _is_there(place: Path, name: str, stems: set[str]) -> bool:
    path = place / name
    return path.is_file() or (path.suffix.lower() not in PICTURES and path.as_posix() in stems)
