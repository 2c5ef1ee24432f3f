"""The section `classification` of a suite: models with two encoders, datasets, arms and the grids of the survey."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from cones.data.task_rules import CLASSIFICATION, DENSE, MULTI_LABEL
from cones.experiment.grids import Seeds
from cones.experiment.outputs import classification_grids, setting_read, shows_one_number
from cones.methods.method import METHODS
from cones.methods.settings import Recipe
from cones.runtime.errors import ConesError, closest
from cones.runtime.strict import Name, Strict, by_name, parse

Kind = Literal["few_shot", "base_to_new", "multi_label", "dense"]
SOURCES = "sources"  # the input of a method that can start from trainings on other data
JOINT = "joint"  # the setting of a cell that trains on several datasets at once
WRITTEN = {  # how a cell's name says its setting, and the number that belongs to it
    "few_shot": "{}shot",
    "base_to_new": "base{}",
    JOINT: "joint{}",
    MULTI_LABEL: "labels{}",
    DENSE: "dense{}",
}
NAME = re.compile(
    rf"(?P<dataset>.+)-(?:{'|'.join(written.format(rf'(?P<{kind}>[0-9]+)') for kind, written in WRITTEN.items())})"
)
Shots = Annotated[int, Field(ge=1)]
PerCent = Annotated[int, Field(ge=1, le=100)]
Names = Annotated[tuple[str, ...], Field(min_length=1)]


def task_of(kind: str) -> str:
    """The task of the datasets of a kind of setting."""
    return kind if kind in (MULTI_LABEL, DENSE) else CLASSIFICATION


@dataclass(frozen=True)
class Setting:
    """What a cell is trained on: so many images a class of a dataset, of all classes or of the first half of them; or
    of all datasets of a group, `joint`, whose name is then the dataset's. Where a picture may show several classes, on
    all training images with so many per cent of their labels, which stand in place of `shots`; for a class for every
    pixel, `dense`, on so many pictures with class maps, whatever they show.

    Its name stands where a cell has its dataset: `dtd-16shot`, `dtd-base16`, `textures-joint16`, `voc2007-labels10`,
    `ade20k-dense16`.
    """

    dataset: str
    kind: Kind | Literal["joint"]
    shots: int

    def __str__(self) -> str:
        return f"{self.dataset}-{WRITTEN[self.kind].format(self.shots)}"

    @property
    def task(self) -> str:
        """That of its dataset, which a method must serve to have such a cell (`ClassifierMethod.serves`)."""
        return task_of(self.kind)

    @classmethod
    def of(cls, name: str) -> "Setting":
        """The setting of a name; ConesError for anything else."""
        if match := NAME.fullmatch(name):
            kind = next(kind for kind in WRITTEN if match[kind])
            found = cls(match["dataset"], kind, int(match[kind]))
            if str(found) == name and 1 <= found.shots <= (100 if kind == MULTI_LABEL else found.shots):
                return found
        examples = [f"<{'group' if kind == JOINT else 'dataset'}>-{WRITTEN[kind].format('<n>')}" for kind in WRITTEN]
        raise ConesError(
            "not a dataset with its setting",
            where=name,
            expected=f"{' or '.join(examples)}, n from 1 and of labels to 100",
            next_step="name it as the folders below results/<suite>/<model>/ are named",
        )


def _classifying() -> list[str]:
    """The methods that classify images; for messages, as it reads the file of every method."""
    return [name for name, entry in METHODS.items() if entry.classifier]


class ClassificationModel(Strict):
    """What differs between models with two encoders."""

    initial_seed: int | None = Field(
        None, description="start from random weights of this seed: no checkpoint is needed"
    )
    recipe: dict[Name, dict[str, Any]] = Field(
        default_factory=dict, description="method -> what its recipe has with this model, such as a learning rate"
    )
    dense_side: int | None = Field(
        None, ge=1, description="pixels of the short side of pictures that are read pixel by pixel; default: as others"
    )


class StartFrom(Strict):
    """The trainings on other datasets that an arm starts from: one for each seed."""

    arm: Name = Field(description="whose method trains on several datasets at once")
    group: Name = Field(description="one of `source_groups`")
    seeds: Seeds | None = Field(None, description="default: those of the section")


class ClassificationArm(Strict):
    """A named row: a method plus overrides of its recipe. An arm named like a method is that method."""

    method: str | None = None
    stage1: str = Field("cones", description="the arm whose concept embeddings stage 2 fixes")
    start_from: StartFrom | None = Field(None, description="for a method that can start from trainings on other data")
    recipe: dict[str, Any] = Field(default_factory=dict, description="overrides of the published recipe")


class GridArm(Strict):
    """An arm in a grid; what is not named is as for the grid's other arms."""

    datasets: Names | None = None
    seeds: Seeds | None = None


