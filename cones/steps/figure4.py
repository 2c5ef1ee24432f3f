"""Step `figure4`: the class vectors of a suite's cells become maps and the numbers beside them; needs no model."""

from pathlib import Path

from cones.analysis.blending import VectorSet, blending_table
from cones.analysis.blending_sheet import ISOLATED_NAMES, blending_sheet
from cones.analysis.embeddings import ISOLATED, TOGETHER, Embeddings
from cones.analysis.figure4 import save_figure4
from cones.analysis.points import DOMAINS, ClassPoints
from cones.artifacts import write_text
from cones.cell import RESULTS, Cell, Plan
from cones.steps.embed import embeddings_of
from cones.tables.files import read_csv, to_csv
from cones.tables.sheet import sheet_markdown
from cones.tables.wording import join_notes


def write_figure4(plan: Plan) -> list[Path]:
    """`figure4.csv`, `.md`, `.png`, `.pdf` and the supplement; the seeds of the grid `stability` go into one column."""
    folder, suite, title = RESULTS / plan.suite.suite, plan.suite.suite, plan.suite.title
    sets = vector_sets(plan)
    csv = folder / "figure4.csv"
    write_text(csv, to_csv(blending_table(sets, suite=suite)))
    columns, rows = read_csv(csv)
    write_text(folder / "figure4.md", sheet_markdown(blending_sheet(columns, rows, suite=suite, title=title)))
    first = {(one.model, one.vectors): one for one in reversed(sets)}
    shown = [one for one in sets if first[one.model, one.vectors] is one]
    return [csv, csv.with_suffix(".md"), *save_figure4(shown, rows, folder / "figure4.png", suite=suite, title=title)]


def figure4_cells(plan: Plan) -> list[Cell]:
    """The cells whose vectors are drawn, then those of other seeds whose vectors are compared with them."""
    grids = [grid for grid in ("figure4", "stability") if grid in plan.suite.grids]
    return list(dict.fromkeys(cell for grid in grids for cell in plan.cells(grid)))


def vector_sets(plan: Plan) -> list[VectorSet]:
    """A set per model, arm and seed, in the grid's order; the isolated names of zero-shot are a set of their own."""
    cells: dict[tuple[str, str, int], list[Cell]] = {}
    for cell in figure4_cells(plan):
        if plan.registry[cell.dataset].group in DOMAINS:
            cells.setdefault((cell.model, cell.arm, cell.seed), []).append(cell)
    sets = []
    for (model, arm, seed), mine in cells.items():
        found = {cell: embeddings_of(cell) for cell in mine}
        forms = dict.fromkeys([TOGETHER, *(form for each in found.values() for form in each.classes)])
        for form in forms:
            sets.append(_vector_set(plan, model, ISOLATED_NAMES if form == ISOLATED else arm, seed, form, found))
    return sets


def _vector_set(plan: Plan, model: str, vectors: str, seed: int, form: str, found: dict[Cell, Embeddings]) -> VectorSet:
    there = {cell: each for cell, each in found.items() if form in each.classes}
    points = ClassPoints.of(
        (
            cell.dataset,
            plan.registry[cell.dataset].group,
            plan.registry[cell.dataset].classes,
            each.classes[form].numpy(),
        )
        for cell, each in there.items()
    )
    holes = [f"{cell.dataset}: skipped ({each.skipped})" for cell, each in found.items() if each.skipped]
    return VectorSet(model, vectors, seed, points, f"{len(there)}/{len(found)}", join_notes(holes))
