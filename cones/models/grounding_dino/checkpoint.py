"""Published weights of the family -> the state of a model here (docs/spec/grounding_dino.md, section 4).

The files are those of the hub, in the layout of transformers' classes. Heads are stored in three ways (at the top, in
the decoder, some here and some there), backbones under the names of transformers before 5.23 or since.
"""

import math
import re

import torch
from torch import Tensor

from cones.models.layers.swin import relative_position_index
from cones.runtime.errors import ConesError

State = dict[str, Tensor]
BACKBONE = "model.backbone.conv_encoder.model."
TABLE = "attn.relative_position_bias_table"

# (their name, ours), the first that matches; names of the backbone are written without its prefix
BACKBONE_RULES = [
    (r"embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"embeddings\.norm\.", "patch_embed.norm."),
    (r"hidden_states_norms\.stage1\.", "norm0."),
    (r"hidden_states_norms\.stage2\.", "norm1."),
    (r"hidden_states_norms\.stage3\.", "norm2."),
    (r"hidden_states_norms\.stage4\.", "norm3."),
    (r"encoder\.(.+)\.attention\.self\.(query|key|value)\.", r"\1.attn.\2."),
    (r"encoder\.(.+)\.attention\.q_proj\.", r"\1.attn.query."),
    (r"encoder\.(.+)\.attention\.k_proj\.", r"\1.attn.key."),
    (r"encoder\.(.+)\.attention\.v_proj\.", r"\1.attn.value."),
    (r"encoder\.(.+)\.attention\.(?:output\.dense|o_proj)\.", r"\1.attn.proj."),
    (r"encoder\.(.+)\.attention\.(?:self|relative_position_bias)\.(relative_position_\w+)", r"\1.attn.\2"),
    (r"encoder\.(.+)\.layernorm_before\.", r"\1.norm1."),
    (r"encoder\.(.+)\.layernorm_after\.", r"\1.norm2."),
    (r"encoder\.(.+)\.(?:intermediate\.dense|mlp\.fc1)\.", r"\1.mlp.fc1."),
    (r"encoder\.(.+)\.(?:output\.dense|mlp\.fc2)\.", r"\1.mlp.fc2."),
    (r"encoder\.", ""),
]
FUSION_RULES = [
    (r"vision_param", "gamma_v"),
    (r"text_param", "gamma_l"),
    (r"layer_norm_vision\.", "layer_norm_v."),
    (r"layer_norm_text\.", "layer_norm_l."),
    (r"attn\.vision_proj\.", "attn.v_proj."),
    (r"attn\.text_proj\.", "attn.l_proj."),
    (r"attn\.values_vision_proj\.", "attn.values_v_proj."),
    (r"attn\.values_text_proj\.", "attn.values_l_proj."),
    (r"attn\.out_vision_proj\.", "attn.out_v_proj."),
    (r"attn\.out_text_proj\.", "attn.out_l_proj."),
]


def converted(state: State, *, separate_box_heads: bool, decoder_layers: int, where: object) -> State:
    """A published state under our names; what is not known keeps its name, for the caller to refuse.

    ConesError if two copies of one weight differ, or if heads that differ in this model are stored as one.
    """
    found: State = {}
    for name, value in state.items():
        new = our_name(name)
        if new in found and not torch.equal(found[new], value):
            raise ConesError(
                f"two copies of one weight differ: {new}",
                where=where,
                found=f"another value under {name}",
                next_step="save the model again with one copy of its heads",
            )
        found[new] = value
    if separate_box_heads:
        _refuse_tied_heads(found, decoder_layers, where)
    else:
        found = _one_box_head(found, where)
    return _with_position_index(_with_joined_projections(found))


def our_name(name: str) -> str:
    """ "bbox_embed.0.layers.0.weight" stays; "model.encoder.layers.0.fusion_layer.text_param" -> "….b_attn.gamma_l"."""
    name = re.sub(r"^model\.decoder\.(bbox_embed|class_embed)\.", r"\1.", name)
    if name.startswith(BACKBONE):
        return BACKBONE + _renamed(name.removeprefix(BACKBONE).removeprefix("swin."), BACKBONE_RULES)
    before, fusion, after = name.partition(".fusion_layer.")
    return f"{before}{fusion}b_attn.{_renamed(after, FUSION_RULES)}" if fusion else name


def _renamed(name: str, rules: list[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        renamed, count = re.subn(f"^{pattern}", replacement, name)
        if count:
            return renamed
    return name


def _one_box_head(state: State, where: object) -> State:
    """The box heads of all layers are one: copies for later layers are dropped if they are equal to the first."""
    kept: State = {}
    for name, value in state.items():
        match = re.fullmatch(r"bbox_embed\.(\d+)\.(.+)", name)
        if match is None or match[1] == "0":
            kept[name] = value
            continue
        first = state.get(f"bbox_embed.0.{match[2]}")
        if first is None or not torch.equal(first, value):
            raise ConesError(
                f"the box heads of this file differ, and those of this model are one: {name}",
                where=where,
                next_step="use it as MM-Grounding-DINO or LLMDet, if that is what it is; else fetch it again",
            )
    return kept


def _refuse_tied_heads(state: State, decoder_layers: int, where: object) -> None:
    """transformers 5.10 to 5.17 saved the heads of MM-Grounding-DINO as copies of the first, or as the first alone.

    A file without class biases is another model's: the caller says whose.
    """
    if "class_embed.0.bias" not in state:
        return
    first = {name: value for name, value in state.items() if name.startswith("bbox_embed.0.")}
    for layer in range(1, decoder_layers):
        own = {name: state.get(name.replace(".0.", f".{layer}.", 1)) for name in first}
        if any(value is not None and not torch.equal(value, first[name]) for name, value in own.items()):
            return
    if first and decoder_layers > 1:
        raise ConesError(
            "the box heads of all decoder layers are copies of the first, and those of this model differ",
            where=where,
            next_step="fetch the published file; transformers 5.10 to 5.17 tie the heads when they load or save it",
        )


def _with_joined_projections(state: State) -> State:
    """Query, key and value of a window's attention, three matrices in the files, are one here."""
    joined = {}
    for name, value in state.items():
        match = re.fullmatch(rf"({re.escape(BACKBONE)}.+\.attn\.)(query|key|value)\.(weight|bias)", name)
        if match is None:
            joined[name] = value
        elif match[2] == "query":
            parts = [state.get(f"{match[1]}{part}.{match[3]}") for part in ("query", "key", "value")]
            if all(part is not None for part in parts):
                joined[f"{match[1]}qkv.{match[3]}"] = torch.cat(parts)
    return joined


def _with_position_index(state: State) -> State:
    """The constant that says which entry of the bias table belongs to which pair; older files hold it too."""
    state = {name: value for name, value in state.items() if not name.endswith("attn.relative_position_index")}
    for name in [name for name in state if name.startswith(BACKBONE) and name.endswith(TABLE)]:
        window = (math.isqrt(len(state[name])) + 1) // 2
        state[name.replace("bias_table", "index")] = relative_position_index(window)
    return state
