"""Whether a model has the place where a method attaches, known from its name before it is loaded."""

from cones.models.checkpoints import build_detector, build_dual_encoder, without_start_values
from cones.models.detector import GroundedDetector


def reason_against_image_tokens(model_name: str) -> str | None:
    """None, or why a method that puts tokens into the image encoder cannot be run with the named model."""
    with without_start_values():
        model = build_dual_encoder(model_name)
    return None if model.image_width else "its image encoder reads no sequence that tokens could join"


def reason_against_block_tokens(model_name: str) -> str | None:
    """The same of a detector."""
    has_place = _detector(model_name).image_blocks
    return None if has_place else "its image encoder is made of convolutions, which tokens cannot join"


def reason_against_fusion_tokens(model_name: str) -> str | None:
    """None, or why tokens cannot join image and text where these are fused in the named detector."""
    has_place = _detector(model_name).fusions
    return None if has_place else "image and text meet in its heads alone: it has no fusion"


def reason_against_regions(model_name: str) -> str | None:
    """None, or why the named detector scores no region of points."""
    has_place = type(_detector(model_name)).region_points is not GroundedDetector.region_points
    return None if has_place else "a query is one vector: it has no points around it that are compared with the text"


def reason_against_low_rank(model_name: str) -> str | None:
    """None, or why no low-rank weights can join the named detector."""
    has_place = _detector(model_name).attention_projections
    return None if has_place else "it names no linear layer of an attention that low-rank weights could join"


def reason_against_scored_places(model_name: str) -> str | None:
    """None, or why the scores of the named detector cannot be changed place by place."""
    has_place = type(_detector(model_name)).scored_places is not GroundedDetector.scored_places
    return None if has_place else "it does not say which places it scores"


def _detector(model_name: str) -> GroundedDetector:
    with without_start_values():
        return build_detector(model_name)
