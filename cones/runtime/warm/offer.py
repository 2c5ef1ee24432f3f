"""The address of a run's warm server, in the environment of the processes below the run."""

import os
import sys

VARIABLE = "CONES_WARM"  # <pid of the run that the server belongs to>-<random>; or one of OFF
OFF = ("0", "off", "no", "false")


def offer() -> None:
    """Let every `python -m cones` below this process start warm, unless the user said no; set once per run."""
    wish = os.environ.get(VARIABLE, "")
    if sys.platform == "linux" and wish.lower() not in OFF and not is_below(wish):
        os.environ[VARIABLE] = f"{os.getpid()}-{os.urandom(8).hex()}"


def offered() -> str | None:
    """The address that this process may ask: it is a plain `python -m cones` below the run of the address."""
    address = os.environ.get(VARIABLE, "")
    plain = sys.orig_argv[1:3] == ["-m", "cones"]  # no options of the interpreter: they would not reach the server
    return address if plain and sys.platform == "linux" and is_below(address) else None


def run_of(address: str) -> int:
    """The process that an address's server belongs to and ends with; a ValueError if this is no address."""
    process, _ = address.split("-")
    return int(process)


def is_below(address: str) -> bool:
    """Whether the run of an address is this process or above it: a job of another machine or batch system is not."""
    process = os.getpid()
    try:
        run = run_of(address)
        while process not in (run, 0):
            with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as status:
                process = int(status.read().rpartition(")")[2].split()[1])  # after the name: state, parent
    except (ValueError, OSError):
        return False
    return process == run
