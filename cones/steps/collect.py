"""Steps `collect` and `finish`: the cells of a suite become tables, and the end of a run says where they are."""

from pathlib import Path

from cones.cell import RESULTS, Cell, Plan
from cones.tables.collect import ExpectedCell


def expected_cells(plan: Plan) -> list[ExpectedCell]:
    return [
        ExpectedCell(
            model=cell.model,
            dataset=cell.dataset,
            group=plan.registry[cell.dataset].group,
            arm=cell.arm,
            method=plan.settings(cell).method,
            seed=cell.seed,
        )
        for cell in plan.cells()
    ]


def log_files(cell: Cell) -> list[Path]:
    """Where the steps of a cell write what they have to say."""
    folder = Path("logs") / cell.folder.relative_to(RESULTS)
    return [folder / "tune.log", folder / "evaluate.log"]
