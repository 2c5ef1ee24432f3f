"""Step `efficiency`: what the cells of the tables of methods recorded about their own cost becomes a table."""

from pathlib import Path

from cones.artifacts import write_text
from cones.cell import RESULTS, Plan
from cones.report.efficiency import efficiency_csv, efficiency_rows, efficiency_sheet
from cones.steps.report import read_suite_records
from cones.tables.files import METHOD_GRIDS, named, read_csv
from cones.tables.sheet import sheet_markdown
from cones.tables.wording import said_of_suite


def write_efficiency(plan: Plan, *, partial: bool = False) -> list[Path]:
    """`efficiency.csv` and `.md` of the suite, from the `<grid>_cells.csv` of METHOD_GRIDS and the cells' run.json.

    With `partial`, after a failed run, from the partial ones, under the names of `partial_name`.
    """
    suite, title = plan.suite.suite, said_of_suite(plan.suite.title, partial)
    csv = RESULTS / suite / named("efficiency.csv", partial)
    records = list(read_suite_records(plan, METHOD_GRIDS, partial=partial).values())
    write_text(csv, efficiency_csv(efficiency_rows(records)))
    sheet = efficiency_sheet(*read_csv(csv), suite=suite, title=title)
    write_text(csv.with_suffix(".md"), sheet_markdown(sheet))
    return [csv, csv.with_suffix(".md")]
