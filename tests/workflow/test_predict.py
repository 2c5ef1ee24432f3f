"""A tuned cell looks at a person's own pictures: what it finds, what it writes, and what it refuses."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cones.cli.main import app
from cones.experiment.cell import Plan
from cones.experiment.suite import load_suite
from cones.runtime.errors import ConesError
from cones.steps.predict import predict_pictures
from tests.data.own import encoded

ALWAYS = ("zero_shot", "cones", "full_finetuning")  # nothing trained, a prompt, all of the model
ARMS = [arm if arm in ALWAYS else pytest.param(arm, marks=pytest.mark.slow) for arm in load_suite("ci").arms]


@pytest.fixture
def plan(finished, monkeypatch):
    monkeypatch.chdir(finished.folder)
    return Plan.load("ci")


def cell(plan, arm="cones"):
    return plan.cell("glip_nano", "bccd", arm, 0)


def scored_pictures(plan) -> list[tuple[int, Path]]:
    """(id, file) of the first test pictures of the dataset."""
    folder = plan.data_folder("bccd")
    images = json.loads((folder / "test.json").read_text())["images"][:2]
    return [(image["id"], folder / "raw" / image["file_name"]) for image in images]


def boxes(results, threshold=0.0):
    return [(*result["bbox"], result["score"]) for result in results if result["score"] >= threshold]


@pytest.mark.parametrize("arm", ARMS)
def test_a_test_picture_is_found_in_as_it_was_when_the_cell_was_scored(plan, tmp_path, arm):
    scored = json.loads((cell(plan, arm).folder / "predictions.json").read_text())
    pictures = scored_pictures(plan)
    found = predict_pictures(plan, cell(plan, arm), [file for _, file in pictures], out=tmp_path, threshold=0.0)
    assert [prediction.picture for prediction in found.pictures] == [file for _, file in pictures]
    for (image_id, _), prediction in zip(pictures, found.pictures):
        recorded = [result for result in scored if result["image_id"] == image_id]
        assert len(recorded) == len(prediction.results) > 0
        assert np.allclose(boxes(recorded), boxes(prediction.results), atol=2e-3)
        assert [r["category_id"] for r in recorded] == [r["category_id"] for r in prediction.results]


def run(*words):
    result = CliRunner().invoke(app, ["predict", *map(str, words)])
    return result, result.exception if isinstance(result.exception, ConesError) else None


def test_a_folder_becomes_drawn_pictures_and_one_json_with_their_names(plan, tmp_path):
    (_, first), (_, second) = scored_pictures(plan)
    (tmp_path / "photos/sub").mkdir(parents=True)
    shutil.copy(first, tmp_path / "photos/a.jpg")
    Image.open(second).save(tmp_path / "photos/a.png")
    turned = np.asarray(Image.open(first)).swapaxes(0, 1)[
        :, ::-1
    ]  # stored on its side, with the EXIF turn that mends it
    (tmp_path / "photos/sub/turned.png").write_bytes(encoded(np.ascontiguousarray(turned), orientation=8))
    (tmp_path / "photos/notes.txt").write_text("no picture")
    (tmp_path / "photos/cut.jpg").write_bytes(first.read_bytes()[:600])
    options = ("--out", tmp_path / "out", "--threshold", 0.0)
    result, error = run("--cell", cell(plan).folder, tmp_path / "photos", *options)
    assert "1 other files in these folders are no pictures" in result.output
    assert "cut.jpg: the picture cannot be decoded" in result.output and "1 of 4 pictures could not be read" in str(
        error
    )
    results = json.loads((tmp_path / "out/predictions.json").read_text())
    found = {}
    for entry in results:
        assert entry["category_name"] == plan.manifest("bccd")["classes"][entry["category_id"] - 1]
        found.setdefault(entry["file_name"], []).append(entry)
    assert found.keys() == {"a.jpg", "a.png", "sub/turned.png"}
    assert np.allclose(boxes(found["a.jpg"]), boxes(found["sub/turned.png"]), atol=2e-3)
    for name in ("a.jpg.png", "a.png.png", "sub/turned.png"):
        with Image.open(tmp_path / "out" / name) as drawn, Image.open(first) as picture:
            assert drawn.width >= picture.width and (np.asarray(drawn).std(axis=2) > 60).any()  # colours of boxes


def test_the_threshold_is_the_cells_own_unless_it_is_given(plan, tmp_path):
    picture = scored_pictures(plan)[0][1]
    objects = json.loads((plan.data_folder("bccd") / "test.json").read_text())["annotations"]
    scored = json.loads((cell(plan).folder / "predictions.json").read_text())
    own = predict_pictures(plan, cell(plan), [picture], out=tmp_path)
    assert sum(result["score"] >= own.threshold for result in scored) >= len(objects) > 0
    assert sum(result["score"] > own.threshold for result in scored) < len(objects)
    every = predict_pictures(plan, cell(plan), [picture], out=tmp_path, threshold=0.0).pictures[0].results
    assert own.pictures[0].results == [result for result in every if result["score"] >= own.threshold]


def test_what_cannot_be_predicted_is_one_line(plan, tmp_path, monkeypatch):
    folder, picture = cell(plan).folder, scored_pictures(plan)[0][1]
    (tmp_path / "empty").mkdir()
    refused = {
        (folder, tmp_path / "no.jpg"): "there is no such picture or folder",
        (folder, tmp_path / "empty"): "no picture here",
        (folder, picture, picture.parent / "x" / ".." / picture.name): "no such picture|two pictures have one name",
        (folder.parent, picture): "not the folder of a cell; expected results/",
        (Path("results/ci/glip_nano/bccd/cones/seed7"), picture): 'seed "7" is not in the suite',
        (Path("results/miniature/sd_nano/dreambooth-dog6/cones/seed0"), picture): "generation draw --suite miniature "
        "--subject dog6 --arm cones --seed 0",
    }
    for (named, *pictures), words in refused.items():
        _, error = run("--cell", named, *pictures, "--out", tmp_path / "out")
        assert error and any(word in str(error) for word in words.split("|")), (error, words)
    assert "which cell?" in str(run(picture)[1])
    own = tmp_path / "photo.png"
    Image.open(picture).save(own)
    before = own.read_bytes()
    assert "would be written over your picture" in str(run("--cell", folder, own, "--out", tmp_path)[1])
    assert own.read_bytes() == before and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "file, words",
    [
        ("checkpoints/glip_nano-seed0.safetensors", "was made of other base weights"),
        ("data/miniature/bccd/manifest.json", "the dataset is not the one that the cell was tuned on"),
        ("config/ci.yaml", "tokens_per_class was 2, is 5"),
        ("results/ci/glip_nano/bccd/cones/seed0/state.safetensors", "content changed since it was recorded"),
        ("results/ci/glip_nano/bccd/cones/seed0/tuning.json", "this cell is not tuned"),
        ("results/ci/glip_nano/bccd/cones/seed0/predictions.json", "give one, such as --threshold 0.3"),
        ("results/ci/glip_nano/bccd/cones/seed0/run.json", "as it is tuned now, has not been scored"),
    ],
)
def test_a_cell_of_other_weights_data_or_settings_is_refused(own_finished, tmp_path, monkeypatch, file, words):
    monkeypatch.chdir(own_finished.folder)
    path = own_finished.folder / file
    if path.suffix == ".yaml":
        path.write_text(path.read_text().replace("tokens_per_class: 2", "tokens_per_class: 5"))
    elif path.name in ("tuning.json", "predictions.json"):
        path.unlink()
    elif path.name == "run.json":
        sealed = json.loads(path.read_text())
        path.write_text(json.dumps({**sealed, "sha256": {**sealed["sha256"], "state.safetensors": "of another"}}))
    elif path.suffix == ".json":
        path.write_text(path.read_text() + "\n")
    else:
        from safetensors.torch import load_file, save_file

        tensors = load_file(path)
        name = next(name for name, tensor in sorted(tensors.items()) if tensor.is_floating_point())
        save_file({**tensors, name: tensors[name] + 1}, path)
    plan = Plan.load("ci")
    with pytest.raises(ConesError, match=words):
        predict_pictures(plan, cell(plan), [scored_pictures(plan)[0][1]], out=tmp_path)


def test_any_mode_of_pixels_is_read(plan, tmp_path):
    grey = np.random.default_rng(0).integers(0, 60000, (30, 40), dtype=np.uint16)
    pictures = {"deep.png": Image.fromarray(grey), "alpha.png": Image.new("RGBA", (40, 30), (200, 0, 0, 100))}
    pictures |= {"palette.gif": Image.new("P", (40, 30)), "strip.bmp": Image.new("L", (3, 400), 90)}
    for name, picture in pictures.items():
        buffer = io.BytesIO()
        picture.save(buffer, Path(name).suffix[1:])
        (tmp_path / name).write_bytes(buffer.getvalue())
    found = predict_pictures(plan, cell(plan), [tmp_path], out=tmp_path / "out", threshold=0.0)
    assert not found.faults and {prediction.drawn.name for prediction in found.pictures} == {
        "deep.png",
        "alpha.png",
        "palette.png",
        "strip.png",
    }
    for prediction in found.pictures:
        with Image.open(prediction.picture) as picture:
            for result in prediction.results:
                x, y, width, height = result["bbox"]
                assert min(x, y) >= -1 and x + width <= picture.width + 1 and y + height <= picture.height + 1
