"""Snakemake plans no job behind an `ancient` input that must be made again while it is there: end that."""

from collections.abc import Callable, Iterator

from snakemake.dag import DAG


def plan_behind_ancient_inputs() -> None:
    """Let a planned job hide those jobs behind it alone that it makes run.

    A job that runs, runs all jobs behind it, so Snakemake does not ask these for reasons of their own. Behind an
    `ancient` input that exists it does not run them, and asks them no more: a run whose image features have to be made
    again (it was killed while it wrote them, or what they are made of changed) made them, nothing else, and called that
    success. Seen with Snakemake 9.27.1.
    """
    if not hasattr(DAG.bfs, "everything"):
        everything = DAG.bfs

        def bfs(self: DAG, direction: dict, *jobs, stop: Callable = lambda job: False) -> Iterator:
            if direction is self.depending:
                direction = _ForcingEdges(direction)
            return everything(self, direction, *jobs, stop=stop)

        bfs.everything = everything
        DAG.bfs = bfs


class _ForcingEdges:
    """`depending` without the jobs that hear of a job through ancient files alone."""

    def __init__(self, depending: dict):
        self.depending = depending

    def __getitem__(self, job) -> dict:
        behind = self.depending[job].items()
        return {other: files for other, files in behind if not all(file.is_ancient for file in files)}