class ClassificationGrid(Strict):
    """The cells behind one table: models x datasets x shots x arms x seeds."""

    setting: Kind = Field(
        "few_shot",
        description="base_to_new: the first half of the classes has training images; multi_label: several classes a"
        " picture, and `labels` instead of `shots`; dense: a class for every pixel, and `shots` are pictures",
    )
    models: Names | None = Field(None, description="default: all of the section")
    datasets: Names | None = Field(
        None, description="default: those of the section whose task is the setting's; where `targets` stand, these"
    )
    arms: dict[Name, GridArm] | None = Field(None, min_length=1, description="default: all of the section")
    shots: Annotated[tuple[Shots, ...], Field(min_length=1)] = (16,)
    labels: Annotated[tuple[PerCent, ...], Field(min_length=1)] = Field(
        (100,), description="with `setting: multi_label`: per cent of the training labels that are known"
    )
    seeds: Seeds | None = Field(None, description="default: those of the section")
    targets: dict[str, Names] = Field(
        default_factory=dict, description="dataset -> others whose test images its cells are scored on too"
    )

    on_request: bool = Field(False, description="true: its table is no part of `all`, and made when it is asked for")

    _arms_by_name = field_validator("arms", mode="before")(lambda value: value if value is None else by_name(value))

    @model_validator(mode="after")
    def _numbers_of_setting(self) -> "ClassificationGrid":
        """`shots` and `labels` are never both read: one that would change nothing is refused."""
        unread = "shots" if self.setting == MULTI_LABEL else "labels"
        if unread in self.model_fields_set:
            instead = "`labels`, per cent of the labels" if unread == "shots" else "`shots`"
            raise ValueError(f"`{unread}` is not read with `setting: {self.setting}`; say {instead}, or leave it out")
        return self


