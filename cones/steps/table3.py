"""Step `table3`: the box features of a suite's cells become Table 3 and Figure 5; needs no model."""

from pathlib import Path

from cones.analysis.figure5 import save_figure5
from cones.analysis.table3 import Place, table3
from cones.analysis.table3_sheets import table3_sheets
from cones.artifacts import write_text
from cones.cell import RESULTS, Plan
from cones.config import BOXES_GRID
from cones.steps.embeddings import read_embeddings
from cones.tables.files import named, read_csv, to_csv
from cones.tables.sheet import sheet_markdown
from cones.tables.wording import said_of_suite


def write_table3(plan: Plan, *, partial: bool = False) -> list[Path]:
    """`table3.csv`, `.md`, `figure5.png` and `.pdf`; a cell's arm stands for its method in both.

    With `partial`, after a failed run, of the cells there are, under the names of `partial_name`.
    """
    folder, suite, title = RESULTS / plan.suite.suite, plan.suite.suite, said_of_suite(plan.suite.title, partial)
    found = {
        Place(cell.model, cell.arm, cell.dataset, cell.seed): one
        for cell, one in read_embeddings(plan, plan.cells(BOXES_GRID), partial=partial).items()
    }
    csv = folder / named("table3.csv", partial)
    write_text(csv, to_csv(table3(found, suite=suite)))
    sheets = table3_sheets(*read_csv(csv), suite=suite, title=title)
    write_text(csv.with_suffix(".md"), "\n".join(map(sheet_markdown, sheets)))
    figure = save_figure5(found, plan.registry, folder / named("figure5.png", partial), suite=suite, title=title)
    return [csv, csv.with_suffix(".md"), *figure]
