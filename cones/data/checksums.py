"""Checks of fetched files by size, checksum and first bytes; unpinned files are trusted on first use."""

import contextlib
import fcntl
import hashlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from cones.data.registry import DRAWN, Archive
from cones.runtime.artifacts import read_json, write_json
from cones.runtime.errors import ConesError

LOCK_FILE = "checksums.lock.json"
MAGIC = {
    ".zip": (b"PK\x03\x04", b"PK\x05\x06"),
    ".gz": (b"\x1f\x8b",),
    ".tgz": (b"\x1f\x8b",),
    ".xz": (b"\xfd7zXZ\x00",),
    ".txz": (b"\xfd7zXZ\x00",),
    ".bz2": (b"BZh",),
    ".tbz2": (b"BZh",),
    ".rar": (b"Rar!",),
    ".7z": (b"7z\xbc\xaf",),
}
log = logging.getLogger(__name__)


class WrongFile(Exception):
    """A file that is not the wanted one; `expected` and `found` are short."""

    def __init__(self, what: str, *, expected: object = None, found: object = None):
        super().__init__(what)
        self.what, self.expected, self.found = what, expected, found

    def __str__(self) -> str:
        return f"{self.what} (expected {self.expected}, found {self.found})" if self.expected else self.what


def inspect(path: Path, archive: Archive, published: Mapping[str, object] | None = None) -> dict:
    """Check a file by all that the registry knows of it: `{filename, size, sha256}`, or WrongFile.

    `published` is what the provider states about the file (size, md5, sha256); it has to agree as well.
    """
    published = published or {}
    size = path.stat().st_size
    if size == 0:
        raise WrongFile("the file is empty", expected=archive.filename, found="0 bytes")
    _check_first_bytes(path, archive.filename)
    if archive.size is not None and size != archive.size:
        raise WrongFile("wrong size", expected=f"{archive.size} bytes", found=f"{size} bytes")
    if published.get("size", size) != size:
        raise WrongFile("not the size its server states", expected=f"{published['size']} bytes", found=f"{size} bytes")
    digests = _digests(path)
    for name in ("sha256", "md5"):
        if (wanted := getattr(archive, name)) and wanted != digests[name]:
            raise WrongFile("wrong checksum", expected=f"{name} {wanted}", found=digests[name])
        if published.get(name, digests[name]) != digests[name]:
            raise WrongFile(
                "not the checksum its server states", expected=f"{name} {published[name]}", found=digests[name]
            )
    return {"filename": archive.filename, "size": size, "sha256": digests["sha256"]}


def trust_on_first_use(*, data_dir: Path, source: str, dataset_id: str, archive: Archive, found: dict) -> None:
    """Record the checksum of an unpinned file at first use, and compare later ones with it; WrongFile if it changed.

    Pinned and drawn files need no record.
    """
    if archive.is_pinned or source == DRAWN:
        return
    with _locked(data_dir):
        path = data_dir / LOCK_FILE
        memory = read_json(path) if path.exists() else {}
        known = memory.setdefault(source, {}).setdefault(dataset_id, {})
        record = {"size": found["size"], "sha256": found["sha256"]}
        if archive.filename not in known:
            known[archive.filename] = record
            write_json(path, memory)
            log.warning(
                "dataset %s: no checksum of %s is published; trusted on first use and remembered in %s (sha256 %s)",
                dataset_id,
                archive.filename,
                path,
                found["sha256"],
            )
        elif known[archive.filename] != record:
            raise WrongFile(
                f"not the file that was first fetched (remembered in {path}; "
                "if upstream really changed it, remove its entry there)",
                expected=f"sha256 {known[archive.filename]['sha256']}",
                found=found["sha256"],
            )


def assert_unchanged(path: Path, *, dataset_id: str, found: dict) -> None:
    """Raise ConesError unless `path` is still the archive that fetch.json describes."""
    anew = f"delete {path.parents[1]} and run again: it is fetched anew"
    if not path.exists():
        raise ConesError(
            "a fetched archive is gone",
            where=f"dataset {dataset_id}: {path}",
            next_step=anew,
        )
    if (digest := _digests(path)["sha256"]) != found["sha256"]:
        raise ConesError(
            "an archive changed after it was fetched",
            where=f"dataset {dataset_id}: {path}",
            expected=f"sha256 {found['sha256']}",
            found=digest,
            next_step=anew,
        )


@contextlib.contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    """Lock the file of recorded checksums: datasets are fetched in parallel and share it."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with open(data_dir / f".{LOCK_FILE}.flock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def looks_like_html(first: bytes) -> bool:
    """Whether these first bytes of a file begin a web page."""
    return first[:512].lstrip(b"\xef\xbb\xbf \t\r\n")[:14].lower().startswith((b"<!doctype html", b"<html"))


def _check_first_bytes(path: Path, filename: str) -> None:
    with open(path, "rb") as file:
        first = file.read(512)
    suffix = Path(filename).suffix.lower()
    if looks_like_html(first) and suffix not in (".html", ".htm"):
        raise WrongFile("a web page came instead of the file", expected=suffix or "data", found="HTML")
    if suffix in MAGIC and not first.startswith(MAGIC[suffix]):
        raise WrongFile("not a file of its type", expected=f"{suffix} content", found=f"first bytes {first[:8]!r}")


def _digests(path: Path) -> dict[str, str]:
    digests = {"sha256": hashlib.sha256(), "md5": hashlib.md5(usedforsecurity=False)}
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            for digest in digests.values():
                digest.update(chunk)
    return {name: digest.hexdigest() for name, digest in digests.items()}
