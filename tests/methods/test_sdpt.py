"""SDPT's tokens in the fusion: the published computation, row by row, in both forms; what each side sees of them."""

import pytest
import torch
from torch import Tensor

from baselines.joint_prompts.sdpt import Dropped, Prototypes
from cones.methods.method import TuningMethod
from cones.models.layers.fusion import BiAttention
from tests.methods.on_detectors import EVERYWHERE
from tests.methods.one_step import prompt_inputs_for
from tests.methods.test_inside_detectors import equal, extended, nano, pictures, said

FORMS = pytest.mark.parametrize("method", ["sdpt", "sdpt_paper"])


def fusion(*, folded: bool, both: bool = False, count: int = 3) -> tuple[BiAttention, Prototypes]:
    torch.manual_seed(0)
    plain = BiAttention(visual=6, text=10, inner=16, heads=4, dropout=0.0, folded=folded)
    for parameter in plain.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    tokens = Prototypes(plain, torch.rand(count, 16) * 2 - 1, both=both)
    plain.register_forward_pre_hook(lambda module, inputs: tokens(*inputs))
    dropped = Dropped(count, both=both)
    plain.register_forward_hook(lambda module, inputs, output: dropped(output, *inputs))
    return plain, tokens


def published(attention: BiAttention, tokens: Tensor, visual: Tensor, text: Tensor, valid: Tensor, form: str):
    """fuse_helper.py for one image in float64, head by head and row by row: visual (V, C), text (L, D), valid (L,)."""
    weights = {name: value.detach().double() for name, value in attention.state_dict().items()}
    visual, text, tokens = visual.double(), text.double(), tokens.detach().double()
    own_visual, own_text, n = len(visual), len(text), len(tokens)

    def through(layer, rows):
        return rows @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"]

    def inverse(layer):
        return (tokens - weights[f"{layer}.bias"]) @ torch.linalg.pinv(weights[f"{layer}.weight"].T)

    visual = torch.cat([visual, inverse("v_proj")])
    text = torch.cat([text, inverse("l_proj")])
    bias = torch.where(torch.cat([valid, torch.full((n,), form == "paper")]), 1.0, -9e15).double()  # the mask, added
    heads, width = attention.heads, attention.inner // attention.heads
    of_visual, of_text = (
        torch.zeros(len(visual), heads * width).double(),
        torch.zeros(len(text), heads * width).double(),
    )
    query, key = through("v_proj", visual) * width**-0.5, through("l_proj", text)
    values_v, values_l = through("values_v_proj", visual), through("values_l_proj", text)
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        for i in range(len(visual)):
            scores = torch.stack([query[i, part] @ key[j, part] for j in range(len(text))])
            of_visual[i, part] = (scores + bias).softmax(0) @ values_l[:, part]
        for j in range(len(text)):
            scores = torch.stack([query[i, part] @ key[j, part] for i in range(len(visual))])
            of_text[j, part] = scores.softmax(0) @ values_v[:, part]
    return through("out_v_proj", of_visual)[:own_visual], through("out_l_proj", of_text)[:own_text]


def numbers_hold(form: str, *, folded: bool) -> None:
    attention, tokens = fusion(folded=folded, both=form == "paper")
    visual, text = torch.randn(2, 7, 6), torch.randn(2, 5, 10)
    valid = torch.tensor([[True] * 5, [True] * 4 + [False]])
    with torch.no_grad():
        found = attention(visual, text, valid, None)
        without_mask = attention(visual[:1], text[:1], None, None)
    for image in range(2):
        expected = published(attention, tokens.tokens, visual[image], text[image], valid[image], form)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one[image].double(), other, rtol=1e-4, atol=1e-5)
    for one, other in zip(found, without_mask, strict=True):
        torch.testing.assert_close(one[:1], other)


@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize("form", ["code", "paper"])
def test_numbers_are_those_of_the_published_computation(form, folded):
    numbers_hold(form, folded=folded)


START = Prototypes.__init__


def keeps_the_bias(module, *arguments, **form):
    START(module, *arguments, **form)
    module.image_bias.zero_()


