"""The shipped entries of labelled pictures: what they say, what happens without their files, how they are shown."""

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from cones.cli.main import app
from cones.data.classification import read_items
from cones.data.download import fetch
from cones.data.prepare import prepare
from cones.data.preview import preview
from cones.data.registry import load_registries, load_registry
from cones.runtime.errors import ConesError
from tests.data.labelled_pictures import class_tree, labelled
from tests.data.made_up import write_tree, zipped
from tests.data.own import SPLITS
from tests.data.test_label_files import LINES, coop, imagenet

ROOT = Path(__file__).resolve().parents[2]
FILE = "config/datasets/classification.yaml"
COOP = [
    "imagenet",
    "caltech101",
    "oxford_pets",
    "stanford_cars",
    "oxford_flowers",
    "food101",
    "fgvc_aircraft",
    "sun397",
    "dtd",
    "eurosat",
    "ucf101",
]
SHIFTED = ["imagenet_v2", "imagenet_sketch", "imagenet_a", "imagenet_r"]
MEDICAL = [
    "ctkidney",
    "dermamnist",
    "kvasir",
    "retina",
    "lc25000",
    "chmnist",
    "btmri",
    "octmnist",
    "busi",
    "covid_qu_ex",
    "kneexray",
]
FOLDERS = {"name": "class_folders", "folders": list(SPLITS)}


@pytest.fixture(scope="module")
def registry():
    return {name: entry for name, entry in load_registries([FILE]).items() if entry.task == "classification"}


def test_the_shipped_sets(registry):
    assert list(registry) == [*COOP, *SHIFTED, *MEDICAL]
    assert all(not entry.classes for entry in registry.values())  # those of the files, when they are there


def test_templates_are_those_of_coop(registry):
    told = {name: entry.sentence for name, entry in registry.items() if entry.sentence != "a photo of a {}."}
    assert told == {
        "oxford_pets": "a photo of a {}, a type of pet.",
        "oxford_flowers": "a photo of a {}, a type of flower.",
        "food101": "a photo of {}, a type of food.",
        "fgvc_aircraft": "a photo of a {}, a type of aircraft.",
        "dtd": "{} texture.",
        "eurosat": "a centered satellite photo of {}.",
        "ucf101": "a photo of a person doing {}.",
    }


def test_medical_counts_are_half_a_fifth_and_the_rest_where_the_split_is_coops(registry):
    counts = {name: registry[name].source("official").expected.images.model_dump() for name in MEDICAL}
    assert counts["kvasir"] == {"train": 2000, "val": 800, "test": 1200}
    own = {"dermamnist", "octmnist", "kneexray"}  # splits of their authors
    for name in set(MEDICAL) - own:
        total = sum(counts[name].values())
        assert abs(counts[name]["train"] / total - 0.5) < 0.01 and abs(counts[name]["val"] / total - 0.2) < 0.01


def test_a_set_whose_address_is_dead_is_a_declared_skip_with_no_items(tmp_path, registry, capsys):
    fetch(registry["stanford_cars"], "official", tmp_path)
    assert "the provider's address is dead" in capsys.readouterr().out
    manifest = prepare(registry["stanford_cars"], "official", tmp_path)
    folder = tmp_path / "official/stanford_cars"
    assert manifest["status"] == "skipped" and manifest["reason"].startswith("needs_a_copy: ")
    assert read_items(folder) == {"train": [], "val": [], "test": []} and manifest["splits"]["test"]["images"] == 0
    assert (folder / "train.json").is_file()


@pytest.mark.parametrize("name", ["stanford_cars", "imagenet"])
def test_placed_files_of_a_set_that_nobody_may_fetch_are_prepared(tmp_path, registry, name):
    cars = [
        (split, path.replace("cat", "cars_train").replace("dog", "cars_test"), *more) for split, path, *more in LINES
    ]
    files = {
        "stanford_cars": lambda: coop(cars, place=".", file="split_zhou_StanfordCars.json"),
        "imagenet": imagenet,
    }[name]()
    write_tree(tmp_path / "drop" / name, files)
    fetch(registry[name], "official", tmp_path)
    manifest = prepare(registry[name], "official", tmp_path)
    assert manifest["status"] == "ready" and manifest["splits"]["test"]["images"] > 0
    if name == "imagenet":
        assert manifest["splits"]["val"]["images"] == 0


