"""The cells of a suite's section `classification`, and what each is trained and scored on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cones.data.task_rules import DENSE
from cones.experiment.cell import FEATURES, Cell, Plan
from cones.experiment.classification import JOINT, Setting
from cones.experiment.outputs import Output, curve_grids
from cones.methods.method import METHODS, MethodEntry
from cones.runtime.errors import ConesError, closest

POSITIONS = ("patches", "regions", "regions_unplaced")  # stored features of positions; a method reads one of them


def grid_cells(plan: Plan, grid: str) -> list[Cell]:
    """The cells of one grid: models, arms, settings, seeds."""
    section, cells = plan.classification, []
    for model in section.grids[grid].models or section.models:
        for arm in section.grids[grid].arms or section.arms:
            for setting in section.settings_of(grid, arm):
                for seed in section.seeds_of(grid, arm):
                    cells.append(Cell(plan.suite.suite, model, str(setting), arm, seed))
    return cells


def classification_cells(plan: Plan, *, on_request: bool = True) -> list[Cell]:
    """The cells of every grid, each once, with or without those on request; none of a suite without the section."""
    if plan.suite.classification is None:
        return []
    left_out = () if on_request else plan.suite.on_request
    wanted = [grid for grid in plan.suite.classification.grids if grid not in left_out]
    return list(dict.fromkeys(cell for grid in wanted for cell in grid_cells(plan, grid)))


def classified_settings(plan: Plan) -> list[str]:
    """What a cell may have as its dataset: the settings of every grid, then those of joint cells behind them."""
    cells = classification_cells(plan)
    before = [first for cell in cells for first in cells_before(plan, cell)]
    return list(dict.fromkeys(cell.dataset for cell in [*cells, *before]))


def asked_for(plan: Plan, output: Output) -> bool:
    """Whether an output belongs to `all`: unless every grid that it reads is made on request."""
    parts = plan.parts_of(output)
    return not parts or not set(parts) <= set(plan.suite.on_request)


def classification_cell(plan: Plan, model: str, setting: str, arm: str, seed: int) -> Cell:
    """A cell of the section, or one that fixes its first stage; ConesError for a name that is not in it."""
    section, wanted = plan.classification, Setting.of(setting)
    of = ("group", section.groups) if wanted.kind == JOINT else ("dataset", section.datasets)
    for kind, name, known in (
        ("model", model, section.models),
        (of[0], wanted.dataset, of[1]),
        ("arm", arm, section.arms),
    ):
        if name not in known:
            raise ConesError(
                f'{kind} "{name}" is not in the suite',
                where=f"classification.{kind}s",
                next_step=closest(name, known),
            )
    if wanted.kind != JOINT and (task := plan.registry[wanted.dataset].task) != wanted.task:
        raise ConesError(
            f'dataset "{wanted.dataset}" is of the task {task}, and the setting is {wanted.kind}',
            where=setting,
            expected=f"a dataset of the task {wanted.task}",
            next_step="name it with a setting of its task",
        )
    return Cell(plan.suite.suite, model, setting, arm, int(seed))


def method_of(plan: Plan, arm: str) -> MethodEntry:
    return METHODS[plan.classification.method(arm)]


def stage1_of(plan: Plan, cell: Cell) -> Cell | None:
    """The cell whose concept embeddings this one fixes, if it fixes any."""
    if not plan.classification.has_stage1(cell.arm):
        return None
    first = plan.classification.arms[cell.arm].stage1
    return Cell(cell.suite, cell.model, cell.dataset, first, cell.seed)


def joint_of(plan: Plan, cell: Cell) -> Cell | None:
    """The cell that trains on all datasets of this one's group and serves it, if its method trains so."""
    setting = Setting.of(cell.dataset)
    group = plan.classification.group_of(setting.dataset)
    if setting.kind != "few_shot" or group is None or not plan.classification.trains_jointly(cell.arm):
        return None
    return Cell(cell.suite, cell.model, str(Setting(group, JOINT, setting.shots)), cell.arm, cell.seed)


