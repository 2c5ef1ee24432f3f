"""Published weights of CLIP -> the state of a model here, whose names are those of OpenAI's own files.

Files of open_clip have these names too. Those of `transformers.CLIPModel` have others: query, key and value apart, and
projections that are transposed.
"""

import re

import torch
from torch import Tensor

State = dict[str, Tensor]

# constants that files hold beside the weights: of OpenAI's archives, and of older files of transformers
UNUSED = re.compile(r"input_resolution|context_length|vocab_size|(text|vision)_model\.embeddings\.position_ids")

# (name in transformers, ours), the first that matches
RULES = [
    (r"vision_model\.embeddings\.patch_embedding\.", "visual.conv1."),
    (r"vision_model\.embeddings\.class_embedding$", "visual.class_embedding"),
    (r"vision_model\.embeddings\.position_embedding\.weight$", "visual.positional_embedding"),
    (r"vision_model\.pre_layrnorm\.", "visual.ln_pre."),  # spelled so
    (r"vision_model\.post_layernorm\.", "visual.ln_post."),
    (r"vision_model\.encoder\.layers\.", "visual.transformer.resblocks."),
    (r"text_model\.embeddings\.token_embedding\.", "token_embedding."),
    (r"text_model\.embeddings\.position_embedding\.weight$", "positional_embedding"),
    (r"text_model\.final_layer_norm\.", "ln_final."),
    (r"text_model\.encoder\.layers\.", "transformer.resblocks."),
]
# inside a block
BLOCK_RULES = [
    (".self_attn.", ".attn."),
    (".layer_norm1.", ".ln_1."),
    (".layer_norm2.", ".ln_2."),
    (".mlp.fc1.", ".mlp.c_fc."),
    (".mlp.fc2.", ".mlp.c_proj."),
]
TRANSPOSED = {"visual_projection.weight": "visual.proj", "text_projection.weight": "text_projection"}


def converted(state: State) -> State:
    """A published state under our names, in float32; what is not known keeps its name, for the caller to refuse."""
    if any(name.startswith(("vision_model.", "text_model.")) for name in state):
        state = _joined(dict(_renamed(name, value) for name, value in state.items()))
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def _renamed(name: str, value: Tensor) -> tuple[str, Tensor]:
    if name in TRANSPOSED:
        return TRANSPOSED[name], value.t().contiguous()
    for pattern, replacement in RULES:
        if re.match(pattern, name):
            name = re.sub(f"^{pattern}", replacement, name)
            break
    if ".resblocks." in name:
        for theirs, ours in BLOCK_RULES:
            name = name.replace(theirs, ours)
    return name, value


def _joined(state: State) -> State:
    """Query, key and value, three matrices in the files, are one here.

    If one of them is missing the others keep their names, to be refused.
    """
    joined = {}
    for name, value in state.items():
        match = re.fullmatch(r"(.+\.attn\.)([qkv])_proj\.(weight|bias)", name)
        parts = [state.get(f"{match[1]}{part}_proj.{match[3]}") for part in "qkv"] if match else [None]
        if any(part is None for part in parts):
            joined[name] = value
        elif match[2] == "q":
            joined[f"{match[1]}in_proj_{match[3]}"] = torch.cat(parts)
    return joined
