"""Entries that are another one with something said otherwise, among them the variants of the paper's datasets."""

import pytest

from cones.data.registry import load_registries
from cones.data.splits import split_items
from cones.runtime.errors import ConesError

PAPER = "config/datasets/paper_variants.yaml"


@pytest.fixture
def variant(tmp_path):
    """A registry of one file with these lines, after the shipped one."""

    def load(text):
        (tmp_path / "mine.yaml").write_text(text)
        return load_registries([tmp_path / "mine.yaml"])

    return load


def test_a_variant_is_its_original_but_for_what_it_says(variant):
    registry = variant("few:\n  variant_of: tn3k\n  detections_per_image: 5\n")
    few, tn3k = registry["few"].model_dump(), registry["tn3k"].model_dump()
    assert few.pop("detections_per_image") == 5 and tn3k.pop("detections_per_image") == 100
    assert (few.pop("id"), few.pop("variant_of")) == ("few", "tn3k")
    assert few == {key: value for key, value in tn3k.items() if key not in ("id", "variant_of")}
    assert registry["few"].original == "tn3k" == registry["tn3k"].original


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("few:\n  variant_of: tn3\n", '"tn3" is no entry.*closest|"tn3k"'),
        ("few:\n  variant_of: few\n", '"few" is no entry'),
        ("few:\n  variant_of: tn3k\n  sources: {official: {folder: x}}\n", "has the files of its original"),
        (
            "few:\n  variant_of: tn3k\n  sources: {official: {splits: {}}}\n",
            "few: sources.official.splits: unknown key",
        ),
    ],
)
def test_a_variant_that_cannot_be_is_refused(variant, text, words):
    with pytest.raises(ConesError, match=words):
        variant(text)


def test_items_of_a_variant_stand_in_the_order_of_its_original():
    items, registry = [(f"item{n}", None) for n in range(40)], load_registries([PAPER])
    splits = {
        name: split_items(
            dataset_id=name,
            order_of=registry[name].original,
            items=items,
            rule=registry["cpm17"].source("official").split.model_copy(update={"shipped": {}}),
            expected=None,
        )
        for name in ("cpm17", "cpm17_top100")
    }
    assert splits["cpm17"] == splits["cpm17_top100"]


def test_the_variants_of_the_papers_datasets():
    registry = load_registries([PAPER])
    assert (registry["cpm17"].detections_per_image, registry["cpm17_top100"].detections_per_image) == (300, 100)
    counts = {
        name: tuple(registry[name].source("official").expected.images.model_dump().values())
        for name in ("dfuc2020", "dfuc2020_2000", "bccd", "bccd_roboflow")
    }
    assert counts["dfuc2020"] == (448, 127, 63) and counts["dfuc2020_2000"] == (1280, 320, 400)
    assert counts["bccd"] == counts["bccd_roboflow"] == (255, 73, 36)
    items = [(f"{n:04d}", None) for n in range(2000)]
    rule = registry["dfuc2020_2000"].source("official").split
    dealt = split_items(dataset_id="dfuc2020_2000", order_of="dfuc2020", items=items, rule=rule, expected=None)
    assert tuple(len(dealt[split]) for split in ("train", "val", "test")) == counts["dfuc2020_2000"]
