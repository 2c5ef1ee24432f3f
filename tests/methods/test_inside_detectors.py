"""Methods inside the image encoder and the fusion of detectors: where they start, what they reach, that it is kept."""

from pathlib import Path

import pytest
import torch

from baselines.equal_budget import parts_of_equal_budget
from baselines.joint_prompts.coupled_tokens import coupled_tokens
from baselines.visual_prompts.frame import ResizedFrame, joined_frame
from cones.data.pyramids import LivePyramids
from cones.evaluation.prediction import predict
from cones.methods.method import TuningMethod
from cones.models.additions import add_to_weight
from cones.models.checkpoints import build_detector, without_start_values
from cones.models.detector import GroundedDetector, ImageBatch
from cones.models.language import LanguageFeatures
from cones.models.layers.swin import WindowAttention
from cones.runtime.artifacts import read_json
from cones.runtime.errors import ConesError
from cones.steps import tune
from cones.steps.base_model import base_detector
from cones.steps.evaluate import evaluate_cell
from cones.steps.tune import open_split, state_file
from cones.steps.tuned import load_tuned
from cones.training.cost import PAPER_ROWS
from cones.training.state import State
from tests.gpu.on_device.cells import DATASET, TUNING, painted_plan, tuned
from tests.gpu.on_device.test_detectors import WITH_MASKS
from tests.methods.on_detectors import EVERYWHERE, flat
from tests.methods.one_step import prompt_inputs_for
from tests.some_fast import fast
from tests.steps.painted_cells import MODELS

INSIDE = ("lora", "vp", "vpt_deep", "maple", "sdpt", "sdpt_paper")  # the methods that are tested here
CPU = torch.device("cpu")


def pictures() -> ImageBatch:
    pixels = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(3))
    sizes = [(90, 60), (64, 96)]
    for image, (height, width) in zip(pixels, sizes):
        image[:, height:] = image[:, :, width:] = 0
    return ImageBatch(pixels, sizes)


def nano(model_name: str) -> GroundedDetector:
    """With the start of a box head that is no constant, so that what is inside reaches every output."""
    torch.manual_seed(0)
    model = build_detector(model_name).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if "bbox" in name or "offset" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return model


def language_for(model: GroundedDetector) -> LanguageFeatures:
    rows = torch.randn(3, 2, model.text_width, generator=torch.Generator().manual_seed(4))
    return LanguageFeatures.of_tokens_per_class(rows)


def said(model: GroundedDetector, images: ImageBatch) -> list[torch.Tensor]:
    """Every tensor of the maps and of what is predicted from them."""
    with torch.no_grad():
        pyramid = model.encode_image(images)
        return [*pyramid.maps, *flat(model.ground(pyramid, language_for(model)).outputs)]


