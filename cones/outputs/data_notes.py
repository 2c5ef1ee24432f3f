"""What the readers of a table must know of the data behind its numbers; kept in a file beside the table's CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from cones.data.findings import of_every_table
from cones.experiment.cell import Cell, Plan
from cones.experiment.classification_cells import grid_cells, targets_of
from cones.experiment.outputs import CLASSIFICATION, GENERATION, Output
from cones.outputs.files import data_notes_file
from cones.runtime.artifacts import read_json, write_json
from cones.runtime.errors import ConesError

VERSION = 1
NOT_RECORDED = "what was left out of the data is not recorded beside this file: make the table again"


def cells_behind(plan: Plan, output: Output) -> dict[str, list[Cell]]:
    """{dataset: its cells} of all datasets that an output shows; generation's and classification's have no cells here.

    Empty for an output that reads the datasets' manifests, as it says everything itself.
    """
    if output.reads == "manifests":
        return {}
    behind: dict[str, list[Cell]] = {}
    for part in plan.parts_of(output):
        if part == GENERATION:
            behind.setdefault(plan.generation.dataset, [])
            continue
        if output.reads == CLASSIFICATION:
            behind |= {dataset: [] for cell in grid_cells(plan, part) for dataset in targets_of(plan, cell)}
            continue
        for cell in plan.cells(part):
            if not output.groups or plan.registry[cell.dataset].group in output.groups:
                behind.setdefault(cell.dataset, []).append(cell)
            if output.reads == "elsewhere":  # their test images alone
                behind |= {other: behind.get(other, []) for other in plan.scored_elsewhere(cell)}
    return behind


def manifests_behind(plan: Plan, output: Output) -> list[Path]:
    """The manifests that `data_notes` reads."""
    return [plan.data_folder(dataset) / "manifest.json" for dataset in cells_behind(plan, output)]


def data_notes(plan: Plan, output: Output) -> list[str]:
    """The notes on an output's datasets, equal ones together: `bccd, cpm17: 1 picture in two splits`.

    What was left out or is shared (`of_every_table`), splits that are the same pictures or have no box to validate on,
    with what that means for the weights that are kept, which cells are few-shot, and what the suite cuts short. A
    dataset that is not prepared has no numbers and no notes.
    """
    behind = cells_behind(plan, output)
    named: dict[str, list[str]] = {}
    for dataset, cells in behind.items():
        try:
            manifest = plan.manifest(dataset)
        except ConesError:
            continue
        tuned = [cell for cell in cells if plan.method(cell.arm).uses_labels]
        selections = {plan.settings(cell).tuning.selection for cell in tuned}
        for note in (*of_every_table(manifest), *_on_splits(manifest, selections)):
            named.setdefault(note, []).append(dataset)
    of_datasets = (f"{', '.join(names)}: {note}" for note, names in named.items())
    return [*of_datasets, *_few_shot(plan, behind), *_cut_short(plan, behind)]


def _on_splits(manifest: dict, selections: set[str]) -> Iterator[str]:
    """Notes on the splits of a dataset; `selections` are those of its tuned cells."""
    for split, other in manifest.get("same_splits", {}).items():
        text = f"{split} and {other} are the same pictures"
        if {split, other} == {"val", "test"} and "best" in selections:
            text += ", so the weights that are best on validation are those that are best on the test"
        elif {split, other} == {"val", "test"} and selections:
            text += "; the weights of the last epoch are kept, whatever they score there"
        yield text
    if manifest["status"] == "ready" and selections and not manifest["splits"]["val"]["boxes"]:
        what = "no validation picture has a box" if manifest["splits"]["val"]["images"] else "no validation pictures"
        yield f"{what}, so the weights of the last epoch are kept (`selection: last`)"


def _few_shot(plan: Plan, behind: dict[str, list[Cell]]) -> Iterator[str]:
    """A note for each number of shots: whose cells were tuned on so few pictures."""
    tuned = [cell for cells in behind.values() for cell in cells if plan.method(cell.arm).uses_labels]
    shots = {cell: plan.settings(cell).tuning.shots for cell in tuned}
    for count in sorted({count for count in shots.values() if count is not None}):
        few = [cell for cell in tuned if shots[cell] == count]
        where: dict[tuple[str, ...], list[str]] = {}
        for arm in dict.fromkeys(cell.arm for cell in few):
            where.setdefault(tuple(dict.fromkeys(cell.dataset for cell in few if cell.arm == arm)), []).append(arm)
        whose = [f"{', '.join(arms)} on {', '.join(datasets)}" for datasets, arms in where.items()]
        everywhere = "everything that is tuned here" if len(few) == len(tuned) else "; ".join(whose)
        yield f"few-shot, about {count} image{'s' * (count != 1)} per class in train and val: {everywhere}"
        for dataset in dict.fromkeys(cell.dataset for cell in few):
            if short := _classes_with_fewer(plan, dataset, count):
                yield f"{dataset}: a class has fewer than {count} training images, and all of them are taken: {short}"


def _classes_with_fewer(plan: Plan, dataset: str, count: int) -> str:
    """The classes of a dataset that have fewer boxes than `count` in its training pictures, or all if it has fewer
    pictures with boxes: they cannot have as many images. Empty where none is prepared."""
    try:
        train = plan.manifest(dataset)["splits"]["train"]
    except ConesError:
        return ""
    shown, known = train["images"] - train.get("without_boxes", 0), train.get("per_class", {})
    return ", ".join(name for name, boxes in known.items() if train["images"] and min(boxes, shown) < count)


def _cut_short(plan: Plan, behind: dict[str, list[Cell]]) -> Iterator[str]:
    """Notes on what the suite makes smaller than data and models are: pictures of a split, their size, steps."""
    cells = [cell for cells in behind.values() for cell in cells]
    if cells and (pictures := plan.suite.pictures):
        yield f"at most {pictures} pictures of each split are used, those with objects first, in the order of their ids"
    sides: dict[int, dict[str, None]] = {}
    steps: dict[int, dict[str, None]] = {}
    for cell in cells:
        settings = plan.settings(cell)
        if settings.test_short_side:
            sides.setdefault(settings.test_short_side, {})[cell.model] = None
        if settings.tuning.max_steps and plan.method(cell.arm).uses_labels:
            steps.setdefault(settings.tuning.max_steps, {})[cell.model] = None
    for side, models in sides.items():
        yield f"pictures are tested with a short side of {side} pixels: {', '.join(models)}"
    for count, models in steps.items():
        yield f"tuning ends after {count} optimiser step{'s' * (count != 1)} at most: {', '.join(models)}"


def write_data_notes(csv: Path, notes: Sequence[str]) -> Path:
    """Write the notes to the file beside a table's CSV, and return its path."""
    path = data_notes_file(csv)
    write_json(path, {"version": VERSION, "notes": list(notes)})
    return path


def read_data_notes(csv: Path, suite: str) -> list[str]:
    """The notes beside a table's CSV or, of a copy in `results/`, beside the suite's table; NOT_RECORDED without."""
    beside = data_notes_file(csv)
    for path in (beside, beside.parent / suite / beside.name):
        if path.exists():
            return read_json(path)["notes"]
    return [NOT_RECORDED]
