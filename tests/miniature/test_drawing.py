import hashlib
import time
import zipfile

import numpy as np
import pytest

from cones.data.download import fetch
from cones.data.prepare import prepare
from cones.data.registry import load_registry
from cones.errors import ConesError
from cones.miniature.archives import DRAWINGS, draw, paint_pages

REGISTRY = load_registry()


@pytest.mark.parametrize("dataset_id", sorted(DRAWINGS))
def test_a_drawn_archive_goes_the_way_of_a_real_one(dataset_id, tmp_path):
    dataset = REGISTRY[dataset_id]
    path = draw(dataset, tmp_path)
    assert path == tmp_path / "miniature/mirror" / dataset_id / dataset.source("miniature").archives[0].filename
    fetch(dataset, "miniature", tmp_path)
    assert not (tmp_path / "checksums.lock.json").exists()  # drawings may be improved
    manifest = prepare(dataset, "miniature", tmp_path)
    expected = dataset.source("miniature").expected.images.model_dump()
    assert {split: found["images"] for split, found in manifest["splits"].items()} == expected
    for split, found in manifest["splits"].items():
        assert all(found["per_class"].values()), f"{split} lacks a class: {found['per_class']}"
        assert found["without_boxes"] == 0
    report = manifest["report"]
    assert report["dropped"]["count"] == report["clipped"]["count"] == report["size_differs"]["count"] == 0


@pytest.mark.parametrize("dataset_id", sorted(DRAWINGS))
def test_drawing_twice_gives_the_same_bytes_and_another_seed_others(dataset_id, tmp_path):
    def digest(folder, **options):
        archives = draw(REGISTRY[dataset_id], tmp_path / folder, **options).parent.iterdir()
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(archives)]

    assert digest("a") == digest("b") != digest("c", seed=1)


@pytest.mark.parametrize("dataset_id", sorted(DRAWINGS))
def test_boxes_hold_what_was_painted(dataset_id):
    start = time.perf_counter()
    pages = paint_pages(REGISTRY[dataset_id])
    assert (time.perf_counter() - start) / 48 < 0.2  # meant: 0.02 s; the machine may be busy
    for page in pages:
        width, height = page.painted.image.size
        assert page.painted.objects
        pixels = np.asarray(page.painted.image, np.float32)
        for one in page.painted.objects:
            left, top, right, bottom = one.box
            assert 0 <= left < right <= width and 0 <= top < bottom <= height
            assert one.class_name in REGISTRY[dataset_id].classes
            assert pixels[top:bottom, left:right].std(axis=(0, 1)).max() > 4  # something is there


def test_aquarium_has_the_quirks_of_a_roboflow_export(tmp_path):
    with zipfile.ZipFile(draw(REGISTRY["aquarium"], tmp_path)) as archive:
        names = archive.namelist()
        text = archive.read("Aquarium/Aquarium Combined.v2-raw-1024.coco/valid/_annotations.coco.json").decode()
    assert '"categories": [{"id": 0, "name": "creatures"' in text
    assert any(".jpg" in name and "_jpg.rf." in name for name in names)
    assert "Aquarium/Aquarium Combined.v2-raw-1024.coco/README.dataset.txt" in names


def test_a_dataset_without_a_painter_says_how_to_go_on(tmp_path):
    stranger = REGISTRY["bccd"].model_copy(update={"id": "stranger"})
    with pytest.raises(ConesError, match=r"there is no drawing of this dataset.*aquarium, .*bccd"):
        draw(stranger, tmp_path)


def test_fetching_before_drawing_says_so(tmp_path):
    with pytest.raises(ConesError, match="next: draw it first"):
        fetch(REGISTRY["bccd"], "miniature", tmp_path)
