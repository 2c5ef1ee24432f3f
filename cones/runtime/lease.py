"""Leases of GPUs by file locks, one GPU for one job; Snakemake's resource `gpu` counts them but names none."""

import fcntl
import getpass
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from cones.runtime.progress import log

SECONDS_BETWEEN_LOOKS = 1.0


class Lease:
    """A device leased for this process until `release`, or until the process ends for whatever reason.

    A lock is one file per device, held with `flock`, which ends with its process; the existence of the file means
    nothing. Locks are seen by the processes of one user on one machine.
    """

    def __init__(self, index: int, handle: int):
        self.index, self._handle = index, handle

    def release(self) -> None:
        os.close(self._handle)


def lock_folder() -> Path:
    return Path(tempfile.gettempdir()) / f"cones-devices-{getpass.getuser()}"


def lease(devices: Sequence[str], folder: Path | None = None) -> Lease:
    """Lease the first free one of `devices` (names that are the same in every process); waits while all are taken."""
    folder = folder or lock_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    is_logged = False
    while True:
        for index, name in enumerate(devices):
            if (handle := _taken(folder / f"{name}.lock")) is not None:
                return Lease(index, handle)
        if not is_logged:
            log.info("all %d devices are in use: waiting for one", len(devices))
            is_logged = True
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _taken(path: Path) -> int | None:
    """The open, locked file; None if another process (or another lease of this one) holds it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle
