"""What a process of each kind of step costs before its first optimiser step, cold and warm, and for what.

    python benchmarks/startup.py [--repeats 3]

Runs steps of the ci suite on one small dataset and one subject in a folder of its own: each cold (`CONES_WARM=0`),
warm (a copy of the warm server's process), and once more cold with every import booked under its package, which
is what `python -X importtime` does, but by the processor's clock, so that other work on the machine does not count.
`tune` and `generation learn` may take no optimiser step: all that is left of them is start-up. Seconds are processor
seconds, the least of the repeats. Writes benchmarks/startup.json and prints the rows of the README.
"""

import contextlib
import importlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODEL, DATASET, SUBJECTS = "glip_nano", "aquarium", "dreambooth"
CHANGES = {
    "datasets": [DATASET],
    "arms": ["cones"],
    "tuning": {"max_epochs": 0},
    "generation": {"model": "sd_nano", "dataset": SUBJECTS, "arms": ["cones"], "tuning": {"steps": 0}},
}
CELL = f"--model {MODEL} --dataset {DATASET} --arm cones"
BEFORE = (  # what the measured steps need beside each other
    *(f"{step} --dataset {SUBJECTS}" for step in ("draw", "fetch", "prepare")),
    "generation find sd_nano",
    "generation encode",
)
STEPS = {  # kind of step -> command, in the order in which one needs the other
    "draw": f"draw --dataset {DATASET}",
    "fetch": f"fetch --dataset {DATASET}",
    "prepare": f"prepare --dataset {DATASET}",
    "weights": f"weights --model {MODEL}",
    "text": f"text --model {MODEL} --dataset {DATASET}",
    "tune": f"tune {CELL}",
    "evaluate": f"evaluate {CELL}",
    "collect": "collect table1",
    "generation learn": "generation learn --subject dog6 --arm cones",
}
SHOWN = ("torch", "diffusers", "transformers", "sympy", "scipy", "numpy", "the standard library", "cones")
WORK = {  # what is told apart of a step's own work: module, and functions in it
    "config and registry": ("cones.cli.options", "load_plan"),
    "reading weights": ("cones.models.checkpoints", "load_detector", "load_text_encoder"),
}


class Account:
    """Processor seconds of this process by label; what is booked inside another label counts for itself alone."""

    def __init__(self):
        self.seconds: dict[str, float] = defaultdict(float)
        self._open, self._since = ["the interpreter"], 0.0

    def _close(self) -> None:
        now = time.process_time()
        self.seconds[self._open[-1]] += now - self._since
        self._since = now

    @contextlib.contextmanager
    def of(self, label: str) -> Iterator[None]:
        self._close()
        self._open.append(label)
        try:
            yield
        finally:
            self._close()
            self._open.pop()


def run_with_account(place: Path, arguments: list[str]) -> None:
    """The step, in this process; `place` gets the account, in which imports stand under their package."""
    account, find_and_load = Account(), importlib._bootstrap._find_and_load

    def booked(name: str, import_):
        package = name.partition(".")[0]
        with account.of("the standard library" if package in sys.stdlib_module_names else package):
            module = find_and_load(name, import_)
        for label, (where, *functions) in WORK.items():
            for function in functions if name == where else ():
                if not hasattr(inner := getattr(module, function), "label"):
                    setattr(module, function, labelled(label, inner))
        return module

    def labelled(label: str, function):
        def call(*arguments, **named):
            with account.of(label):
                return function(*arguments, **named)

        call.label = label
        return call

    importlib._bootstrap._find_and_load = booked
    sys.argv = ["cones", *arguments]
    try:
        with account.of("the step's own work"):
            from cones.cli.main import main

            main()
    finally:
        place.write_text(json.dumps(account.seconds), encoding="utf-8")


