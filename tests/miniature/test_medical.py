"""Quirks of the real archives that the drawn ones must have, and what comes of them."""

import csv
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle

from cones.data.download import fetch
from cones.data.prepare import prepare
from cones.data.registry import load_registry
from cones.data.splits import LISTS
from cones.data.unpack import unpack
from cones.miniature.archives import draw, paint_pages
from tests.some_fast import fast

REGISTRY = load_registry()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """`prepared(dataset id)` -> (its folder, manifest), drawn and prepared once."""
    data, done = tmp_path_factory.mktemp("data"), {}

    def prepared(name):
        if name not in done:
            draw(REGISTRY[name], data)
            fetch(REGISTRY[name], "miniature", data)
            done[name] = data / "miniature" / name, prepare(REGISTRY[name], "miniature", data)
        return done[name]

    return prepared


def document(folder, split):
    return json.loads((folder / f"{split}.json").read_text())


def annotations(folder):
    """`{file name: [(class, box)]}` of all splits."""
    found = {}
    for split in ("train", "val", "test"):
        content = document(folder, split)
        names = {image["id"]: image["file_name"] for image in content["images"]}
        found.update({name: [] for name in names.values()})
        for one in content["annotations"]:
            found[names[one["image_id"]]].append(one["bbox"])
    return found


def painted_boxes(name):
    """Sorted lists of the painted boxes as [x, y, width, height], one per picture."""
    return sorted(
        sorted([left, top, right - left, bottom - top] for left, top, right, bottom in (one.box for one in objects))
        for objects in (page.painted.objects for page in paint_pages(REGISTRY[name]))
    )


@pytest.mark.parametrize(
    "name",
    fast(["isic2016", "dfuc2020", "cpm17", "tbx11k", "tn3k", "dfuc2022", "kvasir_seg"], "isic2016", "kvasir_seg"),
)
def test_the_boxes_that_were_painted_come_out(prepared, name):
    found = sorted(map(sorted, annotations(prepared(name)[0]).values()))
    expected = painted_boxes(name)
    assert len(found) == len(expected)
    lossy = 1 if name in ("tn3k", "kvasir_seg") else 0.002  # JPEG masks; XML in pixels of a larger original
    for one, other in zip(found, expected):
        assert one == [pytest.approx(box, abs=lossy) for box in other]


@pytest.mark.parametrize("name", ["dfuc2022", "kvasir_seg"])
def test_instance_sets_carry_masks(prepared, name):
    content = document(prepared(name)[0], "test")
    sizes = {image["id"]: [image["height"], image["width"]] for image in content["images"]}
    for one in content["annotations"]:
        assert one["segmentation"]["size"] == sizes[one["image_id"]]
        assert rle.area(one["segmentation"]) == one["area"]
        assert list(rle.toBbox(one["segmentation"])) == one["bbox"]


def test_luna_slices_show_the_nodule_where_its_box_is(prepared):
    folder, manifest = prepared("luna16")
    assert sorted(path.name for path in (folder / "volumes").iterdir() if path.is_dir()) == ["subset0", "subset1"]
    assert len(list((folder / "raw").glob("*.png"))) == 48
    assert manifest["splits"]["train"]["boxes"] > 31  # some slices are crossed by a second nodule
    for name, boxes in annotations(folder).items():
        grey = np.asarray(Image.open(folder / "raw" / name), np.float32)
        x, y, width, height = boxes[0]
        centre = grey[int(y + height * 0.3) : int(y + height * 0.7), int(x + width * 0.3) : int(x + width * 0.7)]
        corners = [grey[int(y), int(x)], grey[int(y + height) - 1, int(x + width) - 1]]
        assert centre.mean() > 140 and min(corners) < centre.mean()
        edge = grey[int(y + height / 2), int(x) - 3], grey[int(y + height / 2), int(x + width) + 2]
        assert min(edge) < 120  # beyond the box lies lung, at least on one side


