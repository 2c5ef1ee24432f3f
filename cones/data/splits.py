"""Splits without randomness: the same items give the same train, val and test on every machine.

Items are put in a stable order (a hash of dataset and item, no seed) and cut by the arithmetic the paper used.
"""

import hashlib
from collections.abc import Iterable, Sequence

from cones.data.registry import SPLITS, ImageCounts, SplitRule
from cones.errors import ConesError


def stable_order(dataset_id: str, item_ids: Iterable[str]) -> list[str]:
    """Items by sha256('<dataset_id>:<item_id>'), ties by item id."""
    return sorted(item_ids, key=lambda item: (hashlib.sha256(f"{dataset_id}:{item}".encode()).hexdigest(), item))


def holdout80(ordered: Sequence[str]) -> dict[str, list[str]]:
    """The first 80 % train, the rest val: n_train = (8 n) // 10 (2879 -> 2303/576)."""
    cut = (8 * len(ordered)) // 10
    return {"train": list(ordered[:cut]), "val": list(ordered[cut:]), "test": []}


def test20_then_holdout80(ordered: Sequence[str]) -> dict[str, list[str]]:
    """The first (2 n) // 10 test, then holdout80 on the rest (1186 -> 759/190/237)."""
    cut = (2 * len(ordered)) // 10
    return {**holdout80(ordered[cut:]), "test": list(ordered[:cut])}


test20_then_holdout80.__test__ = False  # a rule of the paper, not a test for pytest to collect


def stable_cut(ordered: Sequence[str], counts: ImageCounts) -> dict[str, list[str]]:
    """The first `train`, the next `val`, the next `test` items."""
    val, test = counts.train, counts.train + counts.val
    return {"train": list(ordered[:val]), "val": list(ordered[val:test]), "test": list(ordered[test:])}


def split_items(
    *, dataset_id: str, items: Sequence[tuple[str, str | None]], rule: SplitRule, expected: ImageCounts | None
) -> dict[str, list[str]]:
    """`{train, val, test: item ids}` of `(item id, native split)` pairs, asserted against the expected counts if known.

    Every item must land somewhere; raises ConesError with expected and found counts otherwise.
    """
    shipped = {split: [item for item, native in items if native == word] for split, word in rule.shipped.items()}
    pool = stable_order(dataset_id, (item for item, native in items if native not in rule.shipped.values()))
    if rule.rule == "as_shipped":
        if pool:
            raise ConesError(
                f"{len(pool)} items belong to no split",
                where=f"dataset {dataset_id}",
                found=f"{pool[0]} …",
                next_step="map their native split under `split.shipped` in datasets.yaml",
            )
        splits = {split: [] for split in SPLITS}
    elif rule.rule == "stable_cut":
        remaining = {split: 0 if split in shipped else getattr(expected, split) for split in SPLITS}
        splits = stable_cut(pool, ImageCounts(**remaining))
    else:
        splits = {"holdout80": holdout80, "test20_then_holdout80": test20_then_holdout80}[rule.rule](pool)
    for split, ids in shipped.items():
        splits[split] = splits[split] + ids
    splits = {split: stable_order(dataset_id, splits[split]) for split in SPLITS}
    if expected:
        _assert_counts(dataset_id, splits, expected)
    elif not splits["train"]:
        raise ConesError(
            "nothing is left to train on",
            where=f"dataset {dataset_id}",
            found=", ".join(f"{split} {len(splits[split])}" for split in SPLITS),
            next_step="correct `split` of this source",
        )
    return splits


def digest(item_ids: Sequence[str]) -> str:
    """sha256 of the ids, one a line: equal digests mean the same split in the same order."""
    return hashlib.sha256("\n".join(item_ids).encode()).hexdigest()


def _assert_counts(dataset_id: str, splits: dict[str, list[str]], expected: ImageCounts) -> None:
    wanted = {split: getattr(expected, split) for split in SPLITS}
    found = {split: len(splits[split]) for split in SPLITS}
    if found != wanted:
        raise ConesError(
            "the number of images per split is wrong",
            where=f"dataset {dataset_id}",
            expected="train {train}, val {val}, test {test}".format(**wanted),
            found="train {train}, val {val}, test {test}".format(**found),
            next_step="the files are incomplete or of another version: fetch again, or correct `expected.images` of "
            "this source in datasets.yaml",
        )
