"""Snakemake plans no job behind an `ancient` input that must be made again while it is there: end that.

Public as snakemake/snakemake#4166, open with Snakemake 9.27.1. A job that runs, runs all jobs behind it, so Snakemake
asks those for no reason of their own. But behind an `ancient` input that exists it does not run them. So a run whose
image features had to be made again (it was killed while it wrote them, or what they are made of changed) made them,
nothing else, and called that success.
"""

from collections.abc import Callable, Iterator

from snakemake.dag import DAG


def plan_behind_ancient_inputs() -> None:
    """Let a planned job hide only those jobs behind it that it makes run."""
    everything = DAG.bfs

    def bfs(self: DAG, direction: dict, *jobs, stop: Callable = lambda job: False) -> Iterator:
        return everything(self, _Run(direction) if direction is self.depending else direction, *jobs, stop=stop)

    DAG.bfs = bfs


class _Run:
    """`depending` without the jobs that read nothing but ancient files of a job."""

    def __init__(self, depending: dict):
        self._depending = depending

    def __getitem__(self, job) -> dict:
        behind = self._depending[job].items()
        return {other: files for other, files in behind if not all(file.is_ancient for file in files)}
