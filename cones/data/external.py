"""Unpacking of archives that Python cannot open (RAR, 7z, damaged or Deflate64 zips) by an installed tool.

Members are listed and checked by the guard before anything is written; the tool writes into a temporary sibling; what
it wrote is then counted and checked for links, and only moved into the target if it is exactly what was listed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from cones.runtime.errors import ConesError

INSTALL = (
    "install one of them (Debian, Ubuntu: apt-get install unar libarchive-tools; macOS: brew install unar; conda: "
    "libarchive from conda-forge) and run again, or unpack by hand into the dataset's drop folder"
)
VOLUME = re.compile(r"(?P<stem>.+)\.part(?P<number>\d+)\.rar", re.IGNORECASE)
QUIET = {"stdin": subprocess.DEVNULL, "capture_output": True, "check": False, "shell": False}


class Guard(Protocol):
    """The checks of an archive's members by `cones.data.unpack`."""

    def reset(self) -> None: ...
    def count(self, size: int) -> None: ...
    def check_disk(self, target: Path) -> None: ...
    def safe_path(self, name: str): ...
    def fault(self, what: str, *, next_step: str | None = None, **details: object) -> ConesError: ...


class Member(NamedTuple):
    name: str
    size: int
    kind: str  # "file", "folder", "locked" or "other" (links, devices)


class Tool(NamedTuple):
    """An unpacking program.

    listing  volumes -> members, None if it cannot read the archive
    extract  volumes, folder -> whether it succeeded
    """

    program: str
    listing: Callable[[Sequence[Path]], list[Member] | None]
    extract: Callable[[Sequence[Path], Path], bool]


def volumes_of(archive: Path, guard: Guard) -> list[Path] | None:
    """All volumes of a multi-part RAR given its first; [archive] for others; None for a later part (nothing to do)."""
    match = VOLUME.fullmatch(archive.name)
    if not match:
        return [archive]
    if int(match["number"]) > 1:
        return None
    parts = {}
    for path in archive.parent.iterdir():
        other = VOLUME.fullmatch(path.name)
        if other and other["stem"] == match["stem"]:
            parts[int(other["number"])] = path
    numbers = sorted(parts)
    if numbers != list(range(1, len(numbers) + 1)):
        raise guard.fault(
            "a part of this archive is missing",
            found=f"parts {', '.join(map(str, numbers))}",
            next_step="put the missing parts beside this one",
        )
    return [parts[number] for number in numbers]


def unpack_with_tool(volumes: Sequence[Path], target: Path, guard: Guard, *, why: str | None = None) -> str:
    """Unpack into the existing folder `target`; returns the program used. ConesError if unsafe, damaged or no tool.

    `why`: what keeps Python from reading an archive of a kind that it knows.
    """
    installed = [tool for tool in TOOLS if shutil.which(tool.program)]
    if not installed:
        names = ", ".join(tool.program for tool in TOOLS)
        what = "needs a tool that is not installed"
        what = f"the archive is damaged or locked, or {what} ({why})" if why else what
        raise guard.fault(what, expected=f"one of {names}", next_step=INSTALL)
    for tool in installed:
        members = tool.listing(volumes)
        if not members:
            continue
        files = _vet(members, target, guard)
        temporary = Path(tempfile.mkdtemp(dir=target, prefix=".tool-"))  # if we are killed, it goes with `target`
        try:
            if tool.extract(volumes, temporary) and _written(temporary, guard) == files:
                _move(temporary, target, guard)
                return tool.program
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        guard.reset()
    tried = ", ".join(tool.program for tool in installed)
    alone = len(volumes) > 1 and not shutil.which("unar")
    raise guard.fault(
        "the archive is damaged or locked, or in a form these tools do not know",
        found=f"{tried} cannot read it",
        next_step="install unar (apt-get install unar), which reads archives in several parts" if alone else None,
    )


def _vet(members: Sequence[Member], target: Path, guard: Guard) -> tuple[int, int]:
    """(files, bytes) that must come out, if all members are harmless."""
    for member in members:
        guard.count(member.size)
        if member.kind == "locked":
            raise guard.fault("the archive is locked with a password", next_step="unpack it by hand")
        if member.kind == "other":
            raise guard.fault("a member is a link or a device", found=f'"{member.name}"')
        guard.safe_path(member.name)
    guard.check_disk(target)
    files = [member.size for member in members if member.kind == "file"]
    return len(files), sum(files)


