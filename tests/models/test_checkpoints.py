"""Checkpoints in and out; every fault is one clear line."""

import os
import pickle
import re

import pytest
import torch

from cones.models.checkpoints import (
    build_detector,
    convert_official,
    expected_state,
    initial_state,
    load_detector,
    load_text_encoder,
)
from cones.runtime.artifacts import load_tensors, save_tensors
from cones.runtime.errors import ConesError
from tests.models.glip_golden import TEXT_PREFIX

NANO = "glip_nano"


@pytest.fixture(scope="module")
def state():
    return initial_state(NANO, seed=3)


@pytest.fixture
def official(tmp_path, state):
    """Writes a .pth in the official layout, with the entries changed as asked."""

    def write(changes=None, *, drop=(), prefix="module.", **entries):
        model = {prefix + key: value for key, value in {**state, **(changes or {})}.items() if key not in drop}
        path = tmp_path / "official.pth"
        averaged = {key: value + 1 for key, value in model.items()}
        torch.save({"model": model, "model_ema": averaged, "iteration": 7, **entries}, path)
        return path

    return write


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_initial_state_depends_on_the_seed_only(state):
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert same(initial_state(NANO, seed=3), state)
    assert torch.equal(torch.get_rng_state(), before)
    assert not same(initial_state(NANO, seed=4), state)


def test_what_was_saved_is_loaded(tmp_path, state):
    save_tensors(tmp_path / "nano.safetensors", state)
    detector = load_detector(NANO, tmp_path / "nano.safetensors")
    encoder = load_text_encoder(NANO, tmp_path / "nano.safetensors")
    assert not detector.training and not encoder.training
    found = detector.state_dict() | {TEXT_PREFIX + key: value for key, value in encoder.state_dict().items()}
    assert same(found, state)
    assert all(parameter.requires_grad for parameter in detector.parameters())
    assert not any(tensor.is_meta for tensor in [*detector.buffers(), *encoder.parameters()])


def test_half_precision_files_load_as_float32(tmp_path, state):
    half = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    save_tensors(tmp_path / "half.safetensors", half)
    assert {p.dtype for p in load_detector(NANO, tmp_path / "half.safetensors").parameters()} == {torch.float32}


def test_a_detector_alone_is_enough_for_a_detector(tmp_path, without_hint):
    save_tensors(tmp_path / "alone.safetensors", build_detector(NANO).state_dict())
    load_detector(NANO, tmp_path / "alone.safetensors")
    with pytest.raises(ConesError, match=f"a weight is missing: {TEXT_PREFIX}embeddings"):
        load_text_encoder(NANO, tmp_path / "alone.safetensors")


@pytest.mark.parametrize("prefix", ["module.", ""])
def test_official_files_are_converted(official, state, prefix):
    assert same(convert_official(NANO, official(prefix=prefix)), state)


def test_the_three_tolerated_differences(official, state):
    tolerated = {
        "rpn.head.cls_logits.weight": torch.zeros(13, 48, 1, 1),
        "rpn.head.cls_logits.bias": torch.zeros(13),
        f"{TEXT_PREFIX}embeddings.position_ids": torch.arange(256)[None],
        f"{TEXT_PREFIX}pooler.dense.weight": torch.zeros(64, 64),
        f"{TEXT_PREFIX}pooler.dense.bias": torch.zeros(64),
    }
    assert same(convert_official(NANO, official(tolerated)), state)


def message(call, *args) -> str:
    with pytest.raises(ConesError) as caught:
        call(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "drop", "expected"),
    [
        ({}, ["rpn.head.bias0"], "a weight is missing: rpn.head.bias0;"),
        ({"rpn.head.bias9": torch.zeros(1)}, [], "a weight is unknown: rpn.head.bias9;"),
        (
            {"rpn.head.bias_lang": torch.zeros(65)},
            [],
            "shape: rpn.head.bias_lang; expected glip_nano, float32 of shape (64,); found float32 of shape (65,)",
        ),
        ({"rpn.head.bias_lang": torch.zeros(64).long()}, [], "found int64 of shape (64,)"),
        ({}, ["rpn.head.bias0", "rpn.head.log_scale"], "(and 1 more differences)"),
        ({"rpn.head.bias0": 3}, [], "a weight is not a tensor; found module.rpn.head.bias0"),
    ],
)
def test_every_difference_is_named(official, without_hint, changes, drop, expected):
    assert expected in message(convert_official, NANO, official(changes, drop=drop))


