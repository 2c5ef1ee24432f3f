"""The kill-anywhere driver: a small grid is struck by signals at random moments, begun again, and compared with one
that was left in peace.

    python -m tests.faults.kill_anywhere --kills 25 --seed 1
"""

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from cones.experiment.made_of import SUFFIX
from tests.flow import Workflow

# fetch, unpack, prepare, text, tune, evaluate, collect: one cell that listens to class names, one that is tuned
TABLES = ("results/table1.csv", "results/table8.csv", "results/table10.csv", "results/ranks.csv")
WORLD = (*TABLES, "--config", "suite=ci", "datasets=[bccd]", "arms=[zero_shot, cones]")
WORLD = (*WORLD, "data_dir=Daten; für alle")  # no name of a folder may end up in a shell's hands
PARTS = ("checkpoints", "Daten; für alle", "results")
PER_FOLDER = 3  # strikes: more would all fall into the last step, which they keep from ending
SECRET = "fake-t0ken-that-nobody-may-write"
SECRETS = dict.fromkeys(("KAGGLE_API_TOKEN", "KAGGLE_KEY", "CITYSCAPES_PASSWORD", "HF_TOKEN"), SECRET)
UNLIKE = ("run.json", "fetch.json")  # hold the time of day
TIMES = ("seconds", "language_seconds", "peak_memory_bytes")  # of tuning.json


@dataclass
class Outcome:
    """What was tried, and what came out differently: {file: how}."""

    struck: Counter = field(default_factory=Counter)  # step at work -> signals
    finished: int = 0
    different: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        steps = ", ".join(f"{step} {count}" for step, count in self.struck.most_common())
        said = f"{self.struck.total()} signals ({steps}), {self.finished} runs finished, "
        return f"{said}{len(self.different)} files lost or different"


@dataclass
class Peaceful:
    """The run that nobody disturbs: its files, and when each came, in seconds since the first job began."""

    flow: Workflow
    files: dict[str, bytes]
    times: dict[str, float]

    @staticmethod
    def run(folder: Path) -> None:
        flow = Workflow(folder)
        os.environ |= SECRETS
        flow.run(*WORLD, "--printshellcmds")

    @classmethod
    def of(cls, folder: Path) -> "Peaceful":
        """What lies in the folder of a run that has ended."""
        begun = min(path.stat().st_mtime for path in (folder / "logs").rglob("*.log"))
        times = {name: (folder / name).stat().st_mtime - begun for name in contents(folder)}
        return cls(Workflow(folder), contents(folder), times)

    def moment(self, folder: Path, draw: random.Random) -> tuple[str | None, float]:
        """(a file, seconds after it is there) of a random moment of the work that a disturbed run has still before it.

        Uniform in the time of this run; told by files, because the machine may be quicker or slower by then.
        """
        ahead = sorted((seconds, name) for name, seconds in self.times.items() if not (folder / name).exists())
        begun = max((seconds for name, seconds in self.times.items() if (folder / name).exists()), default=0.0)
        at = draw.uniform(begun, max(ahead)[0]) if ahead else begun
        before = [(seconds, name) for seconds, name in ahead if seconds <= at]
        return (before[-1][1], at - before[-1][0]) if before else (None, max(at - begun, 0.0))


