"""Random exports of one truth, in every format people have: the truth comes back, or a refusal, never anything else.

Twenty exports of each format are made, five hundred in the slow proof. CONES_EXPORTS gives another number,
CONES_EXPORT_SEED a seed; the seed is printed.
"""

import dataclasses
import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, seed, settings
from hypothesis import strategies as st

from cones.data import coco
from cones.data.formats.records import NativeFiles
from cones.runtime.errors import ConesError
from tests.data.exports import CLASSES, KINDS, Export, Item, litter
from tests.data.mask_exports import MASK_KINDS
from tests.data.own import SPLITS, prepared

EVERY = KINDS | MASK_KINDS
SEED = int(os.environ.get("CONES_EXPORT_SEED") or random.SystemRandom().randrange(2**32))
NUMBER = os.environ.get("CONES_EXPORTS")
amounts = pytest.mark.parametrize("exports", [int(NUMBER or 20), pytest.param(500, marks=pytest.mark.slow)])
every_kind = pytest.mark.parametrize("kind", EVERY)
calm = settings(
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    print_blob=True,
)


def kind_named(name: str):
    kind = EVERY[name]
    for library in kind.needs:
        pytest.importorskip(library, reason="needs the extra `medical`")
    return kind


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


def assert_is_truth(found: dict, export: Export, *, has_splits: bool) -> None:
    items = export.pictures.values()
    assert sorted(found) == sorted(item.number for item in items)
    for item in items:
        split, objects = found[item.number]
        assert split == item.split or not has_splits
        wanted = sorted(item.objects)
        assert [name for name, _ in objects] == [name for name, _ in wanted]
        for (_, box), (_, true) in zip(objects, wanted):
            assert box == pytest.approx(true, abs=0.01)


@every_kind
@amounts
def test_an_export_with_harmless_quirks_gives_the_truth_back(kind, exports):
    print(f"CONES_EXPORT_SEED={SEED}")
    kind = kind_named(kind)

    @seed(SEED)
    @settings(calm, max_examples=exports)
    @given(kind.truths(), st.sets(st.sampled_from(kind.harmless)), st.booleans())
    def check(items, quirks, with_litter):
        export = kind.write(items, quirks)
        if with_litter:
            litter(export)
        has_splits = export.split["rule"] == "as_shipped"
        try:
            found = came_out(export)
        except ConesError as error:  # chance may leave a split without a box
            assert "has a box" in error.what or "left to" in error.what, error
            boxed = {item.split for item in items if item.objects}
            assert not has_splits or not {"train", "test"} <= boxed, error
            return
        assert_is_truth(found, export, has_splits=has_splits)

    check()


@every_kind
@amounts
def test_an_export_with_a_fault_is_refused(kind, exports):
    print(f"CONES_EXPORT_SEED={SEED}")
    kind = kind_named(kind)

    @seed(SEED)
    @settings(calm, max_examples=max(1, exports // 2))
    @given(kind.truths(), st.sets(st.sampled_from(kind.harmless), max_size=2), st.sampled_from(kind.refused))
    def check(items, quirks, fault):
        assume(any(item.objects for item in items))
        quirks = quirks - ({"names by number"} if fault == "names missing" else set())
        export = kind.write(items, quirks | {fault})
        with pytest.raises(ConesError) as caught:
            came_out(export)
        message = str(caught.value)
        assert "my_cells" in message and "\n" not in message and "fetch" not in message, message

    check()


@every_kind
@pytest.mark.parametrize("mistake", ["half a pixel", "another class", "a box lost"])
def test_a_mistake_on_the_way_is_noticed(kind, mistake, monkeypatch):
    kind, shape_of = kind_named(kind), coco.shape_of
    boxes = (("white", (2.0, 3.0, 10.0, 8.0)), ("red cell", (14.0, 3.0, 5.0, 5.0)))
    splits = ("train",) * 6 + ("val",) * 2 + ("test",) * 2
    items = tuple(Item(f"n{number}", split, (24, 16), boxes, number) for number, split in enumerate(splits))
    export = kind.write(items, set())
    assert_is_truth(came_out(export), export, has_splits=False)

    def shifted(*arguments):
        shape = shape_of(*arguments)
        return shape | {"bbox": [shape["bbox"][0] + 0.5, *shape["bbox"][1:]]}

    def lossy(annotated, *arguments):
        return shape_of(annotated, *arguments) if annotated.class_name == "white" else None

    if mistake == "another class":
        monkeypatch.setattr(NativeFiles, "known_class", lambda native, name, file: native.classes[0])
    else:
        monkeypatch.setattr(coco, "shape_of", shifted if mistake == "half a pixel" else lossy)
    with pytest.raises(AssertionError):
        assert_is_truth(came_out(export), export, has_splits=False)


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
