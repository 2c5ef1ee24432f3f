"""A pipeline directory of Stable Diffusion 1.5's shape with random weights, at 128 pixels: loaded, learnt on, drawn."""

import psutil
import pytest
import torch
from models.tiny_diffusion import CPU, painted_subject, tokenizer

from cones.models.generator import SubjectEmbedding
from cones.models.stable_diffusion import draws, shape
from cones.models.stable_diffusion.settings import SubjectTuning
from cones.training.subjects.loading import (
    base_of,
    load_generator,
    load_text,
    read_text_states,
    write_text_states,
)
from cones.weights.pretrained import resolve

pytestmark = pytest.mark.slow
GIGABYTES = 12  # free memory below which it is not tried
SIDE = 128


def filled(module):
    """Half precision; small numbers from one block of random ones over and over: a billion draws would take longer."""
    module = module.half().to_empty(device="cpu")
    block = 0.02 * torch.randn(1 << 20, generator=torch.Generator().manual_seed(0)).half()
    for name, values in module.named_parameters():
        flat = values.data.view(-1)
        for at in range(0, len(flat), len(block)):
            flat[at : at + len(block)] = block[: len(flat) - at]
        if "norm" in name and name.endswith("weight"):
            values.data.fill_(1)
    return module


@pytest.fixture
def directory(tmp_path):
    if psutil.virtual_memory().available < GIGABYTES * 1e9:
        pytest.skip(f"needs {GIGABYTES} GB of free memory")
    folder = tmp_path / "sd15"
    filled(shape.on_meta(lambda: shape.sd15_unet(SIDE))).save_pretrained(folder / "unet")
    filled(shape.on_meta(shape.sd15_autoencoder)).save_pretrained(folder / "vae")
    filled(shape.on_meta(shape.sd15_text_encoder)).save_pretrained(folder / "text_encoder")
    words = tokenizer()
    words.save_pretrained(folder / "tokenizer")
    shape.sd15_scheduler().save_pretrained(folder / "scheduler")
    yield folder
    for file in folder.rglob("*.safetensors"):  # 2 GB; pytest keeps the folders of its last runs
        file.unlink()


def test_a_directory_of_full_size_is_loaded_learnt_on_and_drawn(directory, tmp_path, monkeypatch):
    found = resolve("sd15", text=True, path=directory)
    base, states = base_of(found), tmp_path / "text.safetensors"
    text = load_text(directory, CPU)
    write_text_states(text, ["dog"], states, base)
    assert sum(p.numel() for p in text.encoder.parameters()) == pytest.approx(123.1e6, rel=1e-3)
    del text
    generator = load_generator(directory, states=read_text_states(states, base), with_text=False, device=CPU)
    sizes = [sum(p.numel() for p in part.parameters()) for part in (generator.unet, generator.autoencoder)]
    assert sizes == [pytest.approx(859.5e6, rel=1e-3), pytest.approx(83.7e6, rel=1e-3)]
    assert generator.side == SIDE and generator.latent_shape == (4, 16, 16)
    tuning = SubjectTuning(steps=1, accumulation=2, probe_every=10**6)
    monkeypatch.setattr(draws, "PROBES", 1)  # the whole probe set would be 64 passes, twice
    learnt = generator.learn(painted_subject(tmp_path, 1), "cones", tuning=tuning, seed=0, folder=tmp_path)
    assert learnt.vectors.shape == (1, 768) and learnt.record["passes"] == 2
    assert learnt.vectors.isfinite().all() and learnt.record["loss_curve"][0] > 0
    learnt.save(tmp_path / "state.safetensors", base)
    read = SubjectEmbedding.load(tmp_path / "state.safetensors", base)
    ((picture,),) = generator.sample(read, [None], 0, steps=2)
    assert picture.size == (SIDE, SIDE) and len(picture.getcolors(SIDE * SIDE)) > 1