class Classification(Strict):
    """Every arm fits a classifier on a few labelled images; nothing but its recipe and the arm decides how."""

    models: dict[Name, ClassificationModel] = Field(min_length=1)
    datasets: Names = Field(
        description="entries of the suite's registry files with `task: classification`, `multi_label` or `dense`"
    )
    seeds: Seeds = (1, 2, 3)
    arms: dict[Name, ClassificationArm] = Field(min_length=1, description="rows of the tables, in this order")
    recipe: dict[str, Any] = Field(default_factory=dict, description="what every method's recipe has in this suite")
    joint: dict[Name, Names] = Field(
        default_factory=dict,
        description="group -> datasets that a method of several datasets trains on at once; each of them in one group",
    )
    source_groups: dict[Name, Names] = Field(
        default_factory=dict, description="group -> datasets that are trained on at once for arms that `start_from` it"
    )
    grids: dict[Name, ClassificationGrid] = Field(min_length=1, description="table that reads it -> its cells")

    _by_name = field_validator("models", "arms", mode="before")(by_name)

    @model_validator(mode="after")
    def _consistent(self) -> "Classification":
        for name, arm in self.arms.items():
            method = self.method(name)
            if method not in METHODS:
                raise ValueError(f'arm "{name}" has no known method; {closest(method, _classifying())}')
            if METHODS[method].classifier is None:
                raise ValueError(
                    f'arm "{name}": the method "{method}" classifies no images; {closest(method, _classifying())}'
                )
            if self.has_stage1(name) and (arm.stage1 not in self.arms or self.method(arm.stage1) != "cones"):
                raise ValueError(f'arm "{name}" needs the arm "{arm.stage1}" of cones, which is not in the suite')
        for name, model in self.models.items():
            for method in model.recipe:
                if method not in METHODS or METHODS[method].classifier is None:
                    raise ValueError(f'models.{name}.recipe: no method "{method}"; {closest(method, _classifying())}')
        self._check_groups()
        for name in self.grids:
            self._check_grid(name)
        return self

    def _check_groups(self) -> None:
        """ValueError for a group that is none, or a dataset that is unknown or stands twice."""
        listed = [dataset for group in self.joint.values() for dataset in group]
        for where, groups in (("joint", self.joint), ("source_groups", self.source_groups)):
            for name, group in groups.items():
                self._check_group(f"{where}.{name}", name, group)
        for dataset in listed:
            if listed.count(dataset) > 1:
                raise ValueError(f'joint: dataset "{dataset}" is named twice; a dataset is in one group')
        for name in self.source_groups:
            if name in self.joint:
                raise ValueError(f"source_groups.{name}: a group of `joint` has this name; take another one")
        for name, arm in self.arms.items():
            if arm.start_from is not None:
                self._check_start(f"arms.{name}.start_from", name, arm.start_from)

    def _check_group(self, where: str, name: str, group: Names) -> None:
        if name in self.datasets:
            raise ValueError(f"{where}: a dataset has this name; take another one")
        if len(set(group)) < 2:
            raise ValueError(f"{where}: one dataset is no group; name at least two")
        for dataset in group:
            if dataset not in self.datasets:
                raise ValueError(
                    f'{where}: dataset "{dataset}" is not in the section; {closest(dataset, self.datasets)}'
                )

    def _check_start(self, where: str, arm: str, start: StartFrom) -> None:
        if SOURCES not in METHODS[method := self.method(arm)].inputs:
            raise ValueError(f'{where}: the method "{method}" starts from no training on other data; leave it out')
        if start.group not in self.source_groups:
            raise ValueError(f'{where}: no group "{start.group}"; {closest(start.group, self.source_groups)}')
        if start.arm not in self.arms or not self.trains_jointly(start.arm):
            raise ValueError(f'{where}: "{start.arm}" is no arm of the section that trains on several datasets at once')

    def _check_grid(self, name: str) -> None:
        """ValueError if no table reads a grid, or it names what the section does not have."""
        known_grids = classification_grids()
        if name not in known_grids:
            raise ValueError(f"grids.{name}: no table or figure is made of it; {closest(name, known_grids)}")
        grid = self.grids[name]
        arms = grid.arms or {}
        targets = [target for targets in grid.targets.values() for target in targets]
        own = [dataset for arm in arms.values() for dataset in arm.datasets or ()]
        for kind, named, known in (
            ("model", grid.models or (), self.models),
            ("dataset", [*(grid.datasets or ()), *grid.targets, *targets, *own], self.datasets),
            ("arm", arms, self.arms),
        ):
            for entry in named:
                if entry not in known:
                    raise ValueError(f'grids.{name}: {kind} "{entry}" is not in the section; {closest(entry, known)}')
        if grid.targets and grid.setting != "few_shot":
            raise ValueError(f"grids.{name}: `targets` go with `setting: few_shot`")
        if (needed := setting_read(name)) not in (None, grid.setting):
            raise ValueError(f"grids.{name}: its table reads `setting: {needed}`; found {grid.setting}")
        if len(set(grid.shots)) > 1 and shows_one_number(name):
            found = ", ".join(map(str, grid.shots))
            raise ValueError(f"grids.{name}: its table shows one number of `shots`; found {found}; name one of them")

    def method(self, arm: str) -> str:
        return self.arms[arm].method or arm

    def has_stage1(self, arm: str) -> bool:
        """Whether the arm fixes the concept embeddings of another one, its `stage1`."""
        return "stage1" in METHODS[self.method(arm)].inputs

    def trains_jointly(self, arm: str) -> bool:
        """Whether one training of the arm serves all datasets of a group."""
        return JOINT in METHODS[self.method(arm)].inputs

    @property
    def groups(self) -> dict[str, Names]:
        """All groups of datasets that a joint cell may train on."""
        return {**self.joint, **self.source_groups}

    def group_of(self, dataset: str) -> str | None:
        """The group that a dataset is trained in, if it is in any."""
        return next((name for name, group in self.joint.items() if dataset in group), None)

    def recipe_of(self, model: str, arm: str) -> dict[str, Any]:
        """What a cell's recipe has instead of its method's published values: suite < model < arm; `options` key by
        key. ConesError for a key or value that no recipe has."""
        changed: dict[str, Any] = {}
        for source in (self.recipe, self.models[model].recipe.get(self.method(arm), {}), self.arms[arm].recipe):
            both = [one["options"] for one in (changed, source) if isinstance(one.get("options"), dict)]
            changed = {**changed, **source, **({"options": both[0] | both[1]} if len(both) > 1 else {})}
        parse(Recipe, changed, where=f"classification: recipe of models.{model} or arms.{arm}")
        return changed

    def settings_of(self, grid: str, arm: str) -> list[Setting]:
        """The settings of an arm in a grid: datasets x shots."""
        asked = self.grids[grid]
        own = (asked.arms or {}).get(arm, GridArm())
        datasets = own.datasets or asked.datasets or tuple(asked.targets) or self.datasets
        numbers = asked.labels if asked.setting == MULTI_LABEL else asked.shots
        return [Setting(dataset, asked.setting, number) for dataset in datasets for number in numbers]

    def datasets_of(self, grid: str) -> list[str]:
        """Every dataset that a grid reads, its arms' own and its targets among them."""
        asked = self.grids[grid]
        own = [setting.dataset for arm in asked.arms or self.arms for setting in self.settings_of(grid, arm)]
        return list(dict.fromkeys([*own, *(one for targets in asked.targets.values() for one in targets)]))

    def seeds_of(self, grid: str, arm: str) -> tuple[int, ...]:
        asked = self.grids[grid]
        return (asked.arms or {}).get(arm, GridArm()).seeds or asked.seeds or self.seeds
