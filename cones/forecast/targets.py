"""The cells of grids and of subjects that target files are made of, and the jobs that make these cells."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from cones.experiment.cell import Cell, Plan
from cones.experiment.classification import Setting
from cones.experiment.classification_cells import cells_before, grid_cells
from cones.experiment.outputs import OUTPUTS, embedded_grids, scored_grids
from cones.experiment.pipeline import SUBJECT_STEPS, Pipeline
from cones.experiment.suite import MAIN_GRID
from cones.runtime.errors import ConesError, closest


def parts_of(plan: Plan, targets: Sequence[str]) -> list[str]:
    """The grids, and "generation", behind `results/table1.csv`, `results/<suite>/table1.csv` or `table1`; without
    targets all of them."""
    made = {
        PurePath(name).stem: (*output.grids, *output.also, *plan.parts_of(output))
        for output in OUTPUTS.values()
        if output.reads != "manifests"
        for name in output.files
    }
    made |= {
        "all": parts_of_all(plan),
        "report": parts_of_all(plan) if scored_grids(plan.suite.parts) or plan.suite.classification else (),
    }
    made |= {"figure_methods": plan.suite.parts if MAIN_GRID in plan.suite.grids else ()}  # comes with the report
    wanted: dict[str, None] = {}
    for target in targets or ("all",):
        path = PurePath(target)
        if path.parent.name not in ("", "results", plan.suite.suite):
            raise ConesError("a file of another suite", where=target, next_step=f"--suite {path.parent.name}")
        if path.stem not in made:
            raise ConesError("no cells stand behind it", where=target, next_step=closest(path.stem, made))
        there = list(dict.fromkeys(part for part in made[path.stem] if part in plan.suite.parts))
        if not there:
            add = f", or add grid {made[path.stem][0]} to this one" if made[path.stem] else ""
            raise ConesError(
                f"the suite {plan.suite.suite} does not make it", where=target, next_step=f"choose another suite{add}"
            )
        wanted |= dict.fromkeys(there)
    return list(wanted)


def parts_of_all(plan: Plan) -> tuple[str, ...]:
    """What `all` makes: every part of the suite but the grids that are made on request."""
    return tuple(part for part in plan.suite.parts if part not in plan.suite.on_request)


def cells_of(plan: Plan, parts: Iterable[str], datasets: Sequence[str] = ()) -> dict[Cell, set[str]]:
    """{cell of the grids among these parts: its jobs}, with the cells whose tuned state they start from."""
    if unknown := [name for name in datasets if name not in plan.suite.all_datasets]:
        raise ConesError(
            f'dataset "{unknown[0]}" is not in the suite',
            where="--dataset",
            next_step=closest(unknown[0], plan.suite.all_datasets),
        )
    cells: dict[Cell, set[str]] = {}
    scored, embedded = scored_grids(plan.suite.parts), embedded_grids(plan.suite.parts)
    for grid in (part for part in parts if part in plan.suite.grids):
        for cell in plan.cells(grid):
            if not datasets or cell.dataset in datasets:
                cells.setdefault(cell, {"tune"}).update(
                    ["evaluate"] * (grid in scored)
                    + ["embed"] * (grid in embedded)
                    + ["elsewhere"] * bool(plan.suite.grids[grid].targets.get(cell.dataset))
                )
    todo = list(cells)
    while todo:  # what is mixed with its start may itself start from stage 1
        for first in plan.cells_before(todo.pop()).values():
            if first not in cells:
                cells[first] = {"tune"}
                todo.append(first)
    return cells


def subjects_of(plan: Plan, parts: Iterable[str], datasets: Sequence[str] = ()) -> dict[Cell, set[str]]:
    """{cell of a subject: its jobs}; an arm whose method cannot draw has none."""
    generation = plan.suite.generation
    if generation is None or "generation" not in parts or (datasets and generation.dataset not in datasets):
        return {}
    return {cell: set(SUBJECT_STEPS) for cell in plan.subject_cells()}


def classified_of(plan: Plan, parts: Iterable[str], datasets: Sequence[str] = ()) -> dict[Cell, set[str]]:
    """{cell of classification among these parts: its jobs}, with the cells that their stage 2 starts from."""
    if plan.suite.classification is None:
        return {}
    grids = [part for part in parts if part in plan.suite.classification.grids]
    cells = dict.fromkeys(cell for grid in grids for cell in grid_cells(plan, grid))
    if datasets:
        cells = [cell for cell in cells if Setting.of(cell.dataset).dataset in datasets]
    first = [before for cell in cells for before in cells_before(plan, cell)]
    return {cell: {"classify"} for cell in dict.fromkeys([*cells, *first])}


def is_done(pipeline: Pipeline, cell: Cell, its_jobs: Iterable[str]) -> bool:
    jobs = (pipeline.job_of(step, cell) for step in its_jobs)
    return all(file.exists() for job in jobs for file in pipeline.files(job))


def jobs(pipeline: Pipeline, cells: dict[Cell, set[str]]) -> dict[str, int]:
    """{rule: jobs} from nothing, as a dry run counts them, without the local jobs that write tables and figures.

    cells  those of grids and of subjects, and which jobs of each are asked for
    """
    asked = [pipeline.job_of(step, cell) for cell, its_jobs in cells.items() for step in its_jobs]
    count = Counter(job.step for job in pipeline.behind(asked))
    return {step: count[step] for step in pipeline.steps if count[step]}
