"""A step of the workflow: the files it writes and reads, its log and its settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """One step for one cell, dataset, model or file. The fields are the wildcards of its rule; others are empty."""

    step: str
    dataset: str = ""
    model: str = ""
    arm: str = ""
    seed: int = 0
    subject: str = ""
    archive: str = ""
    weights: str = ""  # the stem of a file of base weights
    name: str = ""  # of an official checkpoint or a pretrained model


@dataclass(frozen=True)
class Output:
    """A file that a job writes, by its key among the step's outputs.

    ancient  it has to be there, but a newer one makes nothing run again and counts in no record
    """

    job: Job
    key: str
    ancient: bool = False


# an input is a file of another job, several of them, or a path that no job makes
Input = Output | list[Output] | str | list[str]


@dataclass(frozen=True)
class Step:
    """A rule of the workflow: what it writes, logs and reads, and the settings it depends on.

    outputs   {key: path with wildcards}; the last one is written last and stands for all of them
    log       path with wildcards
    inputs    of a job: {key: input}
    settings  of a job: everything from config, registry and user that decides the result, a value that JSON can hold
    """

    name: str
    outputs: dict[str, str]
    log: str
    inputs: Callable[[Job], dict[str, Input]]
    settings: Callable[[Job], object]

    @property
    def files(self) -> list[str]:
        """The outputs, as a rule names them."""
        return list(self.outputs.values())

    @property
    def last_output(self) -> str:
        return list(self.outputs)[-1]
