"""MetaImage volumes (.mhd + .raw or .zraw, .mha): header, axial slices, and voxels of world coordinates.

Enough for LUNA16 without a library of a quarter gigabyte. Coordinates are in ITK's order x, y, z; arrays are [z, y, x].
"""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cones.runtime.errors import ConesError, message_of

AGAIN = "get this file anew: fetch the dataset again, or mend it where the mirror has it"
TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}


@dataclass(frozen=True)
class Volume:
    """One volume on disk. `size` and `spacing` (mm) are (x, y, z); `direction` has one axis a column (ITK)."""

    path: Path
    data: Path
    skip: int  # bytes before the pixels
    dtype: str
    compressed: bool
    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    offset: tuple[float, float, float]  # mm of voxel 0
    direction: tuple[tuple[float, ...], ...]  # (3, 3)

    def voxel(self, world: tuple[float, float, float]) -> tuple[float, float, float]:
        """Voxel coordinates of a world point, not rounded: diag(1/spacing) · inverse(direction) · (world - offset)."""
        import numpy as np

        turned = np.linalg.solve(np.array(self.direction), np.subtract(world, self.offset))
        return tuple(float(value) for value in turned / np.array(self.spacing))

    def slices(self) -> Any:
        """The pixels (z, y, x): mapped from the file, so that one slice costs one slice; or unpacked, if compressed."""
        import numpy as np

        shape = self.size[::-1]
        expected = int(np.prod(shape)) * np.dtype(self.dtype).itemsize
        try:
            if self.compressed:
                content = zlib.decompress(self.data.read_bytes()[self.skip :])
                size = len(content)
            else:
                size = self.data.stat().st_size - self.skip
        except FileNotFoundError:
            raise ConesError("the pixels of the volume are missing", where=self.data, next_step=AGAIN) from None
        except zlib.error as error:
            raise ConesError("the pixels do not decompress", where=self.data, found=error, next_step=AGAIN) from None
        if size != expected:
            raise ConesError(
                "the volume is not of the size its header states",
                where=self.data,
                expected=f"{expected} bytes for {' x '.join(map(str, self.size))}",
                found=f"{size} bytes",
                next_step=AGAIN,
            )
        if self.compressed:
            return np.frombuffer(content, dtype=self.dtype).reshape(shape)
        return np.memmap(self.data, dtype=self.dtype, mode="r", offset=self.skip, shape=shape)


def read_header(path: Path) -> Volume:
    """The header of a .mhd or .mha file; raises ConesError naming the file and the key."""
    keys, end = _keys(path)
    try:
        size = _numbers(keys["DimSize"], int)
        spacing = _numbers(keys.get("ElementSpacing") or keys["ElementSize"], float)
        offset = _numbers(_first(keys, "Offset", "Position", "Origin") or "0 0 0", float)
        rows = _numbers(_first(keys, "TransformMatrix", "Rotation", "Orientation") or "1 0 0 0 1 0 0 0 1", float)
        type_name, file = keys["ElementType"], keys["ElementDataFile"]
    except (KeyError, ValueError) as error:
        raise ConesError(
            "not a usable MetaImage header", where=path, found=message_of(error), next_step=AGAIN
        ) from None
    if not (len(size) == len(spacing) == len(offset) == 3 and len(rows) == 9 and min(size) > 0 and min(spacing) > 0):
        raise ConesError(
            "not the header of a volume", where=path, expected="3 dimensions", found=keys["DimSize"], next_step=AGAIN
        )
    if type_name not in TYPES or _is_true(keys, "BinaryDataByteOrderMSB", "ElementByteOrderMSB") or file == "LIST":
        raise ConesError(
            "a kind of volume that is not read here",
            where=path,
            expected="little-endian numbers in one file",
            found=f"{type_name}, {file}",
            next_step="convert it, or add this kind to cones/data/metaimage.py",
        )
    local = file == "LOCAL"
    axes = [rows[0:3], rows[3:6], rows[6:9]]  # a header lists one axis a row
    return Volume(
        path=path,
        data=path if local else path.parent / Path(file).name,
        skip=end if local else max(0, int(keys.get("HeaderSize", 0))),
        dtype="<" + TYPES[type_name],
        compressed=_is_true(keys, "CompressedData"),
        size=size,
        spacing=spacing,
        offset=offset,
        direction=tuple(zip(*axes)),
    )


def _keys(path: Path) -> tuple[dict[str, str], int]:
    """The `key = value` lines up to ElementDataFile, which is the last, and where they end."""
    keys: dict[str, str] = {}
    try:
        with open(path, "rb") as file:
            while "ElementDataFile" not in keys and (line := file.readline(4096)):
                key, separator, value = line.decode("latin-1").partition("=")
                if not separator:
                    start = line[:40].decode("latin-1")
                    raise ConesError("not a MetaImage header", where=path, found=f'"{start}"', next_step=AGAIN)
                keys[key.strip()] = value.strip()
            return keys, file.tell()
    except FileNotFoundError:
        raise ConesError("the header of the volume is missing", where=path, next_step=AGAIN) from None


def _numbers(text: str, kind: type) -> tuple:
    return tuple(kind(word) for word in text.split())


def _first(keys: dict[str, str], *names: str) -> str | None:
    return next((keys[name] for name in names if name in keys), None)


def _is_true(keys: dict[str, str], *names: str) -> bool:
    return any(keys.get(name, "").lower() == "true" for name in names)
