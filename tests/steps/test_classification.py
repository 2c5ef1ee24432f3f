"""One cell after another by the commands alone, on tiny drawn sets and a random model."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from cones.data.classification import read_items
from cones.experiment import plugins
from cones.experiment.cell import Plan
from cones.experiment.pipeline import Pipeline
from cones.experiment.step import Job
from cones.outputs.make import make_output
from cones.outputs.report.page import page
from cones.runtime.artifacts import load_tensors, read_json, write_json
from cones.runtime.errors import ConesError
from cones.runtime.sources import ROOT
from cones.steps.labelled_cell import FewImages
from cones.steps.report import read_sources
from cones.steps.stale_cells import stale_cells
from cones.training import classifier_tuner
from tests.steps.tiny_cells import encode, fit, run
from tests.tiny_sets import draw_set, write_tiny

ARMS = {
    "zero_shot": None,
    "cones": {"recipe": {"epochs": 4, "batch_size": 4, "learning_rate": 0.05}},
    "cones_finetuned": {"recipe": {"max_steps": 2, "batch_size": 4}},
    "full_finetuning": {"recipe": {"max_steps": 1, "batch_size": 4}},
    "linear_probing": None,
    "calip": None,
    "svl_adapter": {"recipe": {"epochs": 1}},
}
PLUGIN = '''
"""The nearest class mean, from outside of the project."""

import torch

from cones.methods.classifier import Classifier, ClassifierInputs, ClassifierMethod
from cones.models.dual_encoder import ImageFeatures, unit

METHOD = {"name": "class_means", "classifier": "ClassMeans", "label": "Class means", "block": "peft"}


class Means(Classifier):
    def __init__(self, means: torch.Tensor):
        super().__init__()
        self.register_buffer("means", means)

    def forward(self, images: ImageFeatures) -> torch.Tensor:
        return unit(images.pooled) @ self.means.T


class ClassMeans(ClassifierMethod):
    """The mean of each class's unit features, made unit."""

    def classifier(self, inputs: ClassifierInputs) -> Means:
        train, classes = inputs.train, range(len(inputs.names))
        features = unit(train.features.pooled)
        return Means(unit(torch.stack([features[train.labels == label].mean(0) for label in classes])))
