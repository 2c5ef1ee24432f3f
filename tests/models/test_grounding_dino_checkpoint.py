"""Published weights of the family in all their layouts, from a directory of the hub to detections; and their faults."""

import json
import re
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from cones.experiment.cell import Plan
from cones.models import checkpoints
from cones.models.checkpoints import (
    build_detector,
    build_text_encoder,
    convert_official,
    expected_state,
    initial_state,
    load_detector,
    load_text_encoder,
    tokenizer_for,
)
from cones.models.family import FAMILIES, family_named
from cones.models.grounding_dino.checkpoint import BACKBONE, our_name
from cones.models.grounding_dino.config import SIZES
from cones.runtime.artifacts import load_tensors
from cones.runtime.errors import ConesError
from cones.steps import weights
from cones.steps.tune import choose_projections
from cones.weights import official
from tests.models.grounding_dino_reference import GDINO, TEXT_PREFIX, Pair, inputs_of, language_of, reference_model

NANO = "grounding_dino_nano"
NANO_OF_ONE_HEAD = replace(SIZES[NANO], scaled_contrast=False, separate_box_heads=False)


def count(module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


# ------------------------------------------------------------------------------------------------ names and numbers


def hub_layout(state: dict) -> dict:
    """Our state under the names of the hub's files (transformers before 5.23), constants of windows included."""
    swin = {
        r"patch_embed\.proj\.": "embeddings.patch_embeddings.projection.",
        r"patch_embed\.norm\.": "embeddings.norm.",
        r"norm(\d)\.": lambda match: f"hidden_states_norms.stage{int(match[1]) + 1}.",
        r"(layers\.\d+\.blocks\.\d+)\.norm1\.": r"encoder.\1.layernorm_before.",
        r"(layers\.\d+\.blocks\.\d+)\.norm2\.": r"encoder.\1.layernorm_after.",
        r"(layers\.\d+\.blocks\.\d+)\.attn\.proj\.": r"encoder.\1.attention.output.dense.",
        r"(layers\.\d+\.blocks\.\d+)\.attn\.(relative_\w+)": r"encoder.\1.attention.self.\2",
        r"(layers\.\d+\.blocks\.\d+)\.mlp\.fc1\.": r"encoder.\1.intermediate.dense.",
        r"(layers\.\d+\.blocks\.\d+)\.mlp\.fc2\.": r"encoder.\1.output.dense.",
        r"(layers\.\d+\.downsample)\.": r"encoder.\1.",
    }
    fusion = {"gamma_v": "vision_param", "gamma_l": "text_param"}
    fusion |= {"layer_norm_v": "layer_norm_vision", "layer_norm_l": "layer_norm_text"}
    fusion |= {f"attn.{kind}v_proj": f"attn.{kind}vision_proj" for kind in ("", "values_", "out_")}
    fusion |= {f"attn.{kind}l_proj": f"attn.{kind}text_proj" for kind in ("", "values_", "out_")}
    found = {}
    for name, value in state.items():
        if match := re.fullmatch(rf"({re.escape(BACKBONE)})(.+)\.attn\.qkv\.(weight|bias)", name):
            for part, piece in zip(("query", "key", "value"), value.chunk(3)):
                found[f"{match[1]}encoder.{match[2]}.attention.self.{part}.{match[3]}"] = piece
        elif name.startswith(BACKBONE):
            own = name.removeprefix(BACKBONE)
            pattern = next(pattern for pattern in swin if re.match(pattern, own))
            found[BACKBONE + re.sub(f"^{pattern}", swin[pattern], own)] = value
        elif match := re.fullmatch(r"(.+\.fusion_layer)\.b_attn\.([\w.]+?)(\.weight|\.bias)?", name):
            found[f"{match[1]}.{fusion[match[2]]}{match[3] or ''}"] = value
        else:
            found[name] = value
    return {name: value.contiguous() for name, value in found.items()}


# total with the backbone's unused norm, without BERT, names with aliases in transformers 5.23, names in the hub's file
NUMBERS = {
    "gdino_t": (172_250_626, 63_358_978, 1046, 990),
    "gdino_b": (232_315_264, 123_423_616, 1250, 1206),
    "mm_gdino_t": (172_913_693, 64_022_045, 1059, 1027),
    "mm_gdino_b": (232_978_331, 124_086_683, 1263, 1243),
    "mm_gdino_l": (343_055_703, 234_164_055, 1269, 1249),
    "llmdet_t": (172_913_693, 64_022_045, 1059, 1027),
    "llmdet_b": (232_978_331, 124_086_683, 1263, 1243),
    "llmdet_l": (343_055_703, 234_164_055, 1269, 1249),
    NANO: (2_139_880, 1_991_912, None, None),
}
# files of the same sizes, pretrained on other data
LIKE = {
    "mm_gdino_t_goldg": "mm_gdino_t",
    "mm_gdino_t_grit": "mm_gdino_t",
    "mm_gdino_t_grit_v3det": "mm_gdino_t",
    "mm_gdino_b_all": "mm_gdino_b",
    "mm_gdino_l_all": "mm_gdino_l",
}


def test_every_size_is_registered_and_counted():
    assert set(FAMILIES["grounding_dino"].models) == set(SIZES) == {*NUMBERS, *LIKE}
    assert all(SIZES[name] == SIZES[like] for name, like in LIKE.items())


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_of_parameters_and_names(name):
    total, without_bert, _, in_file = NUMBERS[name]
    with torch.device("meta"):
        detector, encoder = build_detector(name), build_text_encoder(name)
    unused = 2 * 8 * SIZES[name].embed  # weight and bias of the norm that nothing calls
    assert count(detector) + unused == without_bert and count(encoder) == total - without_bert
    published = hub_layout(expected_state(name))
    assert in_file in (None, len(published))
    texts = [key for key in published if key.startswith(TEXT_PREFIX)]
    assert in_file is None or len(texts) == 197
    assert our_names(published) == set(expected_state(name))


def our_names(published) -> set[str]:
    """Published names -> ours; query, key and value of the backbone become one."""
    found = map(our_name, published)
    return {re.sub(r"attn\.(query|key|value)\.", "attn.qkv.", name) if BACKBONE in name else name for name in found}


@pytest.mark.parametrize("name", ["gdino_t", "gdino_b", "mm_gdino_t", "mm_gdino_l"])
def test_every_name_of_transformers_is_accounted_for(name):
    pytest.importorskip("transformers", reason="transformers is not installed: nothing to compare with")
    with torch.device("meta"):
        theirs = set(reference_model(SIZES[name], randomised=False).state_dict())
    assert len(theirs) == NUMBERS[name][2]
    family = family_named(name)
    found = our_names(theirs)
    if not SIZES[name].separate_box_heads:
        found = {key for key in found if not re.match(r"bbox_embed\.[1-9]", key)}
    constants = {key for key in expected_state(name) if key.endswith("relative_position_index")}
    assert {key for key in found if not family.unused.fullmatch(key)} == set(expected_state(name)) - constants


@pytest.mark.parametrize(
    ("name", "usual", "behind_fusion"),
    [("gdino_t", 198_920, 2_568), ("mm_gdino_t", 204_067, 7_708), ("mm_gdino_l", 204_067, 7_708)],
)
def test_linear_probing_trains_the_last_projections(name, usual, behind_fusion):
    with torch.device("meta"):
        detector = build_detector(name)
    named = dict(detector.named_parameters())
    assert sum(named[key].numel() for key in detector.projections) == usual
    choose_projections(detector, "behind_fusion", where="a cell")
    assert sum(named[key].numel() for key in detector.projections) == behind_fusion


def test_a_picture_is_prepared_as_published():
    with torch.device("meta"):
        preprocessing = build_detector("mm_gdino_t").preprocessing
    assert (preprocessing.short_side, preprocessing.long_side_cap, preprocessing.size_divisor) == (800, 1333, 1)
    assert preprocessing.mean == (123.675, 116.28, 103.53) and preprocessing.std == (58.395, 57.12, 57.375)
    assert not preprocessing.bgr


def test_captions_of_the_family_end_with_a_stop_and_are_read_phrase_by_phrase():
    tokenizer = tokenizer_for(NANO)
    assert tokenizer.style.ends_with_stop
    assert tokenizer.delimiters == tuple(map(tokenizer.token_to_id, ("[CLS]", "[SEP]", ".", "?")))
    assert tokenizer_for("glip_nano").phrases_of(torch.zeros(1, 3)) is None


# ------------------------------------------------------------------------------------------------ layouts of a file


@pytest.fixture(params=["one box head", "separate box heads"])
def published(request, monkeypatch):
    """(state of a fresh nano model, the same as a published file has it)."""
    if request.param == "one box head":
        monkeypatch.setitem(SIZES, NANO, NANO_OF_ONE_HEAD)
    state = initial_state(NANO, seed=3)
    return state, hub_layout(state)


def heads_of(file: dict, kind: str = "bbox_embed") -> dict:
    return {name: value for name, value in file.items() if name.startswith(f"{kind}.")}


def top(file: dict) -> dict:
    """Heads at the top alone: grounding-dino-tiny, MM-Grounding-DINO."""
    return file


def in_the_decoder(file: dict) -> dict:
    """Heads in the decoder alone: grounding-dino-base."""
    return {f"model.decoder.{name}" if name.startswith("bbox_embed.") else name: value for name, value in file.items()}


def divided(file: dict) -> dict:
    """The first head at the top, later ones in the decoder: LLMDet."""
    later = re.compile(r"(bbox_embed|class_embed)\.[1-9]")
    return {f"model.decoder.{name}" if later.match(name) else name: value for name, value in file.items()}


def everywhere(file: dict) -> dict:
    """Every alias spelt out, as a state_dict has it; one box head is repeated for each layer."""
    heads = heads_of(file) | heads_of(file, "class_embed")
    if not any(name.startswith("bbox_embed.1.") for name in file):
        heads |= {name.replace(".0.", f".{layer}.", 1): heads[name] for layer in (1, 2) for name in heads_of(file)}
    return file | heads | {f"model.decoder.{name}": value for name, value in heads.items()}


def since_5_23(file: dict) -> dict:
    """The backbone's names in memory since transformers 5.23."""
    replacements = {
        BACKBONE: f"{BACKBONE}swin.",
        f"{BACKBONE}swin.hidden": f"{BACKBONE}hidden",
        ".attention.self.query.": ".attention.q_proj.",
        ".attention.self.key.": ".attention.k_proj.",
        ".attention.self.value.": ".attention.v_proj.",
        ".attention.output.dense.": ".attention.o_proj.",
        ".attention.self.relative": ".attention.relative_position_bias.relative",
        ".intermediate.dense.": ".mlp.fc1.",
        ".output.dense.": ".mlp.fc2.",
    }
    found = {f"{BACKBONE}swin.layernorm.weight": torch.ones(192), f"{BACKBONE}swin.layernorm.bias": torch.zeros(192)}
    for name, value in file.items():
        new = name
        if name.startswith(BACKBONE) and not name.endswith("relative_position_index"):
            for old, other in replacements.items():
                new = new.replace(old, other)
        found[new] = value
    return found


def saved(tmp_path, file: dict):
    path = tmp_path / "model.safetensors"
    save_file({name: value.clone() for name, value in file.items()}, path)
    return path


@pytest.mark.parametrize("layout", [top, in_the_decoder, divided, everywhere, since_5_23])
def test_every_layout_gives_the_same_state(tmp_path, published, layout):
    state, file = published
    found = convert_official(NANO, saved(tmp_path, layout(file)))
    assert found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)