def has_another_inverse(module, *arguments, **form):
    START(module, *arguments, **form)
    module.text_inverse.copy_(module.text_inverse.flip(0))


def transposes(module, fusion, *arguments, **form):
    START(module, fusion, *arguments, **form)
    module.image_inverse.copy_(fusion.v_proj.weight)


def shows_both(module, *arguments, both):
    START(module, *arguments, both=not both)


MISTAKES = (
    ("code", keeps_the_bias),
    ("paper", has_another_inverse),
    ("code", transposes),
    ("paper", shows_both),
)


@pytest.mark.parametrize(("form", "mistake"), MISTAKES, ids=lambda one: getattr(one, "__name__", one))
def test_mistakes_are_found(form, mistake, monkeypatch):
    monkeypatch.setattr(Prototypes, "__init__", mistake)
    with pytest.raises(AssertionError):
        numbers_hold(form, folded=False)


def test_a_token_is_one_row_for_both_sides_as_far_as_the_rank_of_the_layers_goes():
    attention, tokens = fusion(folded=False)
    for layer, side in ((attention.v_proj, "image"), (attention.l_proj, "text")):
        inverse, bias = getattr(tokens, f"{side}_inverse"), getattr(tokens, f"{side}_bias")
        rows = (tokens.tokens - bias) @ inverse
        torch.testing.assert_close((layer(rows) - bias) @ inverse, rows, rtol=1e-4, atol=1e-5)
        reached = layer(torch.randn(4, layer.in_features))  # a token that the layer can give comes back whole
        torch.testing.assert_close(layer((reached - bias) @ inverse), reached, rtol=1e-4, atol=1e-5)
    assert {name for name, _ in tokens.named_parameters()} == {"tokens"} and set(tokens.state_dict()) == {"tokens"}


def test_the_text_sees_tokens_where_places_of_the_image_are_masked():
    attention, _ = fusion(folded=False)
    visual, text = torch.randn(1, 7, 6), torch.randn(1, 5, 10)
    seen = torch.tensor([[True] * 4 + [False] * 3])
    with torch.no_grad():
        masked, cut = attention(visual, text, None, seen), attention(visual[:, :4], text, None, None)
    torch.testing.assert_close(masked[1], cut[1])
    torch.testing.assert_close(masked[0][:, :4], cut[0])


@EVERYWHERE
@FORMS
def test_only_the_papers_form_changes_what_the_image_hears_in_a_fusion(model_name, method):
    model, plain = extended(model_name, method), nano(model_name)
    place = model.fusions[0]
    width = plain.get_submodule(place)
    visual, text = torch.randn(1, 30, width.v_proj.in_features), torch.randn(1, 6, width.l_proj.in_features)
    with torch.no_grad():
        found = model.get_submodule(place)(visual, text, None, None)
        before = plain.get_submodule(place)(visual, text, None, None)
    assert torch.allclose(found[0], before[0], atol=1e-5) == (method == "sdpt")
    assert found[1].shape == before[1].shape and not torch.allclose(found[1], before[1], atol=1e-4)


@EVERYWHERE
@FORMS
def test_image_features_stay_and_every_fusions_tokens_change_the_answer(model_name, method):
    model, base = extended(model_name, method), nano(model_name)
    with torch.no_grad():
        assert equal(model.encode_image(pictures()).maps * 5, base.encode_image(pictures()).maps * 5)
    before = said(model, pictures())
    for place in model.fusions:
        tokens = model.get_submodule(place).prototypes.tokens
        assert -1 <= tokens.min() < -0.95 and 0.95 < tokens.max() <= 1
        kept = tokens.data.clone()
        tokens.data += 1
        assert not equal(said(model, pictures()), before)
        tokens.data = kept
    assert equal(said(model, pictures()), before)
    count = sum(model.get_submodule(place).prototypes.tokens.numel() for place in model.fusions)
    assert count == 256 * model.text_width


def test_a_detector_without_fusion_says_so():
    assert "no fusion" in TuningMethod.load("sdpt").supports("glip_nano_a")
    assert nano("glip_nano_a").fusions == () and prompt_inputs_for("glip_nano_a", "sdpt").text_states is not None
