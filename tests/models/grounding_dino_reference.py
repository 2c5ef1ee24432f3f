"""Tiny Grounding DINOs of transformers with random weights, and the same weights in ours."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from cones.models.detector import FeaturePyramid, ImageBatch
from cones.models.grounding_dino.build import build_of_sizes
from cones.models.grounding_dino.checkpoint import BACKBONE, converted
from cones.models.grounding_dino.config import TINY, GroundingDINOSizes
from cones.models.grounding_dino.detector import GroundingDINO
from cones.models.language import LanguageFeatures, phrases_of
from cones.models.text_encoder import TextEncoder
from cones.models.text_sizes import TextSizes

TEXT_PREFIX = "model.text_backbone."
CLS, SEP, STOP, QUESTION, PAD = 101, 102, 1012, 1029, 0  # of bert-base-uncased; hard-coded in transformers
DELIMITERS = (CLS, SEP, STOP, QUESTION)
TEXT = TextSizes(vocabulary=1100, positions=64, width=32, layers=2, heads=4, inner=64, dropout=0.0)
GDINO = replace(
    TINY,
    embed=16,
    depths=(1, 1, 2, 1),
    swin_heads=(2, 2, 4, 4),
    window=3,
    text=TEXT,
    width=64,
    heads=4,
    points=2,
    inner=96,
    fusion_heads=2,
    fusion_inner=48,
    encoder_layers=2,
    decoder_layers=3,
    queries=20,
)
MM = replace(GDINO, scaled_contrast=True, separate_box_heads=True)
KINDS = {"gdino": GDINO, "mm": MM, "mm_five_levels": replace(MM, maps=4, levels=5)}


@dataclass
class Pair:
    """One model twice: transformers' and ours."""

    theirs: nn.Module
    ours: GroundingDINO
    text_encoder: TextEncoder


def pair_of(sizes: GroundingDINOSizes, *, seed: int = 0) -> Pair:
    theirs = reference_model(sizes, seed=seed)
    detector, encoder = build_of_sizes(sizes).eval(), text_encoder_of(sizes)
    state = converted(
        theirs.state_dict(),
        separate_box_heads=sizes.separate_box_heads,
        decoder_layers=sizes.decoder_layers,
        where="the reference",
    )
    state = {name: value for name, value in state.items() if not name.startswith(f"{BACKBONE}layernorm.")}
    text = {name.removeprefix(TEXT_PREFIX): value for name, value in state.items() if name.startswith(TEXT_PREFIX)}
    detector.load_state_dict({name: value for name, value in state.items() if not name.startswith(TEXT_PREFIX)})
    encoder.load_state_dict(text)
    return Pair(theirs, detector, encoder)


def text_encoder_of(sizes: GroundingDINOSizes) -> TextEncoder:
    text = sizes.text
    return TextEncoder(
        vocabulary=text.vocabulary,
        positions=text.positions,
        width=text.width,
        layers=text.layers,
        heads=text.heads,
        inner=text.inner,
        dropout=text.dropout,
    ).eval()


def reference_model(sizes: GroundingDINOSizes, *, seed: int = 0, randomised: bool = True, **more) -> nn.Module:
    """transformers' class of these sizes with weights that leave nothing at its start value, or as it starts."""
    import transformers

    text = sizes.text
    swin = transformers.SwinConfig(
        embed_dim=sizes.embed,
        depths=list(sizes.depths),
        num_heads=list(sizes.swin_heads),
        window_size=sizes.window,
        out_features=[f"stage{stage + 1}" for stage in range(4)][-sizes.maps :],
    )
    bert = transformers.BertConfig(
        vocab_size=text.vocabulary,
        max_position_embeddings=text.positions,
        hidden_size=text.width,
        num_hidden_layers=text.layers,
        num_attention_heads=text.heads,
        intermediate_size=text.inner,
        attn_implementation="sdpa",  # eager adds the boolean mask to the scores
    )
    settings = {
        "backbone_config": swin,
        "text_config": bert,
        "d_model": sizes.width,
        "encoder_layers": sizes.encoder_layers,
        "decoder_layers": sizes.decoder_layers,
        "encoder_attention_heads": sizes.heads,
        "decoder_attention_heads": sizes.heads,
        "encoder_ffn_dim": sizes.inner,
        "decoder_ffn_dim": sizes.inner,
        "encoder_n_points": sizes.points,
        "decoder_n_points": sizes.points,
        "num_feature_levels": sizes.levels,
        "num_queries": sizes.queries,
        "auxiliary_loss": True,
        "class_cost": sizes.cost.classification,
        **more,
    }
    if sizes.separate_box_heads:
        config = transformers.MMGroundingDinoConfig(
            **settings, decoder_bbox_embed_share=False, decoder_cls_embed_share=False
        )
        model = transformers.MMGroundingDinoForObjectDetection(config)
    else:
        model = transformers.GroundingDinoForObjectDetection(transformers.GroundingDinoConfig(**settings))
    if randomised:
        randomise(model, seed)
    return model.eval()


