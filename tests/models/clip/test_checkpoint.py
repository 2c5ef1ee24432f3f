"""Published files of CLIP in their three layouts, every name accounted for, and the model that they make."""

import re
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from cones.models import checkpoints
from cones.models.checkpoints import convert_official, expected_state, initial_state, load_dual_encoder
from cones.models.clip import config
from cones.models.clip.checkpoint import converted
from cones.models.clip.config import CLIPSizes, TextSizes, ViTSizes
from cones.models.dual_encoder import scaled_cosines, unit
from cones.runtime.artifacts import load_tensors, read_json, save_tensors
from cones.runtime.errors import ConesError
from cones.steps import weights
from cones.weights import official
from tests.golden.tiny_clip import TINY_RN

NAME = "clip_vit_b16"
SMALL = CLIPSizes(
    ViTSizes(32, 8, width=48, layers=2, heads=3),
    TextSizes(width=32, layers=3, heads=2, context=16, vocabulary=99),
    width=24,
)
CONSTANTS = {"input_resolution": torch.tensor(32), "context_length": torch.tensor(16), "vocab_size": torch.tensor(99)}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """The published sizes are replaced: the files of these tests are a few kilobytes."""
    monkeypatch.setitem(config.SIZES, NAME, SMALL)


@pytest.fixture
def state(small):
    return initial_state(NAME, seed=3)


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def hub_layout(state):
    """Our state under the names of `transformers.CLIPModel`, written down from FORMAT-A on its own."""
    found = {}
    names = {
        "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
        "visual.class_embedding": "vision_model.embeddings.class_embedding",
        "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
        "logit_scale": "logit_scale",
    }
    norms = {"visual.ln_pre": "vision_model.pre_layrnorm", "visual.ln_post": "vision_model.post_layernorm"}
    norms["ln_final"] = "text_model.final_layer_norm"
    parts = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj"}
    parts |= {"mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}
    for name, value in state.items():
        block = re.fullmatch(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.+)", name)
        if name in names:
            found[names[name]] = value
        elif name in ("visual.proj", "text_projection"):
            found["visual_projection.weight" if name == "visual.proj" else "text_projection.weight"] = value.t()
        elif block:
            place = f"{'vision' if block[1] else 'text'}_model.encoder.layers.{block[2]}"
            if block[3].startswith("attn.in_proj"):
                for part, rows in zip("qkv", value.chunk(3)):
                    found[f"{place}.self_attn.{part}_proj.{block[3].rsplit('_', 1)[1]}"] = rows
            else:
                part, kind = block[3].rsplit(".", 1)
                found[f"{place}.{parts[part]}.{kind}"] = value
        else:
            norm, kind = name.rsplit(".", 1)
            found[f"{norms[norm]}.{kind}"] = value
    return {name: value.contiguous() for name, value in found.items()}


def file_of(folder, state, kind):
    path = folder / f"file.{'safetensors' if kind == 'safetensors' else 'pt'}"
    if kind == "safetensors":
        save_file({name: value.clone() for name, value in state.items()}, path, metadata={"format": "pt"})
    else:
        torch.save(state if kind == "top" else {kind: state, "epoch": 3}, path)
    return path


@pytest.mark.parametrize("kind", ["safetensors", "top", "state_dict", "model"])
@pytest.mark.parametrize("layout", ["openai", "openai with constants", "half precision", "distributed", "transformers"])
def test_every_layout_is_the_same_model(tmp_path, state, layout, kind):
    expected, given = state, state
    if layout == "openai with constants":
        given = {**state, **CONSTANTS}
    elif layout == "half precision":
        given = {name: value.half() for name, value in state.items()}
        expected = {name: value.half().float() for name, value in state.items()}
    elif layout == "distributed":
        given = {f"module.{name}": value for name, value in state.items()}
    elif layout == "transformers":
        positions = {f"{side}_model.embeddings.position_ids": torch.arange(16)[None] for side in ("text", "vision")}
        given = {**hub_layout(state), **positions}
    assert same(convert_official(NAME, file_of(tmp_path, given, kind)), expected)


FAULTS = {
    "a weight less": (lambda s: s.pop("visual.proj"), "a weight is missing: visual.proj"),
    "a weight more": (lambda s: s.update(extra=torch.ones(1)), "a weight is unknown: extra"),
    "other shape": (lambda s: s.update(text_projection=torch.ones(24, 32)), "another shape: text_projection.*(24, 32)"),
}
HUB_FAULTS = {
    "no keys": (
        lambda s: s.pop("text_model.encoder.layers.1.self_attn.k_proj.bias"),
        r"a weight is missing: transformer.resblocks.1.attn.in_proj_bias \(and 2 more",
    ),
    "a weight more": (
        lambda s: s.update({"vision_model.embeddings.extra": torch.ones(1)}),
        "a weight is unknown: vision_model.embeddings.extra",
    ),
    "the text encoder alone": (
        lambda s: [s.pop(name) for name in list(s) if name.startswith("vision_model")],
        r"a weight is missing: visual.*more differences",
    ),
    "projections not transposed": (
        lambda s: s.update({"visual_projection.weight": s["visual_projection.weight"].t().contiguous()}),
        r"another shape: visual.proj.*\(48, 24\).*\(24, 48\)",
    ),
}


@pytest.mark.parametrize(
    "layout, fault", [*(("openai", f) for f in FAULTS), *(("transformers", f) for f in HUB_FAULTS)]
)
def test_a_file_that_is_not_the_model_is_refused_with_the_name(tmp_path, without_hint, state, layout, fault):
    change, expected = (FAULTS if layout == "openai" else HUB_FAULTS)[fault]
    given = dict(state if layout == "openai" else hub_layout(state))
    change(given)
    with pytest.raises(ConesError, match=expected):
        convert_official(NAME, file_of(tmp_path, given, "safetensors"))


def test_a_file_of_another_size_is_recognised(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "model_names", lambda: dict.fromkeys((NAME, "clip_nano"), "clip"))
    given = file_of(tmp_path, initial_state("clip_nano", 0), "top")
    with pytest.raises(ConesError, match="this looks like clip_nano: use it as that model"):
        convert_official(NAME, given)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_program_and_other_files_are_refused(tmp_path):
    program = tmp_path / "program.pt"
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), str(program))
    with pytest.raises(ConesError, match=r"a TorchScript archive, a program that was not run.*next: take the same"):
        convert_official(NAME, program)
    for content, expected in ((torch.ones(2), "not a checkpoint"), ({}, "nothing"), ({"a": 1}, "is not a tensor")):
        torch.save(content, tmp_path / "other.pt")
        with pytest.raises(ConesError, match=expected):
            convert_official(NAME, tmp_path / "other.pt")