def sources_of(plan: Plan, cell: Cell) -> list[Cell]:
    """The cells of other datasets that this one starts from, one for each seed; none of most arms."""
    section, setting = plan.classification, Setting.of(cell.dataset)
    start = section.arms[cell.arm].start_from
    if start is None or setting.kind == JOINT:
        return []
    group = str(Setting(start.group, JOINT, setting.shots))
    seeds = start.seeds or section.seeds
    return [Cell(cell.suite, cell.model, group, start.arm, seed) for seed in seeds]


def cells_before(plan: Plan, cell: Cell) -> list[Cell]:
    """The cells whose states this one reads: its first stage, the joint one that serves it, those it starts from."""
    found = [stage1_of(plan, cell), joint_of(plan, cell), *sources_of(plan, cell)]
    return [one for one in found if one is not None]


def datasets_read(plan: Plan, cell: Cell) -> tuple[str, ...]:
    """The datasets whose files a cell reads: those it is scored on, and those it was trained with."""
    joint = joint_of(plan, cell)
    return tuple(dict.fromkeys([*targets_of(plan, cell), *(targets_of(plan, joint) if joint else ())]))


def targets_of(plan: Plan, cell: Cell) -> tuple[str, ...]:
    """The datasets whose test images a cell is scored on: its own, then those that a grid with the cell names; of a
    joint cell those of its group."""
    section, setting = plan.classification, Setting.of(cell.dataset)
    if setting.kind == JOINT:
        return section.groups[setting.dataset]
    further = [
        target
        for name, grid in section.grids.items()
        if setting.dataset in grid.targets and cell in grid_cells(plan, name)
        for target in grid.targets[setting.dataset]
    ]
    return tuple(dict.fromkeys([setting.dataset, *further]))


def shows_curve(plan: Plan, cell: Cell) -> bool:
    """Whether the variants that its method shows are scored too: a pass over the test images for each of them."""
    return any(cell in grid_cells(plan, grid) for grid in curve_grids() if grid in plan.classification.grids)


def feature_kinds(plan: Plan, cell: Cell) -> tuple[str, ...]:
    """The files of stored image features that a cell reads: "pooled", and those of positions or views of its method;
    none where the image encoder takes part, as in every dense cell."""
    entry = method_of(plan, cell.arm)
    if entry.classifier_has_own_features or Setting.of(cell.dataset).kind == DENSE:
        return ()
    return ("pooled", *(kind for kind in (*POSITIONS, "views") if kind in entry.features))


def features_file(plan: Plan, model: str, dataset: str, kind: str) -> Path:
    return FEATURES / plan.suite.suite / model / dataset / f"{kind}.safetensors"


def self_supervised_file(plan: Plan, dataset: str) -> Path:
    return FEATURES / plan.suite.suite / "self_supervised" / f"{dataset}.safetensors"


def settings_of(plan: Plan, cell: Cell) -> dict[str, Any]:
    """What a cell's result depends on besides code, data and weights."""
    setting, entry = Setting.of(cell.dataset), method_of(plan, cell.arm)
    joint = joint_of(plan, cell)
    together = {} if joint is None else {"joint": list(targets_of(plan, joint))}
    if sources := sources_of(plan, cell):
        together["sources"] = {str(one.seed): [one.arm, *targets_of(plan, one)] for one in sources}
    if setting.kind == DENSE:
        together["dense_side"] = plan.classification.models[cell.model].dense_side
    return together | {
        "method": entry.name,
        "method_entry": entry.of_cells,
        "recipe": plan.classification.recipe_of(cell.model, cell.arm),
        "setting": setting.kind,
        "shots": setting.shots,
        "targets": list(targets_of(plan, cell)),
        "curve": shows_curve(plan, cell),
    }
