"""A patch of Snakemake: it runs the jobs behind an existing `ancient` input that must be made again.

Reported as snakemake/snakemake#4166, open with Snakemake 9.27.1. Snakemake takes for granted that a job that
runs makes all jobs behind it run, so it looks for no other reason to run those. But behind an `ancient` input that
exists it does not run them. So a run whose image features had to be made again (it was killed while it wrote them, or
their inputs changed) made them, nothing else, and ended as a success.
"""

from collections.abc import Callable, Iterator

from snakemake.dag import DAG


def plan_behind_ancient_inputs() -> None:
    """Patch the search for jobs with a reason to run: a planned job hides only those behind it that it makes run."""
    original = DAG.bfs

    def bfs(self: DAG, direction: dict, *jobs, stop: Callable = lambda job: False) -> Iterator:
        return original(self, _Run(direction) if direction is self.depending else direction, *jobs, stop=stop)

    DAG.bfs = bfs


class _Run:
    """`depending` without the jobs that read nothing but ancient files of a job."""

    def __init__(self, depending: dict):
        self._depending = depending

    def __getitem__(self, job) -> dict:
        behind = self._depending[job].items()
        return {dependent: files for dependent, files in behind if not all(file.is_ancient for file in files)}
