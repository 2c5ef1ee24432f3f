"""The tiny image encoder of FORMAT-A with tokens of FORMAT-C, in float64 and from the definition alone.

Nothing of the library is imported: it is what a form is held against for which no golden file is there.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.golden.clip import recipe

WIDTH, HEADS, BLOCKS, PATCH, POSITIONS = 192, 3, 4, 8, 17


def weight(name: str, *shape: int) -> Tensor:
    return torch.from_numpy(recipe.value(name, shape)).double()


def norm(x: Tensor, name: str) -> Tensor:
    return F.layer_norm(x, (WIDTH,), weight(f"{name}.weight", WIDTH), weight(f"{name}.bias", WIDTH), 1e-5)


def affine(x: Tensor, name: str, outputs: int, inputs: int, ends: tuple[str, str] = (".weight", ".bias")) -> Tensor:
    return x @ weight(name + ends[0], outputs, inputs).T + weight(name + ends[1], outputs)


def block(x: Tensor, number: int) -> Tensor:
    name = f"visual.transformer.resblocks.{number}"
    joined = affine(norm(x, f"{name}.ln_1"), f"{name}.attn.in_proj", 3 * WIDTH, WIDTH, ("_weight", "_bias"))
    query, key, value = (part.unflatten(-1, (HEADS, 64)).transpose(1, 2) for part in joined.split(WIDTH, dim=-1))
    seen = (query @ key.transpose(-1, -2) / 8).softmax(-1) @ value
    x = x + affine(seen.transpose(1, 2).flatten(2), f"{name}.attn.out_proj", WIDTH, WIDTH)
    inner = affine(norm(x, f"{name}.ln_2"), f"{name}.mlp.c_fc", 4 * WIDTH, WIDTH)
    return x + affine(inner * torch.sigmoid(1.702 * inner), f"{name}.mlp.c_proj", WIDTH, 4 * WIDTH)


def features(pixels: Tensor, tokens: Tensor, *, before_first_norm: bool) -> Tensor:
    """(B, 3, 32, 32), tokens (4, n, 192) of float64 -> (B, 64): at the end of the sequence, replaced in every block."""
    kernel = weight("visual.conv1.weight", WIDTH, 3, PATCH, PATCH)
    patches = F.conv2d(pixels.double(), kernel, stride=PATCH).flatten(2).transpose(1, 2)
    first = weight("visual.class_embedding", WIDTH).expand(len(pixels), 1, -1)
    rows = torch.cat([first, patches], 1) + weight("visual.positional_embedding", POSITIONS, WIDTH)

    def joined(rows: Tensor, number: int) -> Tensor:
        return torch.cat([rows[:, :POSITIONS], tokens[number].expand(len(rows), -1, -1)], dim=1)

    first_norm = "visual.ln_pre"
    rows = norm(joined(rows, 0), first_norm) if before_first_norm else joined(norm(rows, first_norm), 0)
    for number in range(BLOCKS):
        rows = block(rows if number == 0 else joined(rows, number), number)
    return norm(rows[:, 0], "visual.ln_post") @ weight("visual.proj", WIDTH, 64)
