"""Arms that train as many values as another: how many vectors they learn on a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cones.methods.method import METHODS, MethodEntry
from cones.runtime.errors import closest

if TYPE_CHECKING:
    from cones.experiment.arms import Arm

CAPTION_POSITIONS = 256  # of a text encoder, as `cones.models.language` has it; this module must not import PyTorch
SHARE_OF_CAPTION = 0.5  # that vectors before class names may fill; the names and what stands between need the rest


def check_match(name: str, arm: Arm, arms: Mapping[str, Arm]) -> None:
    """ValueError unless both arms learn vectors, and the other is no match itself."""
    if arm.tokens_per_class is not None:
        raise ValueError(f'arm "{name}": `matched_to` chooses the number of vectors; leave `tokens_per_class` out')
    if (other := arms.get(arm.matched_to)) is None:
        raise ValueError(
            f'arm "{name}": matched_to "{arm.matched_to}" is no arm of the suite; {closest(arm.matched_to, arms)}'
        )
    if other.matched_to is not None:
        raise ValueError(f'arm "{name}": matched_to "{arm.matched_to}" is a match itself; name the arm behind it')
    if not METHODS[other.method or arm.matched_to].has_vectors:
        raise ValueError(f'arm "{name}": matched_to "{arm.matched_to}" has no vectors of each class')
    if not METHODS[arm.method or name].can_be_matched:
        raise ValueError(f'arm "{name}": its method trains more than N vectors, or none: their number sets no budget')


def matched_vectors(tokens: int, classes: int, entry: MethodEntry) -> int:
    """The vectors that a method learns where the other learns `tokens` for each of `classes`.

    As many for each class, or classes x tokens that all classes share. These stand before every name in one caption: as
    many as half of its positions hold.
    """
    if entry.has_vectors:
        return tokens
    return max(1, min(classes * tokens, int(SHARE_OF_CAPTION * CAPTION_POSITIONS) // classes))
