"""Step `efficiency`: what the cells of Table 1 recorded about their own cost becomes a table."""

from pathlib import Path

from cones.artifacts import write_text
from cones.cell import RESULTS, Plan
from cones.config import MAIN_GRID
from cones.report.efficiency import efficiency_csv, efficiency_rows, efficiency_sheet
from cones.steps.report import records_of
from cones.tables.files import cells_file
from cones.tables.sheet import sheet_markdown


def write_efficiency(plan: Plan) -> list[Path]:
    """`efficiency.csv` and `.md` of the suite, from `table1_cells.csv` and the cells' run.json files."""
    folder, suite = RESULTS / plan.suite.suite, plan.suite
    rows = efficiency_rows(records_of(plan, folder / cells_file(MAIN_GRID)))
    write_text(folder / "efficiency.csv", efficiency_csv(rows))
    sheet = efficiency_sheet(rows, suite=suite.suite, title=suite.title)
    write_text(folder / "efficiency.md", sheet_markdown(sheet))
    return [folder / "efficiency.csv", folder / "efficiency.md"]
