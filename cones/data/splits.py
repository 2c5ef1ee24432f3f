"""Splits without randomness: the same items give the same train, val and test on every machine.

Items are put in a stable order (a hash of dataset and item, no seed) and cut by the arithmetic the paper used.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from cones.data.registry import REGISTRY, SPLITS, ImageCounts, SplitRule
from cones.runtime.errors import ConesError

LISTS = Path(__file__).parent / "lists"
log = logging.getLogger(__name__)


def stable_order(dataset_id: str, item_ids: Iterable[str]) -> list[str]:
    """Items ordered by sha256('<dataset_id>:<item_id>'), ties by item id."""
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


def per_class_50_20_30(ordered: Sequence[str]) -> dict[str, list[str]]:
    """The first half train, the next fifth val, the rest test, counts rounded to even as Python does (500 ->
    250/100/150): the arithmetic of CoOp's own splits (KaiyangZhou/CoOp datasets/dtd.py), in our stable order."""
    train = round(0.5 * len(ordered))
    val = train + round(0.2 * len(ordered))
    return {"train": list(ordered[:train]), "val": list(ordered[train:val]), "test": list(ordered[val:])}


def stable_cut(ordered: Sequence[str], counts: ImageCounts) -> dict[str, list[str]]:
    """The first `train`, the next `val`, the next `test` items."""
    val, test = counts.train, counts.train + counts.val
    return {"train": list(ordered[:val]), "val": list(ordered[val:test]), "test": list(ordered[test:])}


def group_cut(grouped: Sequence[Sequence[str]], counts: ImageCounts) -> dict[str, list[str]]:
    """Group after group, the first `test`, the next `val`, the other items train; a group at a cut falls in two."""
    items = [item for group in grouped for item in group]
    val, train = counts.test, counts.test + counts.val
    return {"test": items[:val], "val": items[val:train], "train": items[train:]}


def group_fill(grouped: Sequence[Sequence[str]], counts: ImageCounts) -> dict[str, list[str]]:
    """Each group goes whole to the first of test, val and train that still has room for it, else to train."""
    splits: dict[str, list[str]] = {"test": [], "val": [], "train": []}
    for group in grouped:
        room = (split for split in splits if len(splits[split]) + len(group) <= getattr(counts, split))
        splits[next(room, "train")].extend(group)
    return splits


def scaled(counts: ImageCounts, items: int) -> ImageCounts:
    """The counts in the same ratio for fewer items: floor for test and val, the rest train."""
    total = counts.train + counts.val + counts.test
    test, val = counts.test * items // total, counts.val * items // total
    return ImageCounts(train=items - test - val, val=val, test=test)


def split_items(
    *,
    dataset_id: str,
    order_of: str | None = None,
    items: Sequence[tuple[str, str | None]],
    rule: SplitRule,
    expected: ImageCounts | None,
    groups: Mapping[str, str | None] | None = None,
    labels: Mapping[str, str] | None = None,
    registry: str = REGISTRY,
) -> dict[str, list[str]]:
    """`{train, val, test: item ids}` of `(item id, native split)` pairs, asserted against the expected counts if known.

    `groups[item id]` is what the group rules keep together, such as the patient; an item without one is its own. With
    `rule.patients` the rules that know no counts keep them together too. Every item must land somewhere, unless the
    rule says otherwise; raises ConesError with expected and found counts. `labels[item id]` is the class of a whole
    picture: the rules that know no counts then divide each class by itself, and there may be nothing to train on, as in
    a set that others are only scored on. `registry` is the file that messages name;
    `order_of` the dataset in whose stable order the items are put, if not their own.
    """
    order_of = order_of or dataset_id
    shipped = {split: [item for item, native in items if native == word] for split, word in rule.shipped.items()}
    for split, name in rule.lists.items():
        wanted = _read_list(name, dataset_id, registry)
        shipped[split] = [*shipped.get(split, []), *(item for item, _ in items if item in wanted)]
    given = {item for ids in shipped.values() for item in ids}
    remaining_items = [item for item, _ in items if item not in given]
    pool = stable_order(order_of, remaining_items)
    if rule.scale and expected and len(items) < (total := expected.train + expected.val + expected.test):
        log.warning("dataset %s: %d items instead of %d: split in the same ratio", dataset_id, len(items), total)
        expected = scaled(expected, len(items))
    if rule.rule == "as_shipped":
        splits = _nothing_left(dataset_id, pool, items, registry)
    elif rule.rule == "stable_cut":
        remaining = {split: 0 if split in shipped else getattr(expected, split) for split in SPLITS}
        splits = stable_cut(pool[: sum(remaining.values())] if rule.leave_rest else pool, ImageCounts(**remaining))
    elif rule.rule in ("group_cut", "group_fill"):
        _require_groups(dataset_id, remaining_items, groups or {}, rule.rule, registry)
        grouped = _in_groups(order_of, remaining_items, groups or {})
        splits = {"group_cut": group_cut, "group_fill": group_fill}[rule.rule](grouped, expected)
    else:
        whole = _in_groups(order_of, remaining_items, groups or {}) if rule.patients else [[item] for item in pool]
        splits = _dealt(whole, WITHOUT_COUNTS[rule.rule], {} if rule.patients else labels or {})
    for split, ids in shipped.items():
        splits[split] = splits[split] + ids
    splits = {split: stable_order(order_of, splits[split]) for split in SPLITS}
    if expected:
        _assert_counts(dataset_id, splits, expected, registry)
    elif not splits["train"] and labels is None:
        raise ConesError(
            "nothing is left to train on",
            where=f"dataset {dataset_id}",
            found=counted(splits) + (f"; patients: {len(set((groups or {}).values()))}" if rule.patients else ""),
            next_step=f"correct `split` of this source in {registry}"
            + (" (test20_then_holdout80 needs five patients)" if rule.patients else ""),
        )
    return splits


