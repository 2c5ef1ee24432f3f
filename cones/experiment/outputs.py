"""The registry of outputs (tables and figures), and the parts of a suite that each is made of.

The registry is read while the workflow is parsed and whenever a suite is loaded, so this module imports nothing heavy;
an output's own file is imported where the output is made or shown.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Literal

from pydantic import Field, model_validator

from cones.runtime.registry import Entry, Registry
from cones.runtime.strict import Name

# what an output may read; `cones/outputs/reads/` has a module for each
Reads = Literal[
    "scores",
    "records",
    "costs",
    "detections",
    "classes",
    "vectors",
    "boxes",
    "manifests",
    "subjects",
    "classification",
    "elsewhere",
]
OWN_GRIDS = (
    "scores",
    "costs",
    "detections",
    "vectors",
    "boxes",
    "subjects",
    "classification",
    "elsewhere",
)  # these name them
GENERATION = "generation"  # the part of a suite whose cells are subjects; all others are its grids
CLASSIFICATION = "classification"  # what an output reads whose grids are those of the section of this name


class Output(Entry):
    """The literal OUTPUT of a table's or figure's file.

    The file has `frame(source, *, suite)` -> DataFrame, the rows of `<name>.csv`, and `sheet(columns, rows, *, suite,
    title)` -> Sheet or list of sheets, made of the CSV file alone; `draw(source, rows, files, *, suite, title)` where
    it has figures, `further(source, *, suite)` -> {file: DataFrame} where it leaves further tables. `source` is what
    `read` of its module in `cones/outputs/reads/` returns. Nothing heavy is imported at the file's top level.
    """

    reads: Reads = Field(
        description="scores: the rows of <grid>_cells.csv; records: what every cell of a table of methods recorded of"
        " itself; costs: scores and records of cells, the bytes they store, and whose trained values an arm matches;"
        " detections: scores of cells on test images that are drawn anew;"
        " elsewhere: scores on other datasets; classes: the AP of each class of these cells; vectors, boxes: the class"
        " vectors of cells, and their boxes' features; manifests: the datasets;"
        " subjects: the cells of personalised generation; classification: the cells of a grid of the survey"
    )
    grids: tuple[str, ...] = Field((), description='grids whose cells it reads, or "generation"; made if any is there')
    also: tuple[str, ...] = Field((), description="grids that it reads too, where the suite has them")
    of_methods: bool = Field(
        False, description="its rows are methods: the report says how the cells of its grids were tuned, and the costs"
    )
    setting: str | None = Field(
        None, description="of the grids of `classification` that it reads: the only one whose cells it can show"
    )
    one_number: bool = Field(
        False, description="of shots in a grid of `classification`: its rows tell several apart by nothing"
    )
    needs: Literal["few_shot", "targets"] | None = Field(
        None, description="the key of its grids of detectors without which it has nothing to show"
    )
    groups: tuple[str, ...] = Field((), description="groups of the datasets that it shows; without it all")
    title: str = Field(description="of its section in the report")
    about: str = Field("", description="what its section says first")
    curve: bool = Field(
        False, description="the cells of its grids are scored at every variant that their method shows, each in a pass"
    )
    figures: tuple[Name, ...] = Field((), description="stems of pictures: each is a .png and a .pdf")
    supplement: tuple[Name, ...] = Field(
        (), description="pictures that the report keeps folded and results/ leaves out"
    )
    further: tuple[str, ...] = Field((), description="CSV files beside <name>.csv")
    decimals: int = Field(4, ge=0, description="of the numbers in its CSV files")

    @model_validator(mode="after")
    def _reads_something(self) -> "Output":
        if self.reads in OWN_GRIDS and not self.grids:
            raise ValueError(f'an output that reads "{self.reads}" names the grids whose cells these are: grids')
        return self

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files it writes into the folder of a suite."""
        pictures = [f"{stem}.{kind}" for stem in (*self.figures, *self.supplement) for kind in ("png", "pdf")]
        return (f"{self.name}.csv", f"{self.name}.md", f"{self.name}.data.json", *self.further, *pictures)

    @property
    def reading_module(self) -> str:
        """The module that reads the output's data; it counts as part of the output's code."""
        return f"cones.outputs.reads.{'vectors' if self.reads == 'boxes' else self.reads}"

    def parts_in(self, parts: Collection[str], on_request: Collection[str] = ()) -> tuple[str, ...]:
        """The parts of a suite (its grids, and "generation") that the output reads there.

        One that is made of whatever tables of methods there are asks for no cell of a grid that is `on_request`, unless
        every such grid is.
        """
        if self.reads in ("records", "classes"):
            grids = grids_of_methods(parts)
            return tuple(grid for grid in grids if grid not in on_request) or grids
        return tuple(part for part in (*self.grids, *self.also) if part in parts)

    def is_made_of(self, parts: Collection[str]) -> bool:
        """Whether a suite with these parts has the output."""
        return self.reads == "manifests" or bool(set(self.parts_in(parts)) - set(self.also))


