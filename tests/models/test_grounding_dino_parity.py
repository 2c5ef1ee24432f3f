"""Our Grounding DINO against transformers', both classes; and every known mistake, which must show.

The mistakes are those of docs/spec/grounding_dino.md, section 9.
"""

from dataclasses import replace

import pytest
import torch

from cones.models import text_encoder
from cones.models.grounding_dino import encoder, geometry, heads
from cones.models.language import LanguageFeatures
from cones.models.layers import fusion
from tests.models.grounding_dino_reference import (
    CLS,
    KINDS,
    QUESTION,
    SEP,
    STOP,
    Inputs,
    Pair,
    inputs_of,
    language_of,
    pair_of,
    pyramid_of,
)

pytest.importorskip("transformers", reason="transformers is not installed: nothing to compare with")

FISH = [CLS, 5, 6, STOP, 7, STOP, 8, 9, 10, STOP, SEP]
CARS = [CLS, 11, 12, STOP, 13, STOP, SEP]
CASES = {
    "one caption": ([FISH], [(70, 90)], 0),
    "two captions, padded pictures": ([FISH, CARS], [(70, 90), (64, 60)], 0),
    "one caption for two pictures": ([FISH, FISH], [(60, 60), (60, 60)], 0),
    "no final stop": ([[*FISH[:-2], SEP], CARS], [(50, 96), (70, 90)], 0),
    "a question mark": ([[CLS, 5, QUESTION, 6, 7, STOP, SEP]], [(64, 64)], 0),
    "text padded further": ([CARS], [(64, 80)], 40),
}
TOLERANCE = {"logits": 1e-5, "boxes": 2e-6}


@pytest.fixture(scope="module", params=list(KINDS))
def pair(request) -> Pair:
    return pair_of(KINDS[request.param])


@torch.no_grad()
def their_output(pair: Pair, inputs: Inputs):
    return pair.theirs(**vars(inputs))


@torch.no_grad()
def differences(
    pair: Pair, inputs: Inputs, theirs, language: LanguageFeatures | None = None, rows: list[int] | None = None
) -> dict[str, float]:
    """The largest difference of valid logits, in shares of the largest, and of boxes.

    rows  which of theirs ours are compared with, where rows were left out
    """
    language = language_of(pair, inputs) if language is None else language
    layer = pair.ours.ground(pyramid_of(pair, inputs), language).outputs["layers"][-1]
    logits = theirs.logits[..., : layer.logits.shape[-1]] if rows is None else theirs.logits[..., rows]
    ours, logits = (each.masked_fill(~language.mask[:, None], 0.0) for each in (layer.logits, logits))
    share = (ours - logits).abs().max() / logits.abs().max()
    return {"logits": share.item(), "boxes": (layer.boxes - theirs.pred_boxes).abs().max().item()}


def is_equal(found: dict[str, float]) -> bool:
    return all(found[name] < TOLERANCE[name] for name in TOLERANCE)


@pytest.mark.parametrize("case", CASES)
def test_equals_transformers(pair, case):
    captions, sizes, pad_to = CASES[case]
    inputs = inputs_of(captions, sizes, pad_to=pad_to)
    theirs = their_output(pair, inputs)
    assert is_equal(differences(pair, inputs, theirs))
    assert theirs.logits[..., 1].std() > 0.02  # the queries do not all say the same


@pytest.mark.parametrize("case", ["two captions, padded pictures", "no final stop"])
def test_every_layer_equals_transformers(pair, case):
    captions, sizes, _ = CASES[case]
    inputs = inputs_of(captions, sizes)
    theirs = their_output(pair, inputs)
    with torch.no_grad():
        outputs = pair.ours.ground(pyramid_of(pair, inputs), language_of(pair, inputs)).outputs
    torch.testing.assert_close(outputs["text"], theirs.encoder_last_hidden_state_text, rtol=0, atol=2e-5)
    torch.testing.assert_close(outputs["proposals"].reference, theirs.init_reference_points, rtol=0, atol=2e-6)
    for layer, own in enumerate(outputs["layers"]):
        before = theirs.init_reference_points if layer == 0 else theirs.intermediate_reference_points[:, layer - 1]
        change = pair.theirs.bbox_embed[layer](theirs.intermediate_hidden_states[:, layer])
        boxes = (change + torch.special.logit(before, eps=1e-5)).sigmoid()
        torch.testing.assert_close(own.boxes, boxes, rtol=0, atol=2e-6)


# ------------------------------------------------------------------------------------------------ mistakes


def everything_hears_everything(phrases):
    return torch.ones(*phrases.shape, phrases.shape[1], dtype=torch.bool)


def places_in_the_whole_text(phrases):
    return torch.arange(phrases.shape[1]).expand_as(phrases)


def all_to_all(patch, pair):
    patch.setattr(text_encoder, "phrase_pairs", everything_hears_everything)
    patch.setattr(encoder, "phrase_pairs", everything_hears_everything)


def all_to_all_in_the_enhancer(patch, pair):
    patch.setattr(encoder, "phrase_pairs", everything_hears_everything)


def running_positions(patch, pair):
    patch.setattr(text_encoder, "phrase_places", places_in_the_whole_text)
    patch.setattr(encoder, "phrase_places", places_in_the_whole_text)


