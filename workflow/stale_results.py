"""Forces stale results to be made again, as `--forcerun` would, but only those that a requested target needs."""

import functools
from collections.abc import Iterable

from snakemake.dag import DAG


def make_again(files: Iterable[str]) -> None:
    """Make the jobs that write one of these files run again, if a target needs them.

    Snakemake compares parameters with its own records (`.snakemake/metadata`) alone: a file that was made by hand, or
    whose record is gone, is up to date for it. Files given to `--forcerun` become targets themselves; these do not.
    """
    stale, initialise = set(files), DAG.__init__

    @functools.wraps(initialise)
    def initialise_with_stale(self: DAG, *arguments, **options) -> None:
        initialise(self, *arguments, **options)
        self.forcefiles |= stale

    if stale:
        DAG.__init__ = initialise_with_stale
