"""The text encoder against `transformers.BertModel`, and its WordPiece."""

import pytest
import torch

from cones.models.checkpoints import build_text_encoder, tokenizer_for
from cones.models.layers.bert import NANO_VOCABULARY
from cones.models.text_encoder import BertLayer, TextEncoder, load_tokenizer
from cones.runtime.errors import ConesError

SIZES = {"vocabulary": 50, "positions": 16, "width": 32, "layers": 3, "heads": 4, "inner": 64}


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    encoder = TextEncoder(**SIZES)
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return encoder.eval()


IDS = torch.tensor([[2, 7, 9, 11, 3, 0, 0], [2, 8, 8, 30, 49, 12, 3]])
MASK = torch.tensor([[1, 1, 1, 1, 1, 0, 0], [1] * 7]).bool()


def test_equals_transformers_bert(encoder):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed: nothing to compare with")
    config = transformers.BertConfig(
        vocab_size=50,
        max_position_embeddings=16,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
    )
    reference = transformers.BertModel(config, add_pooling_layer=False).eval()
    assert {n: p.shape for n, p in reference.named_parameters()} == {n: p.shape for n, p in encoder.named_parameters()}
    reference.load_state_dict(encoder.state_dict(), strict=False)
    expected = reference(input_ids=IDS, attention_mask=MASK.long()).last_hidden_state
    torch.testing.assert_close(encoder(input_ids=IDS, mask=MASK)[MASK], expected[MASK], rtol=1e-5, atol=1e-5)
    words = torch.randn(2, 7, 32)
    expected = reference(inputs_embeds=words, attention_mask=MASK.long()).last_hidden_state
    torch.testing.assert_close(encoder(inputs_embeds=words, mask=MASK)[MASK], expected[MASK], rtol=1e-5, atol=1e-5)


def test_word_vectors_stand_for_ids(encoder):
    words = encoder.word_embeddings(IDS)
    torch.testing.assert_close(encoder(inputs_embeds=words, mask=MASK), encoder(input_ids=IDS, mask=MASK))
    with pytest.raises(ValueError, match="either"):
        encoder(input_ids=IDS, inputs_embeds=words)


def test_padding_does_not_reach_valid_positions(encoder):
    alone = encoder(input_ids=IDS[:1, :5], mask=None)
    torch.testing.assert_close(encoder(input_ids=IDS, mask=MASK)[:1, :5], alone)


def test_gradient_reaches_given_vectors_with_frozen_weights(encoder):
    encoder.requires_grad_(False)
    words = encoder.word_embeddings(IDS).requires_grad_(True)
    encoder(inputs_embeds=words, mask=MASK)[MASK].square().sum().backward()
    assert words.grad[MASK].abs().min(dim=0).values.max() > 0
    assert not words.grad[~MASK].any()


def test_dropout_is_live_in_train_mode_only(encoder):
    assert torch.equal(encoder(input_ids=IDS, mask=MASK), encoder(input_ids=IDS, mask=MASK))
    encoder.train()
    assert not torch.equal(encoder(input_ids=IDS, mask=MASK), encoder(input_ids=IDS, mask=MASK))


def test_clamps_leave_ordinary_numbers_alone():
    torch.manual_seed(0)
    plain = BertLayer(width=16, heads=2, inner=32, dropout=0.0)
    clamped = BertLayer(width=16, heads=2, inner=32, dropout=0.0, limit=50000.0)
    clamped.load_state_dict(plain.state_dict())
    hidden = torch.randn(2, 5, 16)
    assert torch.equal(plain(hidden, None), clamped(hidden, None))


def test_text_longer_than_the_positions_is_refused(encoder):
    with pytest.raises(
        ConesError, match="too long for the text encoder; expected at most 16 word pieces and vectors; found 17"
    ):
        encoder(input_ids=torch.zeros(1, 17, dtype=torch.long))


def test_nano_tokenizer_reads_class_names_as_words():
    encoding = tokenizer_for("glip_nano").encode("Starfish. jetski. WBC, puffin_x")
    assert encoding.tokens == ["[CLS]", "starfish", ".", "jetski", ".", "wbc", ",", "puffin", "_", "x", "[SEP]"]
    assert encoding.offsets[1] == (0, 8) and encoding.offsets[3] == (10, 16)
    assert encoding.special_tokens_mask == [1] + [0] * 9 + [1]


def test_nano_tokenizer_spells_what_it_does_not_know():
    encoding = tokenizer_for("glip_nano").encode("Qwz7é")
    assert encoding.tokens == ["[CLS]", "q", "##w", "##z", "##7", "##e", "[SEP]"]


def test_nano_vocabulary_fits_the_encoder():
    pieces = NANO_VOCABULARY.read_text(encoding="utf-8").splitlines()
    assert pieces[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert len(pieces) == len(set(pieces)) <= 1000
    assert build_text_encoder("glip_nano").word_embeddings.num_embeddings == len(pieces)


def test_equals_the_tokenizer_of_transformers():
    transformers = pytest.importorskip("transformers", reason="transformers is not installed: nothing to compare with")
    reference = transformers.BertTokenizer(str(NANO_VOCABULARY))
    text = "Red blood-cells. Étoile (x2) [MASK] jetski; vehicles"
    assert tokenizer_for("glip_nano").encode(text).ids == reference(text)["input_ids"]


def test_a_file_that_is_no_vocabulary_is_refused(tmp_path):
    (tmp_path / "vocab.txt").write_text("a\nb\n")
    with pytest.raises(ConesError, match=r"not a WordPiece vocabulary; found no \[UNK\]"):
        load_tokenizer(tmp_path / "vocab.txt")
    with pytest.raises(ConesError, match="vocabulary of the text encoder is missing"):
        load_tokenizer(tmp_path / "nothing.txt")