def contents(folder: Path) -> dict[str, bytes]:
    """{file: bytes} of everything a run leaves that must be equal on repeat; of tuning.json without times."""
    found = {}
    for path in sorted(path for part in PARTS for path in (folder / part).rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        if path.name in UNLIKE or path.name.startswith("."):
            continue
        found[name] = path.read_bytes()
        if path.name == "tuning.json":
            found[name] = json.dumps({k: v for k, v in json.loads(found[name]).items() if k not in TIMES}).encode()
        if path.name.endswith(SUFFIX):  # names other files by digests that count their times
            found[name] = json.dumps({key: json.loads(found[name])[key] for key in ("settings", "code")}).encode()
    return found


def disturb(peaceful: Peaceful, folder: Path, signals: list[signal.Signals], draw: random.Random) -> Outcome:
    """Send each signal at a random moment of a run's work, in one folder after another as runs finish in between; then
    let the last run finish. A run is begun again by the same command, with no flag and no unlock."""
    outcome, left = Outcome(), list(signals)
    while left:
        flow = Workflow(folder / f"run {outcome.finished}, gestört")  # a space and a letter beyond ASCII
        for _ in range(min(len(left), PER_FOLDER)):
            if not _strike(flow, left[0], *peaceful.moment(flow.folder, draw), outcome):
                break
            if left.pop(0) is signal.SIGTERM:
                _let_clocks_differ(flow.folder)
        flow.run(*WORLD)
        outcome.finished += 1
        outcome.different |= differences(peaceful.files, contents(flow.folder))
    return outcome


def differences(wanted: dict[str, bytes], found: dict[str, bytes]) -> dict[str, str]:
    lost = dict.fromkeys(wanted.keys() - found.keys(), "lost") | dict.fromkeys(found.keys() - wanted.keys(), "new")
    return lost | {name: "different" for name in wanted.keys() & found.keys() if wanted[name] != found[name]}


def _strike(flow: Workflow, number: signal.Signals, file: str | None, after: float, outcome: Outcome) -> bool:
    """Start the run and send its whole process group a signal `after` seconds from when `file` is there, or from the
    beginning of its work; False if it was done before."""
    begun = time.time()
    run = subprocess.Popen(
        flow.command(*WORLD),
        cwd=flow.folder,
        env=flow.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def is_time() -> bool:
        at_work = _step_at_work(flow.folder, begun) is not None
        return at_work and (file is None or (flow.folder / file).exists())

    while run.poll() is None and not is_time():
        time.sleep(0.02)
    try:
        run.wait(after)
    except subprocess.TimeoutExpired:
        outcome.struck[_step_at_work(flow.folder, begun)] += 1
        os.killpg(run.pid, number)
        run.wait()
        _wait_for_the_group(run.pid)
        return True
    assert run.returncode == 0, "a run that was left in peace failed"
    return False


def _step_at_work(folder: Path, since: float) -> str | None:
    """The name of the log that was written last in this run."""
    written = []
    for path in (folder / "logs").rglob("*.log"):
        with contextlib.suppress(FileNotFoundError):  # Snakemake removes the log of a job that it begins again
            if path.name != "warm.log" and (changed := path.stat().st_mtime) >= since - 0.01:
                written.append((changed, path))
    if not written:
        return None
    last = max(written)[1]
    return "weights" if last.parent.name == "checkpoints" else last.stem.partition("-")[0]


def _let_clocks_differ(folder: Path) -> None:
    """The machine that wrote the results was an hour behind: they are older than what they are made of."""
    for path in (folder / "results").rglob("*"):
        if path.is_file():
            os.utime(path, (time.time(), path.stat().st_mtime - 3600))


def _wait_for_the_group(group: int) -> None:
    """No process of a run may outlive it: it would write into the folder of the next."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError(f"processes of group {group} are still alive")


def signals_of(kills: int) -> list[signal.Signals]:
    """SIGKILL `kills` times and, in between, what Ctrl-C and a batch system send."""
    signals = [signal.SIGKILL] * kills
    signals[kills // 2 : kills // 2] = [signal.SIGINT, signal.SIGTERM]
    return signals


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=25)
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Peaceful.run(Path(folder) / "peaceful")
        peaceful = Peaceful.of(Path(folder) / "peaceful")
        outcome = disturb(peaceful, Path(folder), signals_of(asked.kills), random.Random(asked.seed))
    print(outcome)
    for name, how in sorted(outcome.different.items()):
        print(f"  {how}: {name}")
    sys.exit(bool(outcome.different))


if __name__ == "__main__":
    main()
