"""Stable Diffusion of a few thousand random parameters, and a subject painted by the test."""

import functools
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel

from cones.methods.contexts import TextParts
from cones.miniature.icons import Icon, paint_icon
from cones.miniature.painter import generator_of
from cones.miniature.pretraining.diffusion.words import build_tokenizer
from cones.models.generator import Subject
from cones.training.subjects.generator import StableDiffusion, TextStates

WIDTH = 16
CPU = torch.device("cpu")
tokenizer = functools.cache(build_tokenizer)


def tiny_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"],
        up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"],
        block_out_channels=(16, 32),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=2,
        norm_num_groups=4,
    )


def tiny_autoencoder() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        block_out_channels=(8, 16),
        latent_channels=4,
        norm_num_groups=4,
        sample_size=16,
        scaling_factor=0.5,
    )


def tiny_text() -> TextParts:
    words = tokenizer()
    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=words.model_max_length,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    return TextParts(CLIPTextModel(config).eval(), words)


def tiny_scheduler(prediction_type: str = "epsilon") -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction_type,
    )


def tiny_generator(*, with_text: bool = True, prediction_type: str = "epsilon") -> StableDiffusion:
    torch.manual_seed(0)
    text = tiny_text()
    states = TextStates(text.states([""]), {"dog": text.states(["dog"])[0, 1:2]})
    return StableDiffusion(
        unet=tiny_unet(),
        autoencoder=tiny_autoencoder(),
        scheduler=tiny_scheduler(prediction_type),
        states=states,
        text=text if with_text else None,
        device=CPU,
    )


def saved(folder: Path, *, text: bool) -> Path:
    """A pipeline directory of it, with or without the text parts."""
    torch.manual_seed(0)
    tiny_unet().save_pretrained(folder / "unet")
    tiny_autoencoder().save_pretrained(folder / "vae")
    tiny_scheduler().save_pretrained(folder / "scheduler")
    if text:
        parts = tiny_text()
        parts.encoder.save_pretrained(folder / "text_encoder")
        parts.tokenizer.save_pretrained(folder / "tokenizer")
    return folder


def painted_subject(folder: Path, pictures: int = 3) -> Subject:
    """A red striped dog in the snow, so many times."""
    files = []
    for number in range(pictures):
        icon = Icon("dog", "red", "white", "striped", "in the snow")
        picture: Image.Image = paint_icon(icon, generator_of(f"test:{number}"), 40)[0]
        picture.save(folder / f"{number:02}.png")
        files.append(folder / f"{number:02}.png")
    return Subject("rex", "dog", tuple(files))