class Runs:
    """Steps as processes of their own, in a folder with copies of config and registry."""

    def __init__(self, folder: Path):
        self.folder = folder
        shutil.copytree(ROOT / "config", folder / "config")
        shutil.copy(ROOT / "datasets.yaml", folder)
        own = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CONES_SUITE": "ci", "CONES_SET": json.dumps(CHANGES)}
        self.environment = {**os.environ, **own}

    def cold(self, command: str) -> float:
        return self._seconds(["-m", "cones", *command.split()], CONES_WARM="0")

    def warm(self, command: str, address: str) -> float:
        """The client's seconds and those of the server's copy, for which the server waits before it answers."""
        before = self._of_copies()
        client = self._seconds(["-m", "cones", *command.split()], CONES_WARM=address)
        after = self._of_copies()
        if before is not None and after == before:
            raise SystemExit(f"`{command}` did not run warm: see {self.folder / 'logs/warm.log'}")
        return client + after - (before or 0.0)

    def accounted(self, command: str) -> dict[str, float]:
        place = self.folder / "account.json"
        self._seconds([__file__, "--inside", str(place), *command.split()], CONES_WARM="0")
        return json.loads(place.read_text(encoding="utf-8"))

    def server(self) -> int | None:
        """Process id of the warm server that writes this folder's log."""
        log = self.folder / "logs" / "warm.log"
        return int(log.read_text(encoding="utf-8").split("warm server ")[1].split(":")[0]) if log.exists() else None

    def seconds_of_server(self) -> float:
        return _ticks(self.server(), 13, 14)

    def _of_copies(self) -> float | None:
        return _ticks(pid, 15, 16) if (pid := self.server()) else None

    def _seconds(self, arguments: list[str], **environment: str) -> float:
        with open(self.folder / "said.txt", "wb") as said:
            pid = os.posix_spawn(
                sys.executable,
                [sys.executable, *arguments],
                {**self.environment, **environment},
                file_actions=[(os.POSIX_SPAWN_DUP2, said.fileno(), stream) for stream in (1, 2)],
            )
            _, status, used = os.wait4(pid, 0)
        if status:
            raise SystemExit((self.folder / "said.txt").read_text(encoding="utf-8"))
        return used.ru_utime + used.ru_stime


def _ticks(pid: int, *fields: int) -> float:
    """Processor seconds: the named fields of /proc/<pid>/stat, counted from 0."""
    words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(int(words[field - 2]) for field in fields) / os.sysconf("SC_CLK_TCK")


def measured(runs: Runs, repeats: int) -> dict:
    from cones.runtime.warm.offer import VARIABLE, offer

    offer()
    address = os.environ[VARIABLE]
    found = {}
    for command in BEFORE:
        runs.cold(command)
    for step, command in STEPS.items():
        cold = min(runs.cold(command) for _ in range(repeats))
        for _ in range(2):  # the first of all starts the server, which imports for a step that comes again
            runs.warm(command, address)
        copies = min(runs.warm(command, address) for _ in range(repeats))
        accounts = [runs.accounted(command) for _ in range(repeats)]
        least = min(accounts, key=lambda account: sum(account.values()))
        found[step] = {
            "cold_seconds": round(cold, 3),
            "warm_seconds": round(copies, 3),
            "account": {label: round(seconds, 3) for label, seconds in sorted(least.items(), key=lambda one: -one[1])},
        }
    return {"server_seconds": round(runs.seconds_of_server(), 2), "steps": found}


def print_tables(report: dict) -> None:
    print(f"| step | cold | warm | of the cold: interpreter and imports | {' | '.join(WORK)} | the rest |")
    parts = {}
    for step, found in report["steps"].items():
        account = dict(found["account"])
        work = {label: account.pop(label, 0.0) for label in (*WORK, "the step's own work")}
        parts[step] = account
        said = " | ".join(f"{seconds:.2f}" for seconds in work.values())
        print(
            f"| `{step}` | {found['cold_seconds']:.2f} | {found['warm_seconds']:.2f} "
            f"| {sum(account.values()):.2f} | {said} |"
        )
    print(f"\n| step | {' | '.join(SHOWN)} | others |")
    for step, account in parts.items():
        shown = [account.pop(name, 0.0) for name in SHOWN]
        print(f"| `{step}` | {' | '.join(f'{each:.2f}' for each in (*shown, sum(account.values())))} |")
    print(f"\nthe server: {report['server_seconds']} s, once")


def main() -> None:
    import argparse

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        report = {
            "options": vars(options),
            "python": sys.version.split()[0],
            **measured(Runs(Path(place)), options.repeats),
        }
    Path(__file__).with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print_tables(report)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        run_with_account(Path(sys.argv[2]), sys.argv[3:])
    else:
        main()