def test_a_stray_name_without_the_prefix_keeps_all_prefixes(official, without_hint, tmp_path):
    path = official()
    content = torch.load(path, weights_only=True)
    content["model"]["stray"] = torch.zeros(1)
    torch.save(content, path)
    assert "a weight is missing: backbone." in message(convert_official, NANO, path)


@pytest.mark.parametrize(("asked", "given"), [("glip_t", "glip_t_a"), ("glip_t_a", "glip_t"), ("glip_t", "glip_nano")])
def test_the_wrong_variant_is_recognised(monkeypatch, asked, given):
    from cones.models import checkpoints

    monkeypatch.setattr(checkpoints, "_read_pickle", lambda path: {"model": expected_state(given)})
    assert f"this looks like {given}: use it as that model" in message(convert_official, asked, "given.pth")


class Code:
    def __reduce__(self):
        return (os.system, ("echo this must never run",))


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_not_run(official, capfd, zipped, tmp_path):
    path = tmp_path / "code.pth"
    torch.save({"model": Code()}, path, _use_new_zipfile_serialization=zipped)
    found = message(convert_official, NANO, path)
    assert re.search(r"asks for more than tensors and was not opened; found (posix|nt)\.system", found)
    assert "never" not in capfd.readouterr().out


def test_files_that_are_no_checkpoints(tmp_path, official):
    path = tmp_path / "file.pth"
    assert "file is missing" in message(convert_official, NANO, path)
    for content, expected in [
        (b"\n <!DOCTYPE html><html><body>Sign in</body></html>", "a web page was saved in place of a checkpoint"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a Git LFS pointer was saved"),
        (official().read_bytes()[:100_000], "damaged"),
        (b"", "damaged"),
        (b"\x80\x02garbage" * 20, "damaged"),
        (pickle.dumps([1, 2], protocol=2), "damaged, or not a torch checkpoint"),
    ]:
        path.write_bytes(content)
        assert expected in message(convert_official, NANO, path)
    torch.save({"state_dict": {}, "epoch": 3}, path)
    assert "found entries ['epoch', 'state_dict']" in message(convert_official, NANO, path)


def test_a_damaged_safetensors_file(tmp_path, state):
    path = tmp_path / "nano.safetensors"
    save_tensors(path, state)
    path.write_bytes(path.read_bytes()[:5000])
    assert "not a whole safetensors file" in message(load_detector, NANO, path)


def test_a_changed_file_is_noticed(tmp_path, state):
    digest = save_tensors(tmp_path / "nano.safetensors", state)
    load_detector(NANO, tmp_path / "nano.safetensors", expected_sha256=digest)
    with pytest.raises(ConesError, match="content changed"):
        load_detector(NANO, tmp_path / "nano.safetensors", expected_sha256="0" * 64)


def test_where_a_tensor_begins_in_memory_does_not_depend_on_what_else_the_file_says(tmp_path):
    """Else the last bits of a run would change with every word that is recorded beside the weights."""
    for length in range(0, 64, 8):
        save_tensors(tmp_path / "one.safetensors", {"one": torch.ones(64, 64)}, {"said": "x" * length})
        tensors, _ = load_tensors(tmp_path / "one.safetensors")
        assert tensors["one"].data_ptr() % 64 == torch.empty(64, 64).data_ptr() % 64 == 0


def test_an_unknown_model_gets_a_hint():
    assert 'did you mean "glip_t"?' in message(build_detector, "glip_tt")
