"""Every table as people see it, by the stem of its file: the page and the terminal look it up here."""

from collections.abc import Callable

from cones.analysis.blending_sheet import blending_sheet
from cones.analysis.table3_sheets import table3_sheets
from cones.report.efficiency import efficiency_sheet
from cones.tables.collect import TABLES
from cones.tables.generation_render import generation_sheet
from cones.tables.sheet import Sheet
from cones.tables.table7 import table7_sheet

# each is called with (columns, rows) of the CSV file, suite= and title=
SHEETS: dict[str, Callable[..., Sheet | list[Sheet]]] = {
    **{name: table.sheet for name, table in TABLES.items()},
    "table3": table3_sheets,
    "table7": table7_sheet,
    "figure4": blending_sheet,
    "efficiency": efficiency_sheet,
    "generation": generation_sheet,
}
