"""Random exports of one truth, in every format people have: the truth comes back, or a refusal, never anything else.

CONES_EXPORTS says how many exports of each format are made (20), CONES_EXPORT_SEED from which seed.
"""

import dataclasses
import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from cones.runtime.errors import ConesError
from tests.data.exports import CLASSES, KINDS, Export, Item, litter, truths
from tests.data.own import SPLITS, prepared

SEED = int(os.environ.get("CONES_EXPORT_SEED") or random.SystemRandom().randrange(2**32))
EXPORTS = int(os.environ.get("CONES_EXPORTS") or 20)
many = settings(
    max_examples=EXPORTS, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)


def came_out(export: Export) -> dict[int, tuple[str, list]]:
    """`{item's number: (split, [(class, box)])}` after fetch and prepare."""
    place = Path(tempfile.mkdtemp())
    try:
        result = prepared(place, export.files, format=export.format, split=export.split, classes=CLASSES)
        splits = {image["file_name"]: split for split in SPLITS for image in result.document(split)["images"]}
        return {
            export.pictures[name].number: (splits[name], sorted(objects)) for name, objects in result.objects().items()
        }
    finally:
        shutil.rmtree(place)


def assert_is_truth(found: dict, items: tuple[Item, ...], *, has_splits: bool) -> None:
    assert sorted(found) == [item.number for item in items]
    for item in items:
        split, objects = found[item.number]
        assert split == item.split or not has_splits
        wanted = sorted(item.objects)
        assert [name for name, _ in objects] == [name for name, _ in wanted]
        for (_, box), (_, true) in zip(objects, wanted):
            assert box == pytest.approx(true, abs=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_with_harmless_quirks_gives_the_truth_back(kind):
    print(f"CONES_EXPORT_SEED={SEED}")

    @seed(SEED)
    @many
    @given(truths(), st.sets(st.sampled_from(KINDS[kind].harmless)), st.booleans())
    def check(items, quirks, with_litter):
        export = KINDS[kind].write(items, quirks)
        if with_litter:
            litter(export)
        has_splits = export.split["rule"] == "as_shipped"
        try:
            found = came_out(export)
        except ConesError as error:  # with a rule for splits, chance may leave a split without a box
            assert not has_splits and ("has a box" in error.what or "left to" in error.what), error
            return
        assert_is_truth(found, items, has_splits=has_splits)

    check()


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_with_a_fault_is_refused(kind):
    print(f"CONES_EXPORT_SEED={SEED}")

    @seed(SEED)
    @settings(many, max_examples=max(1, EXPORTS // 2))
    @given(truths(), st.sets(st.sampled_from(KINDS[kind].harmless), max_size=2), st.sampled_from(KINDS[kind].refused))
    def check(items, quirks, fault):
        quirks = quirks - ({"names by number"} if fault == "names missing" else set())
        export = KINDS[kind].write(items, quirks | {fault})
        with pytest.raises(ConesError) as caught:
            came_out(export)
        message = str(caught.value)
        assert "my_cells" in message and "\n" not in message and "fetch" not in message, message

    check()


def items_of(place: Path, export: Export, classes) -> dict[str, tuple[list[str], dict[str, list]]]:
    """`{split: (item ids, {picture's name: objects})}`"""
    result = prepared(place, export.files, format=export.format, split=export.split, classes=classes)
    objects = {name.removeprefix("images/"): boxes for name, boxes in result.objects().items()}
    return {split: result.items(split) for split in SPLITS}, objects


def assert_same_as_yolo_and_coco(tmp_path: Path, items: tuple[Item, ...], classes) -> None:
    (ids, boxes), (yolo_ids, yolo_boxes) = (
        items_of(tmp_path / kind, KINDS[kind].write(items, set(), classes), classes) for kind in ("coco", "yolo")
    )
    assert ids == yolo_ids and boxes.keys() == yolo_boxes.keys()
    for name, objects in boxes.items():
        assert [one for one, _ in objects] == [one for one, _ in yolo_boxes[name]]
        for (_, box), (_, other) in zip(objects, yolo_boxes[name]):
            assert box == pytest.approx(other, abs=0.01)


def test_one_set_as_coco_and_as_yolo_has_the_same_ids_splits_and_boxes(tmp_path):
    boxes = (("red cell", (2.5, 3.0, 10.0, 8.5)), ("Blé", (1.0, 1.0, 5.0, 6.0)))
    places = [("train", "a/0"), ("train", "b/0"), ("val", "v.1"), ("test", "t 1")]
    items = tuple(Item(name, split, (24, 16), boxes[: n + 1], n) for n, (split, name) in enumerate(places))
    assert_same_as_yolo_and_coco(tmp_path, items, CLASSES)


def test_the_real_bccd_as_coco_and_as_yolo(tmp_path, real_bccd_mirror):
    from cones.data.formats import voc
    from cones.data.formats.records import NativeFiles

    raw, classes = real_bccd_mirror / "bccd/BCCD", ("Platelets", "RBC", "WBC")
    native = NativeFiles(dataset_id="bccd", raw=raw, classes=classes)
    items = []
    for number, record in enumerate(voc.convert(native, voc.Parameters())):
        objects = tuple((one.class_name, one.box) for one in record.objects if min(one.box[2:]) > 0)
        split = SPLITS[max(0, number % 5 - 2)]
        items.append(Real(record.item_id, split, record.stated_size, objects, number, raw / record.image))
    assert_same_as_yolo_and_coco(tmp_path, tuple(items), classes)


@dataclasses.dataclass(frozen=True)
class Real(Item):
    """A picture that is there, in place of one that is made."""

    file: Path

    @property
    def content(self) -> bytes:
        return self.file.read_bytes()
