import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cones.data.registry import ImageCounts, SplitRule
from cones.data.splits import (
    LISTS,
    digest,
    holdout80,
    per_class_50_20_30,
    split_items,
    stable_order,
    test20_then_holdout80,
)
from cones.runtime.errors import ConesError


def sizes(splits):
    return tuple(len(splits[split]) for split in ("train", "val", "test"))


@pytest.mark.parametrize(
    "n, expected", [(900, (720, 180, 0)), (599, (479, 120, 0)), (32, (25, 7, 0)), (2879, (2303, 576, 0))]
)
def test_holdout80_gives_the_papers_counts(n, expected):
    assert sizes(holdout80([str(i) for i in range(n)])) == expected


@pytest.mark.parametrize("n, expected", [(1186, (759, 190, 237)), (2000, (1280, 320, 400))])
def test_test20_then_holdout80_gives_the_papers_counts(n, expected):
    assert sizes(test20_then_holdout80([str(i) for i in range(n)])) == expected


@pytest.mark.parametrize("n, expected", [(500, (250, 100, 150)), (3, (2, 1, 0)), (45, (22, 9, 14)), (7, (4, 1, 2))])
def test_coops_shares_are_rounded_as_in_its_code(n, expected):
    assert sizes(per_class_50_20_30([str(i) for i in range(n)])) == expected


@pytest.mark.parametrize("rule", ["holdout80", "test20_then_holdout80", "per_class_50_20_30"])
def test_labelled_pictures_are_divided_class_by_class(rule):
    """A class of ten beside one of a hundred has its share in every split, and the same as if it were alone."""
    items = [(f"{label}{n}", None) for label, count in (("a", 100), ("b", 10)) for n in range(count)]
    given = {"dataset_id": "d", "rule": SplitRule(rule=rule), "expected": None}
    whole = split_items(items=items, labels={item: item[0] for item, _ in items}, **given)
    rare = [item for item in items if item[0].startswith("b")]
    alone = split_items(items=rare, labels={item: "b" for item, _ in rare}, **given)
    assert {split: [item for item in ids if item.startswith("b")] for split, ids in whole.items()} == alone
    assert sum(sizes(whole)) == 110 and sizes(alone)[0] in (5, 6, 8)


def test_stable_order_is_the_documented_hash():
    items = [f"item{i}" for i in range(50)]
    expected = sorted(items, key=lambda item: hashlib.sha256(f"bccd:{item}".encode()).hexdigest())
    assert stable_order("bccd", reversed(items)) == expected != stable_order("other", items)


