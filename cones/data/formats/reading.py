"""Text files as people's tools write them: JSON, XML, CSV in any declared encoding, and words for yes and no."""

import csv
import io
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cones.data.files import is_lfs_pointer
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
    except UnicodeDecodeError as error:
        raise native.fault(
            "broken JSON", file, found=error, next_step=native.mend("save it as UTF-8, the encoding of JSON")
        ) from None
    except (ValueError, RecursionError) as error:  # also digits without end, and nesting without end
        found = "a Git LFS pointer in its place (git lfs pull)" if is_lfs_pointer(file) else error
        raise native.fault("broken JSON", file, found=found, next_step=native.mend()) from None


def read_xml(file: Path, native: NativeFiles) -> ElementTree.Element:
    """The root of an XML file in the encoding it declares, its tags without namespaces.

    Python's own parser knows no Chinese or Japanese encodings, so those are decoded here.
    """
    try:
        root = _parse_xml(file.read_bytes())
    except (ElementTree.ParseError, ValueError, LookupError, RecursionError) as error:
        raise native.fault("broken XML", file, found=error, next_step=native.mend()) from None
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]
    return root


def _parse_xml(content: bytes) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError):
        if not (declared := DECLARED.match(content)):
            raise
        text = content.decode(declared[1].decode("ascii"))
        return ElementTree.fromstring(DECLARATION.sub("", text, count=1))


def read_text(file: Path, native: NativeFiles, *, next_step: str | None = None) -> str:
    """The content of a text file in UTF-8, or in UTF-16 as Windows writes it, with or without a byte order mark."""
    try:
        content = file.read_bytes()
        text = content.decode(_encoding(content))
        if "\0" in text:
            raise ValueError("an Excel workbook or zip archive" if content.startswith(b"PK") else "bytes that are none")
        return text
    except (OSError, ValueError) as error:
        step = next_step or native.mend("save it as UTF-8")
        raise native.fault("the file cannot be read as text", file, found=error, next_step=step) from None


def _encoding(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):  # what a spreadsheet calls "Unicode text"
        return "utf-16"
    if content[1:2] == b"\0":
        return "utf-16-le"
    return "utf-16-be" if content[:1] == b"\0" else "utf-8-sig"


@dataclass(frozen=True)
class Table:
    """The content of a CSV file with a header."""

    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]  # (line number, {column: text}); lines without any text are left out
    separator: str

    def number(self, text: str) -> float | None:
        """A number in a cell; where semicolons part the columns, a comma may part its decimals."""
        return number_of(text.replace(",", ".") if self.separator == ";" else text)


def read_table(file: Path, native: NativeFiles, key: str) -> Table:
    """A CSV file whose columns are parted by commas, semicolons or tabs; `key` of the entry names the file."""
    cure = f"place it there as UTF-8, or correct `{key}` in {native.registry}"
    text, skipped = read_text(file, native, next_step=cure), 0
    if re.match(r"sep=.\r?\n", text):  # a first line of Excel's own
        text, skipped = text.partition("\n")[2], 1
    head = text.partition("\n")[0]
    separator = next((mark for mark in ",;\t" if mark in head), ",")
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        columns = tuple(name.strip() for name in next(reader, ()))
        rows = []
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if any(cells):
                cells += [""] * (len(columns) - len(cells))
                rows.append((reader.line_num + skipped, dict(zip(columns, cells, strict=False))))
    except csv.Error as error:
        raise native.fault("the CSV cannot be read", file, found=error, next_step=cure) from None
    return Table(columns, tuple(rows), separator)


def require_columns(table: Table, wanted: Sequence[str], file: Path, native: NativeFiles, key: str) -> None:
    """ConesError if a column is not there, or is there twice; `key` of the entry names the columns."""
    for column in wanted:
        if (count := table.columns.count(column)) != 1:
            raise native.fault(
                f'two columns "{column}"' if count else f'no column "{column}"',
                file,
                expected=", ".join(wanted),
                found=", ".join(filter(None, table.columns)) or "nothing",
                next_step=f"correct {key} in {native.registry}, or the first line of the file",
            )


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
    """A value of a file as a message shows it: short, text in quotes."""
    text = json.dumps(value, ensure_ascii=False, default=str) if not isinstance(value, str) else f'"{value}"'
    return text if len(text) <= 80 else f"{text[:77]}…"
