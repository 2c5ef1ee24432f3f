"""The patient of each item, by a regular expression on item ids or by a column of a CSV file."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from cones.data.files import plain, without_suffix
from cones.data.formats.reading import read_table, require_columns
from cones.data.formats.records import NativeFiles, Record
from cones.data.registry import PatientColumn


def with_patients(records: Sequence[Record], patients: str | PatientColumn | None, native: NativeFiles) -> list[Record]:
    """The records with `group` set to the patient; ConesError for a record without a known patient."""
    if patients is None:
        return list(records)
    of_item = _by_expression if isinstance(patients, str) else _by_column
    owners = of_item(records, patients, native)
    return [dataclasses.replace(record, group=owners[record.item_id]) for record in records]


def _by_expression(records: Sequence[Record], expression: str, native: NativeFiles) -> dict[str, str]:
    pattern, owners = re.compile(expression), {}
    for record in records:
        match = pattern.search(record.item_id)
        name = match and next((group for group in (*match.groups(), match[0]) if group), None)
        if not name:
            raise native.fault(
                f'the item "{record.item_id}" does not say whose it is',
                record.image,
                expected=f"something that matches {expression}",
                next_step=f"correct `split.patients` in {native.registry}: it is a regular expression on item ids",
            )
        owners[record.item_id] = name
    return owners


def _by_column(records: Sequence[Record], column: PatientColumn, native: NativeFiles) -> dict[str, str]:
    file = native.raw / column.file
    table = read_table(file, native, "split.patients")
    require_columns(table, (column.item, column.patient), file, native, "`split.patients`")
    owners: dict[str, str] = {}
    for number, row in table.rows:
        name, owner = plain(row[column.item]), row[column.patient]
        if not name or not owner or owners.setdefault(name, owner) != owner:
            raise native.fault(
                f"line {number} does not say whose an item is, or says it a second time",
                file,
                expected=f"{column.item},{column.patient}",
                found=f"{name},{owner}",
                next_step="correct the line",
            )
    return {record.item_id: _owner(record, owners, file, native) for record in records}


def _owner(record: Record, owners: Mapping[str, str], file: object, native: NativeFiles) -> str:
    """The patient of a record by its item id, or by its picture's path or name, with or without suffix."""
    path = PurePosixPath(plain(record.image))
    for name in (record.item_id, path.as_posix(), without_suffix(path), path.name, path.stem):
        if name in owners:
            return owners[name]
    raise native.fault(
        f'no line says whose the item "{record.item_id}" is',
        file,
        expected=f"{path.name} or {record.item_id}",
        next_step="add a line, or leave the item out: `exclude`",
    )