def running_positions_in_the_enhancer(patch, pair):
    patch.setattr(encoder, "phrase_places", places_in_the_whole_text)


def text_masks_of_another_picture(patch, pair):
    """IDEA's code and mmdetection repeat the mask for each head in an order that mixes the pictures of a batch."""
    patch.setattr(encoder, "phrase_pairs", lambda phrases: (phrases[:, :, None] == phrases[:, None]).roll(1, dims=0))


def pixel_mask_ignored(patch, pair):
    keep = pair.ours.encode_image
    patch.setattr(
        pair.ours, "encode_image", lambda images: replace(keep(images), padding=torch.zeros(2, 70, 90).bool())
    )


def padded_pixels_heard_by_the_text(patch, pair):
    keep = fusion.BiAttention.forward
    patch.setattr(fusion.BiAttention, "forward", lambda self, visual, text, mask, _: keep(self, visual, text, mask))


def temperature_of_uninext(patch, pair):
    patch.setattr(geometry, "TEMPERATURE", 10000.0)


def positions_from_half_a_cell(patch, pair):
    from cones.models.uninext.geometry import positional_map

    patch.setattr(geometry, "level_code", lambda mask, width: positional_map(mask, width).permute(0, 2, 3, 1))


def bgr(patch, pair):
    keep = pair.ours.encode_image
    patch.setattr(pair.ours, "encode_image", lambda images: keep(replace(images, pixels=images.pixels.flip(1))))


def heads_read_unfused_text(patch, pair):
    unfused = []
    projection = pair.ours.model.text_projection
    keep = projection.forward
    patch.setattr(projection, "forward", lambda hidden: unfused.append(keep(hidden)) or unfused[-1])
    for head in pair.ours.class_embed:
        own = head.forward
        patch.setattr(head, "forward", lambda visual, text, own=own: own(visual, unfused[-1]))


def mask_added_in_bert(patch, pair):
    """What transformers' eager attention does with a boolean mask."""

    def attend(self, hidden, mask):
        split = [
            layer(hidden).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        ]
        query, key, value = split
        scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5 + mask[:, None].float()
        return (scores.softmax(dim=-1) @ value).transpose(1, 2).flatten(2)

    patch.setattr(text_encoder.SelfAttention, "forward", attend)


def refined_reference_as_box(patch, pair):
    """A layer's box is read from queries that have not gone through the decoder's norm."""
    queries = []
    for layer in pair.ours.model.decoder.layers:
        keep = layer.forward
        patch.setattr(layer, "forward", lambda *given, keep=keep: queries.append(keep(*given)) or queries[-1])
    for head in pair.ours.bbox_embed:
        own = head.forward
        patch.setattr(head, "forward", lambda _, own=own: own(queries[-1]))


def bias_forgotten(patch, pair):
    if pair.ours.class_embed[0].bias is None:
        pytest.skip("this class has no bias")
    patch.setattr(heads.Contrast, "forward", lambda self, v, t: v @ t.transpose(1, 2) / v.shape[-1] ** 0.5)


def scale_forgotten(patch, pair):
    if pair.ours.class_embed[0].bias is None:
        pytest.skip("this class has no scale")
    patch.setattr(heads.Contrast, "forward", lambda self, v, t: v @ t.transpose(1, 2) + self.bias)


MISTAKES = [
    all_to_all,
    all_to_all_in_the_enhancer,
    running_positions,
    running_positions_in_the_enhancer,
    text_masks_of_another_picture,
    pixel_mask_ignored,
    padded_pixels_heard_by_the_text,
    temperature_of_uninext,
    positions_from_half_a_cell,
    bgr,
    heads_read_unfused_text,
    mask_added_in_bert,
    refined_reference_as_box,
    bias_forgotten,
    scale_forgotten,
]


@pytest.fixture(scope="module")
def compared(pair):
    """Two captions and padded pictures, and transformers' output, which ours equals."""
    inputs = inputs_of([FISH, CARS], [(70, 90), (64, 60)])
    theirs = their_output(pair, inputs)
    assert is_equal(differences(pair, inputs, theirs))
    return inputs, theirs


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_mistake_shows(monkeypatch, pair, compared, mistake):
    inputs, theirs = compared
    mistake(monkeypatch, pair)
    found = differences(pair, inputs, theirs)
    assert max(found[name] / TOLERANCE[name] for name in TOLERANCE) > 100, found


@pytest.mark.parametrize("mistake", ["no final stop", "the stop is a phrase of its own"])
def test_a_mistake_in_the_caption_shows(pair, mistake):
    inputs = inputs_of([FISH], [(70, 90)])
    theirs = their_output(pair, inputs)
    if mistake == "no final stop":
        rows = [row for row in range(len(FISH)) if row != len(FISH) - 2]
        mistaken = inputs_of([[FISH[row] for row in rows]], [(70, 90)])
        found = differences(pair, mistaken, theirs, rows=rows)
    else:
        language = language_of(pair, inputs)
        phrases = torch.where(inputs.input_ids == STOP, torch.arange(len(FISH)), language.phrases)
        hidden = pair.text_encoder(input_ids=inputs.input_ids, phrases=phrases)
        found = differences(pair, inputs, theirs, replace(language, hidden=hidden, phrases=phrases))
    assert found["logits"] > 100 * TOLERANCE["logits"]
