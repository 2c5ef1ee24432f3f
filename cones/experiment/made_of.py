"""What the files of a job were made of: a small record beside the file written last, also if a step is run by hand.

`tuning.json` has `tuning.made_of.json`: settings, code and inputs of the job, and the digest of the file it belongs to.
Machine, revision and time are not in it. It tells a result of other settings from the planned one.
"""

import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from cones.experiment.cell import Plan
from cones.experiment.pipeline import Pipeline
from cones.experiment.step import Input, Job, Output
from cones.runtime.artifacts import DIGESTS, read_json, write_json
from cones.runtime.provenance import settings_digest

VERSION = 1
SUFFIX = ".made_of.json"


def record_of(file: Path) -> Path:
    """Path of the record of what a file was made of."""
    return file.with_suffix(SUFFIX)


def made_of(pipeline: Pipeline, job: Job) -> dict:
    """`settings`, `code` and `inputs` of a job as the plan has it now.

    inputs  {key: fingerprint of the file, a list of them, or None where it is not there}; ancient ones do not count
    """
    counted = {key: value for key, value in pipeline.inputs(job).items() if not _is_ancient(value)}
    inputs = {key: _fingerprints(pipeline, value) for key, value in counted.items()}
    return {"settings": pipeline.settings(job), "code": pipeline.code(job), "inputs": inputs}


@contextlib.contextmanager
def recorded(plan: Plan, job: Job) -> Iterator[str]:
    """Context of a step's run: what the job is made of is computed at the beginning and recorded on success.

    Yields its digest: an interrupted run is resumed only if it was started with the same one.
    """
    pipeline = Pipeline(plan)
    content = made_of(pipeline, job)
    yield settings_digest(content)
    if os.environ.get("RANK", "0") == "0":  # of several processes on one cell the first writes its files
        write_record(pipeline, job, content)


def write_record(pipeline: Pipeline, job: Job, content: dict) -> None:
    file = pipeline.last_file(job)
    if digest := fingerprint(file):
        write_json(record_of(file), {"version": VERSION, "file": digest, **content})


def fingerprint(path: Path) -> str | None:
    """Digest of a file; None if it is not there.

    For safetensors of this project, which may have gigabytes, the header, which holds a digest of each tensor; for any
    other file the content.
    """
    try:
        status = os.stat(path)
        return _fingerprint(path, status.st_ino, status.st_size, status.st_mtime_ns)
    except FileNotFoundError:
        return None


@functools.cache  # many cells are made of the same files
def _fingerprint(path: Path, inode: int, size: int, time: int) -> str:
    with open(path, "rb") as file:
        if path.suffix == ".safetensors":
            header = file.read(min(int.from_bytes(file.read(8), "little"), size))
            if DIGESTS.encode() in header:
                return f"{size} bytes, header {hashlib.sha256(header).hexdigest()}"
            file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_record(file: Path) -> dict | None:
    """What a file was made of; None if that is not known: no record, one of another version, or not of this file."""
    try:
        content = read_json(record_of(file))
        is_of_file = content["version"] == VERSION and content["file"] == fingerprint(file)
    except Exception:
        return None
    return content if is_of_file else None


def difference(recorded: dict, planned: dict) -> str | None:
    """The first difference between two results of `made_of`, in words; inputs that are missing here do not count."""
    planned = json.loads(json.dumps(planned))  # tuples become lists, as in the record
    if change := _first_difference(recorded["settings"], planned["settings"]):
        return change
    if recorded["code"] != planned["code"]:
        return "the code of the step has changed"
    if recorded["inputs"].keys() != planned["inputs"].keys():
        return f"made of {_listed(recorded['inputs'])}; planned of {_listed(planned['inputs'])}"
    for key, now in planned["inputs"].items():
        before = recorded["inputs"][key]
        if now != before and None not in (now if isinstance(now, list) else [now]):
            return f"made of another input: {key}"
    return None


def _first_difference(before: object, now: object, place: str = "") -> str | None:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*now, *(key for key in before if key not in now)]:
            if change := _first_difference(before.get(key), now.get(key), f"{place}.{key}".lstrip(".")):
                return change
        return None
    return None if before == now else f"{place or 'settings'} was {_short(before)}, is {_short(now)}"


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _listed(names) -> str:
    return ", ".join(names) or "nothing"


def _is_ancient(value: Input) -> bool:
    return isinstance(value, Output) and value.ancient


def _fingerprints(pipeline: Pipeline, value: Input) -> object:
    if isinstance(value, list):
        return [_fingerprints(pipeline, entry) for entry in value]
    return fingerprint(pipeline.path(value) if isinstance(value, Output) else Path(value))