'''


@pytest.fixture
def world(tmp_path, monkeypatch):
    """The folder the commands run in, with prepared sets and base weights."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "datasets.yaml").symlink_to(ROOT / "datasets.yaml")
    (tmp_path / "mine.py").write_text(PLUGIN)
    write_tiny(tmp_path, arms=ARMS)
    for dataset in ("shapes", "dark_shapes"):
        for step in ("fetch", "prepare"):
            run(step, "--dataset", dataset)
    run("weights", "--model", "clip_nano")
    yield tmp_path
    plugins.load_plugins([], suite_file=tmp_path / "config/tiny.yaml")


def test_from_pictures_to_accuracies(world):
    encode("pooled")
    encode("pooled", dataset="dark_shapes")
    folder, metrics = fit("zero_shot")
    assert set(metrics.targets) == {"shapes", "dark_shapes"}
    items, predictions = read_items("data/official/shapes")["test"], read_json(folder / "predictions.json")["shapes"]
    assert predictions["labels"] == [item.label for item in items] and len(predictions["predicted"]) == len(items)
    right = sum(label == answer for label, answer in zip(predictions["labels"], predictions["predicted"]))
    assert metrics.targets["shapes"].accuracy == pytest.approx(100 * right / len(items), abs=1e-3)
    assert metrics.trained.values == 0 and metrics.trained.labels == "none" and metrics.trained.train_images == 0

    folder, metrics = fit("cones")
    assert metrics.trained.values == 3 * 128 and metrics.trained.stored_bytes == 4 * 3 * 128
    tuning = read_json(folder / "tuning.json")
    assert tuning["steps"] == 4 * 2 and [one["epoch"] for one in tuning["runs"][0]["history"]] == [1, 2, 3, 4]
    assert tuning["runs"][0]["history"][-1]["loss"] < tuning["runs"][0]["history"][0]["loss"]
    sealed = read_json(folder / "run.json")["sha256"]
    assert set(sealed) == {"state.safetensors", "tuning.json", "predictions.json", "metrics.json"}


def test_a_cell_is_compared_with_the_config(world):
    """`verify` says which cells the workflow would make again."""
    encode("pooled")
    folder, _ = fit("cones", "shapes-base2")
    found = stale_cells([folder])
    assert found.not_compared == {} and found.files == {}
    write_tiny(world, arms={**ARMS, "cones": {"recipe": {"epochs": 2}}})
    assert "epochs" in stale_cells([folder]).files[folder / "run.json"]


def test_without_validation_images_nothing_is_chosen_and_the_cell_says_so(world, monkeypatch):
    write_tiny(world, arms={**ARMS, "tip_adapter": None})
    encode("pooled", "views")
    draw = FewImages.draw.__func__
    without = classmethod(lambda cls, *words: dataclasses.replace(draw(cls, *words), val=[]))
    monkeypatch.setattr(FewImages, "draw", without)
    _, metrics = fit("tip_adapter")
    assert (metrics.trained.selection, metrics.trained.val_images, metrics.trained.chosen) == ("none", 0, {})
    assert "no validation images" in metrics.trained.note
    with pytest.raises(ConesError, match="chooses its strength on validation images, and there are none"):
        fit("linear_probing")


@pytest.mark.parametrize(("shipped", "same"), [("test", "test"), ("train", "training")])
def test_what_is_tested_or_trained_on_chooses_nothing(world, shipped, same):
    """Further training pictures validate, as where there are none for it."""
    write_tiny(world, arms={**ARMS, "tip_adapter": None})
    sets = yaml.safe_load((world / "config/tiny_sets.yaml").read_text())
    source = sets["shapes"]["sources"]["official"]
    source["format"]["folders"] = ["train", "test"]
    source["split"]["shipped"]["val"] = shipped
    (world / "config/tiny_sets.yaml").write_text(yaml.safe_dump(sets))
    for step in ("fetch", "prepare"):
        run(step, "--dataset", "shapes")
    encode("pooled", "views")
    folder, metrics = fit("tip_adapter")
    record = read_json(folder / "tuning.json")
    assert all("/train/" in path for path in record["val"]) and not set(record["val"]) & set(record["train"])
    assert metrics.trained.selection == "val" and metrics.trained.val_images == 3 * 2
    assert f"validation and {same} are the same pictures: nothing is chosen on them" in metrics.trained.note


def test_a_training_that_is_mostly_warm_up_says_so(world):
    """An epoch is one step here."""
    encode("pooled")
    for epochs, said in ((1, "all of its 1 steps are warm-up, at the rate 1e-05"), (2, None)):
        write_tiny(world, arms={"zero_shot": None, "cones": None, "taskres": {"recipe": {"epochs": epochs}}})
        _, metrics = fit("taskres")
        assert ("warm-up" in metrics.trained.note) == (said is not None)
        assert said is None or said in metrics.trained.note


def test_the_report_counts_the_cells_of_classifiers(world):
    write_tiny(world, arms={"zero_shot": None}, seeds=[1], grids={"survey": {"datasets": ["shapes"], "shots": [2]}})
    for step in ("fetch", "prepare"):
        run(step, "--dataset", "shapes")
    encode("pooled")
    fit("zero_shot")
    plan = Plan.load("tiny")
    make_output(plan, "survey")
    sources = read_sources(plan, {}, Path("results/tiny"), False)
    assert [(record.label, record.is_done) for record in sources.of_all] == [("Zero-shot, 2 shots", True)]
    said = page(sources)
    assert "1 of 1</b><span>cells have numbers" in said and "Learning rates" not in said
    assert "checkpoints/" in said  # the weights that the cells were made of


def test_the_same_cell_gives_the_same_bytes(world):
    encode("pooled")
    made = []
    for _ in range(2):
        folder, _ = fit("cones")
        made.append(
            [(folder / name).read_bytes() for name in ("state.safetensors", "metrics.json", "predictions.json")]
        )
    assert made[0] == made[1]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("arm", ["cones", "cones_finetuned"])
def test_a_killed_training_goes_on_to_the_same_bytes(world, arm, monkeypatch):
    encode("pooled")
    folder, _ = fit("cones")
    if arm != "cones":
        folder, _ = fit(arm)
    whole = (folder / "state.safetensors").read_bytes()
    shutil.rmtree(folder)
    after, tuner = {"cones": 5, "cones_finetuned": 1}[arm], classifier_tuner.ClassifierTuner
    initialise, steps = tuner.after_step, []

    def die(self, losses):
        initialise(self, losses)
        steps.append(self.progress.step)
        if self.progress.step == after:
            self.save()
            raise Killed

    monkeypatch.setattr(tuner, "after_step", die)
    with pytest.raises(Killed):
        fit(arm)
    assert (folder / "resume.pt").exists() and not (folder / "state.safetensors").exists()
    steps.clear()
    monkeypatch.setattr(tuner, "after_step", lambda self, losses: (initialise(self, losses), steps.append(0)))
    fit(arm)
    assert (folder / "state.safetensors").read_bytes() == whole
    assert len(steps) == {"cones": 3, "cones_finetuned": 1}[arm] and not (folder / "resume.pt").exists()


def test_methods_inside_the_encoder_see_pixels_and_store_what_they_changed(world):
    encode("pooled")
    first, _ = fit("cones")
    folder, metrics = fit("cones_finetuned")
    state, _ = load_tensors(folder / "state.safetensors")
    assert torch.equal(state["concepts"].flatten(), load_tensors(first / "state.safetensors")[0]["vectors"].flatten())
    assert not any(name.startswith("encoder.transformer") for name in state)  # the text encoder is as it was
    assert metrics.trained.text_encoder == 0 and metrics.trained.values > 100_000
    inputs = read_json(folder / "run.json")["inputs_sha256"]
    assert str(first / "state.safetensors") in inputs and not any("features/" in path for path in inputs)
    _, both = fit("full_finetuning")
    assert both.trained.text_encoder == 0 and both.trained.values > metrics.trained.values  # its class texts are kept


def test_half_of_the_classes_is_trained_on_and_each_half_scored_over_its_own(world):
    encode("pooled")
    _, zero = fit("zero_shot", "shapes-base2")
    assert {key: (one.classes, one.images) for key, one in zero.targets.items()} == {"base": (2, 10), "new": (1, 5)}
    assert zero.targets["new"].accuracy == 100.0  # of one class there is one answer
    folder, tuned = fit("cones", "shapes-base2")
    assert tuned.targets["new"].accuracy is None and "no entry" in tuned.targets["new"].reason
    assert tuned.trained.values == 2 * 128 and tuned.trained.train_images == 4
    drawn = read_json(folder / "tuning.json")["train"]
    assert {path.split("/")[-2] for path in drawn} == {"blue_box", "green_disc"}  # the first two in label order


def test_a_solver_of_its_own_counts_what_it_fitted_and_what_it_chose(world):
    encode("pooled")
    _, metrics = fit("linear_probing")
    assert metrics.trained.values == 3 * 128 + 3 and set(metrics.trained.chosen) == {"C"}
    assert metrics.trained.selection == "val" and metrics.trained.val_images == 2 * 3


def test_patches_and_a_second_encoder_are_read_where_a_method_says_so(world):
    encode("pooled", "patches")
    fit("calip")
    run("classification", "self-supervise", "--dataset", "shapes")
    _, metrics = fit("svl_adapter")
    assert metrics.targets["shapes"].accuracy is not None
    with pytest.raises(ConesError, match=r"views.safetensors: file is missing"):
        Plan.load("tiny")
        load_tensors("features/tiny/clip_nano/shapes/views.safetensors")


def test_a_class_with_too_few_images_has_all_it_has_and_it_is_said(world):
    for number in range(1, 4):
        (world / f"own/shapes/train/red_disc/{number}.png").unlink()
    run("fetch", "--dataset", "shapes")
    run("prepare", "--dataset", "shapes")
    encode("pooled")
    _, metrics = fit("cones")
    assert metrics.trained.short_classes == {"red_disc": 1} and metrics.trained.train_images == 1 + 2 + 2


def test_features_of_other_images_are_refused(world):
    encode("pooled")
    draw_set(world / "own/shapes", counts={"train": 5, "val": 3, "test": 5})
    run("fetch", "--dataset", "shapes")
    run("prepare", "--dataset", "shapes")
    with pytest.raises(ConesError, match=r"features are of another list of images.*next: delete it"):
        fit("cones")


def test_a_skipped_dataset_is_a_row_with_its_reason(world):
    write_json(
        "data/official/shapes/manifest.json",
        {"status": "skipped", "reason": "a form is needed", "task": "classification"},
    )
    encode("pooled")
    _, metrics = fit("cones")
    assert (metrics.status, metrics.reason) == ("skipped", "a form is needed")


def test_a_method_from_outside_is_one_file(world):
    suite = yaml.safe_load((world / "config/tiny.yaml").read_text())
    suite["plugins"] = ["../mine.py"]
    suite["classification"]["arms"] = {"zero_shot": None, "class_means": None}
    suite["classification"]["grids"] = {"survey": {"datasets": ["shapes"], "shots": [2], "seeds": [1]}}
    (world / "config/tiny.yaml").write_text(yaml.safe_dump(suite))
    encode("pooled")
    folder, metrics = fit("class_means")
    assert metrics.targets["shapes"].accuracy > 33 and list(read_json(folder / "tuning.json")["plugins"]) == ["mine"]
    fit("zero_shot")
    make_output(Plan.load("tiny"), "survey")
    assert "Class means" in (world / "results/tiny/survey.md").read_text()
    before = Pipeline(Plan.load("tiny")).digest(
        Job("classify", model="clip_nano", dataset="shapes-2shot", arm="class_means")
    )
    (world / "mine.py").write_text(PLUGIN.replace("unit(images.pooled) @", "2 * unit(images.pooled) @"))
    after = Pipeline(Plan.load("tiny")).digest(
        Job("classify", model="clip_nano", dataset="shapes-2shot", arm="class_means")
    )
    assert before != after


def test_faults_end_in_one_line(world):
    with pytest.raises(ConesError, match=r"pooled.safetensors: file is missing"):
        fit("cones")
    with pytest.raises(ConesError, match=r'arm "conez" is not in the suite.*cones'):
        fit("conez")
    with pytest.raises(ConesError, match="not a dataset with its setting"):
        fit("cones", "shapes")
    encode("pooled")
    fit("cones")
    wild = {"learning_rate": 1e20, "max_steps": 3, "clip_norm": None}
    overrides = {"classification": {"arms": {"cones_finetuned": {"recipe": wild}}}}
    with pytest.raises(ConesError, match=r"is not finite.*lower the learning rate"):
        run(
            *("classification", "fit", "--model", "clip_nano", "--setting", "shapes-2shot"),
            *("--arm", "cones_finetuned", "--seed", "1", "--set", json.dumps(overrides)),
        )
