"""Step `figure4`: the class vectors of a suite's cells become maps and the numbers beside them; needs no model."""

from pathlib import Path

from cones.analysis.blending import VectorSet, blending_table
from cones.analysis.blending_sheet import ISOLATED_NAMES, blending_sheet
from cones.analysis.embeddings import ISOLATED, TOGETHER, Embeddings
from cones.analysis.figure4 import save_figure4
from cones.analysis.points import DOMAINS, ClassPoints
from cones.artifacts import write_text
from cones.cell import RESULTS, Cell, Plan
from cones.steps.embeddings import read_embeddings
from cones.tables.files import named, read_csv, to_csv
from cones.tables.sheet import sheet_markdown
from cones.tables.wording import join_notes, said_of_suite


def write_figure4(plan: Plan, *, partial: bool = False) -> list[Path]:
    """`figure4.csv`, `.md`, `.png`, `.pdf` and the supplement; the seeds of the grid `stability` go into one column.

    With `partial`, after a failed run, of the vectors there are, under the names of `partial_name`.
    """
    suite, title = plan.suite.suite, said_of_suite(plan.suite.title, partial)
    sets = vector_sets(plan, partial=partial)
    folder = RESULTS / suite
    csv, supplement = (folder / named(name, partial) for name in ("figure4.csv", "figure4_supplement.png"))
    write_text(csv, to_csv(blending_table(sets, suite=suite)))
    columns, rows = read_csv(csv)
    write_text(csv.with_suffix(".md"), sheet_markdown(blending_sheet(columns, rows, suite=suite, title=title)))
    first = {(one.model, one.vectors): one for one in reversed(sets)}
    shown = [one for one in sets if first[one.model, one.vectors] is one]
    drawn = save_figure4(shown, rows, csv.with_suffix(".png"), supplement, suite=suite, title=title)
    return [csv, csv.with_suffix(".md"), *drawn]


def figure4_cells(plan: Plan) -> list[Cell]:
    """The cells whose vectors are drawn, then those of other seeds whose vectors are compared with them.

    ConesError if the suite has no grid "figure4".
    """
    others = plan.cells("stability") if "stability" in plan.suite.grids else ()
    return list(dict.fromkeys([*plan.cells("figure4"), *others]))


def vector_sets(plan: Plan, *, partial: bool = False) -> list[VectorSet]:
    """A set per model, arm and seed, in the grid's order; the isolated names of zero-shot are a set of their own."""
    cells: dict[tuple[str, str, int], list[Cell]] = {}
    for cell in figure4_cells(plan):
        if plan.registry[cell.dataset].group in DOMAINS:
            cells.setdefault((cell.model, cell.arm, cell.seed), []).append(cell)
    sets = []
    for (model, arm, seed), mine in cells.items():
        found = read_embeddings(plan, mine, partial=partial)
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
    holes = [f"{cell.dataset}: {each.hole}" for cell, each in found.items() if each.hole]
    return VectorSet(model, vectors, seed, points, f"{len(there)}/{len(found)}", join_notes(holes))
