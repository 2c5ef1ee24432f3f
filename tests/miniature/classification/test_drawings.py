"""The drawn sets of labelled pictures: packed as real ones, equal when drawn again, alike in no two classes."""

import hashlib
import zipfile

import numpy as np
import pytest

from cones.data.captions import read_captions
from cones.data.classification import read_items
from cones.data.download import fetch
from cones.data.labelled import FEW
from cones.data.prepare import prepare
from cones.data.registry import Expected, ImageCounts, load_registry
from cones.data.task_rules import CLASSIFICATION, LABELLED, MULTI_LABEL
from cones.miniature.archives import draw, paint_pages
from cones.miniature.classification import medical
from cones.miniature.classification.drawings import DRAWINGS
from cones.miniature.classification.pages import SIDE
from cones.miniature.painter import Drawn, Painted, generator

REGISTRY = load_registry("config/datasets/classification_miniature.yaml")


def few(dataset_id, per_class=1):
    """The entry with `per_class` pictures a class in each split."""
    dataset = REGISTRY[dataset_id]
    count = per_class * len(dataset.classes)
    expected = Expected(images=ImageCounts(train=count, val=count, test=count))
    small = dataset.source("miniature").model_copy(update={"expected": expected})
    return dataset.model_copy(update={"sources": {"miniature": small}})


def test_every_set_is_drawn_and_has_enough_of_each_class():
    assert set(REGISTRY) == set(DRAWINGS)
    for dataset in REGISTRY.values():
        assert dataset.task in LABELLED
        expected, classes = dataset.source("miniature").expected.images, len(dataset.classes)
        assert {expected.train % classes, expected.val % classes, expected.test % classes} == {0}
        assert expected.train >= 16 * classes and expected.val >= 4 * classes
        assert expected.test >= (100 if classes == 2 else 20) * classes


ONE_CLASS = sorted(name for name, dataset in REGISTRY.items() if dataset.task == CLASSIFICATION)
SEVERAL = sorted(name for name, dataset in REGISTRY.items() if dataset.task == MULTI_LABEL)


@pytest.mark.parametrize("dataset_id", SEVERAL)
def test_a_picture_of_several_things_has_their_classes_and_captions_name_them(dataset_id, tmp_path):
    dataset = few(dataset_id)
    draw(dataset, tmp_path)
    fetch(dataset, "miniature", tmp_path)
    manifest, folder = prepare(dataset, "miniature", tmp_path), tmp_path / "miniature" / dataset_id
    shown = {
        (page.split, tuple(sorted({dataset.classes.index(one.class_name) for one in page.painted.objects})))
        for page in paint_pages(dataset)
    }
    items = read_items(folder)
    found = [(split, item.present) for split in items for item in items[split]]
    assert set(found) == shown and len(found) == 3 * len(dataset.classes)
    assert any(len(present) > 1 for _, present in found) and not any(item.unknown for item in items["train"])
    said = read_captions(folder, manifest)
    assert len(said) == manifest["captions"]["texts"] > 100 and manifest["captions"]["without_a_class"] == 2
    for text, places in said:
        assert [place for place, name in enumerate(dataset.classes) if name in text.replace(".", "").split()] == places
    assert {place for _, places in said for place in places} == set(range(len(dataset.classes)))


@pytest.mark.parametrize("dataset_id", ONE_CLASS)
def test_a_drawn_archive_goes_the_way_of_a_real_one(dataset_id, tmp_path):
    dataset = few(dataset_id)
    draw(dataset, tmp_path)
    fetch(dataset, "miniature", tmp_path)
    manifest = prepare(dataset, "miniature", tmp_path)
    assert manifest["classes"] == dataset.classes and manifest["template"] == dataset.template
    assert manifest["texts"] == [name.replace("_", " ") for name in dataset.classes]
    for split, items in read_items(tmp_path / "miniature" / dataset_id).items():
        assert sorted(item.label for item in items) == list(range(len(dataset.classes))), split
        assert all(f"/{dataset.classes[item.label]}/" in f"/{item.path}" for item in items)
    assert manifest["report"]["leaks"]["count"] == 0
    assert set(manifest["report"]["notes"]) == {FEW}  # with one picture a class that is so


@pytest.mark.parametrize("dataset_id", sorted(DRAWINGS))
def test_drawing_twice_gives_the_same_bytes_and_another_seed_others(dataset_id, tmp_path):
    dataset = REGISTRY[dataset_id]
    classes = dataset.classes[:2]
    expected = Expected(images=ImageCounts(train=2, val=2, test=2))
    small = dataset.source("miniature").model_copy(update={"expected": expected})
    pair = dataset.model_copy(update={"sources": {"miniature": small}, "classes": classes})

    def digest(folder, **options):
        return hashlib.sha256(draw(pair, tmp_path / folder, **options).read_bytes()).hexdigest()

    assert digest("a") == digest("b") != digest("c", seed=1)


def test_pictures_have_the_side_of_the_model_and_no_two_are_equal(tmp_path):
    for dataset_id in sorted(DRAWINGS):
        pages = paint_pages(few(dataset_id))
        assert {page.painted.image.size for page in pages} == {(SIDE, SIDE)}
        assert {page.painted.image.mode for page in pages} == {"RGB"}
        assert len({page.painted.image.tobytes() for page in pages}) == len(pages)


def test_an_archive_has_the_folders_that_its_entry_names(tmp_path):
    for dataset_id in ("nano_names", "nano_cells"):
        dataset = few(dataset_id)
        form = dataset.source("miniature").format
        with zipfile.ZipFile(draw(dataset, tmp_path)) as archive:
            names = archive.namelist()
        if form.name == "coop_split":
            root, images = form.parameters["root"], form.parameters["images"]
            assert f"{root}/{form.parameters['split_file']}" in names
            assert sum(name.startswith(f"{root}/{images}/") for name in names) == len(names) - 1
        else:
            assert {name.split("/")[0] for name in names} == set(form.parameters["folders"])


def test_shifted_copies_have_the_classes_of_their_source_and_other_colours():
    source = REGISTRY["nano_names"]
    for dataset_id in ("nano_names_negative", "nano_names_thermal"):
        assert REGISTRY[dataset_id].classes == source.classes
    paint, _ = DRAWINGS["nano_names_negative"]
    plain, _ = DRAWINGS["nano_names"]
    for index in range(6):
        turned = np.asarray(paint(generator("x", 0, index), source.classes, index).image, np.int16)
        first = np.asarray(plain(generator("x", 0, index), source.classes, index).image, np.float32)
        assert (turned == turned[..., :1]).all()
        grey = first @ np.float32([0.299, 0.587, 0.114])
        assert np.abs(turned[..., 0] - (255 - grey)).mean() < 2


def test_kinds_of_medical_pictures_cannot_be_told_by_their_colour():
    for index in range(len(medical.KINDS)):
        painted = medical.kinds(generator("kinds", 0, index), list(medical.KINDS), index)
        pixels = np.asarray(painted.image)
        assert (pixels == pixels[..., :1]).all()


def test_a_view_is_healthy_only_without_any_part_of_an_opacity():
    film = Painted(None, [Drawn("opacity", (40, 40, 60, 60)), Drawn("opacity", (140, 20, 160, 50))])
    for view, healthy, opacity in (
        ((70, 60, 130, 120), True, False),
        ((30, 30, 90, 90), False, True),
        ((55, 30, 115, 90), False, False),  # the edge of one, but not its middle: neither
        ((100, 0, 170, 70), False, True),
    ):
        assert medical.shows(view, film, medical.HEALTHY) is healthy
        assert medical.shows(view, film, medical.OPACITY) is opacity