OUTPUTS: Registry[Output] = Registry(
    "table or figure", Output, literal="OUTPUT", built_in="cones.built_in:OUTPUTS", group="cones.outputs"
)


def outputs_of(parts: Collection[str]) -> list[Output]:
    """The outputs of a suite with these parts, in the order of the report."""
    return [output for output in OUTPUTS.values() if output.is_made_of(parts)]


def grids_read_by(parts: Collection[str], *reads: Reads) -> tuple[str, ...]:
    """The grids of a suite that some output reads in one of these ways."""
    return _in_order(parts, (output for output in OUTPUTS.values() if output.reads in reads))


def scored_grids(parts: Collection[str]) -> tuple[str, ...]:
    """The grids whose cells are scored and collected into `<grid>_cells.csv`."""
    return grids_read_by(parts, "scores", "costs", "detections", "elsewhere")


def embedded_grids(parts: Collection[str]) -> tuple[str, ...]:
    """The grids whose cells' class vectors some output reads."""
    return grids_read_by(parts, "vectors", "boxes")


def grids_of_methods(parts: Collection[str]) -> tuple[str, ...]:
    """The grids of tables whose rows are methods."""
    return _in_order(parts, (output for output in OUTPUTS.values() if output.of_methods))


def is_read(grid: str) -> bool:
    """Whether some output reads a detectors' grid of that name."""
    if grid == GENERATION:
        return False
    is_own = grid in OUTPUTS and grid in OUTPUTS[grid].grids  # true of most: no other file is looked into
    return OUTPUTS[grid].reads != CLASSIFICATION if is_own else grid in known_grids()


def known_grids() -> Iterator[str]:
    """Every grid of detectors that some output reads: what a suite may name."""
    yield from dict.fromkeys(
        grid
        for output in OUTPUTS.values()
        for grid in (*output.grids, *output.also)
        if grid != GENERATION and output.reads != CLASSIFICATION
    )


def classification_grids() -> tuple[str, ...]:
    """Every grid of `classification` that some output reads: what that section may name."""
    outputs = [output for output in OUTPUTS.values() if output.reads == CLASSIFICATION]
    return tuple(dict.fromkeys(grid for output in outputs for grid in (*output.grids, *output.also)))


def setting_read(grid: str) -> str | None:
    """The setting that a grid of `classification` must have, if an output that reads it says so."""
    readers = (output for output in OUTPUTS.values() if output.reads == CLASSIFICATION and grid in output.grids)
    return next((output.setting for output in readers if output.setting), None)


def shows_one_number(grid: str) -> bool:
    """Whether an output that reads a grid of `classification` would mix the cells of several numbers of shots."""
    readers = (output for output in OUTPUTS.values() if output.reads == CLASSIFICATION and grid in output.grids)
    return any(output.one_number for output in readers)


def needs_of(grid: str) -> str | None:
    """The key that a grid of detectors must have, if an output that reads it says so."""
    readers = (output for output in OUTPUTS.values() if output.reads != CLASSIFICATION and grid in output.grids)
    return next((output.needs for output in readers if output.needs), None)


def curve_grids() -> tuple[str, ...]:
    """The grids of `classification` whose cells are scored at every variant of their method."""
    return tuple(grid for output in OUTPUTS.values() if output.curve for grid in output.grids)


def _in_order(parts: Collection[str], outputs: Iterable[Output]) -> tuple[str, ...]:
    read = {grid for output in outputs for grid in (*output.grids, *output.also)}
    return tuple(part for part in parts if part in read)
