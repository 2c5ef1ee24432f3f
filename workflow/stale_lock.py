"""Removal of the lock that a killed run of Snakemake left behind, which does not name its run.

Each run notes its process and machine beside the lock, in `.snakemake/runs/<pid>@<machine>`, for as long as it lives. A
lock is stale if every run that is noted was one of this machine and is dead. One that another machine may hold, or that
nobody noted, is left to the person who knows: `snakemake --unlock` removes it, and with it all notes.
"""

import atexit
import os
import socket
import sys
from pathlib import Path

import psutil

LOCKS = Path(".snakemake/locks")
RUNS = Path(".snakemake/runs")


def remove_stale_lock() -> None:
    """Remove a stale lock and note this run; called by the main process of a run before Snakemake looks at the lock.

    The run is noted before others are judged: of two that begin at once none takes the lock of the other for stale.
    """
    own = RUNS / f"{os.getpid()}@{this_machine()}"
    RUNS.mkdir(parents=True, exist_ok=True)
    own.touch()
    atexit.register(own.resolve().unlink, missing_ok=True)
    others = [note for note in RUNS.iterdir() if note.name != own.name]
    locks = list(LOCKS.glob("*.lock"))
    alive = [] if "--unlock" in sys.argv else [note.name for note in others if _may_be_alive(note)]
    if alive and locks:
        print(f"this folder is locked; a run that may be alive: {', '.join(alive)}", file=sys.stderr)
    if alive or not others:
        return
    for path in (*locks, *others):
        path.unlink(missing_ok=True)
    if locks:
        print("removed the lock of a run that is no longer alive", file=sys.stderr)


def this_machine() -> str:
    """The host name and, on Linux, the number of the process-id namespace: containers may share a name."""
    try:
        return f"{socket.gethostname()}-{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return socket.gethostname()


def _may_be_alive(note: Path) -> bool:
    """Whether the run of a note is another machine's, or a living process that runs Snakemake in this folder."""
    pid, _, machine = note.name.partition("@")
    if machine != this_machine():
        return True
    try:
        process = psutil.Process(int(pid))
        return _is_snakemake(process.cmdline()) and Path(process.cwd()) == Path.cwd()
    except psutil.NoSuchProcess:  # a zombie too
        return False
    except (psutil.Error, OSError):
        return True  # cannot be looked into


def _is_snakemake(words: list[str]) -> bool:
    """`snakemake …`, `python …/snakemake …` or `python -m snakemake …`: the number may be another program's by now."""
    program = [Path(word).name for word in words[:3]]
    return "snakemake" in program[:2] or (program[1:2] == ["-m"] and program[2:] == ["snakemake"])
