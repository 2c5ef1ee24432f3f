"""The step that pretrains `clip_nano`: its weights, its record, and what it leaves behind."""

from dataclasses import replace

import torch

from cones.data.registry import Expected, ImageCounts, load_registry
from cones.models.checkpoints import load_dual_encoder
from cones.runtime.artifacts import load_tensors, read_json, sha256
from cones.steps import pretrain_clip
from cones.steps.pretrain import pretrain


def a_small_set(_):
    dataset = load_registry("config/datasets/classification_miniature.yaml")["nano_patterns"]
    expected = Expected(images=ImageCounts(train=20, val=10, test=10))
    small = dataset.source("miniature").model_copy(update={"expected": expected})
    return {dataset.id: dataset.model_copy(update={"sources": {"miniature": small}})}


def test_a_short_pretraining_writes_what_ships(tmp_path, monkeypatch):
    recipe = replace(pretrain_clip.CLIP_NANO, pictures=16, steps=2, batch_size=8, validation=2)
    monkeypatch.setattr(pretrain_clip, "CLIP_NANO", recipe)
    monkeypatch.setattr(pretrain_clip, "load_registry", a_small_set)
    pretrain("clip_nano", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip_nano.json", "clip_nano.safetensors"]
    record = read_json(tmp_path / "clip_nano.json")
    weights = tmp_path / "clip_nano.safetensors"
    assert record["sha256"] == sha256(weights) and record["bytes"] == weights.stat().st_size < 4_000_000
    assert record["recipe"]["steps"] == 2 and record["validation"][0].keys() >= {"names", "names_grey"}
    scores = record["drawn_sets"]["nano_patterns"]
    assert scores["classes"] == scores["chance"] == 10
    assert all(0 <= scores[key] <= 100 for key in ("zero_shot", "ceiling"))
    state, _ = load_tensors(weights)
    assert all(value.dtype == torch.float16 for value in state.values())
    torch.set_num_threads(1)
    model = load_dual_encoder("clip_nano", weights)
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
    assert sum(value.numel() for value in model.parameters()) == record["parameters"]
