"""Snakemake's lock outlives a killed run; remove it when no run is alive in this folder."""

import os
from pathlib import Path

import psutil

LOCKS = Path(".snakemake/locks")


def remove_stale_lock() -> None:
    """Runs while the workflow is parsed, before Snakemake looks at the lock. A living owner keeps it."""
    locks = list(LOCKS.glob("*.lock"))
    if locks and not _another_run_is_alive():
        for lock in locks:
            lock.unlink(missing_ok=True)
        print("removed the lock of a run that is no longer alive")


def _another_run_is_alive() -> bool:
    """Whether another process runs snakemake with this folder as its own; the jobs of a run count as it."""
    here = Path.cwd()
    for process in psutil.process_iter(["pid", "cmdline"]):
        words = process.info["cmdline"] or []
        if process.info["pid"] != os.getpid() and _is_snakemake(words):
            try:
                if Path(process.cwd()) == here:
                    return True
            except (psutil.Error, OSError):
                return True  # cannot be looked into: leave the lock alone
    return False


def _is_snakemake(words: list[str]) -> bool:
    """`snakemake …`, `python …/snakemake …` or `python -m snakemake …`, not a shell that mentions it."""
    program = [Path(word).name for word in words[:3]]
    return "snakemake" in program[:2] or (program[1:2] == ["-m"] and program[2:] == ["snakemake"])
