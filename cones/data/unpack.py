"""Safe unpacking: every member is checked before the first byte is written, and the result appears whole or not at all.

Refused: absolute paths, "..", links that leave the folder (in a zip: any link), devices, too many members, a declared
size that is absurd for the archive or larger than the free disk.
"""

import copy
import gzip
import logging
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cones.data.external import unpack_with_tool, volumes_of
from cones.data.files import is_system
from cones.runtime.errors import ConesError

CHUNK = 1 << 20
TARS = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")
PYTHON_READS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
UTF8_NAMES = 0x800  # the flag of a zip's member whose name is in UTF-8
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """Limits that no genuine dataset archive exceeds; the ratio does not apply to small archives."""

    members: int = 500_000
    total_bytes: int = 500 * 10**9
    ratio: int = 200  # declared size / archive size
    ratio_applies_above: int = 50 * 10**6


DEFAULT_LIMITS = Limits()


def unpack(
    archive: str | Path,
    target: str | Path,
    *,
    dataset_id: str,
    strip: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> None:
    """Unpack an archive into the existing folder `target`; a file that is no archive is copied into it.

    .zip and .tar(.gz, .xz, .bz2) are read by the standard library; .rar, .7z and zips it cannot read by an installed
    tool (`cones/data/external.py`). The later parts of a multi-part .rar are read with its first.

    `strip` is a leading folder left out of the members' paths. The caller makes the result visible by renaming
    `target` (`replacing_directory`). Raises ConesError, before writing, if the archive is unsafe.
    """
    archive, target = Path(archive), Path(target)
    guard = _Guard(archive, dataset_id, limits, strip)
    name = archive.name.lower()
    try:
        if name.endswith(".zip"):
            _unpack_zip(archive, target, guard)
        elif name.endswith(TARS):
            _unpack_tar(archive, target, guard)
        elif name.endswith((".rar", ".7z")):
            if volumes := volumes_of(archive, guard):
                unpack_with_tool(volumes, target, guard)
        else:
            shutil.copyfile(archive, target / archive.name)
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        gzip.BadGzipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        RuntimeError,
    ) as error:
        raise guard.fault("the archive is damaged or locked", found=error) from None
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise guard.fault("a member is both a file and a folder", found=error.filename) from None


class _Guard:
    """Counts members and bytes of one archive and turns each member's name into a safe relative path."""

    def __init__(self, archive: Path, dataset_id: str, limits: Limits, strip: str | None):
        self.archive, self.dataset_id, self.limits = archive, dataset_id, limits
        self.strip = PurePosixPath(strip) if strip else None
        self.packed_bytes = archive.stat().st_size
        self.reset()

    def reset(self) -> None:
        self.members = self.total_bytes = 0

    def fault(self, what: str, *, next_step: str | None = None, **details: object) -> ConesError:
        return ConesError(
            what,
            where=f"dataset {self.dataset_id}: {self.archive.name}",
            next_step=next_step or "do not use this file: delete it and fetch it again from the dataset's home",
            **details,
        )

    def count(self, size: int) -> None:
        self.members += 1
        self.total_bytes += size
        if self.members > self.limits.members:
            raise self.fault("too many members", expected=f"at most {self.limits.members}")
        if self.total_bytes > self.limits.total_bytes:
            raise self.fault(
                "unpacks to an absurd size", expected=f"at most {self.limits.total_bytes} bytes", found="more"
            )
        allowed = max(self.limits.ratio * self.packed_bytes, self.limits.ratio_applies_above)
        if self.total_bytes > allowed:
            raise self.fault(
                "looks like a decompression bomb",
                expected=f"at most {allowed} bytes out of {self.packed_bytes}",
                found=f"{self.total_bytes} or more",
            )

    def check_disk(self, target: Path) -> None:
        if self.total_bytes > (free := shutil.disk_usage(target).free):
            raise self.fault(
                "not enough disk space to unpack",
                expected=f"{self.total_bytes} bytes",
                found=f"{free} free",
                next_step="free some space, or set another data folder",
            )

    def safe_path(self, name: str) -> PurePosixPath | None:
        """The member's path below the target, without `strip`; None for what is left out."""
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in (path.parts or ("",))[0] or "\0" in name:
            raise self.fault("a member would be written outside the folder", found=f'"{name}"')
        if any(map(is_system, path.parts)):
            return None
        if self.strip:
            if not path.is_relative_to(self.strip):
                if self.strip.is_relative_to(path):
                    return None
                raise self.fault(
                    "a member lies outside the folder named by `strip`",
                    expected=f'"{self.strip}/…"',
                    found=f'"{name}"',
                    next_step="the archive is of another version: correct `strip` in datasets.yaml",
                )
            path = path.relative_to(self.strip)
        return path if path.parts else None