@pytest.mark.slow
def test_luna_from_an_unpacked_tree_is_the_same(prepared, tmp_path):
    folder, manifest = prepared("luna16")
    mirror = tmp_path / "mirror" / "luna16"
    mirror.mkdir(parents=True)
    for archive in (folder / "archives").iterdir():
        unpack(archive, mirror, dataset_id="luna16")
    fetch(REGISTRY["luna16"], "miniature", tmp_path, mirror=mirror.parent)
    again = prepare(REGISTRY["luna16"], "miniature", tmp_path)
    assert (tmp_path / "miniature/luna16/volumes").is_symlink()
    assert not (tmp_path / "miniature/luna16/raw").is_symlink()
    assert again["pictures_sha256"] == manifest["pictures_sha256"] and again["splits"] == manifest["splits"]
    assert len(list(mirror.rglob("*.png"))) == 0  # nothing is written into the mirror


def test_adni_subjects_stay_together_but_at_the_cuts(prepared):
    folder, manifest = prepared("adni_hippocampus")
    splits = json.loads((folder / "splits.json").read_text())
    subjects = [{item.split("/")[0] for item in splits[split]} for split in ("train", "val", "test")]
    assert sum(map(len, subjects)) == 6  # eight slices each, cut at whole subjects
    assert manifest["report"]["notes"]["a slice without hippocampus, left out"]["count"] == 12


def test_kvasir_test_pictures_are_those_of_the_list(prepared):
    folder, _ = prepared("kvasir_seg")
    splits = json.loads((folder / "splits.json").read_text())
    listed = set((LISTS / "kvasir_test_ids.txt").read_text().split())
    assert set(splits["test"]) <= listed and not (set(splits["train"] + splits["val"]) & listed)
    assert all(len(item) == 25 and item.startswith("cju") for item in splits["train"])


def test_isic_has_words_in_one_csv_and_numbers_in_the_other(prepared):
    folder, _ = prepared("isic2016")
    words = {
        part: {row[1] for row in csv.reader((folder / f"raw/ISBI2016_ISIC_Part3_{part}_GroundTruth.csv").open())}
        for part in ("Training", "Test")
    }
    assert words == {"Training": {"benign", "malignant"}, "Test": {"0.0", "1.0"}}


def test_archives_have_the_native_layouts(prepared, tmp_path):
    def names(dataset_id, archive):
        with zipfile.ZipFile(draw(REGISTRY[dataset_id], tmp_path).parent / archive) as file:
            return set(file.namelist())

    assert "tn3k/tn3k-trainval-fold4.json" in names("tn3k", "tn3k.zip")
    assert {"cpm17/train/Images/image_24.png", "cpm17/test/Labels/image_15.mat"} <= names("cpm17", "cpm17.zip")
    assert any(name.endswith("tal_noscale_99.jpg") for name in names("adni_hippocampus", "mrihs.zip"))
    assert "TBX11K/annotations/xml/tb1199.xml" in names("tbx11k", "TBX11K.zip")
    scan = prepared("luna16")[0] / "archives" / "subset1.zip"
    with zipfile.ZipFile(scan) as file:
        headers = [file.read(name).decode() for name in file.namelist() if name.endswith(".mhd")]
    assert any("TransformMatrix = -1 0 0 0 -1 0 0 0 1" in header for header in headers)
    assert any("TransformMatrix = 1 0 0 0 1 0 0 0 1" in header for header in headers)


def test_radiographs_show_their_opacities():
    for page in paint_pages(REGISTRY["tbx11k"])[::4]:
        grey = np.asarray(page.painted.image.convert("L"), np.float32)
        for one in page.painted.objects:
            inside = grey[one.mask]
            ring = _ring(one.mask) & ~np.any([other.mask for other in page.painted.objects], axis=0)
            assert inside.mean() - np.percentile(grey[ring], 30) > 0.12 * 255  # visible, not faint


def _ring(mask):
    from scipy import ndimage

    return ndimage.binary_dilation(mask, iterations=7) & ~ndimage.binary_dilation(mask, iterations=3)


def test_pictures_are_native_files(prepared):
    folder, _ = prepared("kvasir_seg")
    mask = next((folder / "raw/Kvasir-SEG/masks").glob("*.jpg"))
    with Image.open(io.BytesIO(mask.read_bytes())) as opened:
        assert opened.mode == "RGB" and opened.format == "JPEG"