def message(tmp_path, file: dict) -> str:
    with pytest.raises(ConesError) as caught:
        convert_official(NANO, saved(tmp_path, file))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_copies_that_differ_are_refused(tmp_path, published):
    file = everywhere(published[1])
    file["model.decoder.bbox_embed.0.layers.1.bias"] = torch.ones(64)
    assert "two copies of one weight differ: bbox_embed.0.layers.1.bias" in message(tmp_path, file)


def test_faults_of_a_file_are_named(tmp_path, published, without_hint):
    file = published[1]
    key = "model.encoder.layers.1.fusion_layer.text_param"
    assert "a weight is missing: model.encoder.layers.1.fusion_layer.b_attn.gamma_l" in message(
        tmp_path, {name: value for name, value in file.items() if name != key}
    )
    assert "a weight is unknown: model.label_enc.weight" in message(
        tmp_path, {**file, "model.label_enc.weight": file[key]}
    )
    query = f"{BACKBONE}encoder.layers.0.blocks.0.attention.self.key.weight"
    assert "a weight is missing" in message(tmp_path, {name: file[name] for name in file if name != query})


def test_tied_heads_are_refused_by_name(tmp_path, published):
    """A file of a model with separate heads whose heads are one, and the other way round."""
    file = published[1]
    if SIZES[NANO].separate_box_heads:
        tied = {name: value for name, value in file.items() if not re.match(r"bbox_embed\.[1-9]", name)}
        repeated = {name: file[re.sub(r"^bbox_embed\.\d", "bbox_embed.0", name)] for name in file}
        for each in (tied, repeated):
            assert "the box heads of all decoder layers are copies of the first" in message(tmp_path, each)
    else:
        heads = {name.replace(".0.", ".1.", 1): value + 1 for name, value in heads_of(file).items()}
        assert "the box heads of this file differ, and those of this model are one" in message(tmp_path, file | heads)


