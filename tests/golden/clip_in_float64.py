"""CLIP's text encoder of FORMAT-A, A.1, once more: in float64, from the definition, without the library.

For methods whose golden file does not exist: their tests compute the numbers of FORMAT's definition with it.
"""

import functools

import torch
from torch import Tensor

from tests.golden.clip import recipe

WIDTH, JOINT, LAYERS, HEADS, POSITIONS = 128, 64, 4, 2, 77
SHAPES = {
    "attn.in_proj_weight": (3 * WIDTH, WIDTH),
    "attn.in_proj_bias": (3 * WIDTH,),
    "attn.out_proj.weight": (WIDTH, WIDTH),
    "attn.out_proj.bias": (WIDTH,),
    "mlp.c_fc.weight": (4 * WIDTH, WIDTH),
    "mlp.c_fc.bias": (4 * WIDTH,),
    "mlp.c_proj.weight": (WIDTH, 4 * WIDTH),
    "mlp.c_proj.bias": (WIDTH,),
    **{f"{norm}.{kind}": (WIDTH,) for norm in ("ln_1", "ln_2") for kind in ("weight", "bias")},
}


@functools.cache
def weight(name: str, *shape: int) -> Tensor:
    return torch.from_numpy(recipe.value(name, shape)).double()


def words(ids: Tensor) -> Tensor:
    """(K, L) -> (K, L, WIDTH)."""
    return weight("token_embedding.weight", 49408, WIDTH)[ids]


def text_features(rows: Tensor, ends: Tensor) -> Tensor:
    """Word vectors (K, L, WIDTH), before positions -> (K, JOINT), not normalised."""
    x = rows + weight("positional_embedding", POSITIONS, WIDTH)[: rows.shape[1]]
    for layer in range(LAYERS):
        part = {name: weight(f"transformer.resblocks.{layer}.{name}", *shape) for name, shape in SHAPES.items()}
        x = x + attention(norm(x, part["ln_1.weight"], part["ln_1.bias"]), part)
        inner = norm(x, part["ln_2.weight"], part["ln_2.bias"]) @ part["mlp.c_fc.weight"].T + part["mlp.c_fc.bias"]
        x = x + (inner * torch.sigmoid(1.702 * inner)) @ part["mlp.c_proj.weight"].T + part["mlp.c_proj.bias"]
    x = norm(x, weight("ln_final.weight", WIDTH), weight("ln_final.bias", WIDTH))
    return x[torch.arange(len(x)), ends] @ weight("text_projection", WIDTH, JOINT)


def norm(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * gain + bias


def attention(x: Tensor, part: dict[str, Tensor]) -> Tensor:
    texts, length, _ = x.shape
    joined = x @ part["attn.in_proj_weight"].T + part["attn.in_proj_bias"]
    query, key, value = (
        one.reshape(texts, length, HEADS, WIDTH // HEADS).transpose(1, 2) for one in joined.chunk(3, -1)
    )
    scores = query @ key.transpose(-1, -2) / (WIDTH // HEADS) ** 0.5
    later = torch.ones(length, length).triu(1).bool()
    found = scores.masked_fill(later, float("-inf")).softmax(-1) @ value
    return (
        found.transpose(1, 2).reshape(texts, length, WIDTH) @ part["attn.out_proj.weight"].T
        + part["attn.out_proj.bias"]
    )
