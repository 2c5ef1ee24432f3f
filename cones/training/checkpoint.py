"""The checkpoint of an interrupted run: written whole, read, and resumed only by the run that it belongs to."""

import time
from pathlib import Path

import torch

from cones.runtime.artifacts import replacing
from cones.runtime.progress import log

SECONDS_BETWEEN_CHECKPOINTS = 60.0
WRITING_COSTS_AT_MOST = 1 / 20  # share of a run's time


class Checkpoint:
    """The checkpoint file of a run; `identity`, a plain value, tells the run from others.

    The time between two checkpoints follows what the last one cost to write, so that one of gigabytes is written less
    often than one of kilobytes.
    """

    def __init__(self, path: Path, identity: object):
        self.path, self.identity = path, identity
        self._written_at, self._seconds_to_write = time.monotonic(), 0.0

    def is_due(self, *, at_least: float | None = None) -> bool:
        """Whether enough seconds have passed since the last one; `at_least` of them, by default a minute."""
        at_least = SECONDS_BETWEEN_CHECKPOINTS if at_least is None else at_least
        return time.monotonic() - self._written_at >= max(at_least, self._seconds_to_write / WRITING_COSTS_AT_MOST)

    def write(self, content: dict) -> None:
        started = time.monotonic()
        write_checkpoint(self.path, {"identity": self.identity, **content})
        self._written_at = time.monotonic()
        self._seconds_to_write = self._written_at - started

    def read(self) -> dict | None:
        """The content that was given to `write`; None if there is no usable checkpoint of this run."""
        return read_checkpoint(self.path, self.identity)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def write_checkpoint(path: Path, content: dict) -> None:
    """Write a checkpoint; the earlier one stays until the new one is whole."""
    # through a file of Python's: PyTorch's own says nothing of a full disk
    with replacing(path) as temporary, open(temporary, "wb") as file:
        torch.save(content, file)


def read_checkpoint(path: Path, identity: object) -> dict | None:
    """The content of a checkpoint whose "identity" is this one; None, with a line in the log, if it is of no use."""
    if not path.exists():
        return None
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        fits = content["identity"] == identity
    except Exception as error:
        log.info("the checkpoint of an earlier run cannot be read (%s): starting afresh", error)
        return None
    if not fits:
        log.info("the checkpoint of an earlier run belongs to other settings: starting afresh")
    return content if fits else None