@pytest.mark.parametrize(
    ("asked", "given", "expected"),
    [
        (
            "mm_gdino_t",
            "gdino_t",
            r"missing: model\.encoder_output_class_embed\.bias.*this looks like gdino_t: use it as that model",
        ),
        ("gdino_t", "gdino_b", "this looks like gdino_b: use it as that model"),
    ],
)
def test_another_model_of_the_family_is_recognised(monkeypatch, asked, given, expected):
    file = hub_layout(expected_state(given))
    monkeypatch.setattr(checkpoints, "load_tensors", lambda path: (file, {}))
    with pytest.raises(ConesError, match=expected):
        convert_official(asked, "given.safetensors")


# ------------------------------------------------------------------------------------------------ finding a file


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A working folder in which `gdino_t` is tiny."""
    (tmp_path / "config").symlink_to(official.LIST.parents[2] / "config")
    (tmp_path / "datasets.yaml").symlink_to(official.LIST.parents[2] / "datasets.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(SIZES, "gdino_t", GDINO)
    monkeypatch.setattr("cones.models.grounding_dino.build.build_bert", lambda sizes, narrow: text_encoder(sizes))
    return tmp_path


def text_encoder(sizes):
    from tests.models.grounding_dino_reference import text_encoder_of

    return text_encoder_of(replace(GDINO, text=sizes)).train()


def test_a_directory_of_the_hub_loads_and_detects_as_transformers_does(world, monkeypatch):
    pytest.importorskip("transformers", reason="transformers is not installed: nothing to compare with")
    theirs = reference_model(GDINO)
    theirs.save_pretrained(world / "mine")
    monkeypatch.setenv("CONES_GDINO_T", str(world / "mine"))
    plan = Plan.load("paper", {"models": {"gdino_t": {"learning_rate": {}}}})
    weights.fetch_checkpoint(plan, "gdino_t")
    record = json.loads((world / "checkpoints/official/gdino_t.json").read_text())
    assert record["file"] == "gdino_t.own.safetensors"
    weights.make_weights(plan, "gdino_t")
    path = plan.weights("gdino_t")
    assert record["sha256"] in load_tensors(path)[1]["recipe"]

    pair = Pair(theirs, load_detector("gdino_t", path), load_text_encoder("gdino_t", path))
    inputs = inputs_of([[101, 5, 6, 1012, 7, 1012, 102]], [(70, 90)])
    with torch.no_grad():
        expected = theirs(**vars(inputs))
        language = language_of(pair, inputs)
        found = pair.ours(inputs.images, language)[0]
    share = language.class_positions[0].float() / torch.tensor([[2.0], [1.0]])  # (K, L)
    scores = expected.logits[0].sigmoid()[:, :7] @ share.T
    best = scores.flatten().sort(descending=True).values[: len(found.scores)]
    torch.testing.assert_close(found.scores, best, rtol=1e-4, atol=1e-6)
    assert len(found.scores) == 40 and found.labels.unique().tolist() == [0, 1]


def test_what_the_variable_names_is_remembered_and_a_wrong_path_is_said(world, monkeypatch):
    file = world / "mine.safetensors"
    save_file({"a": torch.zeros(2)}, file)
    monkeypatch.setenv("CONES_GDINO_T", str(file))
    weights.fetch_checkpoint(Plan.load("paper"), "gdino_t")
    save_file({"a": torch.ones(2)}, file)
    with pytest.raises(ConesError, match=r"not the file that was first fetched.*next: give CONES_GDINO_T another file"):
        weights.fetch_checkpoint(Plan.load("paper"), "gdino_t")
    (world / "pickled").mkdir()
    (world / "pickled/pytorch_model.bin").write_bytes(b"x")
    monkeypatch.setenv("CONES_GDINO_T", str(world / "pickled"))
    with pytest.raises(ConesError, match=r"names no weights of gdino_t.*found \['pytorch_model.bin'\]"):
        weights.fetch_checkpoint(Plan.load("paper"), "gdino_t")


def test_a_file_in_the_hub_s_cache_is_taken_at_its_revision_and_held_against_its_hash(world, monkeypatch):
    archive = official.official_files()["gdino_t"]
    revision = official.HUB.fullmatch(archive.urls[0])["revision"]
    folder = world / f"hub/models--IDEA-Research--grounding-dino-tiny/snapshots/{revision}"
    folder.mkdir(parents=True)
    save_file({"a": torch.zeros(2)}, folder / "model.safetensors")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(world / "hub"))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(world / "hub"), raising=False)
    assert official.cached_on_this_machine(archive) == folder / "model.safetensors"
    with pytest.raises(ConesError, match=r"is not the official file.*wrong size"):
        weights.fetch_checkpoint(Plan.load("paper"), "gdino_t")
