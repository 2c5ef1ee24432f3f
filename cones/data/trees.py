"""The files below a folder at any depth, with linked folders, each once."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from cones.runtime.artifacts import sha256


def files_below(folder: Path) -> Iterator[tuple[str, Path, os.stat_result]]:
    """(path from `folder` with slashes, path, status) of every file, sorted; a link counts as what it points to.

    Links that point nowhere, and a folder inside itself, are passed over.
    """
    files = [(path.relative_to(folder).as_posix(), path, status) for path, status in _walk(folder, ())]
    yield from sorted(files, key=lambda file: file[0])


def _walk(folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[tuple[Path, os.stat_result]]:
    """The files below a folder and their status, unsorted.

    above  (device, inode) of the folders that are being walked
    """
    try:
        here = os.stat(folder)
        entries = list(os.scandir(folder))
    except OSError:
        return
    if (place := (here.st_dev, here.st_ino)) in above:
        return
    for entry in entries:
        if entry.is_dir():
            yield from _walk(Path(entry.path), (*above, place))
        else:
            try:
                yield Path(entry.path), entry.stat()
            except OSError:
                continue


def describe(tree: Path) -> dict:
    """`files` and `bytes` below a folder; `listing_sha256` over path, size and sha256 of each file, which is read."""
    lines, total = [], 0
    for name, path, status in files_below(tree):
        lines.append(f"{name} {status.st_size} {sha256(path)}\n")
        total += status.st_size
    listing = hashlib.sha256("".join(lines).encode()).hexdigest()
    return {"files": len(lines), "bytes": total, "listing_sha256": listing}
