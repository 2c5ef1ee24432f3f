"""The records of a converter divided into splits as the entry says, and what the manifest reports of the division."""

from collections.abc import Mapping, Sequence

from cones.data import soundness
from cones.data.formats.records import NativeFiles, Record
from cones.data.patients import with_patients
from cones.data.registry import Dataset, Source
from cones.data.splits import split_items


def kept_records(records: Sequence[Record], spec: Source, native: NativeFiles) -> list[Record]:
    """The records that the entry does not exclude, each with its patient where the entry names patients."""
    return with_patients(soundness.exclude(records, spec, native), spec.split.patients, native)


def split_records(
    dataset: Dataset, spec: Source, records: Sequence[Record], labels: Mapping[str, str] | None = None
) -> dict[str, list[str]]:
    """`{train, val, test: item ids}`; `labels` as of `split_items`."""
    return split_items(
        dataset_id=dataset.id,
        order_of=dataset.original,
        items=[(record.item_id, record.split) for record in records],
        groups={record.item_id: record.group for record in records},
        labels=labels,
        rule=spec.split,
        expected=spec.expected and spec.expected.images,
        registry=dataset.registry,
    )


def report(
    splits: Mapping[str, Sequence[str]],
    records: Sequence[Record],
    contents: Mapping[str, str],
    spec: Source,
    native: NativeFiles,
) -> dict:
    """The part of the manifest's `report` that every task has; `contents` holds a digest by item id. ConesError for
    pictures or patients in two splits, where these are refused."""
    files = {record.item_id: record.image for record in records}
    groups = {record.item_id: record.group for record in records}
    return {
        "leaks": soundness.leaks(splits, contents, files, spec, native),
        "groups": soundness.torn_groups(splits, groups, spec, native),
        **native.left_out(),
    }
