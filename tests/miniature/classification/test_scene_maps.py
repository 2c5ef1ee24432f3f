"""The drawn scenes with class maps: packed as ADE20K's, every pixel of the class that is seen there."""

import numpy as np

from cones.data.class_maps import IGNORED, Numbers, read_class_map
from cones.data.dense import read_mapped_items
from cones.data.download import fetch
from cones.data.prepare import prepare
from cones.data.registry import Expected, ImageCounts, load_registry
from cones.miniature.archives import DRAWINGS, draw, paint_pages
from cones.miniature.classification.scene_maps import PLACES, class_map
from cones.miniature.painter import Drawn, Painted

DATASET = load_registry("config/datasets/dense_miniature.yaml")["nano_scene_masks"]


def few(count: int):
    expected = Expected(images=ImageCounts(train=count, val=count, test=count))
    small = DATASET.source("miniature").model_copy(update={"expected": expected})
    return DATASET.model_copy(update={"sources": {"miniature": small}})


def test_a_drawn_archive_goes_the_way_of_a_real_one(tmp_path):
    dataset = few(4)
    archive = draw(dataset, tmp_path)
    first = archive.read_bytes()
    assert draw(dataset, tmp_path).read_bytes() == first != draw(dataset, tmp_path, seed=1).read_bytes()
    draw(dataset, tmp_path)
    fetch(dataset, "miniature", tmp_path)
    manifest = prepare(dataset, "miniature", tmp_path)
    folder = tmp_path / "miniature/nano_scene_masks"
    assert manifest["status"] == "ready" and manifest["report"]["notes"] == {}
    items, numbers = read_mapped_items(folder), Numbers(**manifest["class_map"])
    assert {split: len(found) for split, found in items.items()} == dict.fromkeys(("train", "val", "test"), 4)
    for item in items["test"]:
        found = read_class_map(folder / item.class_map, numbers)
        share = (found == IGNORED).mean()
        assert 0 < share < 0.2


def test_each_place_has_its_things_and_every_class_is_drawn():
    assert "nano_scene_masks" in DRAWINGS
    things = {thing for _, found in PLACES.values() for thing in found}
    assert {*DATASET.classes} == {*PLACES, *things}
    for page in paint_pages(few(4)):
        place, *objects = page.painted.objects
        assert place.class_name == [*PLACES][page.index % 4] and place.mask.all()
        assert {one.class_name for one in objects} <= set(PLACES[place.class_name][1])
        width, height = page.painted.image.size
        assert place.mask.shape == (height, width)


def test_things_cover_their_place_and_edges_have_no_class():
    whole = np.ones((4, 6), bool)
    left = whole.copy()
    left[:, 3:] = False
    painted = Painted(
        type("Picture", (), {"size": (6, 4)}), [Drawn("sea", (), mask=whole), Drawn("boat", (), mask=left)]
    )
    found = class_map(painted, DATASET.classes)
    sea, boat = 1 + DATASET.classes.index("sea"), 1 + DATASET.classes.index("boat")
    assert found[0].tolist() == [boat, boat, 0, sea, sea, sea]
