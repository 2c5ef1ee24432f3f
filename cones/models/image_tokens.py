"""Whether learned tokens can join the rows inside a model, known from its name before it is loaded."""

from cones.models.checkpoints import build_detector, build_dual_encoder, without_start_values


def reason_against_image_tokens(model_name: str) -> str | None:
    """None, or why a method that puts tokens into the image encoder cannot be run with the named model."""
    with without_start_values():
        model = build_dual_encoder(model_name)
    return None if model.image_width else "its image encoder reads no sequence that tokens could join"


def reason_against_block_tokens(model_name: str) -> str | None:
    """The same of a detector."""
    with without_start_values():
        model = build_detector(model_name)
    return None if model.image_blocks else "its image encoder is made of convolutions, which tokens cannot join"


def reason_against_fusion_tokens(model_name: str) -> str | None:
    """None, or why tokens cannot join image and text where these are fused in the named detector."""
    with without_start_values():
        model = build_detector(model_name)
    return None if model.fusions else "image and text meet in its heads alone: it has no fusion"
