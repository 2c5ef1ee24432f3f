"""What must hold for Grounding DINO whatever its weights (docs/spec/grounding_dino.md, section 9)."""

import copy

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from cones.methods.prompts import CaptionPrompt, FixedPrompt, PromptContext, encode_caption
from cones.models.checkpoints import build_detector, build_text_encoder, tokenizer_for
from cones.models.detector import FeaturePyramid, ImageBatch, Target
from cones.models.language import ClassPhrase, LanguageFeatures, phrase_pairs, phrase_places, phrases_of
from cones.models.losses import normalised
from cones.models.optimisations import disable_optimisations
from cones.runtime.errors import ConesError
from tests.models.grounding_dino_reference import DELIMITERS, PAD, STOP, randomise

NANO = "grounding_dino_nano"
HEIGHT, WIDTH = 96, 128


@pytest.fixture(scope="module")
def model():
    detector = build_detector(NANO).eval()
    randomise(detector, 0)
    for name, parameter in detector.named_parameters():
        if "gamma" in name:
            torch.nn.init.constant_(parameter, 0.5)
    return detector.requires_grad_(False)


@pytest.fixture(scope="module")
def text_encoder():
    torch.manual_seed(0)
    return build_text_encoder(NANO).eval().requires_grad_(False)


def pyramid_of(model, images: int = 1) -> FeaturePyramid:
    pixels = torch.randn(images, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return model.encode_image(ImageBatch(pixels, [(HEIGHT, WIDTH)] * images))


def vectors_of(model, classes: int = 3, tokens: int = 2) -> torch.Tensor:
    return torch.randn(classes, tokens, model.text_width, generator=torch.Generator().manual_seed(2))


def last(model, pyramid, language):
    return model.ground(pyramid, language).outputs["layers"][-1]


def caption(text_encoder, names) -> LanguageFeatures:
    encoded = encode_caption(tokenizer_for(NANO), [ClassPhrase(name) for name in names])
    return CaptionPrompt(text_encoder, encoded)(PromptContext())


# ------------------------------------------------------------------------------------------------ phrases


def their_masks(ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(pairs, positions) as IDEA's bertwarper.py makes them, delimiter by delimiter."""
    batch, length = ids.shape
    pairs = torch.eye(length, dtype=torch.bool).repeat(batch, 1, 1)
    positions = torch.zeros(batch, length, dtype=torch.int64)
    for row in range(batch):
        previous = 0
        for column in (column for column in range(length) if ids[row, column] in DELIMITERS):
            if column not in (0, length - 1):
                pairs[row, previous + 1 : column + 1, previous + 1 : column + 1] = True
                positions[row, previous + 1 : column + 1] = torch.arange(column - previous)
            previous = column
    return pairs, positions


def test_phrases_say_all_that_the_masks_and_positions_of_the_published_code_do():
    generator = torch.Generator().manual_seed(0)
    pieces = torch.tensor([*DELIMITERS, STOP, 5, 6, 7, 8, PAD])
    for _ in range(200):
        length = int(torch.randint(2, 20, (1,), generator=generator))
        ids = pieces[torch.randint(len(pieces), (3, length), generator=generator)]
        ids[:, 0] = DELIMITERS[0]  # every caption begins with [CLS]
        phrases = phrases_of(ids, DELIMITERS)
        pairs, positions = their_masks(ids)
        assert torch.equal(phrase_pairs(phrases), pairs) and torch.equal(phrase_places(phrases), positions)


def test_phrases_survive_storing_padding_and_repeating():
    language = LanguageFeatures.of_tokens_per_class(torch.randn(2, 3, 8))
    assert language.phrases.tolist() == [[0, 0, 0, 3, 3, 3]]
    assert LanguageFeatures(**language.tensors()).phrases is language.phrases
    assert language.padded(9).phrases.tolist() == [[0, 0, 0, 3, 3, 3, 6, 7, 8]]
    assert language.for_batch(4).phrases.shape == (4, 6)
    assert torch.equal(FixedPrompt(language)(PromptContext()).phrases, language.phrases)
    without = LanguageFeatures(language.hidden, language.mask, language.class_positions)
    assert "phrases" not in without.tensors() and without.padded(9).for_batch(2).phrases is None
    with pytest.raises(ValueError, match=r"disagree.*phrases \(1, 5\)"):
        LanguageFeatures(language.hidden, language.mask, language.class_positions, language.phrases[:, :5])


def test_a_name_with_a_stop_in_it_is_two_phrases(text_encoder):
    whole, cut = caption(text_encoder, ["red car", "dog"]), caption(text_encoder, ["red. car", "dog"])
    assert phrase_places(whole.phrases)[0].tolist()[:4] == [0, 0, 1, 2]
    assert phrase_places(cut.phrases)[0].tolist()[:5] == [0, 0, 1, 0, 1]
    tokenizer = tokenizer_for(NANO)
    assert [tokenizer.divides(name) for name in ("red car", "red. car", "car?")] == [False, True, True]
    assert not tokenizer_for("glip_nano").divides("red. car")


# ------------------------------------------------------------------------------------------------ the text encoder


def test_classes_do_not_hear_each_other(text_encoder):
    together = caption(text_encoder, ["fish", "red car", "dog"])
    for place, name in enumerate(("fish", "red car", "dog")):
        alone = caption(text_encoder, [name])
        mine = together.hidden[0, together.class_positions[0, place]]
        torch.testing.assert_close(mine, alone.hidden[0, alone.class_positions[0, 0]], rtol=1e-5, atol=1e-5)


def test_no_gradient_flows_from_one_class_to_the_vectors_of_another(text_encoder):
    encoded = encode_caption(tokenizer_for(NANO), [ClassPhrase("fish"), ClassPhrase("dog")])
    words = text_encoder.word_embeddings(encoded.ids[None]).clone().requires_grad_()
    hidden = text_encoder(inputs_embeds=words, phrases=encoded.phrases[None])
    hidden[0, encoded.class_positions[0]].square().sum().backward()
    own = phrase_pairs(encoded.phrases[None])[0][encoded.class_positions[0]].any(dim=0)  # (L,) the rows of its phrase
    assert words.grad[0, own].abs().sum(dim=1).gt(0).all() and not words.grad[0, ~own].any()


def test_word_vectors_stand_for_ids_phrase_by_phrase(text_encoder):
    encoded = encode_caption(tokenizer_for(NANO), [ClassPhrase("fish"), ClassPhrase("dog")])
    ids, phrases = encoded.ids[None], encoded.phrases[None]
    words = text_encoder.word_embeddings(ids)
    given = text_encoder(inputs_embeds=words, phrases=phrases)
    assert torch.equal(given, text_encoder(input_ids=ids, phrases=phrases))
    assert not torch.allclose(given, text_encoder(input_ids=ids), atol=1e-3)


# ------------------------------------------------------------------------------------------------ the detector


def test_padded_text_changes_nothing(model, text_encoder):
    for language in (
        LanguageFeatures.of_tokens_per_class(vectors_of(model)),
        caption(text_encoder, ["fish", "red car"]),
    ):
        rows = language.hidden.shape[1]
        plain, padded = (last(model, pyramid_of(model), each) for each in (language, language.padded(256)))
        torch.testing.assert_close(padded.logits[..., :rows], plain.logits, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(padded.boxes, plain.boxes, rtol=0, atol=2e-6)


def test_a_static_prompt_equals_its_repetition(model):
    language = LanguageFeatures.of_tokens_per_class(vectors_of(model))
    repeated = LanguageFeatures(**{name: value.repeat_interleave(2, 0) for name, value in language.tensors().items()})
    found = [last(model, pyramid_of(model, 2), each) for each in (language, repeated)]
    assert torch.equal(found[0].logits, found[1].logits) and torch.equal(found[0].boxes, found[1].boxes)


def test_an_image_alone_equals_itself_in_a_batch_of_its_size(model):
    language, batch = LanguageFeatures.of_tokens_per_class(vectors_of(model)), pyramid_of(model, 2)
    together = last(model, batch, language)
    for image in range(2):
        part = slice(image, image + 1)
        pyramid = FeaturePyramid([level[part] for level in batch.maps], batch.sizes[part], batch.padding[part])
        alone = last(model, pyramid, language)
        torch.testing.assert_close(together.logits[part], alone.logits, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(together.boxes[part], alone.boxes, rtol=0, atol=2e-6)


def test_the_order_of_classes_does_not_matter(model):
    vectors, order = vectors_of(model), torch.tensor([2, 0, 1])
    found = [
        last(model, pyramid_of(model), LanguageFeatures.of_tokens_per_class(each)) for each in (vectors, vectors[order])
    ]
    by_class = [each.logits.unflatten(-1, (3, 2)) for each in found]
    torch.testing.assert_close(by_class[1], by_class[0][:, :, order], rtol=1e-4, atol=1e-4)


def test_folded_fusions_give_the_numbers_of_plain_ones(model):
    """Also where pixels are padded, with fewer operations."""
    plain = copy.deepcopy(model)
    disable_optimisations(plain)
    pixels = torch.randn(2, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(4))
    pixels[1, :, 64:] = 0
    language = LanguageFeatures.of_tokens_per_class(vectors_of(model))
    found, spent = [], []
    for each in (model, plain):
        pyramid = each.encode_image(ImageBatch(pixels, [(HEIGHT, WIDTH), (64, WIDTH)]))
        with FlopCounterMode(display=False) as counter:
            found.append(last(each, pyramid, language))
        spent.append(counter.get_total_flops())
    torch.testing.assert_close(found[0].logits, found[1].logits[..., :6], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[0].boxes, found[1].boxes, rtol=0, atol=2e-6)
    assert 1.4 * spent[0] < spent[1]


def test_stage_1_gives_every_vector_a_gradient_and_nothing_else(model):
    vectors, pyramid = vectors_of(model).requires_grad_(), pyramid_of(model)
    target = Target(torch.tensor([[10.0, 10, 60, 70], [40, 30, 120, 90]]), torch.tensor([0, 2]), 0)
    predictions = model.ground(pyramid, LanguageFeatures.of_tokens_per_class(vectors), [target])
    sum(normalised(model.loss(predictions, [target])).values()).backward()
    assert vectors.grad.abs().sum(dim=-1).gt(0).all()
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(level.requires_grad for level in pyramid.maps)


def test_one_vector_of_one_class_has_a_gradient(model):
    vectors = vectors_of(model, 1, 1).requires_grad_()
    target = Target(torch.tensor([[10.0, 10, 60, 70]]), torch.tensor([0]), 0)
    predictions = model.ground(pyramid_of(model), LanguageFeatures.of_tokens_per_class(vectors))
    sum(normalised(model.loss(predictions, [target])).values()).backward()
    assert vectors.grad.abs().max() > 1e-6


def test_a_picture_with_fewer_tokens_than_queries_has_as_many_queries(model):
    with torch.no_grad():
        pyramid = model.encode_image(ImageBatch(torch.randn(1, 3, 40, 32), [(40, 32)]))
        language = LanguageFeatures.of_tokens_per_class(vectors_of(model))
        tokens = sum(level[0, 0].numel() for level in pyramid.maps)
        assert (
            last(model, pyramid, language).logits.shape[1]
            == tokens
            < model.model.query_position_embeddings.num_embeddings
        )
        assert len(model.detect(model.ground(pyramid, language))[0].scores) == 3 * tokens


def test_language_that_cannot_be_right_is_refused(model):
    language = LanguageFeatures.of_tokens_per_class(torch.zeros(257, 1, model.text_width))
    with pytest.raises(ConesError, match=r"too many rows.*at most 256.*found 257; next: lower tokens_per_class"):
        model.ground(pyramid_of(model), language)
    language = LanguageFeatures.of_tokens_per_class(vectors_of(model))
    language.phrases = None
    with pytest.raises(ConesError, match="do not say where phrases begin"):
        model.ground(pyramid_of(model), language)


def test_fresh_models_are_unsure_and_boxes_start_at_their_proposals():
    torch.manual_seed(0)
    model = build_detector(NANO)
    heads = [*model.class_embed, model.model.encoder_output_class_embed]
    assert all(torch.sigmoid(head.bias).item() == pytest.approx(0.01) for head in heads)
    boxes = [*model.bbox_embed, model.model.encoder_output_bbox_embed]
    assert not any(head.layers[-1].weight.any() or head.layers[-1].bias.any() for head in boxes)
    offsets = model.model.encoder.layers[0].deformable_layer.self_attn.sampling_offsets
    assert not offsets.weight.any() and offsets.bias.any()