def _unpack_zip(archive: Path, target: Path, guard: _Guard) -> None:
    """Unpack a zip; one that Python finds damaged or cannot decompress is tried with an installed tool."""
    try:
        file = zipfile.ZipFile(archive)
    except zipfile.BadZipFile:
        _unpack_odd_zip(archive, target, guard, "Python finds it damaged")
        return
    with file:
        if odd := {member.compress_type for member in file.infolist()} - PYTHON_READS:
            _unpack_odd_zip(archive, target, guard, f"compression method {min(odd)}")
            return
        planned = list(_plan_zip(file, guard))
        guard.check_disk(target)
        for member, path in planned:
            destination = target / path
            destination.parent.mkdir(parents=True, exist_ok=True)
            with file.open(member) as source, open(destination, "wb") as sink:
                shutil.copyfileobj(source, sink, CHUNK)


def _unpack_odd_zip(archive: Path, target: Path, guard: _Guard, why: str) -> None:
    program = unpack_with_tool([archive], target, guard, why=why)
    log.warning("dataset %s: %s unpacked by %s (%s)", guard.dataset_id, archive.name, program, why)


def _plan_zip(file: zipfile.ZipFile, guard: _Guard) -> Iterator[tuple[zipfile.ZipInfo, PurePosixPath]]:
    for member in file.infolist():
        guard.count(member.file_size)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise guard.fault("a member is a link or a device", found=f'"{member.filename}"')
        if member.flag_bits & 0x1:
            raise guard.fault(
                "the archive is locked with a password", next_step="unpack it by hand into the mirror folder"
            )
        path = guard.safe_path(_name(member))
        if path is not None and not member.is_dir():
            yield member, path


def _name(member: zipfile.ZipInfo) -> str:
    """The member's name; without the flag for UTF-8 Python reads an old code page, though most tools wrote UTF-8."""
    if member.flag_bits & UTF8_NAMES:
        return member.filename
    try:
        return member.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return member.filename


# the standard library's own checks on top of ours, where it has them (Python 3.11.4), else no owners and modes
CAREFULLY = {"filter": "data"} if hasattr(tarfile, "data_filter") else {"set_attrs": False}


def _unpack_tar(archive: Path, target: Path, guard: _Guard) -> None:
    with tarfile.open(archive) as file:
        planned = list(_plan_tar(file, guard))
        guard.check_disk(target)
        for member, path in planned:
            member = copy.copy(member)
            member.name = path.as_posix()
            file.extract(member, target, **CAREFULLY)


def _plan_tar(file: tarfile.TarFile, guard: _Guard) -> Iterator[tuple[tarfile.TarInfo, PurePosixPath]]:
    for member in file:
        guard.count(member.size)
        path = guard.safe_path(member.name)
        if member.issym() or member.islnk():
            base = PurePosixPath(member.name).parent if member.issym() else PurePosixPath()
            if not _stays_inside(base, PurePosixPath(member.linkname)):
                raise guard.fault("a link leaves the folder", found=f'"{member.name}" -> "{member.linkname}"')
        elif not (member.isfile() or member.isdir()):
            raise guard.fault("a member is a device or pipe", found=f'"{member.name}"')
        if path is not None and not member.isdir():
            yield member, path


def _stays_inside(base: PurePosixPath, link: PurePosixPath) -> bool:
    depth = len(base.parts)
    for part in link.parts:
        depth += -1 if part == ".." else part != "."
        if depth < 0:
            return False
    return not link.is_absolute()
