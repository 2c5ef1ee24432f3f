"""Where a pretrained directory is looked for, in which order, and what is said when it is nowhere."""

import pytest
import torch
from models.tiny_diffusion import CPU, saved, tiny_unet

from cones.models.generator import SubjectEmbedding
from cones.runtime.artifacts import sha256
from cones.runtime.errors import ConesError
from cones.training.subjects.loading import (
    find,
    load_generator,
    load_text,
    read_text_states,
    write_text_states,
)
from cones.weights.pretrained import pretrained_models, resolve

REVISION = pretrained_models()["sd15"].revision


@pytest.fixture
def no_hub(monkeypatch, tmp_path):
    """An empty cache, and a hub that must not be asked."""
    import huggingface_hub.constants as constants
    import huggingface_hub.file_download as downloading

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(downloading, "http_get", refuse)
    return tmp_path / "cache"


def test_a_path_wins_over_the_variable_and_the_cache(no_hub, tmp_path):
    one, two = saved(tmp_path / "one", text=False), saved(tmp_path / "two", text=False)
    found = resolve("sd15", path=one, environment={"CONES_SD15": str(two)})
    assert (found.directory, found.origin) == (one, "path")
    found = resolve("sd15", environment={"CONES_SD15": str(two)})
    assert (found.directory, found.origin) == (two, "CONES_SD15")


def test_the_cache_is_read_at_the_pinned_revision_without_the_network(no_hub):
    snapshot = no_hub / "models--stable-diffusion-v1-5--stable-diffusion-v1-5" / "snapshots" / REVISION
    saved(snapshot, text=False)
    found = resolve("sd15", environment={})
    assert (found.directory, found.origin, found.revision) == (snapshot, "cache", REVISION)


def test_a_model_that_is_nowhere_is_told_in_one_line(no_hub):
    with pytest.raises(ConesError) as caught:
        resolve("sd15", text=True, environment={})
    message = str(caught.value)
    assert all(word in message for word in ("unet (3.44 GB)", "text_encoder", REVISION, "CONES_SD15", "download"))
    with pytest.raises(ConesError, match="sd15"):
        resolve("sd51")


def test_a_directory_that_lacks_a_part_is_a_fault(no_hub, tmp_path):
    folder = saved(tmp_path / "one", text=False)
    with pytest.raises(ConesError, match=r"lacks text_encoder/config\.json, tokenizer/tokenizer_config\.json"):
        resolve("sd15", text=True, path=folder)
    weights = next((folder / "unet").glob("*.safetensors"))
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(ConesError, match=r"lacks unet/\*\.safetensors; next: .*pickled"):
        resolve("sd15", path=folder)


def test_the_lock_names_each_file_of_weights(no_hub, tmp_path):
    folder = saved(tmp_path / "one", text=False)
    lock = resolve("sd15", path=folder).lock
    assert set(lock["files"]) == {f"{part}/diffusion_pytorch_model.safetensors" for part in ("unet", "vae")}
    unet = folder / "unet/diffusion_pytorch_model.safetensors"
    assert lock["files"]["unet/diffusion_pytorch_model.safetensors"]["sha256"] == sha256(unet)


def test_a_concept_process_never_builds_a_text_encoder(no_hub, tmp_path, monkeypatch):
    folder = saved(tmp_path / "one", text=True)
    text = load_text(folder, CPU)
    write_text_states(text, ["dog", "stuffed animal"], tmp_path / "states.safetensors", "base")
    states = read_text_states(tmp_path / "states.safetensors", "base")
    with pytest.raises(ConesError, match="other base weights"):
        read_text_states(tmp_path / "states.safetensors", "another")
    assert states.null.shape == (1, 24, 16) and len(states.class_rows["stuffed animal"]) == 2
    torch.testing.assert_close(states.class_rows["dog"], text.states(["dog"])[0, 1:2])

    import transformers

    monkeypatch.setattr(transformers.CLIPTextModel, "from_pretrained", lambda *_, **__: pytest.fail("built"))
    monkeypatch.setattr(transformers.CLIPTokenizer, "from_pretrained", lambda *_, **__: pytest.fail("built"))
    generator = load_generator(folder, states=states, with_text=False, device=CPU)
    assert generator.text is None and generator.side == 16
    learnt = SubjectEmbedding("cones", "dog", torch.randn(1, 16), "bare")
    assert generator.sample(learnt, [None], 0, steps=1)[0][0].size == (16, 16)


def test_what_is_loaded_is_what_was_saved(no_hub, tmp_path):
    folder = saved(tmp_path / "one", text=True)
    found = find("sd_nano", path=folder)
    text = load_text(found.directory, CPU)
    write_text_states(text, [], tmp_path / "states.safetensors", "base")
    states = read_text_states(tmp_path / "states.safetensors", "base")
    generator = load_generator(folder, states=states, with_text=True, device=CPU)
    torch.manual_seed(0)
    for name, value in tiny_unet().state_dict().items():
        assert torch.equal(generator.unet.state_dict()[name], value)
    assert generator.scheduler.config.prediction_type == "epsilon"


def test_a_damaged_part_is_named(no_hub, tmp_path):
    folder = saved(tmp_path / "one", text=False)
    (folder / "unet" / "config.json").write_text("{")
    with pytest.raises(ConesError, match="the unet cannot be loaded"):
        load_generator(folder, states=None, with_text=False, device=CPU)
