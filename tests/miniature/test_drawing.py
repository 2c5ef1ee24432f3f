import hashlib
import zipfile

import numpy as np
import pytest
from PIL import Image

from cones.data.download import fetch
from cones.data.prepare import prepare
from cones.data.registry import GENERATION, Expected, ImageCounts, load_registry
from cones.miniature import medical
from cones.miniature.archives import DRAWINGS, draw, paint_pages
from cones.miniature.classification import drawings as classification
from cones.miniature.classification import scene_maps
from cones.miniature.contact_sheet import contact_sheet
from cones.miniature.painter import generator
from cones.runtime.errors import ConesError
from tests.some_fast import fast

REGISTRY = load_registry()
DETECTION = set(DRAWINGS) - set(classification.DRAWINGS) - set(scene_maps.DRAWINGS)  # and generation
ONE_OF_EACH_KIND = ("aquarium", "bccd", "cityscapes", "dfuc2022", "adni_hippocampus")
TWICE = ("aquarium", "bccd", "pascal_voc", "egohands_generic", "cityscapes", "dreambooth", *sorted(medical.DRAWINGS))
FEW = Expected(images=ImageCounts(train=3, val=2, test=2))


def test_all_25_datasets_are_drawn():
    assert set(REGISTRY) == DETECTION and len(REGISTRY) == 25


@pytest.mark.parametrize("dataset_id", fast(sorted(DETECTION), *ONE_OF_EACH_KIND))
def test_a_drawn_archive_goes_the_way_of_a_real_one(dataset_id, tmp_path):
    dataset = REGISTRY[dataset_id]
    path = draw(dataset, tmp_path)
    assert path == tmp_path / "miniature/mirror" / dataset_id / dataset.source("miniature").archives[0].filename
    fetch(dataset, "miniature", tmp_path)
    assert not (tmp_path / "checksums.lock.json").exists()  # drawings may be improved
    manifest = prepare(dataset, "miniature", tmp_path)
    expected = dataset.source("miniature").expected.images
    for split, found in manifest["splits"].items():
        assert found["images"] == getattr(expected, split)
        if dataset.task != GENERATION:
            assert all(found["per_class"].values()), f"{split} lacks a class: {found['per_class']}"
            assert found["without_boxes"] == 0
    report = manifest["report"]
    assert report["dropped"]["count"] == report["clipped"]["count"] == report["size_differs"]["count"] == 0


def with_few_pictures(dataset_id):
    dataset = REGISTRY[dataset_id]
    small = dataset.source("miniature").model_copy(update={"expected": FEW})
    return dataset.model_copy(update={"sources": {"miniature": small}})


@pytest.mark.parametrize("dataset_id", fast(TWICE, *ONE_OF_EACH_KIND, "dreambooth"))
def test_drawing_twice_gives_the_same_bytes_and_another_seed_others(dataset_id, tmp_path):
    def digest(folder, **options):
        few = with_few_pictures(dataset_id)
        archives = sorted(draw(few, tmp_path / folder, **options).parent.iterdir())
        named = few.source("miniature").archives
        assert [path.name for path in archives] == sorted(archive.filename for archive in named)
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in archives]

    assert digest("a") == digest("b") != digest("c", seed=1)


@pytest.mark.parametrize("dataset_id", fast(sorted(DETECTION), *ONE_OF_EACH_KIND))
def test_boxes_hold_what_was_painted(dataset_id):
    painter, _ = DRAWINGS[dataset_id]
    classes = REGISTRY[dataset_id].classes
    pages = [painter(generator(dataset_id, 3, index), classes, index) for index in range(12)]
    for painted in pages:
        width, height = painted.image.size
        assert 128 <= max(width, height) <= 256
        assert painted.objects
        pixels = np.asarray(painted.image, np.float32)
        for one in painted.objects:
            left, top, right, bottom = one.box
            assert 0 <= left < right <= width and 0 <= top < bottom <= height
            assert min(right - left, bottom - top) >= 2
            assert one.class_name in classes
            assert pixels[top:bottom, left:right].std(axis=(0, 1)).max() > 4  # something is there


def test_aquarium_has_the_quirks_of_a_roboflow_export(tmp_path):
    with zipfile.ZipFile(draw(with_few_pictures("aquarium"), tmp_path)) as archive:
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


def test_pictures_of_a_split_that_is_another_one_are_drawn_once():
    assert [page.split for page in paint_pages(REGISTRY["pascal_voc"])] == ["train"] * 24 + ["val"] * 8


def members(dataset_id, folder):
    with zipfile.ZipFile(draw(with_few_pictures(dataset_id), folder)) as archive:
        return archive.namelist()


def test_odinw_zips_have_the_folders_of_the_real_ones(tmp_path):
    hands = members("egohands_generic", tmp_path)
    for folder in ("train", "valid", "mini_val", "test"):
        assert f"EgoHands/generic/{folder}/annotations_without_background.json" in hands
    pistols = members("pistols", tmp_path)
    assert {name.split("/")[1] for name in pistols} == {"export"}
    assert "pistols/export/val_annotations_without_background.json" in pistols
    voc = members("pascal_voc", tmp_path)
    assert {name.split("/")[1] for name in voc} == {"train", "valid", "README.dataset.txt", "README.roboflow.txt"}


def test_a_contact_sheet_shows_every_dataset_that_can_be_drawn(tmp_path):
    stranger = REGISTRY["bccd"].model_copy(update={"id": "stranger"})
    shown = [REGISTRY["bccd"], stranger, REGISTRY["cityscapes"], REGISTRY["dreambooth"]]
    first = contact_sheet(tmp_path / "a.png", shown, samples=2, blocks=2)
    with Image.open(first) as sheet:
        assert sheet.width > 700 and 300 < sheet.height < 400  # three datasets in two rows
    again = contact_sheet(tmp_path / "b.png", shown, samples=2, blocks=2)
    assert first.read_bytes() == again.read_bytes()
