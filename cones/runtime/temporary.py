"""Temporary files, locked by their writer: one without a lock was left over by a process that was killed.

A process that is killed cannot remove what it was writing. The lock (`flock`) ends with the process, whatever ended it,
and holds between machines that share a folder. Where a file system has no such locks, nothing is held or removed.
"""

import contextlib
import errno
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

MARK = ".writing-"  # `.metrics.json.writing-k3x_92ab.json`
NAME = re.compile(rf"\.(?P<target>.+){re.escape(MARK)}[a-z0-9_]{{8}}(\.[^.]+)?")


@contextlib.contextmanager
def temporary_beside(path: Path, *, directory: bool) -> Iterator[Path]:
    """Yield a new empty file or folder beside `path`, held until the end, when it is removed if it is still there.

    Files that killed processes left beside `path` are removed first.
    """
    for left in left_over(path.parent, path.name):
        remove(left)
    descriptor, temporary = _made_and_held(path, directory)
    try:
        yield temporary
    finally:
        remove(temporary)
        os.close(descriptor)


def left_over(folder: Path, target: str | None = None) -> Iterator[Path]:
    """The temporary files and folders in `folder` (of `target` alone, if it is named) whose writer is gone.

    Each is held while it is yielded, so that a writer who has just made it notices.
    """
    with os.scandir(folder) as entries:
        candidates = [(entry.path, NAME.fullmatch(entry.name)) for entry in entries if MARK in entry.name]
    for path, match in candidates:
        if match and target in (None, match["target"]):
            with contextlib.suppress(OSError), _opened(path) as descriptor:  # gone by now, or another user's
                if _locked(descriptor):
                    yield Path(path)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _made_and_held(path: Path, directory: bool) -> tuple[int, Path]:
    """(descriptor that holds the lock, new file or folder); made again if another writer took it for left over."""
    prefix = f".{path.name}{MARK}"
    while True:
        if directory:
            name = tempfile.mkdtemp(dir=path.parent, prefix=prefix)
            try:
                descriptor = os.open(name, os.O_RDONLY)
            except FileNotFoundError:
                continue
        else:
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=path.suffix)
        if _locked(descriptor) is not False and os.path.lexists(name):
            return descriptor, Path(name)
        os.close(descriptor)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY if os.path.isdir(path) else os.O_RDWR)  # NFS locks only what is writable
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool | None:
    """Whether the lock was acquired; None where the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EAGAIN, errno.EACCES) else None
    return True