@settings(max_examples=40, deadline=None)
@given(st.sets(st.text("abc123", min_size=1, max_size=6), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_a_split_is_a_partition_whatever_the_order_of_the_files(items, random):
    items = sorted(items)
    n = len(items)
    test = (2 * n) // 10
    train = (8 * (n - test)) // 10
    expected = ImageCounts(train=train, val=n - test - train, test=test)
    rule = SplitRule(rule="test20_then_holdout80")
    shuffled = random.sample(items, n)
    splits = split_items(dataset_id="d", items=[(item, None) for item in shuffled], rule=rule, expected=expected)
    again = split_items(dataset_id="d", items=[(item, None) for item in items], rule=rule, expected=expected)
    assert splits == again
    assert sorted(item for ids in splits.values() for item in ids) == items


def test_shipped_splits_may_serve_twice_and_mix_with_a_rule():
    items = [(f"a{i}", "train") for i in range(10)] + [("b0", "val")]
    twice = split_items(
        dataset_id="d",
        items=items,
        rule=SplitRule(rule="as_shipped", shipped={"train": "train", "val": "val", "test": "val"}),
        expected=ImageCounts(train=10, val=1, test=1),
    )
    assert twice["val"] == twice["test"] == ["b0"]
    mixed = split_items(
        dataset_id="d",
        items=items,
        rule=SplitRule(rule="holdout80", shipped={"test": "val"}),
        expected=ImageCounts(train=8, val=2, test=1),
    )
    assert mixed["test"] == ["b0"] and sizes(mixed) == (8, 2, 1)


def test_wrong_counts_name_expected_and_found():
    with pytest.raises(ConesError, match="expected train 2, val 0, test 0; found train 1, val 0, test 0"):
        split_items(
            dataset_id="d",
            items=[("a", None)],
            rule=SplitRule(rule="stable_cut"),
            expected=ImageCounts(train=2, val=0, test=0),
        )


def test_items_beyond_a_stable_cut_are_not_silently_left_out():
    with pytest.raises(ConesError, match="number of images"):
        split_items(
            dataset_id="d",
            items=[("a", None), ("b", None), ("c", None)],
            rule=SplitRule(rule="stable_cut"),
            expected=ImageCounts(train=1, val=1, test=0),
        )


def test_digest_depends_on_members_and_order():
    assert digest(["a", "b"]) != digest(["b", "a"]) and digest(["a"]) == hashlib.sha256(b"a").hexdigest()


def split(items, counts, groups=None, **rule):
    train, val, test = counts
    return split_items(
        dataset_id="d",
        items=[(item, None) for item in items],
        groups=groups,
        rule=SplitRule(**rule),
        expected=ImageCounts(train=train, val=val, test=test),
    )


def test_a_list_of_ids_is_a_split_and_the_rule_divides_the_rest():
    listed = (LISTS / "kvasir_test_ids.txt").read_text().split()
    assert len(listed) == len(set(listed)) == 100
    rest = [f"cju{number}" for number in range(900)]
    rule = {"rule": "stable_cut", "lists": {"test": "kvasir_test_ids.txt"}}
    splits = split([*rest, *listed], (718, 182, 100), **rule)
    assert sizes(splits) == (718, 182, 100) and set(splits["test"]) == set(listed)
    with pytest.raises(ConesError, match=r'no list "other\.txt".*kvasir_test_ids'):
        split(rest, (718, 182, 0), rule="stable_cut", lists={"test": "other.txt"})


def test_what_a_cut_does_not_need_may_be_left():
    items = [str(number) for number in range(2000)]
    splits = split(items, (448, 127, 63), rule="stable_cut", leave_rest=True)
    assert sizes(splits) == (448, 127, 63)
    assert set(splits["train"]) == set(stable_order("d", items)[:448])


def in_groups(sizes_of_groups):
    groups = {f"{group}/{at}": f"g{group}" for group, size in enumerate(sizes_of_groups) for at in range(size)}
    return list(groups), groups


def test_groups_are_cut_in_order_test_first():
    items, groups = in_groups([30, 28, 33] * 5)
    splits = split(items, (455 - 150, 70, 80), groups, rule="group_cut")
    assert sizes(splits) == (305, 70, 80)
    divided = {groups[item] for item in splits["test"]} & {groups[item] for item in splits["val"]}
    assert len(divided) <= 1  # only the group at the cut
    assert {groups[item] for item in splits["test"]} <= set(stable_order("d", set(groups.values()))[:3])


def test_fewer_items_than_expected_keep_the_ratio_if_asked_for(caplog):
    items, groups = in_groups([20] * 5)
    splits = split(items, (2590, 589, 818), groups, rule="group_cut", scale=True)
    assert sizes(splits) == (100 - 14 - 20, 14, 20) and "same ratio" in caplog.text
    with pytest.raises(ConesError, match="number of images per split is wrong"):
        split(items, (2590, 589, 818), groups, rule="group_cut")


def test_whole_groups_stay_together_at_the_same_counts():
    items, groups = in_groups([3, 1, 1, 2, 1, 5, 1, 1, 2, 1, 1, 1])
    splits = split(items, (12, 4, 4), groups, rule="group_fill")
    kept = [{groups[item] for item in ids} for ids in splits.values()]
    assert sizes(splits) == (12, 4, 4) and sum(map(len, kept)) == len(set().union(*kept))


def test_two_splits_of_ours_may_be_the_same_files():
    rule = SplitRule(rule="as_shipped", shipped={"train": "train", "val": "valid", "test": "valid"})
    assert rule.aliases == {"test": "val"}
    items = [("a", "train"), ("b", "valid"), ("c", "valid")]
    splits = split_items(dataset_id="x", items=items, rule=rule, expected=ImageCounts(train=1, val=2, test=2))
    assert splits["val"] == splits["test"] and sorted(splits["val"]) == ["b", "c"] and splits["train"] == ["a"]


def test_splits_of_different_files_have_no_alias():
    assert SplitRule(rule="as_shipped", shipped={"train": "train", "val": "val", "test": "test"}).aliases == {}
    assert SplitRule(rule="holdout80", shipped={"test": "test"}).aliases == {}
