"""Missing-file sentinels: a deleted file is made again, and after it the tables that depend on it.

Snakemake leaves a deleted file alone as long as what was made of it is there (snakemake/snakemake#1978). So the rule
that makes a table has one input more, its sentinel, which gets new content when one of the files is missing: that makes
the table outdated, so Snakemake asks for all its inputs. A sentinel is bookkeeping of a plan. It lies where Snakemake
keeps its own, so that a dry run changes nothing else and still prints the right plan.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(".snakemake/missing-files")


def sentinel(name: str, files: Iterable[str], *, is_main: bool) -> str | list[str]:
    """The input for the rule called `name`; renewed if one of `files` is missing, by the main process alone.

    A process that Snakemake starts for one job names the one that is there, or none (`[]`) on a machine that does not
    share this folder: its job was planned by another.
    """
    path = FOLDER / name
    if not is_main:
        return str(path) if path.exists() else []
    if not all(map(os.path.exists, files)):
        _write(path)  # new content: Snakemake overlooks a newer file with the content it had before
    elif not path.exists():
        _write(path)
        os.utime(path, (0, 0))  # nothing is missing: older than every table
    return str(path)


def _write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}")  # renamed in: another run may be planning too
    beside.write_text(f"{time.time_ns()}\n", encoding="utf-8")
    os.replace(beside, path)
