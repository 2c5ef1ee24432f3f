"""Partial downloads, kept beside their place under a dot-name so that a broken transfer can be resumed."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cones.runtime.artifacts import read_json, write_json
from cones.runtime.errors import ConesError


class Partial:
    """The partial file `.<name>.part`, and `.<name>.part.json` with the address and validator of its download."""

    def __init__(self, target: Path):
        self.target = target
        self.path = target.with_name(f".{target.name}.part")
        self.notes = target.with_name(f".{target.name}.part.json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def known(self, url: str) -> dict | None:
        """`{validator, total}` if there is a partial download of this address that can be resumed; else None."""
        if not self.size or not self.notes.exists():
            return None
        try:
            notes = read_json(self.notes)
        except ConesError:
            return None
        return notes if notes.get("url") == url and notes.get("validator") else None

    def begin(self, *, url: str, validator: str | None, total: int | None) -> None:
        """Start anew, without the old part; a download without a validator cannot be resumed and is not noted."""
        self.discard()
        if validator:
            write_json(self.notes, {"url": url, "validator": validator, "total": total})

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)

    def discard_unless_resumable(self) -> None:
        if not (self.notes.exists() and self.size):
            self.discard()

    def publish(self) -> None:
        """Move the complete, checked file to its place."""
        with open(self.path, "rb") as written:
            os.fsync(written.fileno())
        self.path.chmod(0o644)
        os.replace(self.path, self.target)
        self.discard()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the download; ConesError if another process is fetching this file."""
        self.target.parent.mkdir(parents=True, exist_ok=True)
        lock = self.target.with_name(f".{self.target.name}.lock")
        with open(lock, "w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConesError(
                    "another process is fetching this file", where=self.target, next_step="wait until it is done"
                ) from None
            try:
                yield
            finally:
                with suppress(FileNotFoundError):
                    lock.unlink()
