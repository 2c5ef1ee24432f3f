"""The grids of detectors: which cells stand behind a table or figure."""

from typing import Annotated, Any

from pydantic import Field

from cones.runtime.strict import Strict

Seeds = Annotated[tuple[int, ...], Field(min_length=1)]


class Grid(Strict):
    """The cells behind one table: models x datasets x arms x seeds; what is not named is all that the suite has."""

    models: tuple[str, ...] | None = Field(None, min_length=1)
    datasets: tuple[str, ...] | None = Field(None, min_length=1, description="default: the suite's `datasets`")
    arms: tuple[str, ...] | None = Field(None, min_length=1)
    seeds: Seeds | dict[str, Seeds] | None = Field(
        None, description="of all arms, or arm -> its own; what is not named has the suite's `seeds`"
    )
    on_request: bool = Field(False, description="true: its table is no part of `all`, and made when it is asked for")
    few_shot: dict[Annotated[int, Field(ge=1)], dict[str, Any]] = Field(
        default_factory=dict,
        description="images per class -> overrides of `tuning` there: every tuned arm of the grid becomes arms of its"
        " own, <arm>-<n>shot",
    )
    targets: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="dataset -> others that its tuned cells are scored on, with their class names"
    )

    @property
    def others(self) -> list[str]:
        """The datasets that some of its cells are scored on beside their own."""
        return [dataset for named in self.targets.values() for dataset in named]
