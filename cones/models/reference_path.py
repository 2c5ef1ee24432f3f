"""The exact savings, off: a detector computes as the published code does, for comparison. Same numbers, more work."""

from cones.language import MAX_POSITIONS
from cones.models.detector import GroundedDetector
from cones.models.fusion import BiAttention


def take_reference_path(model: GroundedDetector) -> None:
    """Text padded to 256 rows, fusions that project every image position, a mask for every query (GLIP spec, section
    11; UNINEXT spec, section 15). What is frozen stays frozen; who calls it encodes images as often as they come."""
    model.text_rows = MAX_POSITIONS
    model.masks_for_every_query = True
    for module in model.modules():
        if isinstance(module, BiAttention):
            module.folded = False
