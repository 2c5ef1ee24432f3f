"""What a process is apart from its arguments and streams: a server runs a step only if theirs are equal."""

import os
import sys

from cones.runtime.sources import source_files

# Read by a step when it runs, as CONES_… are. Others may have been read by an import, and must be equal.
READ_LATE = ("TMPDIR", "TMP", "TEMP", "TEMPDIR", "PWD", "OLDPWD", "SHLVL", "_", "COLUMNS", "LINES")


def identity() -> dict[str, object]:
    """Interpreter, folder, import path, environment and sources."""
    early = {name: value for name, value in os.environ.items() if not name.startswith("CONES_")}
    return {
        "interpreter": (sys.executable, sys.version),
        "folder": os.getcwd(),
        "sys.path": tuple(sys.path),
        "environment": {name: value for name, value in early.items() if name not in READ_LATE},
        "sources": sources(),
    }


def sources() -> list[tuple[str, int, int]]:
    """(path, time, size) of each of our sources: after an edit, what a server has imported is not what a step is."""
    return [(path, (status := os.stat(path)).st_mtime_ns, status.st_size) for path in source_files()]


def differences(one: dict[str, object], other: dict[str, object]) -> list[str]:
    """The parts in which two identities differ; of the environment the names of variables, never their values."""
    parts = [part for part in one if one[part] != other[part] and part != "environment"]
    changed = set(one["environment"].items()) ^ set(other["environment"].items())
    return parts + sorted({f"${name}" for name, _ in changed})