def equal(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    assert len(one) == len(other) > 4
    return all(torch.equal(a, b) for a, b in zip(one, other))


def extended(model_name: str, method: str, **changes) -> GroundedDetector:
    model, given = nano(model_name), prompt_inputs_for(model_name, method)
    for name, value in changes.items():
        setattr(given, name, value)
    TuningMethod.load(method).extend(model, given)
    return model


# ------------------------------------------------------------------------------------------------ low-rank weights


@EVERYWHERE
def test_low_rank_weights_start_at_zero_shot_bit_for_bit_and_each_of_them_changes_the_answer(model_name):
    model = extended(model_name, "lora")
    before = said(nano(model_name), pictures())
    assert equal(said(model, pictures()), before)
    assert model.attention_projections
    for place in model.attention_projections:
        added = model.get_submodule(f"{place}.parametrizations.weight.0")
        with torch.no_grad():
            added.up.fill_(0.05)
            assert not equal(said(model, pictures()), before), place
            added.up.zero_()


@EVERYWHERE
@pytest.mark.parametrize("rows", [1, 40])  # the fusion has two ways to its numbers
def test_a_low_rank_weight_is_the_published_branch(model_name, rows):
    """W x + b + alpha / sqrt(r) B A x, of every layer apart, and of the fusion whichever way it computes."""
    model = extended(model_name, "lora")
    merged = nano(model_name)
    for place in model.attention_projections:
        layer = model.get_submodule(place)
        added = layer.parametrizations.weight[0]
        torch.nn.init.normal_(added.up, std=0.02)
        x = torch.randn(4, layer.in_features)
        rank = len(added.down)
        branch = (added.up.double() @ (added.down.double() @ x.double().T)).T / rank**0.5
        expected = torch.nn.functional.linear(x.double(), layer.parametrizations.weight.original.double()) + branch
        torch.testing.assert_close(layer(x) - layer.bias, expected.float())
        merged.get_submodule(place).weight.copy_(layer.weight)
    language = LanguageFeatures.of_tokens_per_class(torch.randn(1, rows, model.text_width))
    with torch.no_grad():
        pixels = ImageBatch(torch.randn(1, 3, 96, 96), [(96, 96)])
        found = [flat(each.ground(each.encode_image(pixels), language).outputs) for each in (model, merged)]
    assert equal(*found)


@EVERYWHERE
def test_the_rank_is_the_one_whose_count_is_nearest_to_that_of_concept_embeddings(model_name, caplog):
    caplog.set_level("INFO", "cones")
    model = extended(model_name, "lora")
    added = [model.get_submodule(f"{place}.parametrizations.weight.0") for place in model.attention_projections]
    values = sum(value.numel() for module in added for value in module.parameters())
    rank, wanted = len(added[0].down), PAPER_ROWS * model.text_width
    assert all(len(module.down) == module.up.shape[1] == rank for module in added)
    assert abs(values - wanted) <= min(abs(values * other / rank - wanted) for other in (rank - 1, rank + 1) if other)
    assert f"{rank} ranks: {values} values, the nearest to the {wanted} of ConES" in caplog.text


# ---------------------------------------------------------------------------------------------------- pixels


@EVERYWHERE
def test_a_frame_of_zeros_is_zero_shot_bit_for_bit_and_every_part_of_another_is_seen(model_name):
    model, before = extended(model_name, "vp", start_std=0.0), said(nano(model_name), pictures())
    assert equal(said(model, pictures()), before)
    for part in model.pixels.frame.parameters():
        with torch.no_grad():
            part.fill_(0.5)
            assert not equal(said(model, pictures()), before)
            part.zero_()


def test_a_frame_is_resized_to_each_picture_and_leaves_the_padding_alone():
    frame = ResizedFrame(224, 1.0, torch.Generator().manual_seed(0))
    assert sum(part.numel() for part in frame.parameters()) == 69840  # as published
    whole = joined_frame(frame)
    assert whole.shape == (1, 3, 224, 224) and not whole[:, :, 30:194, 30:194].any() and whole.ne(0).sum() == 69840
    images = ImageBatch(torch.zeros(3, 3, 224, 448), [(224, 224), (224, 448), (112, 112)])
    added = frame(images).pixels
    torch.testing.assert_close(added[:1, :, :, :224], whole)
    assert not added[0, :, :, 224:].any() and not added[2, :, 112:].any() and not added[2, :, :, 112:].any()
    assert not added[1, :, 32:192, 64:384].any() and added[1, :, :28, :56].ne(0).all()  # half as wide again as high
    assert not added[2, :, 17:95, 17:95].any() and added[2, :, :14].ne(0).any(dim=0)[:, :112].all()
    assert images.pixels.eq(0).all(), "the batch that was given stays as it is"


def test_a_small_model_has_a_frame_of_its_own_side():
    model = extended("glip_nano", "vp")
    assert joined_frame(model.pixels.frame).shape[-1] == 160 and model.pixels.frame.pad_up.shape[2] == 21


# ------------------------------------------------------------------------------------------- tokens in the windows

WITH_BLOCKS = pytest.mark.parametrize("model_name", [name for name in MODELS if not name.startswith("uninext")])


def attention_in_float64(attention, rows, tokens, mask):
    """Window attention over rows (T, C) and tokens (n, C) before them, each query by itself; the rows' part (T, C)."""
    state = {name: value.double() for name, value in attention.state_dict().items()}
    heads, (length, width) = attention.heads, rows.shape
    joined = torch.cat([tokens, rows]).double()
    qkv = joined @ state["qkv.weight"].T + state["qkv.bias"]
    table, index = state["relative_position_bias_table"], state["relative_position_index"].long()
    n, d = len(tokens), width // heads
    out = torch.zeros(length, width, dtype=torch.float64)
    for h in range(heads):
        q, k, v = (qkv[:, part * width + h * d : part * width + (h + 1) * d] for part in range(3))
        for i in range(length):
            scores = (k @ q[n + i]) / d**0.5
            for j in range(length):
                scores[n + j] += table[index[i, j], h] + mask[i, j]
            out[i, h * d : (h + 1) * d] = scores.softmax(0) @ v
    return out @ state["proj.weight"].T + state["proj.bias"]


def test_tokens_are_rows_of_every_window_without_a_place():
    torch.manual_seed(0)
    attention = WindowAttention(width=8, heads=2, window=3)
    torch.nn.init.normal_(attention.relative_position_bias_table)
    rows, tokens, mask = torch.randn(4, 9, 8), torch.randn(5, 8), torch.randn(2, 9, 9)
    with torch.no_grad():
        found = attention(rows, mask, tokens)
        expected = [attention_in_float64(attention, one, tokens, mask[i % 2]) for i, one in enumerate(rows)]
    torch.testing.assert_close(found.double(), torch.stack(expected), rtol=1e-4, atol=1e-5)
    assert (found - attention(rows, mask)).abs().max() > 1e-2


@WITH_BLOCKS
def test_each_blocks_tokens_are_its_own_and_none_of_them_are_zero_shot(model_name):
    model, before = extended(model_name, "vpt_deep"), said(nano(model_name), pictures())
    blocks = [model.get_submodule(name) for name in model.image_blocks.widths]
    kept = [block.prompts.tokens.data for block in blocks]
    for block in blocks:
        block.prompts.tokens.data = block.prompts.tokens.data[:0]
    assert equal(said(model, pictures()), before)
    for block, tokens in zip(blocks, kept, strict=True):
        block.prompts.tokens.data = tokens
        assert not equal(said(model, pictures()), before)
        block.prompts.tokens.data = tokens[:0]


@WITH_BLOCKS
def test_tokens_pass_the_first_norm_and_a_picture_does_not_see_another(model_name):
    model = extended(model_name, "vpt_deep")
    name = list(model.image_blocks.widths)[1]  # shifted, with a mask
    block = model.get_submodule(name)
    x = torch.randn(2, 7, 6, model.image_blocks.widths[name])
    with torch.no_grad():
        both = block(x)
        torch.testing.assert_close(block(x[1:]), both[1:])
        shortcut = x + block.attend(block.norm1(x), block.norm1(block.prompts.tokens))
        torch.testing.assert_close(both, shortcut + block.mlp(block.norm2(shortcut)))
        assert (both - x - block.attend(block.norm1(x), block.prompts.tokens)).abs().max() > 1e-2


@WITH_BLOCKS
def test_as_many_tokens_as_come_nearest_to_the_values_of_concept_embeddings(model_name):
    model = extended(model_name, "vpt_deep")
    widths = model.image_blocks.widths
    (count,) = {len(model.get_submodule(name).prompts.tokens) for name in widths}
    assert abs(count * sum(widths.values()) - PAPER_ROWS * model.text_width) <= sum(widths.values()) / 2
    reach = (6 / (3 * 4**2 + next(iter(widths.values())))) ** 0.5
    values = torch.cat([model.get_submodule(name).prompts.tokens.detach().flatten() for name in widths])
    assert 0.98 * reach < values.abs().max() <= reach and values.std().item() == pytest.approx(reach / 3**0.5, rel=0.05)


def test_a_swin_t_gets_45_tokens():
    with without_start_values():
        model = build_detector("glip_t")
    assert parts_of_equal_budget(model, sum(model.image_blocks.widths.values()), what="tokens") == 45


def test_convolutions_have_no_rows_that_tokens_could_join():
    reason = TuningMethod.load("vpt_deep").supports("uninext_nano")
    assert "convolutions" in reason and nano("uninext_nano").image_blocks is None
    assert "image generation" in TuningMethod.load("vpt_deep").supports("sd_nano")


# ------------------------------------------------------------------------------------- both encoders, coupled


def coupled(model_name: str, **changes):
    """A detector with MaPLe's tokens and its prompt."""
    model, given = nano(model_name), prompt_inputs_for(model_name, "maple")
    for name, value in changes.items():
        setattr(given, name, value)
    way = TuningMethod.load("maple")
    way.extend(model, given)
    return model, way.prompt(model, given).requires_grad_(False)


@WITH_BLOCKS
def test_three_quarters_of_both_encoders_have_prompts_with_a_map_for_each_width(model_name):
    model, prompt = coupled(model_name)
    blocks = [model.get_submodule(name) for name in model.image_blocks.widths]
    added = [block.coupled for block in blocks if hasattr(block, "coupled")]
    assert len(blocks) == 8 and added == [block.coupled for block in blocks[:6]]  # and the text encoder has 2 layers
    first, second = prompt.sources
    assert [one.source for one in added] == [first] * 3 + [second] * 3
    assert [one.coupling.out_features for one in added] == [24, 24, 48, 48, 96, 96]
    assert len({id(one.coupling) for one in added}) == 3
    assert first.vectors.std() > 0.3 and second.vectors.std() < 0.05  # of start_std 1 and 0.02
    held = [name for name, _ in prompt.named_parameters() if not name.startswith("caption.text_encoder.")]
    assert held == [], "what trains is held by the detector alone"


def test_a_swin_t_and_bert_base_have_nine_prompts_each_as_published():
    with without_start_values():
        model = build_detector("glip_t")
    added = list(coupled_tokens(model, prompt_inputs_for("glip_nano", "maple")))
    assert len(added) == 9 and len({id(tokens.source) for _, tokens in added}) == 9


@WITH_BLOCKS
def test_a_block_gets_the_map_of_its_text_vectors_as_tokens(model_name):
    model, _ = coupled(model_name)
    for name in list(model.image_blocks.widths)[:6]:
        block = model.get_submodule(name)
        x = torch.randn(1, 5, 7, model.image_blocks.widths[name])
        with torch.no_grad():
            weight, bias = block.coupled.coupling.weight, block.coupled.coupling.bias
            tokens = block.coupled.source.vectors @ weight.T + bias
            torch.testing.assert_close(block(x), type(block).forward(block, x, tokens))


@EVERYWHERE
def test_deep_rows_replace_those_of_the_layer_before(model_name):
    """Rows that are what the layer before left give the caption itself; others are read at their layer."""
    given = prompt_inputs_for(model_name, "coop")
    given.phrases = given.phrases[:1]
    caption = TuningMethod.load("coop").prompt(nano(model_name), given).eval()
    layer, seen = given.text_encoder.encoder["layer"][1], []
    layer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        plain = caption.without_images().hidden
        places = caption.learned[:, 0]
        same = caption.with_vectors(caption.vectors[None], {1: seen[0][0, places][None]}).hidden
        other = caption.with_vectors(caption.vectors[None], {1: torch.ones(1, 2, plain.shape[-1])}).hidden
    assert torch.equal(same, plain) and not torch.allclose(other, plain)
    assert seen[-1][0, places].eq(1).all() and torch.equal(seen[-1][0, ~places], seen[0][0, ~places])


@WITH_BLOCKS
def test_every_class_has_the_same_deep_vectors_and_both_sides_train_them(model_name):
    model, prompt = coupled(model_name)
    seen = []
    layer = prompt.caption.text_encoder.encoder["layer"][1]
    layer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    prompt.without_images().hidden.square().sum().backward()
    rows = seen[0][0, prompt.caption.learned[:, 0]].unflatten(0, (3, 2))  # (K, N, D)
    assert all(torch.equal(of_class, prompt.sources[1].vectors) for of_class in rows)
    of_text = [source.vectors.grad.clone() for source in prompt.sources]
    assert all(gradient.abs().sum() > 0 for gradient in of_text)
    model.encode_image(pictures()).maps[0].square().sum().backward()
    for source, before in zip(prompt.sources, of_text):
        assert (source.vectors.grad - before).abs().sum() > 0


# --------------------------------------------------------------------------------------------- from tuning to scores


@pytest.mark.parametrize("model_name", fast(MODELS, "glip_nano"))
@pytest.mark.parametrize("method", INSIDE)
def test_a_tuned_cell_answers_from_its_state_as_in_memory(model_name, method, tmp_path, monkeypatch):
    monkeypatch.chdir(Path.cwd())  # the plan changes to its folder; comes back at the end
    if reason := TuningMethod.load(method).supports(model_name):
        pytest.skip(reason)
    tuners = []

    class Kept(tune.Tuner):
        def run(self):
            tuners.append(self)
            return super().run()

    monkeypatch.setattr(tune, "Tuner", Kept)
    on_cpu = {"device": "cpu", "allow_cpu": True, "tuning": {**TUNING, "max_epochs": 1}}
    plan = painted_plan(tmp_path, model_name, [method], masks=model_name in WITH_MASKS, **on_cpu)
    cell = plan.cell(model_name, DATASET, method, 0)
    tuned(plan, cell)
    evaluate_cell(plan, cell)
    (tuner,), state = tuners, State.load(state_file(cell))
    assert set(tuner.trained) <= set(state.trained)
    again = load_tuned(plan, cell, state, CPU).model
    for one, other in zip(said(again, pictures()), said(tuner.model.eval(), pictures()), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert not equal(said(again, pictures()), said(base_detector(plan, model_name), pictures())), "nothing was learnt"
    split = open_split(plan, cell, "test", tuner.model)
    found = predict(tuner.model, tuner.prompt.eval(), split, LivePyramids(tuner.model, CPU), label="test")
    scored = read_json(cell.folder / "predictions.json")
    assert [one["score"] for one in found] == pytest.approx([one["score"] for one in scored], abs=1e-4) and found


def test_a_weight_of_no_layer_is_one_line():
    with pytest.raises(ConesError, match=r'the model has no module "backbone\.x"'):
        add_to_weight(nano("glip_nano"), "backbone.x", torch.nn.Identity())
