"""Text files as people's tools write them: JSON, XML, CSV in any declared encoding, and words for yes and no."""

import csv
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from cones.data.formats.records import NativeFiles

YES, NO = ("1", "true", "yes", "y", "t"), ("0", "false", "no", "n", "f", "")
UNSAID = ("unspecified", "unknown", "none", "null")
DECLARED = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")


def read_json(file: Path, native: NativeFiles) -> Any:
    """The content of a JSON file in UTF-8, 16 or 32, with or without a byte order mark."""
    try:
        return json.loads(file.read_bytes())
    except FileNotFoundError:
        raise native.fault("the file is missing", file, next_step=native.mend("put it there")) from None
    except (ValueError, RecursionError) as error:  # also digits without end, and nesting without end
        raise native.fault("broken JSON", file, found=error, next_step=native.mend()) from None


def read_xml(file: Path, native: NativeFiles) -> ElementTree.Element:
    """The root of an XML file in the encoding it declares; Python's own parser knows no Chinese or Japanese ones."""
    try:
        content = file.read_bytes()
        try:
            return ElementTree.fromstring(content)
        except (ElementTree.ParseError, ValueError, LookupError):
            if not (declared := DECLARED.match(content)):
                raise
            text = content.decode(declared[1].decode("ascii"))
            return ElementTree.fromstring(DECLARATION.sub("", text, count=1))
    except (ElementTree.ParseError, ValueError, LookupError, RecursionError) as error:
        raise native.fault("broken XML", file, found=error, next_step=native.mend()) from None


def read_rows(file: Path, native: NativeFiles, key: str) -> list[dict[str, str]]:
    """The rows of a CSV file with a header, as `{column: text}`; columns are parted by commas, semicolons or tabs."""
    try:
        content = file.read_bytes()
        wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))  # what a spreadsheet calls "Unicode text"
        lines = content.decode("utf-16" if wide else "utf-8-sig").splitlines()
        head = lines[0] if lines else ""
        mark = next((mark for mark in ",;\t" if mark in head), ",")
        return [{(k or "").strip(): v for k, v in row.items()} for row in csv.DictReader(lines, delimiter=mark)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise native.fault(
            "the CSV cannot be read",
            file,
            found=error,
            next_step=f"place it there as UTF-8, or correct `{key}` in {native.registry}",
        ) from None


def flag(value: object, *, what: str, file: Path | str, native: NativeFiles) -> bool:
    """Yes or no however a tool wrote it: 1, 0.0, true, "0", "False", nothing; a word like Unspecified is no, and noted.

    Anything else is refused by name: `what` is the key and whose it is.
    """
    if value is None or isinstance(value, bool):
        return bool(value)
    word = str(value).strip().lower()
    if word in UNSAID:
        native.note(f"{what.split(' of ')[0]} is {word}, taken as no", file)
        return False
    if word in YES or word in NO:
        return word in YES
    number = number_of(value)
    if number in (0, 1):
        return bool(number)
    raise native.fault(
        f"{what} is neither yes nor no", file, expected="0 or 1", found=shown(value), next_step="correct the file"
    )


def number_of(value: object) -> float | None:
    """A finite number, also one written as text; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def shown(value: object) -> str:
    """A value of a file in a message: short, text in quotes."""
    text = json.dumps(value, ensure_ascii=False, default=str) if not isinstance(value, str) else f'"{value}"'
    return text if len(text) <= 80 else f"{text[:77]}…"
