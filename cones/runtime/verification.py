"""Verification of finished cells: their files and inputs are compared by sha256 with `run.json`."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from cones.runtime.artifacts import read_json, sha256
from cones.runtime.errors import ConesError

Digest = Callable[[Path], str]
CELL_FILES = ("metrics.json", "predictions.json", "state.safetensors", "tuning.json")  # run.json is written after them
AGAIN = "if nobody changed it on purpose, delete the cell's folder and run again"


def fingerprints(folder: Path, names: Iterable[str] = CELL_FILES) -> dict[str, str]:
    """{file: sha256}, as `run.json` records the files of a cell."""
    return {name: sha256(folder / name) for name in names}


def recorded_state(folder: Path) -> str:
    """The sha256 that the tuning step recorded of a cell's `state.safetensors`."""
    record = read_json(folder / "tuning.json")
    try:
        return record["sha256"]["state.safetensors"]
    except (KeyError, TypeError):
        raise ConesError(
            "does not say which state it belongs to", where=folder / "tuning.json", next_step="tune this cell again"
        ) from None


class Digests:
    """sha256 of files, each read once; with `states=False` a cell's state counts as the one its tuning recorded.

    A state may have gigabytes. What has just been recorded of it is believed while tables are collected; `verify`
    reads it.
    """

    def __init__(self, *, states: bool):
        self.states = states
        self._known: dict[Path, str] = {}

    def __call__(self, path: Path) -> str:
        if path not in self._known:
            is_state = path.name == "state.safetensors" and (path.parent / "tuning.json").exists()
            self._known[path] = recorded_state(path.parent) if is_state and not self.states else sha256(path)
        return self._known[path]


def check_cell(folder: Path, digest: Digest) -> None:
    """Raise the first of `faults_of_cell`."""
    for fault in faults_of_cell(folder, digest):
        raise fault


def faults_of_cell(folder: Path, digest: Digest) -> Iterator[ConesError]:
    """The differences from `run.json`: a file of the cell that is missing or changed, an input that changed.

    An input that is not on this machine cannot be compared and is no fault; `inputs_of` names them all.
    """
    try:
        recorded, inputs = _record(folder)
    except ConesError as error:
        yield error
        return
    for name, expected in recorded.items():
        yield from _differs(folder / name, expected, digest, "is not the file that run.json records")
    for path, expected in inputs.items():
        if path.exists():
            what = f"changed after {folder} was made of it"
            yield from _differs(path, expected, digest, what, "run the workflow again: it makes the cell anew")


def inputs_of(folder: Path) -> dict[Path, str]:
    """{path: sha256} of the cell's inputs: weights, manifest, text states, the state of stage 1."""
    return _record(folder)[1]


def _record(folder: Path) -> tuple[dict[str, str], dict[Path, str]]:
    """The sha256 of the cell's files and of its inputs, as `run.json` records them."""
    run = read_json(folder / "run.json")
    if not isinstance(run, dict) or not isinstance(run.get("sha256"), dict) or "metrics.json" not in run["sha256"]:
        raise ConesError("records no sha256 of the cell's files", where=folder / "run.json", next_step=AGAIN)
    inputs = run.get("inputs_sha256") or {}
    project = _project_of(folder)
    return run["sha256"], {project / path: digest for path, digest in inputs.items()}


def _project_of(folder: Path) -> Path:
    """The folder that the paths of inputs are relative to: the parent of `results`, or the working directory."""
    above = folder.parents  # arm, dataset, model, suite, results
    return above[5] if len(above) > 5 and above[4].name == "results" else Path()


def _differs(path: Path, expected: str, digest: Digest, what: str, next_step: str = AGAIN) -> Iterator[ConesError]:
    try:
        actual = digest(path)
    except FileNotFoundError:
        yield ConesError("file is missing", where=path, next_step="run the command again: it is made anew")
        return
    except ConesError as error:
        yield error
        return
    if actual != expected:
        yield ConesError(what, where=path, expected=f"sha256 {expected}", found=actual, next_step=next_step)
