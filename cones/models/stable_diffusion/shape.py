"""The shape of Stable Diffusion 1.5 without its weights: what cost is counted on, and what a test can load."""

import torch
from torch import nn

POSITIONS = 77  # of the text encoder


def sd15_unet(side: int = 512) -> nn.Module:
    """859.5 M parameters, for pictures of `side` pixels; diffusers' defaults are 1.5's but for the widths of text and
    heads."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(sample_size=side // 8, cross_attention_dim=768, attention_head_dim=8)


def sd15_autoencoder() -> nn.Module:
    """83.7 M parameters; latents are an eighth of the picture."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        latent_channels=4,
        sample_size=512,
        scaling_factor=0.18215,
    )


def sd15_text_encoder() -> nn.Module:
    """123.1 M parameters: the text half of CLIP ViT-L/14."""
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=49408,
            hidden_size=768,
            intermediate_size=3072,
            num_hidden_layers=12,
            num_attention_heads=12,
            max_position_embeddings=POSITIONS,
            projection_dim=768,
        )
    )


def sd15_scheduler():
    """1.5's noise schedule: 1000 timesteps, scaled linear, the noise is the target."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def on_meta(build) -> nn.Module:
    """A part without values: its operations can be counted, not computed."""
    with torch.device("meta"):
        return build().eval().requires_grad_(False)
