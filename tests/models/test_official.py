"""An official checkpoint from its file to its detections, through the same steps as the real one, and its faults."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import torch
import yaml

from cones.experiment.cell import Plan
from cones.experiment.suite import load_suite
from cones.models.checkpoints import load_detector, load_text_encoder
from cones.models.detector import ImageBatch
from cones.models.grounding_dino.config import SIZES
from cones.runtime.errors import ConesError
from cones.steps import weights
from cones.weights import official
from tests.models.glip_golden import GOLDEN, golden_image, golden_language, official_entries, synthetic


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """glip_t's official file with synthetic weights: `module.` prefix, `model` entry, optimizer, buffers and all."""
    folder = tmp_path_factory.mktemp("official")
    buffers = load_buffers()
    model = {
        f"module.{name}": synthetic(name, shape) if kind == "parameter" else buffers(name, shape)
        for name, shape, _, kind in official_entries("glip_t")
    }
    path = folder / "glip_tiny_model_o365_goldg_cc_sbu.pth"
    torch.save({"model": model, "optimizer": {"state": {}, "param_groups": []}, "iteration": 1}, path)
    yield path
    shutil.rmtree(folder)


def load_buffers():
    """The constants that a checkpoint carries: anchors, position indices, 0…511."""
    from cones.models.checkpoints import initial_state

    state = initial_state("glip_t", 0)
    return lambda name, shape: state.get(name, torch.arange(512)[None])


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A working folder whose list of official files a test writes itself."""
    (tmp_path / "config").symlink_to(official.LIST.parents[2] / "config")
    (tmp_path / "datasets.yaml").symlink_to(official.LIST.parents[2] / "datasets.yaml")
    monkeypatch.chdir(tmp_path)
    entries = {
        key: each for path in official.official_lists() for key, each in yaml.safe_load(path.read_text()).items()
    }

    def know(name, **changes):
        entries[name] = {k: v for k, v in {**entries[name], **changes}.items() if v is not None}
        (tmp_path / "official.yaml").write_text(yaml.safe_dump(entries))
        monkeypatch.setattr(official, "official_lists", lambda: [tmp_path / "official.yaml"])
        return Plan.load("paper", {"mirror": str(tmp_path / "mirror")})

    (tmp_path / "mirror/checkpoints").mkdir(parents=True)
    return tmp_path, know


def test_the_listed_files_are_those_the_paper_uses():
    files = official.official_files()
    glip = {"glip_t", "glip_t_a", "glip_t_b", "glip_t_c", "glip_l"}
    modern = set(SIZES) - {"grounding_dino_nano"}
    clip = {"clip_vit_b16", "clip_vit_b32", "clip_vit_l14", "clip_rn50", "clip-bpe"}
    assert set(files) == glip | modern | clip | {"uninext_r50", "bert-base-uncased"}
    assert len({each.filename for each in files.values()}) == len(files)  # one folder holds them all
    assert files["glip_t"].sha256.startswith("3bec0a3d") and files["glip_l"].size == 6896153761


@pytest.mark.slow
def test_from_the_official_file_to_the_golden_detections(checkpoint, world):
    folder, know = world
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    plan = know("glip_t", size=checkpoint.stat().st_size, sha256=digest)
    (folder / "mirror/checkpoints" / checkpoint.name).symlink_to(checkpoint)
    weights.fetch_checkpoint(plan, "glip_t")
    assert json.loads((folder / "checkpoints/official/glip_t.json").read_text())["sha256"] == digest
    weights.make_weights(plan, "glip_t")

    golden = np.load(GOLDEN / "golden_glip_t.npz")
    path = plan.weights("glip_t")
    detector, encoder = load_detector("glip_t", path), load_text_encoder("glip_t", path)
    image = golden_image(160, 224, 0.0)[None]
    with torch.no_grad():
        found = detector(ImageBatch(image, [(160, 224)]), golden_language(encoder))[0]
    order = found.scores.argsort(descending=True)
    assert len(order) == len(golden["det_scores"])
    np.testing.assert_allclose(found.scores[order], golden["det_scores"], atol=2e-5)
    boxes = torch.from_numpy(golden["det_boxes"]).double()
    nearest = torch.cdist(boxes, found.boxes.double()).min(dim=1).values
    assert nearest.max() < 1e-2


def test_a_wrong_size_hash_or_web_page_is_refused_and_leaves_no_record(world):
    folder, know = world
    given = folder / "mirror/checkpoints/vocab.txt"
    given.write_text("[PAD]\n")
    plan = know("bert-base-uncased", size=231508)
    with pytest.raises(
        ConesError, match=r"vocab.txt is not the official file.*expected 231508 bytes.*next: get it from"
    ):
        weights.fetch_checkpoint(plan, "bert-base-uncased")
    plan = know("bert-base-uncased", size=None, sha256="0" * 64)
    with pytest.raises(ConesError, match="wrong checksum"):
        weights.fetch_checkpoint(plan, "bert-base-uncased")
    assert not list((folder / "checkpoints/official").glob("*.json"))


def test_a_file_that_changed_after_it_was_verified_is_not_converted(world):
    folder, know = world
    plan = know("glip_t", size=None, sha256=None)
    path = folder / "mirror/checkpoints/glip_tiny_model_o365_goldg_cc_sbu.pth"
    torch.save({"model": {}}, path)
    weights.fetch_checkpoint(plan, "glip_t")
    torch.save({"model": {"a": torch.zeros(1)}}, path)
    with pytest.raises(ConesError, match="content changed since it was recorded"):
        weights.make_weights(plan, "glip_t")


def test_without_network_the_message_says_where_to_put_the_file(world):
    folder, know = world
    plan = know("glip_l", urls=["http://127.0.0.1:9/glip_large_model.pth"])
    with pytest.raises(ConesError) as caught:
        official.fetch_official("glip_l", folder / "checkpoints/official", attempts=1)
    message = str(caught.value)
    assert "glip_large_model.pth cannot be had" in message and "place it there" in message
    assert plan.weights("glip_l").name in "glip_l.safetensors"


def test_an_unknown_name_is_answered_with_the_closest(world):
    folder, _ = world
    with pytest.raises(ConesError, match='did you mean "glip_t'):
        official.fetch_official("glip_tt", folder)


def test_a_model_without_any_weights_is_one_line_when_it_is_planned(monkeypatch):
    monkeypatch.setattr(official, "shipped", lambda model: ())
    suite = load_suite("learning_rates_grounding_dino")
    with pytest.raises(ConesError, match=r"models\.grounding_dino_nano: no weights of this model ship.*initial_seed"):
        official.needed(suite, ["grounding_dino_nano"])
    started = load_suite("learning_rates_grounding_dino", {"models": {"grounding_dino_nano": {"initial_seed": 0}}})
    assert official.needed(started, ["grounding_dino_nano"]) == []
