"""RAR5 volumes written without a packer: stored members, split at any place, as the format's public notes describe."""

import struct
import zlib

SIGNATURE = b"Rar!\x1a\x07\x01\x00"


def vint(number: int) -> bytes:
    out = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def block(kind: int, flags: int, fields: bytes, data: bytes = b"") -> bytes:
    body = vint(kind) + vint(flags | (2 if data else 0)) + (vint(len(data)) if data else b"") + fields
    sized = vint(len(body)) + body
    return struct.pack("<I", zlib.crc32(sized)) + sized + data


def member(name: str, content: bytes, piece: bytes, *, before: bool, after: bool, mode: int = 0o100644) -> bytes:
    """A piece of a stored file; the last one carries the checksum of the whole."""
    checksum = zlib.crc32(piece if after else content)
    encoded = name.encode()
    fields = vint(4) + vint(len(content)) + vint(mode) + struct.pack("<I", checksum)
    fields += vint(0) + vint(1) + vint(len(encoded)) + encoded
    return block(2, 8 * before | 16 * after, fields, piece)


def volumes(files: dict[str, bytes], size: int) -> list[bytes]:
    """The files as RAR5 volumes of at most about `size` bytes of content each (one volume: an ordinary archive)."""
    parts: list[list[bytes]] = [[]]
    room = size
    for name, content in files.items():
        start = 0
        while True:
            if not room:
                parts.append([])
                room = size
            piece = content[start : start + room]
            after = start + len(piece) < len(content)
            parts[-1].append(member(name, content, piece, before=start > 0, after=after))
            start, room = start + len(piece), room - len(piece)
            if not after:
                break
    many = len(parts) > 1
    written = []
    for number, blocks in enumerate(parts):
        flags = (1 | (2 if number else 0)) if many else 0
        main = block(1, 0, vint(flags) + (vint(number) if number else b""))
        end = block(5, 0, vint(1 if number < len(parts) - 1 else 0))
        written.append(SIGNATURE + main + b"".join(blocks) + end)
    return written