@pytest.fixture
def command(tmp_path, monkeypatch):
    """A command line in tmp_path, with the shipped registry; returns its output in one line."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "datasets.yaml").symlink_to(ROOT / "datasets.yaml")

    def run(*words):
        result = CliRunner().invoke(app, ["datasets", *words, "--registry", "mine.yaml"])
        assert result.exit_code == 0, result.output
        return " ".join(result.output.split())

    return run


def test_list_show_and_preview_of_a_prepared_set(tmp_path, command):
    labelled(tmp_path, class_tree(), format=FOLDERS, template="a drawing of a {}.")
    assert "my_pictures My cells natural open ready" in command("list")
    text = command("show", "my_pictures")
    for part in (
        "natural · classification",
        "classes those of its files",
        "template a drawing of a {}.",
        "prepared train val test in texts pictures 9 3 6 Sea_Lion 3 1 2 Sea Lion cat 3 1 2 dog 3 1 2",
        "a class with fewer than 16 training pictures: 16 shots take all it has: 3 (Sea_Lion, cat, dog)",
    ):
        assert part in text
    command("preview", "my_pictures", "sheet.png")
    assert Image.open(tmp_path / "sheet.png").width >= 800


def test_a_long_list_of_classes_is_cut(tmp_path, command):
    labelled(tmp_path, class_tree((1, 1, 1), classes=[f"class{n:02}" for n in range(70)]), format=FOLDERS)
    text = command("show", "my_pictures")
    assert "class59 1 1 1" in text and "class60 1" not in text and "… 10 more" in text


def test_a_preview_shows_every_class_before_any_twice(tmp_path, monkeypatch):
    found = labelled(tmp_path, class_tree(), format=FOLDERS)
    captions = []

    def tile(path, objects, colours, caption, **room):
        captions.append(caption)
        return Image.new("RGB", (8, 8))

    monkeypatch.setattr("cones.data.preview.tile", tile)
    dataset = load_registry(tmp_path / "mine.yaml")["my_pictures"]
    preview(dataset, "official", tmp_path / "data", tmp_path / "sheet.png", pictures=5)
    assert [caption.split(" · ")[1] for caption in captions] == ["Sea Lion", "cat", "dog", "Sea Lion", "cat"]
    assert sum(found.counts()) == 18


def test_archives_are_unpacked_beside_their_split_file(tmp_path, registry):
    files = coop(place="2750", file="split_zhou_EuroSAT.json")
    split = files.pop("split_zhou_EuroSAT.json")
    placed = {"EuroSAT.zip": zipped(files), "split_zhou_EuroSAT.json": split}
    write_tree(tmp_path / "drop/eurosat", placed)
    fetch(registry["eurosat"], "official", tmp_path)
    manifest = prepare(registry["eurosat"], "official", tmp_path)
    assert manifest["template"] == "a centered satellite photo of {}." and manifest["classes"] == ["dog", "house_cat"]
    assert [manifest["splits"][split]["images"] for split in SPLITS] == [2, 1, 2]
    folder = tmp_path / "official/eurosat"
    assert all((folder / item.path).is_file() for items in read_items(folder).values() for item in items)


def test_a_medical_set_of_another_size_is_refused(tmp_path, registry):
    files = coop(place="BTMRI/BTMRI", file="BTMRI/split_BTMRI.json")
    write_tree(tmp_path / "drop/btmri", {"BTMRI.zip": zipped(files)})
    fetch(registry["btmri"], "official", tmp_path)
    with pytest.raises(ConesError, match=r"expected train 2854, val 1141, test 1717; found train 2, val 1, test 2"):
        prepare(registry["btmri"], "official", tmp_path)
    assert not (tmp_path / "official/btmri/manifest.json").exists()
