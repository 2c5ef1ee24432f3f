"""The modules of `sd_nano`: the classes of Stable Diffusion 1.5, small."""

import torch
from torch import Tensor, nn

from cones.miniature.pretraining.diffusion.recipe import (
    LATENT_CHANNELS,
    LATENT_SIDE,
    SIDE,
    TEXT_POSITIONS,
    TEXT_WIDTH,
)


def build_autoencoder() -> nn.Module:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 3,
        up_block_types=["UpDecoderBlock2D"] * 3,
        block_out_channels=(16, 32, 64),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=SIDE,
    )


def build_unet() -> nn.Module:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=LATENT_SIDE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=["CrossAttnDownBlock2D"] * 2,
        up_block_types=["CrossAttnUpBlock2D"] * 2,
        block_out_channels=(64, 128),
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,  # of this class: the number of heads
        norm_num_groups=16,
    )


def build_text_encoder(tokenizer) -> nn.Module:
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=4 * TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=TEXT_POSITIONS,
        projection_dim=TEXT_WIDTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def build_scheduler():
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="trailing",
    )


def token_ids(tokenizer, captions: list[str]) -> Tensor:
    """(B, L) padded to the tokenizer's length."""
    encoded = tokenizer(
        captions, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
    )
    return encoded.input_ids


@torch.no_grad()
def encoded(autoencoder: nn.Module, pictures: Tensor, batch: int = 256) -> Tensor:
    """(N, 3, H, W) in -1 … 1 -> the posterior's parameters (N, 2C, h, w): means, then log variances."""
    return torch.cat([autoencoder.encode(part).latent_dist.parameters for part in pictures.split(batch)])
