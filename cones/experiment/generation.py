"""The section `generation` of a suite, personalised generation: model, subjects, arms and their settings."""

from typing import Any

from pydantic import Field, field_validator, model_validator

from cones.methods.method import METHODS
from cones.models.generators import GENERATORS, METRICS, SHIPPED, Track
from cones.models.stable_diffusion.settings import SubjectTuning
from cones.runtime.errors import closest
from cones.runtime.strict import Name, Strict, by_name, parse


class SubjectArm(Strict):
    """A named row: a method plus overrides of `generation.tuning`. An arm named like a method is that method."""

    method: str | None = None
    stage1: str = Field("cones", description="the arm whose concept embedding stage 2 fixes")
    tuning: dict[str, Any] = Field(default_factory=dict)


class Generation(Strict):
    """Every arm learns every subject; nothing but `tuning` and the arm decides how."""

    model: str = Field(description="the model that draws")
    dataset: str = Field("dreambooth", description="whose classes are the subjects")
    subjects: tuple[str, ...] | None = Field(None, min_length=1, description="default: all of the dataset")
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    arms: dict[Name, SubjectArm] = Field(min_length=1, description="rows of generation.csv, in this order")
    tuning: dict[str, Any] = Field(default_factory=dict, description="overrides of SubjectTuning for all arms")
    pictures: dict[Track, int] = Field(
        {"reconstruction": 16, "editing": 4}, min_length=1, description="per prompt; absent: not drawn"
    )
    figure3: tuple[str, ...] = Field((), description="subjects of Figure 3; Figure 6 shows the others")
    figure_arms: tuple[str, ...] = Field((), description="columns of the figures; default: all arms that can draw")

    _arms_by_name = field_validator("arms", mode="before")(by_name)

    @model_validator(mode="after")
    def _consistent(self) -> "Generation":
        if self.model not in GENERATORS:
            raise ValueError(f'model "{self.model}" draws no pictures; {closest(self.model, GENERATORS)}')
        for name in self.arms:
            if self.method(name) not in METHODS:
                raise ValueError(f'arm "{name}" has no known method; {closest(self.method(name), METHODS)}')
            first = self.arms[name].stage1
            if self.has_stage1(name) and (first not in self.arms or self.method(first) != "cones"):
                raise ValueError(f'arm "{name}" needs the arm "{first}" of cones, which is not in the suite')
        for name in self.figure_arms:
            if name not in self.drawing_arms:
                raise ValueError(f'figure_arms: "{name}" draws nothing; {closest(name, self.drawing_arms)}')
        return self

    def method(self, arm: str) -> str:
        return self.arms[arm].method or arm

    def has_stage1(self, arm: str) -> bool:
        """Whether the arm fixes the concept embedding of another one, its `stage1`."""
        return "stage1" in METHODS[self.method(arm)].inputs

    def concept_settings(self, arm: str) -> SubjectTuning | None:
        """The settings with which the concept embedding that an arm draws with was learnt; None without one."""
        first = self.arms[arm].stage1 if self.has_stage1(arm) else arm
        return self.settings(first) if self.method(first) == "cones" else None

    def settings(self, arm: str) -> SubjectTuning:
        where = f"generation: tuning of arms.{arm}"
        return parse(SubjectTuning, {**self.tuning, **self.arms[arm].tuning}, where=where)

    @property
    def pretrained(self) -> tuple[str, ...]:
        """The pretrained models that have to be found: the one that draws, and those that measure its pictures."""
        return (self.model,) if self.model == SHIPPED else (self.model, *METRICS)

    @property
    def drawing_arms(self) -> tuple[str, ...]:
        """The arms whose method can draw; the others have a table row with the reason."""
        return tuple(name for name in self.arms if METHODS[self.method(name)].context)

    @property
    def shown_arms(self) -> tuple[str, ...]:
        return self.figure_arms or self.drawing_arms

    def is_degenerate(self, arm: str) -> bool:
        """Whether the arm is ConES with one bare vector: a softmax over one key is 1, so attention is
        the same at all places."""
        settings = self.concept_settings(arm)
        return settings is not None and (settings.mode, settings.tokens) == ("bare", 1)
