"""`new-suite` writes an entry and a suite, says what it took the folder for, and writes nothing over."""

import shutil
from pathlib import Path

import pytest
import yaml
from flow import ROOT
from typer.testing import CliRunner

from cones.cli.main import app
from cones.data.download import fetch
from cones.data.prepare import prepare
from cones.data.registry import load_registries
from cones.experiment.cell import Plan
from cones.experiment.classification_cells import grid_cells
from cones.runtime.errors import ConesError
from tests.data import exports
from tests.data.labelled_pictures import class_tree
from tests.data.made_up import write_tree
from tests.data.own import noise
from tests.data.test_recognise import mask

BOXES = (("red cell", (2.0, 3.0, 10.0, 8.0)), ("white", (1.0, 1.0, 5.0, 6.0)))
TRUTH = [exports.Item(f"{n}", split, (24, 16), BOXES, n) for n, split in enumerate(("train", "train", "val", "test"))]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A working folder with the project's config, and beside it the folder "My cells!", a YOLO export."""
    (tmp_path / "work").mkdir()
    shutil.copytree(ROOT / "config", tmp_path / "work/config")
    shutil.copy(ROOT / "datasets.yaml", tmp_path / "work/datasets.yaml")
    write_tree(tmp_path / "My cells!", exports.yolo(TRUTH, set()).files)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def new_suite(*words):
    result = CliRunner().invoke(app, ["new-suite", *map(str, words)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def suite_with(name, *changes):
    """The plan of a suite after lines of its file were replaced."""
    path = Path(f"config/{name}.yaml")
    text = path.read_text()
    for before, after in changes:
        assert f"\n{before}" in text
        text = text.replace(f"\n{before}", f"\n{after}")
    path.write_text(text)
    return Plan.load(name)


def test_what_is_written_prepares_and_is_planned(place):
    before = {path: path.read_bytes() for path in Path("config").rglob("*.yaml")}
    said = new_suite("../My cells!")
    for words in (
        "../My cells! is taken for yolo, with boxes",
        "data.yaml has `names` and train, val, test",
        "3 classes: red cell, white, Blé",
        "train 2 (4 objects), val 1 (2 objects), test 1 (2 objects)",
        "`group` is written natural",
        "written: config/datasets/my_cells.yaml (the dataset), config/my_cells.yaml",
        "Suite my_cells: table1",  # what it costs
        "snakemake --cores all results/my_cells/table1.csv results/my_cells/glip_nano/my_cells/predictions.png",
    ):
        assert words in said, words
    assert "unknown" not in said.partition("Suite my_cells")[2]  # the counts are known without preparing
    assert all(path.read_bytes() == content for path, content in before.items())
    plan = Plan.load("my_cells")
    assert {cell.model for cell in plan.all_cells()} == {"glip_nano"}
    assert plan.suite.models["glip_nano"].initial_seed is None  # the weights that ship
    fetch(plan.registry["my_cells"], "official", "data")
    manifest = prepare(plan.registry["my_cells"], "official", "data", selects_on_validation=True)
    assert {split: part["images"] for split, part in manifest["splits"].items()} == {"train": 2, "val": 1, "test": 1}


def test_the_commands_about_datasets_know_those_of_a_suite(place):
    new_suite("../My cells!")
    shown = CliRunner().invoke(app, ["datasets", "show", "my_cells", "--suite", "my_cells"])
    assert shown.exit_code == 0 and "3: red cell, white, Blé" in shown.stdout
    command = " ".join(shown.stdout.rpartition("prepare it")[2].split())
    assert command.startswith("python -m cones fetch --dataset my_cells --suite my_cells --source official && ")
    for step in command.split(" && "):
        assert CliRunner().invoke(app, step.split()[3:]).exit_code == 0, step
    preview = CliRunner().invoke(app, ["datasets", "preview", "my_cells", "boxes.png", "--suite", "my_cells"])
    assert preview.stdout == "written: boxes.png\n" and Path("boxes.png").stat().st_size > 1000
    lost = CliRunner().invoke(app, ["datasets", "show", "my_cells"]).exception
    assert isinstance(lost, ConesError) and lost.next_step == "--suite my_cells, if you mean the dataset of that suite"


def test_the_lines_for_larger_models_work(place):
    new_suite("../My cells!")
    lines = Path("config/my_cells.yaml").read_text().splitlines()
    offered = [line.removeprefix("#   ") for line in lines if line.startswith("#   ")]
    like, grids, rates = offered[1:]
    nano = [next(line for line in lines if line.startswith(key)) for key in ("like:", "grids:")]
    plan = suite_with("my_cells", (nano[0], like), (nano[1], grids))
    assert {cell.model for cell in plan.all_cells()} == {"glip_t"}
    plan = suite_with("my_cells", (grids, f"{grids.replace('glip_t', 'gdino_t')}\n{rates}"))
    assert {(cell.model, cell.arm) for cell in plan.all_cells()} >= {("gdino_t", "cones"), ("gdino_t", "zero_shot")}


def test_masks_get_the_model_and_table_of_masks(place):
    files = {f"images/{n}.png": noise(n) for n in range(10)} | {f"masks/{n}.png": mask(255) for n in range(10)}
    write_tree(place / "wounds", files)
    said = new_suite("../wounds", "--name", "my_wounds")
    assert "with boxes and masks" in said and "results/my_wounds/table2.csv" in said
    assert "the class of what is white is written `object`" in said and "`split.patients`" in said
    plan = Plan.load("my_wounds")
    assert {cell.model for cell in plan.all_cells()} == {"uninext_nano"}
    fetch(plan.registry["my_wounds"], "official", "data")
    manifest = prepare(plan.registry["my_wounds"], "official", "data", selects_on_validation=True)
    assert manifest["splits"]["test"]["images"] == 2 and manifest["splits"]["train"]["boxes"]
    plain = new_suite("../wounds", "--name", "boxes_alone", "--task", "detection")
    assert "results/boxes_alone/table1.csv" in plain


def test_a_folder_that_prepare_would_refuse_is_said_to_be_so_and_the_entry_is_there_to_mend(place):
    (place / "My cells!/images/train/0.png").unlink()
    said = new_suite("../My cells!")
    assert "To mend first, the run will stop here: dataset my_cells" in said
    assert (
        "images/train: 1 of 2 pictures of text files are missing; expected 0.*" in said
        and "remove the text file" in said
    )
    assert yaml.safe_load(Path("config/datasets/my_cells.yaml").read_text())["my_cells"]["access"] == "open"


@pytest.mark.parametrize(
    "words, fault",
    [
        (["--name", "miniature"], "this name is taken, and nothing is written over"),
        (["--name", "bccd"], "this name is taken"),
        (["--name", "fuseg"], "this name is taken"),
        (["--name", "aquarium"], "datasets.yaml: aquarium: this name is taken"),
        (["--name", "../x"], "a name is lower-case letters, digits and _"),
        (["--task", "boxes"], "choose one of: detection, instance_segmentation"),
        (["--format", "voc"], "does not look like voc"),
    ],
)
def test_nothing_is_written_where_it_is_refused(place, words, fault):
    before = {path: path.read_bytes() for path in Path(".").rglob("*") if path.is_file()}
    with pytest.raises(ConesError, match=fault):
        new_suite("../My cells!", *words)
    assert {path: path.read_bytes() for path in Path(".").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "files, fault",
    [
        ({"a.xml": b"<annotation></annotation>", "a.png": noise(1)}, "looks like voc, and no object in it has a class"),
        (
            {
                "data.yaml": b"names: [red, red]\ntrain: images",
                "images/a.png": noise(1),
                "labels/a.txt": b"0 .5 .5 .1 .1",
            },
            "the entry that would be written: twice: a class name is listed twice",
        ),
    ],
)
def test_classes_that_are_none_or_not_apart_end_before_anything_is_written(place, files, fault):
    write_tree(place / "twice", files)
    with pytest.raises(ConesError, match=fault):
        new_suite("../twice")
    assert not Path("config/twice.yaml").exists() and not Path("config/datasets/twice.yaml").exists()


def test_odd_names_of_folders_end_in_whole_files(place):
    (place / "My cells!").rename(place / "Zellen: #1 {x} 'a' \"b\"")
    new_suite("../Zellen: #1 {x} 'a' \"b\"")
    assert Plan.load("zellen_1_x_a_b").registry["zellen_1_x_a_b"].paper_name == "Zellen: #1 {x} 'a' \"b\""


def test_labelled_pictures_get_an_entry_that_prepares_and_a_suite(place):
    write_tree(place / "plants", class_tree((20,), classes=("moss", "Oak_tree"), splits=(".",)))
    said = new_suite("../plants")
    for words in (
        "../plants is taken for class_folders, with one class for each picture (task: classification)",
        "2 classes: Oak_tree, moss",
        "pictures: train 20, val 8, test 12",
        "`template`",
        "written: config/datasets/plants.yaml (the dataset), config/plants.yaml (the suite",
        "Suite plants: survey",  # what it costs
        "clip_nano is a nano model that ships with the project, no CLIP",
        "The real thing is clip_vit_b16: write it under `models` in config/plants.yaml",
        "Run it: snakemake --cores all results/survey.csv --config suite=plants",
    ):
        assert words in said, words
    assert "Table 1" not in said
    dataset = load_registries(["config/datasets/plants.yaml"])["plants"]
    fetch(dataset, "official", "data")
    manifest = prepare(dataset, "official", "data")
    counts = {split: manifest["splits"][split]["images"] for split in ("train", "val", "test")}
    assert counts == {"train": 20, "val": 8, "test": 12} and manifest["texts"] == ["Oak tree", "moss"]
    plan = Plan.load("plants")
    cells = grid_cells(plan, "survey")
    assert {cell.arm for cell in cells} == {"zero_shot", "linear_probing", "taskres", "tip_adapter", "cones"}
    assert {cell.dataset for cell in cells} == {"plants-8shot"}
    assert {(cell.model, cell.seed) for cell in cells} == {("clip_nano", seed) for seed in (1, 2, 3)}
    with pytest.raises(ConesError, match="nothing is written over"):
        new_suite("../plants")
    with pytest.raises(ConesError, match="one class each, and no boxes or masks"):
        new_suite("../plants", "--name", "p2", "--task", "detection")


@pytest.mark.parametrize("count, most", [(50, 16), (30, 8), (10, 4), (6, 2), (2, 1)])
def test_shots_are_what_the_smallest_class_has_to_train_on(place, count, most):
    write_tree(place / "plants", class_tree((60,), classes=("moss",), splits=(".",)))
    write_tree(place / "plants", class_tree((count,), classes=("oak",), splits=(".",), first=100))
    new_suite("../plants")
    classification = Plan.load("plants").classification
    assert classification.grids["survey"].shots == (most,)
    few_shot = tuple(shots for shots in (1, 2, 4, 8, 16) if shots <= most)
    assert ("survey_few_shot" in classification.grids) == (most > 1)
    assert most == 1 or classification.grids["survey_few_shot"].shots == few_shot


@pytest.mark.parametrize(
    "files, fault",
    [
        (class_tree() | {"train/empty/.keep": b""}, 'no picture of class "empty"'),
        (class_tree() | {"test/wolf/1.png": noise(1)}, "1 classes of test are not in train"),
        (class_tree((1,), splits=(".",)), "no picture falls into train"),
        (class_tree((3,), splits=(".",)), "no picture to test on"),
        (class_tree((2,), splits=(".",)), "no picture is left to validate on"),
    ],
)
def test_labelled_pictures_that_prepare_would_refuse_are_said_to_be_so(place, files, fault):
    write_tree(place / "plants", files)
    said = new_suite("../plants")
    assert "To mend first, the run will stop here: " in said and fault in said
    assert Plan.load("plants").classification.datasets == ("plants",)
