"""Files are whole or absent: killed while writing, a full disk, a folder without write permission."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile

import pytest
import torch

from cones.runtime import artifacts
from cones.runtime.artifacts import replacing, replacing_directory, save_tensors, write_json
from cones.runtime.errors import ConesError
from cones.runtime.temporary import left_over
from cones.training.checkpoint import read_checkpoint, write_checkpoint

BIG = {"a": torch.arange(30_000.0)}
WRITERS = {
    "JSON": lambda path: write_json(path, list(range(30_000))),
    "tensors": lambda path: save_tensors(path, BIG),
    "a checkpoint": lambda path: write_checkpoint(path, {"identity": "x", **BIG}),
}
# a process that dies half way through its text; with "broken" it writes in place, as without the rename
KILLED_WHILE_WRITING = """
import contextlib, os, pathlib, signal, sys
from cones.runtime import artifacts

def half(path, text, **options):
    with open(path, "w") as file:
        file.write(text[: len(text) // 2])
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[2] == "broken":
    artifacts.replacing = contextlib.contextmanager(lambda path: (yield pathlib.Path(path)))
pathlib.Path.write_text = half
artifacts.write_json(sys.argv[1], list(range(1000)))
"""


def old_file_after_a_kill(folder, rename: str) -> str:
    """What a file holds after a process was killed half way through writing it anew."""
    path = folder / "metrics.json"
    write_json(path, "the result of yesterday")
    command = [sys.executable, "-c", KILLED_WHILE_WRITING, str(path), rename]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    return path.read_text()


def test_killed_half_way_through_a_file_the_old_one_stands(tmp_path):
    assert json.loads(old_file_after_a_kill(tmp_path, "whole")) == "the result of yesterday"


def test_without_the_rename_the_test_above_would_fail(tmp_path):
    with pytest.raises(json.JSONDecodeError):
        json.loads(old_file_after_a_kill(tmp_path, "broken"))


def test_what_a_killed_process_left_goes_with_the_next_write_of_the_same_file(tmp_path):
    old_file_after_a_kill(tmp_path, "whole")
    (left,) = left_over(tmp_path)
    assert left.name.startswith(".metrics.json.writing-") and left.suffix == ".json"
    write_json(tmp_path / "other.json", 1)
    assert left.exists()
    write_json(tmp_path / "metrics.json", "the result of today")
    assert sorted(os.listdir(tmp_path)) == ["metrics.json", "other.json"]


def test_a_folder_that_a_killed_process_left_goes_too(tmp_path):
    if (child := os.fork()) == 0:
        with replacing_directory(tmp_path / "images") as temporary:
            (temporary / "00.png").touch()
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (left,) = left_over(tmp_path)
    assert (left / "00.png").exists()
    with replacing_directory(tmp_path / "images"):
        pass
    assert os.listdir(tmp_path) == ["images"]


@pytest.mark.parametrize("kind", [replacing, replacing_directory])
def test_what_another_process_is_writing_is_left_alone(tmp_path, kind):
    """It has begun, and it ends while this process writes the same."""
    path = tmp_path / "file"
    begun, go_on = os.pipe(), os.pipe()
    if (child := os.fork()) == 0:
        code = 1
        with contextlib.suppress(BaseException), kind(path) as temporary:
            os.write(begun[1], b".")
            os.read(go_on[0], 1)
            code = 0 if temporary.exists() else 1
        os._exit(code)
    os.read(begun[0], 1)
    assert list(left_over(tmp_path)) == []
    with kind(path):
        os.write(go_on[1], b".")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert os.listdir(tmp_path) == ["file"]


def in_a_process_of_its_own(work, prepare) -> None:
    """Fork, `prepare` (limits, rights: they do not come back), `work`; a failed assertion there fails here."""
    if (child := os.fork()) == 0:
        code = 1
        with contextlib.suppress(BaseException):
            prepare()
            work()
            code = 0
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def no_large_files() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def refused(write, path, *words: str) -> None:
    try:
        write(path)
    except ConesError as error:
        said = str(error)
        assert said.startswith(f"{path}: cannot be written; found ") and "; next: " in said and "\n" not in said
        assert all(word in said for word in words), said
    else:
        raise AssertionError("it was written")


@pytest.mark.parametrize("what", WRITERS)
def test_no_room_for_a_file_is_one_line_and_the_old_one_stands(tmp_path, what):
    path = tmp_path / "file"
    path.write_text("the result of yesterday")
    in_a_process_of_its_own(
        lambda: refused(WRITERS[what], path, "File too large", "raise the limit on file sizes"), no_large_files
    )
    assert path.read_text() == "the result of yesterday" and os.listdir(tmp_path) == ["file"]


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    path = tmp_path / "metrics.json"
    write_json(path, "the result of yesterday")

    def on_the_full_disk(dir, prefix, suffix):
        (tmp_path / ".temporary").symlink_to("/dev/full")
        return os.open(os.devnull, os.O_RDONLY), str(tmp_path / ".temporary")

    monkeypatch.setattr(tempfile, "mkstemp", on_the_full_disk)
    refused(lambda path: write_json(path, 1), path, "No space left on device", "free some space and run again")
    assert json.loads(path.read_text()) == "the result of yesterday" and os.listdir(tmp_path) == [path.name]


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path):
    path = tmp_path / "resume.pt"
    write_checkpoint(path, {"identity": "x", "step": 7})
    in_a_process_of_its_own(
        lambda: refused(WRITERS["a checkpoint"], path, "ulimit -f"),
        no_large_files,
    )
    assert read_checkpoint(path, "x")["step"] == 7


@pytest.mark.parametrize("kind", [replacing, replacing_directory])
def test_a_folder_without_write_permission_is_one_line(tmp_path, kind):
    def write(path):
        with kind(path):
            pass

    def nobody() -> None:
        if os.geteuid() == 0:  # whom permissions do not stop
            os.setuid(65534)

    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != folder.parent:
            folder.chmod(folder.stat().st_mode | 0o055)  # to be seen by nobody
    tmp_path.chmod(0o555)
    try:
        in_a_process_of_its_own(
            lambda: refused(write, tmp_path / "file", "Permission denied", "make this folder writable"), nobody
        )
    finally:
        tmp_path.chmod(0o755)
    assert os.listdir(tmp_path) == []


def test_another_error_passes_unchanged(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "file"):
        (tmp_path / "not there").read_text()
    assert artifacts._errno(ValueError("bad")) is None and os.listdir(tmp_path) == []
