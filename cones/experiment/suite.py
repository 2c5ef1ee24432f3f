"""The typed configuration of a suite: its datasets, models, arms, seeds and tuning settings."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from cones.experiment.arms import Arm, Model, check_start
from cones.experiment.classification import Classification, ClassificationModel
from cones.experiment.few_shot import with_few_shot_arms
from cones.experiment.generation import Generation
from cones.experiment.grids import Grid
from cones.experiment.matched import check_match
from cones.experiment.outputs import GENERATION, is_read, known_grids, needs_of
from cones.experiment.plugins import load_plugins
from cones.methods.method import METHODS
from cones.methods.settings import CellSettings, Tuning
from cones.models.family import family_of
from cones.runtime.errors import ConesError, closest
from cones.runtime.strict import IDENTIFIER, Name, Strict, by_name, parse, read_yaml

CONFIG_FOLDER = Path("config")


class Report(Strict):
    """What the report of a suite shows beside its tables."""

    pictures: bool = Field(
        True,
        description="test pictures with what was predicted; false where the page must not hold any, as of patients",
    )


MAIN_GRID = "table1"  # of a suite that names none


class Suite(Strict):
    """An experiment: datasets from one source, models, arms, seeds, schedule; `config/<suite>.yaml` holds one."""

    suite: str = Field(pattern=IDENTIFIER)
    title: str = Field(description="said above every table and figure of the suite")
    source: Literal["official", "miniature", "sample"] = Field(description="where the datasets come from")
    mirror: str | None = Field(
        None, description="folder with <dataset>/ archives or unpacked trees, instead of the web"
    )
    data_dir: str = "data"
    registry: tuple[str, ...] = Field((), description="files with datasets of your own, beside datasets.yaml")
    plugins: tuple[str, ...] = Field(
        (), description="files and packages with methods, models, formats or tables of your own, relative to this file"
    )
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    datasets: tuple[str, ...] = ()
    models: dict[Name, Model] = Field(default_factory=dict, description="detectors")
    arms: dict[Name, Arm] = Field(default_factory=dict)
    grids: dict[str, Grid] = Field(
        {MAIN_GRID: Grid()},
        description="table or figure that reads it -> its cells; without it Table 1 has every model, dataset and arm",
    )
    generation: Generation | None = Field(None, description="pictures of subjects: generation.csv, Figures 3 and 6")
    classification: Classification | None = Field(None, description="models with two encoders: survey.csv and others")
    report: Report = Report()
    prompts: Literal["plain", "glip_manual"] = Field(
        "plain", description="class names, or GLIP's hand-written phrases where a dataset has them"
    )
    tuning: Tuning = Tuning()
    pictures: int | None = Field(
        None, ge=1, description="of a split at most, those with objects first: to see a whole suite run in little time"
    )
    dataset_tuning: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="dataset -> overrides of `tuning` that its protocol asks for"
    )
    learning_rate_studies: tuple[str, ...] = Field(
        (), description="CSV files with the studies that the learning rates were chosen by; the report shows them"
    )
    device: Literal["auto", "cpu", "gpu"] = Field(
        "auto", description="auto: nano models compute on the CPU, all others on a GPU where there is one"
    )
    allow_cpu: bool = Field(
        True, description="false: a model that wants a GPU and finds none is refused, not left to the CPU"
    )
    feature_cache_gb: float = Field(
        0.0,
        ge=0,
        description="disk for the image features that the cells of a model and dataset share where their image encoder "
        "is frozen; 0: each cell computes its own. Changes no number",
    )

    @field_validator("data_dir", "mirror")
    @classmethod
    def _is_a_folder(cls, value: str | None) -> str | None:
        """It becomes part of paths that Snakemake reads braces in."""
        if value is not None and (not value.strip() or any(character in value for character in "{}\n\0")):
            raise ValueError("must be the path of a folder, without braces or line breaks")
        return value

    _arms_by_name = field_validator("arms", mode="before")(by_name)

    @field_validator("grids", mode="before")
    @classmethod
    def _one_grid(cls, value: Any) -> Any:
        """`grids: null`, in a suite like another, is one grid of everything; `grids: {}` is none."""
        return {MAIN_GRID: {}} if value is None else value

    @model_validator(mode="before")
    @classmethod
    def _no_detectors(cls, content: Any) -> Any:
        """A suite that classifies alone, without detectors, has no grid of detectors."""
        if isinstance(content, dict) and content.get("classification") and not content.get("models"):
            return {**content, "grids": content.get("grids") or {}}
        return content

    @model_validator(mode="after")
    def _consistent(self) -> "Suite":
        for name, arm in self.arms.items():
            method = arm.method or name
            if method not in METHODS:
                raise ValueError(f'arm "{name}" has no known method; {closest(method, METHODS)}')
            if arm.start_std is not None:
                check_start(method)
            if arm.matched_to is not None:
                check_match(name, arm, self.arms)
        for name in self.grids:
            if not is_read(name):
                raise ValueError(f"grids.{name}: no table or figure is made of it; {closest(name, known_grids())}")
            self._check_grid(name)
        if self.device == "cpu" and not self.allow_cpu:
            raise ValueError("device is cpu, and allow_cpu is false: change one of them")
        if not self.grids and not self.generation and not self.classification:
            raise ValueError("neither a grid nor generation nor classification: there is nothing to do")
        if self.classification and (twice := self.models.keys() & self.classification.models.keys()):
            raise ValueError(f'classification.models: "{sorted(twice)[0]}" is one of the detectors under `models`')
        return self

    def _check_grid(self, name: str) -> None:
        """ValueError if a grid names what the suite lacks, a tuned arm has no learning rate, or stage 2 no stage 1."""
        models, datasets, arms = self.grid(name)
        self._check_keys(name)
        for kind, what in (("models", models), ("datasets", datasets), ("arms", arms)):
            if not what:
                raise ValueError(f"grids.{name}: the suite has no {kind}; name some, or say `grids: {{}}`")
        for kind, named, known in (("model", models, self.models), ("arm", arms, self.arms)):
            for entry in named:
                if entry not in known:
                    raise ValueError(f'grids.{name}: {kind} "{entry}" is not in the suite; {closest(entry, known)}')
        if isinstance(seeds := self.grids[name].seeds, dict):
            for arm_name in seeds:
                if arm_name not in self.arms:  # one that the grid leaves out may stay
                    step = closest(arm_name, self.arms)
                    raise ValueError(f'grids.{name}.seeds: "{arm_name}" is no arm of the suite; {step}')
        for arm_name in arms:
            arm = self.arms[arm_name]
            method = arm.method or arm_name
            entry = METHODS[method]
            if "stage1" in entry.inputs and arm.stage1 not in self.arms:
                raise ValueError(f'arm "{arm_name}" needs the arm "{arm.stage1}", which is not in the suite')
            tuned = {arm_name: method}
            if arm.tuned_arm and not entry.tuned_arm:
                raise ValueError(f'arm "{arm_name}" names a tuned_arm, and its method "{method}" reads none')
            if entry.tuned_arm:
                self._check_tuned_arm(arm_name, before := arm.tuned_arm or entry.tuned_arm, entry.tuned_arm)
                tuned[before] = entry.tuned_arm
            for model in models:
                for name, of in tuned.items():
                    self._check_rate(model, name, of)

    def _check_keys(self, name: str) -> None:
        """ValueError for a grid without what its table shows, or with targets that no table or no cell reads."""
        needed, grid = needs_of(name), self.grids[name]
        if needed and not getattr(grid, needed):
            raise ValueError(f"grids.{name}: `{needed}` is missing, and without it its table has nothing to show")
        if grid.targets and needed != "targets":
            raise ValueError(f"grids.{name}: no table of this grid reads `targets`; take them out")
        asked = {dataset for dataset, others in grid.targets.items() if others}
        if foreign := sorted(asked - set(datasets := self.grid(name)[1])):
            raise ValueError(
                f'grids.{name}.targets: nothing is tuned on "{foreign[0]}" there; {closest(foreign[0], datasets)}'
            )
        if own := [dataset for dataset, others in grid.targets.items() if dataset in others]:
            raise ValueError(f'grids.{name}.targets: "{own[0]}" is scored on itself anyway; name others')

    def _check_rate(self, model: str, arm: str, method: str) -> None:
        rates, entry = self.models[model].learning_rate, METHODS[method]
        if entry.class_name and entry.is_tuned and self.arms[arm].learning_rate is None and method not in rates:
            raise ValueError(f'models.{model}.learning_rate has no value for "{method}" (arm "{arm}")')

    def _check_tuned_arm(self, arm: str, tuned: str, method: str) -> None:
        """ValueError unless the arm whose tuned values another one reads is there, and of the method that it needs."""
        if tuned not in self.arms:
            raise ValueError(f'arm "{arm}" needs the arm "{tuned}", which is not in the suite')
        if (found := self.arms[tuned].method or tuned) != method:
            raise ValueError(f'arm "{arm}" needs an arm of {method} as its tuned_arm; "{tuned}" is one of {found}')

    def grid(self, name: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """(models, datasets, arms) of a grid, in its order."""
        if name not in self.grids:
            where = f"{CONFIG_FOLDER / self.suite}.yaml: grids"
            raise ConesError(
                f'grid "{name}" is not in the suite', where=where, next_step=f"choose one of: {', '.join(self.grids)}"
            )
        grid = self.grids[name]
        return grid.models or tuple(self.models), grid.datasets or self.datasets, grid.arms or tuple(self.arms)

    @property
    def all_datasets(self) -> tuple[str, ...]:
        """The datasets of every grid and of generation, in the order in which they first come up."""
        drawn = [self.generation.dataset] if self.generation else []
        classified = self.classification.datasets if self.classification else ()
        detected = [name for key, grid in self.grids.items() for name in (*self.grid(key)[1], *grid.others)]
        return tuple(dict.fromkeys([*detected, *drawn, *classified]))

    @property
    def all_models(self) -> dict[str, Model | ClassificationModel]:
        """The models that have a file of base weights: the detectors, and those with two encoders."""
        return {**self.models, **(self.classification.models if self.classification else {})}

    @property
    def named_datasets(self) -> Iterator[tuple[str, str]]:
        """(key of the suite, dataset) of every dataset that it names."""
        yield from (("datasets", name) for name in self.datasets)
        for key, grid in self.grids.items():
            yield from ((f"grids.{key}.datasets", name) for name in grid.datasets or ())
            yield from ((f"grids.{key}.targets", name) for name in (*grid.targets, *grid.others))
        if self.generation:
            yield "generation.dataset", self.generation.dataset
        if self.classification:
            yield from (("classification.datasets", name) for name in self.classification.datasets)
        yield from (("dataset_tuning", name) for name in self.dataset_tuning)

    @property
    def parts(self) -> tuple[str, ...]:
        """What the suite makes: its grids, "generation" if it draws pictures, and the grids of `classification`."""
        classified = self.classification.grids if self.classification else ()
        return (*self.grids, *([GENERATION] if self.generation else []), *classified)

    @property
    def on_request(self) -> tuple[str, ...]:
        """The grids, of detectors and of `classification`, whose tables are no part of `all`."""
        grids = {**self.grids, **(self.classification.grids if self.classification else {})}
        return tuple(name for name, grid in grids.items() if grid.on_request)

    def seeds_of(self, name: str, arm: str) -> tuple[int, ...]:
        """The seeds of an arm in a grid."""
        seeds = self.grids[name].seeds
        return (seeds.get(arm) if isinstance(seeds, dict) else seeds) or self.seeds

    @property
    def all_seeds(self) -> tuple[int, ...]:
        arms = ((name, arm) for name in self.grids for arm in self.grid(name)[2])
        return tuple(dict.fromkeys(seed for name, arm in arms for seed in self.seeds_of(name, arm)))


def cell_settings(suite: Suite, model_name: str, arm_name: str, dataset: str | None = None) -> CellSettings:
    """The settings of a cell: those of the suite, overridden by model, dataset and arm, in this order."""
    model, arm = suite.models[model_name], suite.arms[arm_name]
    method = arm.method or arm_name
    dataset_tuning = suite.dataset_tuning.get(dataset, {})
    named = [f"models.{model_name}", *([f"dataset_tuning.{dataset}"] if dataset_tuning else []), f"arms.{arm_name}"]
    family = family_of(model_name)
    tuning = {**suite.tuning.model_dump(), **model.tuning, **dataset_tuning, **arm.tuning}
    return CellSettings(
        method=method,
        tokens_per_class=arm.tokens_per_class or model.tokens_per_class,
        start_std=_first_given(arm.start_std, model.start_std.get(method), METHODS[method].start_std),
        learning_rate=arm.learning_rate or model.learning_rate.get(method, 0.0),
        stage1=arm.stage1,
        prompts=suite.prompts,
        tuning=parse(
            Tuning,
            tuning,
            where=f"{CONFIG_FOLDER / suite.suite}.yaml: tuning of {' or '.join(named)}",
        ),
        precision=model.precision or family.precision,
        scoring_precision=model.scoring_precision or family.scoring_precision,
        test_short_side=model.test_short_side,
        pictures=suite.pictures,
        loss_groups=arm.loss_groups,
        projections=arm.projections,
        tuned_arm=arm.tuned_arm or METHODS[method].tuned_arm,
        options=arm.options,
    )


def _first_given(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def merged(base: dict, overrides: dict) -> dict:
    """`overrides` laid over `base`, mappings key by key, everything else replaced."""
    both = {
        k: merged(base[k], v) for k, v in overrides.items() if isinstance(v, dict) and isinstance(base.get(k), dict)
    }
    return {**base, **overrides, **both}


def _read(path: Path) -> dict:
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise ConesError(
            "not a mapping of keys",
            where=path,
            expected="suite:, datasets:, models:, …",
            next_step="see config/ci.yaml for a short one",
        )
    return content


def _texts(value: Any) -> list[str]:
    """The texts of a list; other values are reported when the suite is parsed."""
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list | tuple) else []


def _check_kind(model: str, kind: str, where: str) -> None:
    """ConesError for an unknown model, or one of the other kind."""
    entry = family_of(model, where=where)
    if entry.kind != kind:
        names = {"detector": "detector", "dual_encoder": "model with two encoders"}
        other = "classification.models" if entry.kind == "dual_encoder" else "models"
        raise ConesError(
            f'the model "{model}" is no {names[kind]}',
            where=where,
            next_step=f"name it under `{other}`, or take it out",
        )


def _laid_over(base: dict, overrides: dict) -> dict:
    """A suite with `overrides` merged into it; their registry files come beside its own, whose datasets it may name."""
    content, theirs, given = merged(base, overrides), _texts(base.get("registry")), overrides.get("registry")
    if isinstance(given, list | tuple):  # else it is reported when the suite is parsed
        content["registry"] = [*theirs, *(file for file in given if file not in theirs)]
    return content


def load_suite(name: str, overrides: dict | None = None) -> Suite:
    """`config/<name>.yaml` with overrides laid over it; every arm of every model is resolved, so typos end here.

    A file with `like: <other suite>` holds what differs from that one; its grids, generation and classification are
    its own.
    """
    path = CONFIG_FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = sorted(file.stem for file in CONFIG_FOLDER.glob("*.yaml"))
        raise ConesError(f'there is no suite "{name}"', where=path, next_step=closest(name, known))
    base = _read(path)
    says_seeds = "seeds" in {**base, **(overrides or {})}
    if "like" in base:
        other = _read(CONFIG_FOLDER / f"{base.pop('like')}.yaml")
        base = _laid_over({**other, "grids": None, "generation": None, "classification": None}, base)
    where = f"{path}, {', '.join(sorted(overrides))} overridden" if overrides else path
    content = _laid_over(base, overrides or {})
    load_plugins(_texts(content.get("plugins")), suite_file=path)
    suite = parse(Suite, with_few_shot_arms(content), where=where)
    if says_seeds and suite.classification and not (suite.grids or suite.generation):
        step = "say `classification: {seeds: [1, 2, 3]}`"
        raise ConesError("`seeds` are those of detectors, and this suite has none", where=where, next_step=step)
    for model in suite.models:
        _check_kind(model, "detector", f"{path}: models")
    for model in suite.classification.models if suite.classification else ():
        _check_kind(model, "dual_encoder", f"{path}: classification.models")
    for grid in suite.grids:
        models, datasets, arms = suite.grid(grid)
        for model, arm, dataset in product(models, arms, (None, *filter(suite.dataset_tuning.get, datasets))):
            cell_settings(suite, model, arm, dataset)
    for arm in suite.generation.arms if suite.generation else ():
        suite.generation.settings(arm)
    if suite.classification:
        for model, arm in product(suite.classification.models, suite.classification.arms):
            suite.classification.recipe_of(model, arm)
    return suite
