"""A file to fetch, as a registry entry names it."""

from pathlib import PurePosixPath

from pydantic import Field, PositiveInt, field_validator

from cones.data.addresses import checked
from cones.runtime.strict import Strict

PACKED = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".xz", ".txz", ".bz2", ".tbz2")


def inside(path: str) -> str:
    """The path, if it stays inside the folder that it is relative to; else ValueError."""
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\\" in path:
        raise ValueError("must be a relative path with / and without ..")
    return path


class Archive(Strict):
    """One file to fetch. `strip` is a leading folder inside it that is left out (GitHub zips have one).

    `urls` are addresses in order of preference; `cones/data/addresses.py` knows their forms (https, gdrive, kaggle …).
    """

    filename: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    urls: list[str] = Field(default_factory=list)
    size: PositiveInt | None = None
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    md5: str | None = Field(None, pattern=r"^[0-9a-f]{32}$")
    strip: str | None = None
    into: str | None = None

    _addresses = field_validator("urls")(lambda urls: [checked(url) for url in urls])
    _paths = field_validator("strip", "into")(lambda path: path if path is None else inside(path))

    @property
    def is_packed(self) -> bool:
        """Whether the file is unpacked; others, such as a CSV, are part of the unpacked tree under their own name."""
        return PurePosixPath(self.filename).suffix.lower() in PACKED

    @property
    def is_pinned(self) -> bool:
        """Whether a checksum is known beforehand; without one the first download is trusted and recorded."""
        return bool(self.sha256 or self.md5)