@torch.no_grad()
def randomise(model: nn.Module, seed: int) -> None:
    """Norms, biases, heads, offsets and fusion gains away from where they start; tied copies stay tied."""
    generator = torch.Generator().manual_seed(seed)

    def noise(like: Tensor, scale: float) -> Tensor:
        return torch.randn(like.shape, generator=generator) * scale

    for name, parameter in model.named_parameters():
        if name.endswith(("vision_param", "text_param")):
            parameter.copy_(0.5 + noise(parameter, 0.1))
        elif "class_embed" in name:
            parameter.copy_(-4.0 + noise(parameter, 0.3))
        elif "sampling_offsets" in name or (parameter.ndim == 1 and "norm" not in name.lower()):
            parameter.copy_(noise(parameter, 0.3))
        elif parameter.ndim == 1:
            parameter.copy_((1.0 if name.endswith("weight") else 0.0) + noise(parameter, 0.3))
        elif "embeddings" in name or "level_embed" in name or "bias_table" in name:
            parameter.copy_(noise(parameter, 0.5))
        else:
            parameter.copy_(noise(parameter, parameter[0].numel() ** -0.5))


@dataclass
class Inputs:
    """What transformers' forward takes: pixels (B, 3, H, W), pixel_mask (B, H, W), ids and mask (B, L) int64."""

    pixel_values: Tensor
    pixel_mask: Tensor
    input_ids: Tensor
    attention_mask: Tensor

    @property
    def images(self) -> ImageBatch:
        sizes = [(int(mask[:, 0].sum()), int(mask[0].sum())) for mask in self.pixel_mask]
        return ImageBatch(self.pixel_values, sizes)


def inputs_of(captions: list[list[int]], sizes: list[tuple[int, int]], *, seed: int = 1, pad_to: int = 0) -> Inputs:
    """Captions as ids and pictures of noise, padded to the longest and largest."""
    generator = torch.Generator().manual_seed(seed)
    length = max(pad_to, *map(len, captions))
    height, width = (max(size[axis] for size in sizes) for axis in (0, 1))
    pixels = torch.zeros(len(sizes), 3, height, width)
    pixel_mask = torch.zeros(len(sizes), height, width, dtype=torch.int64)
    ids = torch.full((len(captions), length), PAD)
    for image, ((own_height, own_width), caption) in enumerate(zip(sizes, captions)):
        pixels[image, :, :own_height, :own_width] = torch.randn(3, own_height, own_width, generator=generator)
        pixel_mask[image, :own_height, :own_width] = 1
        ids[image, : len(caption)] = torch.tensor(caption)
    mask = torch.zeros_like(ids)
    for row, caption in zip(mask, captions):
        row[: len(caption)] = 1
    return Inputs(pixels, pixel_mask, ids, mask)


def class_rows(ids: Tensor) -> Tensor:
    """ids (L,) -> (K, L) bool: the rows between delimiters, padding left out."""
    rows, row = [], []
    for place, token in enumerate(ids.tolist()):
        if token in (*DELIMITERS, PAD):
            rows, row = ([*rows, row] if row else rows), []
        else:
            row.append(place)
    positions = torch.zeros(len(rows), len(ids), dtype=torch.bool)
    for positives, places in zip(positions, rows):
        positives[places] = True
    return positions


def language_of(pair: Pair, inputs: Inputs) -> LanguageFeatures:
    """Class names through our text encoder."""
    phrases, mask = phrases_of(inputs.input_ids, DELIMITERS), inputs.attention_mask.bool()
    hidden = pair.text_encoder(input_ids=inputs.input_ids, mask=mask, phrases=phrases)
    positions = [class_rows(row) for row in inputs.input_ids]
    stacked = torch.zeros(len(positions), max(map(len, positions)), mask.shape[1], dtype=torch.bool)
    for row, own in zip(stacked, positions):
        row[: len(own)] = own
    return LanguageFeatures(hidden, mask, stacked, phrases)


def pyramid_of(pair: Pair, inputs: Inputs) -> FeaturePyramid:
    return pair.ours.encode_image(inputs.images)
