"""Stale results: files whose record of settings, code and inputs differs from the plan's."""

from collections.abc import Callable, Iterator

from cones.data.download import USABLE
from cones.experiment.cell import Cell
from cones.experiment.made_of import difference, made_of, read_record
from cones.experiment.pipeline import Pipeline
from cones.experiment.step import Job
from cones.runtime.artifacts import read_json
from cones.runtime.errors import ConesError
from cones.runtime.verification import Digests, check_cell

UNKNOWN = "it is not recorded what it was made of"
PLACED = ("weights",)  # steps whose file a person may have put there: without a record of its own it is kept


class Staleness:
    """Compares the recorded files of jobs with a plan; each job is checked once."""

    def __init__(self, pipeline: Pipeline):
        self.pipeline = pipeline
        self._known: dict[Job, str | None] = {}

    def reason(self, job: Job) -> str | None:
        """Why the files of a job are stale; None if they are not, or do not exist. Its dependencies are not checked."""
        if job not in self._known:
            self._known[job] = self._reason(job)
        return self._known[job]

    def stale_jobs(self) -> Iterator[Job]:
        """The jobs of the whole suite whose files are stale."""
        return (job for job in self.pipeline.all_jobs() if self.reason(job))

    def refuse(self, last: Job) -> None:
        """ConesError if the files of a job, or of any job it depends on, are stale."""
        for job in self.pipeline.behind([last]):
            if reason := self.reason(job):
                raise ConesError(
                    f"stale: {reason}",
                    where=self.pipeline.last_file(job),
                    next_step="let the workflow make it again: snakemake --cores all",
                )

    def _reason(self, job: Job) -> str | None:
        file = self.pipeline.last_file(job)
        if not file.exists():
            return None
        recorded = read_record(file)
        if recorded is None:
            return None if job.step in PLACED else UNKNOWN
        planned = made_of(self.pipeline, job)
        if job.step == "fetch" and read_json(file)["status"] in USABLE:  # what is here needs no credentials any more
            for content in (recorded, planned):
                content["settings"] = {key: value for key, value in content["settings"].items() if key != "credentials"}
        return difference(recorded, planned)


def check_of_cells(pipeline: Pipeline) -> Callable[[Cell], None]:
    """A function that raises ConesError for a cell that may not be in a table: its files or their inputs are not as
    recorded, or they are stale."""
    digests, stale = Digests(states=False), Staleness(pipeline)

    def check(cell: Cell) -> None:
        check_cell(cell.folder, digests)
        stale.refuse(pipeline.scoring(cell))

    return check