def _written(folder: Path, guard: Guard) -> tuple[int, int]:
    """(files, bytes) that the tool wrote; links and devices are refused. Less than listed: the archive is cut short."""
    count = size = 0
    for parent, folders, files in os.walk(folder):
        for name in folders + files:
            status = os.lstat(os.path.join(parent, name))
            if stat.S_ISDIR(status.st_mode):
                continue
            if not stat.S_ISREG(status.st_mode):
                raise guard.fault("a link or device came out of the archive", found=f'"{name}"')
            count, size = count + 1, size + status.st_size
    return count, size


def _move(folder: Path, target: Path, guard: Guard) -> None:
    for parent, _, files in os.walk(folder):
        for name in files:
            path = Path(parent, name)
            safe = guard.safe_path(path.relative_to(folder).as_posix())
            if safe is not None:
                (target / safe).parent.mkdir(parents=True, exist_ok=True)
                path.chmod(0o644)
                os.replace(path, target / safe)


# ------------------------------------------------------------------------------------------------------------ tools


def _run(*words: str | Path, **options: object) -> subprocess.CompletedProcess:
    return subprocess.run([str(word) for word in words], **{**QUIET, **options})


def _lsar(volumes: Sequence[Path]) -> list[Member] | None:
    lsar = shutil.which("lsar")
    done = lsar and _run(lsar, "-j", volumes[0].absolute())
    if not done or done.returncode != 0:
        return None
    try:
        content = json.loads(done.stdout)
        if content.get("lsarProperties", {}).get("XADIsCorrupted"):
            return None
        return [_lsar_member(entry) for entry in content["lsarContents"]]
    except (ValueError, KeyError, TypeError):
        return None


def _lsar_member(entry: dict) -> Member:
    kind = "folder" if entry.get("XADIsDirectory") else "file"
    if entry.get("XADIsLink") or entry.get("XADIsHardLink") or entry.get("XADIsCharacterDevice"):
        kind = "other"
    if entry.get("XADIsEncrypted"):
        kind = "locked"
    return Member(str(entry["XADFileName"]), int(entry.get("XADFileSize", 0)), kind)


def _unar(volumes: Sequence[Path], folder: Path) -> bool:
    return _run("unar", "-quiet", "-no-directory", "-o", folder, volumes[0].absolute()).returncode == 0


def _bsdtar_listing(volumes: Sequence[Path]) -> list[Member] | None:
    if len(volumes) > 1:
        return None  # through a pipe it reads some of them and silently cuts short others
    done = _run("bsdtar", "-tvf", volumes[0].absolute())
    if done.returncode != 0:
        return None
    members = []
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        # "-rw-r--r--  0 owner group  5000 Jan  1  1970 folder/a name.jpg"
        match = re.fullmatch(r"(\S)\S+\s+\d+\s+\S+\s+\S+\s+(\d+)\s+\S+\s+\S+\s+\S+ (.*)", line)
        if not match:
            return None
        kind = {"-": "file", "d": "folder"}.get(match[1], "other")
        members.append(Member(match[3], int(match[2]), kind))
    return members


def _bsdtar_extract(volumes: Sequence[Path], folder: Path) -> bool:
    options = ("--no-same-owner", "--no-same-permissions")
    return _run("bsdtar", "-x", *options, "-C", folder, "-f", volumes[0].absolute()).returncode == 0


def _seven_zip(program: str) -> Tool:
    def listing(volumes: Sequence[Path]) -> list[Member] | None:
        done = _run(program, "l", "-slt", "-ba", "-p-", volumes[0].absolute())
        if done.returncode not in (0, 1):  # 1: a warning, which is what a repaired zip gets
            return None
        members = []
        for text in re.split(r"\n\s*\n", done.stdout.decode("utf-8", "replace")):
            fields = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
            if "Path" in fields:
                members.append(_seven_zip_member(fields))
        return members

    def extract(volumes: Sequence[Path], folder: Path) -> bool:
        return _run(program, "x", "-y", "-p-", f"-o{folder}", volumes[0].absolute()).returncode in (0, 1)

    return Tool(program, listing, extract)


def _seven_zip_member(fields: dict[str, str]) -> Member:
    attributes = fields.get("Attributes", "")
    kind = "folder" if fields.get("Folder") == "+" or attributes.startswith("D") else "file"
    if fields.get("Symbolic Link") or fields.get("Hard Link") or re.search(r"\bl[rwx-]{9}", attributes):
        kind = "other"
    if fields.get("Encrypted") == "+":
        kind = "locked"
    return Member(fields["Path"], int(fields.get("Size") or 0), kind)


# In order of preference. Measured with bsdtar 3.6.2: it does not compare the checksums of stored members in a RAR.
TOOLS = (
    Tool("unar", _lsar, _unar),
    Tool("bsdtar", _bsdtar_listing, _bsdtar_extract),
    _seven_zip("7z"),
    _seven_zip("7zz"),
)
