"""The schema of `elsewhere.json`: the scores of a tuned cell on other datasets, by their class names."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from cones.evaluation.metrics import CellKey, Count, Percent
from cones.runtime.artifacts import read_json, write_json
from cones.runtime.errors import ConesError
from cones.runtime.strict import Strict, parse

FILE = "elsewhere.json"
Carried = Literal["nothing", "prompt", "weights", "weights and prompt"]


class OtherScore(Strict):
    """The score on another dataset, or why there is none."""

    ap: Percent | None = Field(description="box AP on its test split, by its class names")
    images: Count = 0
    reason: str | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _either(self) -> OtherScore:
        if (self.ap is None) != (self.reason is not None):
            raise ValueError("there is an AP, or a reason why not")
        return self


class Elsewhere(Strict):
    """What of a tuned cell meets the classes of other datasets, and its scores there.

    carried  what training changed and these classes meet: nothing, where everything that trained belongs to the classes
             it was trained for, so that the base model is scored; the prompt, such as a context that all classes share;
             weights of the detector; or both
    """

    schema_version: Literal[1] = 1
    cell: CellKey
    state_sha256: str
    carried: Carried | None = Field(None, description="None where the cell was skipped")
    datasets: dict[str, OtherScore]

    def check_state(self, state_sha256: str, path: Path) -> None:
        """ConesError unless the scores are of this state of the cell."""
        if self.state_sha256 != state_sha256:
            raise ConesError(
                "is of another state of the cell",
                where=path,
                expected=f"sha256 {state_sha256}",
                found=self.state_sha256,
                next_step="delete it and run again",
            )


def write_elsewhere(path: str | Path, content: Elsewhere) -> None:
    write_json(path, content.model_dump(mode="json"))


def read_elsewhere(path: str | Path) -> Elsewhere:
    """Read the scores; ConesError, one line with file and key, on anything but a complete file of this version."""
    return parse(Elsewhere, read_json(path), where=path, cure="delete it and run again")
