"""Table 8 of the paper: models and methods against the AP of every natural dataset."""

from functools import partial

from cones.outputs.details import detail_frame, detail_sheet

OUTPUT = {
    "name": "table8",
    "reads": "scores",
    "grids": ["table1"],
    "groups": ["natural"],
    "title": "Table 8: natural datasets",
}

frame = partial(detail_frame, table="table8")
sheet = partial(detail_sheet, table="table8")