WITHOUT_COUNTS = {
    "holdout80": holdout80,
    "test20_then_holdout80": test20_then_holdout80,
    "per_class_50_20_30": per_class_50_20_30,
}


def _dealt(groups: Sequence[Sequence[str]], rule: Callable, labels: Mapping[str, str]) -> dict[str, list[str]]:
    """The groups divided by a rule without counts; where items have `labels`, each class by itself."""
    of_label: dict[str | None, list[Sequence[str]]] = {}
    for group in groups:
        of_label.setdefault(labels.get(group[0]), []).append(group)
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    for label in sorted(of_label, key=str):
        for split, dealt in rule(of_label[label]).items():
            splits[split] += [item for group in dealt for item in group]
    return splits


def counted(splits: Mapping[str, Sequence[str]]) -> str:
    """The sizes of splits in words, such as "train 6, val 2, test 2"."""
    return ", ".join(f"{split} {len(splits[split])}" for split in SPLITS)


def _nothing_left(
    dataset_id: str, pool: Sequence[str], items: Sequence[tuple[str, str | None]], registry: str
) -> dict[str, list[str]]:
    if pool:
        words = sorted({word for _, word in items if word})
        if not words:
            raise ConesError(
                "the files name no splits of their own",
                where=f"dataset {dataset_id}",
                found=f"{len(pool)} items, such as {pool[0]}",
                next_step=f"let a rule divide them: `rule: test20_then_holdout80` under `split` in {registry}",
            )
        raise ConesError(
            f"{len(pool)} items belong to no split",
            where=f"dataset {dataset_id}",
            found=f"{pool[0]} …; the files' own splits are {', '.join(words)}",
            next_step=f"map their native split under `split.shipped` in {registry}",
        )
    return {split: [] for split in SPLITS}


def _require_groups(
    dataset_id: str, items: Sequence[str], groups: Mapping[str, str | None], rule: str, registry: str
) -> None:
    if items and not any(groups.get(item) for item in items):
        raise ConesError(
            f"the split rule {rule} keeps groups together, and nothing says what a group is",
            where=f"dataset {dataset_id}",
            found=f'items such as "{items[0]}"',
            next_step="add `patients` to `split`: a regular expression on these ids, such as '^(patient[0-9]+)', or "
            f"{{file: patients.csv, item: picture, patient: id}}, in {registry}; or take another rule",
        )


def _in_groups(dataset_id: str, items: Sequence[str], groups: Mapping[str, str | None]) -> list[list[str]]:
    """Groups in stable order, the items of each in the order they came."""
    members: dict[str, list[str]] = {}
    for item in items:
        members.setdefault(groups.get(item) or item, []).append(item)
    return [members[group] for group in stable_order(dataset_id, members)]


def _read_list(name: str, dataset_id: str, registry: str) -> set[str]:
    path = LISTS / name
    if not path.is_file():
        known = ", ".join(sorted(file.name for file in LISTS.glob("*.txt")))
        raise ConesError(
            f'no list "{name}"',
            where=f"dataset {dataset_id}: {LISTS.name}/",
            found=known,
            next_step=f"correct `split.lists` in {registry}, or put the file there",
        )
    return set(path.read_text(encoding="utf-8").split())


def digest(item_ids: Sequence[str]) -> str:
    """sha256 of the ids, one a line: equal digests mean the same split in the same order."""
    return hashlib.sha256("\n".join(item_ids).encode()).hexdigest()


def _assert_counts(dataset_id: str, splits: dict[str, list[str]], expected: ImageCounts, registry: str) -> None:
    wanted = {split: getattr(expected, split) for split in SPLITS}
    actual = {split: len(splits[split]) for split in SPLITS}
    if actual != wanted:
        raise ConesError(
            "the number of images per split is wrong",
            where=f"dataset {dataset_id}",
            expected="train {train}, val {val}, test {test}".format(**wanted),
            found=counted(splits),
            next_step="the files are incomplete or of another version: complete them, or correct `expected.images` of "
            f"this source in {registry}",
        )