def test_what_transformers_computes_is_what_we_compute(tmp_path):
    """A random model of theirs, through a directory of `save_pretrained`: pooled features and logits."""
    transformers = pytest.importorskip("transformers")
    sides = {"num_hidden_layers": 2, "projection_dim": 24}
    text = {"hidden_size": 32, "intermediate_size": 128, "num_attention_heads": 2, "max_position_embeddings": 16}
    text |= {"vocab_size": 99, "eos_token_id": 98, "num_hidden_layers": 3, "projection_dim": 24}
    vision = {"hidden_size": 48, "intermediate_size": 192, "num_attention_heads": 3, "image_size": 32, "patch_size": 8}
    torch.manual_seed(0)
    theirs = transformers.CLIPModel(
        transformers.CLIPConfig(text_config=text, vision_config={**vision, **sides}, projection_dim=24)
    ).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    theirs.save_pretrained(tmp_path)
    path = tmp_path / "ours.safetensors"
    save_tensors(path, convert_official(NAME, official.given_weights(NAME, {"CONES_CLIP_VIT_B16": str(tmp_path)})))
    ours = load_dual_encoder(NAME, path)
    pixels, ids = torch.randn(3, 3, 32, 32), torch.randint(1, 97, (4, 16))
    ends = torch.tensor([15, 4, 9, 2])
    ids[torch.arange(4), ends] = 98
    with torch.no_grad():
        expected = theirs(input_ids=ids, pixel_values=pixels)
        images = ours.encode_image(pixels).pooled
        texts = ours.encode_text(ours.embed_text(ids), ends)
        scores = scaled_cosines(images, texts, ours.logit_scale.exp())
    torch.testing.assert_close(scores, expected.logits_per_image, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(unit(images), expected.image_embeds, rtol=1e-4, atol=1e-5)


def test_what_is_saved_is_loaded_and_nothing_else(tmp_path, without_hint, state):
    path = tmp_path / "clip.safetensors"
    save_tensors(path, state)
    model = load_dual_encoder(NAME, path)
    assert not model.training and same(model.state_dict(), state)
    save_tensors(path, {name: value.half() for name, value in state.items()})
    assert {parameter.dtype for parameter in load_dual_encoder(NAME, path).parameters()} == {torch.float32}
    save_tensors(path, {**state, "more": torch.ones(1)})
    with pytest.raises(ConesError, match="a weight is unknown: more"):
        load_dual_encoder(NAME, path)


def test_batch_statistics_of_a_resnet_are_part_of_its_file(tmp_path, monkeypatch):
    monkeypatch.setitem(config.SIZES, "clip_rn50", TINY_RN)
    state = initial_state("clip_rn50", 0)
    state["visual.bn1.running_mean"] += 1
    half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    found = convert_official("clip_rn50", file_of(tmp_path, half, "top"))
    assert found["visual.bn1.running_mean"].tolist() == [1, 1, 1, 1]
    assert found["visual.bn1.num_batches_tracked"].dtype == torch.int64 and set(found) == set(state)


def test_the_step_places_an_official_file_of_ones_own(tmp_path, monkeypatch, state):
    """From a directory that an environment variable names to `checkpoints/clip_vit_b16.safetensors`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    save_file(hub_layout(state), tmp_path / "mine" / "model.safetensors")
    monkeypatch.setenv("CONES_CLIP_VIT_B16", str(tmp_path / "mine"))
    plan = a_plan(tmp_path, NAME, None)
    weights.fetch_checkpoint(plan, NAME)
    weights.make_weights(plan, NAME)
    assert read_json(weights.OFFICIAL / f"{NAME}.json")["file"] == "clip_vit_b16.own.safetensors"
    assert same(load_dual_encoder(NAME, plan.weights(NAME)).state_dict(), state)


def test_the_step_places_random_weights_of_a_seed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = a_plan(tmp_path, "clip_nano", 5)
    weights.make_weights(plan, "clip_nano")
    state, metadata = load_tensors(plan.weights("clip_nano"))
    assert same(state, initial_state("clip_nano", 5)) and metadata["recipe"] == "random weights, seed 5"


def a_plan(folder, model, seed):
    """What the step `weights` reads of a plan."""
    suite = SimpleNamespace(all_models={model: SimpleNamespace(initial_seed=seed)}, mirror=None)
    return SimpleNamespace(suite=suite, weights=lambda name: folder / "checkpoints" / f"{name}.safetensors")


def test_names_that_are_not_known_keep_them():
    assert set(converted({"vision_model.new": torch.ones(1)})) == {"vision_model.new"}
    assert set(expected_state(NAME)) == set(initial_state(NAME, 0))
