"""Is `sd_nano` good enough to be personalised? What a fixed grid of captions shows, and scores with their ceilings."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from cones.miniature.icon_classifier import IconClassifier, accuracy
from cones.miniature.icons import COLOURS, NOUNS, PATTERNS, PLACES, Icon
from cones.miniature.pretraining.diffusion.losses import reconstructed
from cones.miniature.pretraining.diffusion.parts import token_ids
from cones.miniature.pretraining.diffusion.words import described
from cones.models.stable_diffusion.sampling import denoised
from cones.runtime.determinism import generator

GUIDANCE, STEPS = 5.0, 25  # at 2, 3 and 7.5 fewer patterns are right


def caption_grid() -> list[Icon]:
    """Each noun with each pattern, colours and places taking turns: 60 icons, noun by noun."""
    colours, places = list(COLOURS), list(PLACES)
    return [
        Icon(
            noun,
            colours[(3 * row + 5 * column) % len(colours)],
            colours[(3 * row + 5 * column + 4) % len(colours)],
            pattern,
            places[(row + 3 * column) % len(places)],
        )
        for row, noun in enumerate(NOUNS)
        for column, pattern in enumerate(PATTERNS)
    ]


@torch.no_grad()
def pictures_of_grid(
    unet, text_encoder, tokenizer, autoencoder, scheduler, scaling: float, icons: list[Icon]
) -> Tensor:
    """(60, 3, H, W) in -1 … 1, from "a photo of a red and white striped dog in the snow" and a fixed seed."""
    said = [f"a photo of a {described(icon)} {icon.place}" for icon in icons]
    states = text_encoder(token_ids(tokenizer, said)).last_hidden_state
    null = text_encoder(token_ids(tokenizer, [""])).last_hidden_state.expand_as(states)
    size = unet.config.sample_size
    noise = torch.randn((len(icons), unet.config.in_channels, size, size), generator=generator("gate"))
    latents = denoised(unet, scheduler, noise, states, null, guidance=GUIDANCE, steps=STEPS)
    return torch.cat([autoencoder.decode(part).sample.clamp(-1, 1) for part in (latents / scaling).split(64)])


def contact_sheet(pictures: Tensor, columns: int, zoom: int = 3) -> Image.Image:
    """(N, 3, H, W) in -1 … 1, row by row."""
    pixels = ((pictures + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    rows = [np.concatenate(pixels[at : at + columns], axis=1) for at in range(0, len(pixels), columns)]
    sheet = Image.fromarray(np.concatenate(rows))
    return sheet.resize((sheet.width * zoom, sheet.height * zoom), Image.Resampling.NEAREST)


def ceilings(classifier: IconClassifier, autoencoder: nn.Module, pictures: Tensor, icons: list[Icon]) -> dict:
    """The classifier on held-out pictures, sharp and through the autoencoder: no generated picture can do better."""
    return {
        "sharp": accuracy(classifier, pictures, icons),
        "reconstructed": accuracy(classifier, reconstructed(autoencoder, pictures), icons),
    }


def decibels(found: Tensor, wanted: Tensor) -> float:
    """Peak signal-to-noise ratio of pictures in -1 … 1."""
    return round(10 * float(torch.log10(4 / (found - wanted).square().mean())), 2)


def principal_components_floor(pictures: Tensor, patch: int, coefficients: int) -> float:
    """PSNR of the best linear code of the same size, fitted and scored on the same pictures (N, 3, H, W)."""
    columns = nn.functional.unfold(pictures, patch, stride=patch)  # (N, 3 p p, h w)
    rows = columns.transpose(1, 2).flatten(0, 1)  # (N h w, 3 p p)
    rows = rows - rows.mean(0)
    spread = torch.linalg.eigvalsh(rows.T @ rows / len(rows)).flip(0)
    return round(10 * float(torch.log10(4 / (spread[coefficients:].sum() / rows.shape[1]))), 2)
