"""The exact savings, off: a detector computes as the published code does, for comparison. Same numbers, more work."""

from cones.models.detector import GroundedDetector
from cones.models.language import MAX_POSITIONS
from cones.models.layers.fusion import BiAttention


def disable_optimisations(model: GroundedDetector) -> None:
    """Pad text to 256 rows, project every image position in fusions, compute a mask for every query.

    Sources: docs/spec/glip.md 11, docs/spec/uninext.md 15. What is frozen stays frozen; images are the caller's.
    """
    model.text_rows = MAX_POSITIONS
    model.masks_for_every_query = True
    for module in model.modules():
        if isinstance(module, BiAttention):
            module.folded = False
