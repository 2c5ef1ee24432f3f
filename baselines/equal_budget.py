"""As many values as ConES: how large an addition to a detector is made so that methods are compared at one budget."""

from cones.models.detector import GroundedDetector
from cones.models.language import MAX_POSITIONS
from cones.runtime.progress import log


def parts_of_equal_budget(model: GroundedDetector, values: int, *, what: str) -> int:
    """How many parts of so many `values` each (ranks, tokens of every block) come nearest to the count of ConES, which
    the paper gives as a table of 256 rows: 196,608 values beside BERT-base. At least one; what is reached is logged."""
    wanted = MAX_POSITIONS * model.text_width
    parts = max(1, round(wanted / values))
    log.info("%d %s: %d values, the nearest to the %d of ConES", parts, what, parts * values, wanted)
    return parts
