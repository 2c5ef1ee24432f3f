"""Table 10 of the paper: models and methods against the AP of every medical dataset."""

from functools import partial

from cones.outputs.details import detail_frame, detail_sheet

OUTPUT = {
    "name": "table10",
    "reads": "scores",
    "grids": ["table1"],
    "groups": ["non_radiology", "radiology"],
    "title": "Table 10: medical datasets",
}

frame = partial(detail_frame, table="table10")
sheet = partial(detail_sheet, table="table10")
