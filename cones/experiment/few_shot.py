"""Few-shot grids: an arm that reads labels is an arm of its own at each number of images per class, `cones-5shot`."""

from __future__ import annotations

from typing import Any

from cones.methods.method import METHODS, MethodEntry
from cones.runtime.strict import by_name

OF_CELL = "cell"  # a `shot_seed` that is the cell's own: each seed draws its own images


def few_shot_arm(arm: str, shots: int) -> str:
    return f"{arm}-{shots}shot"


def with_few_shot_arms(content: dict) -> dict:
    """The content of a suite's file in which the arms of grids with `few_shot` are written out.

    An arm keeps all its settings; its `tuning` gets `shots` and what the grid overrides at that number. An arm that
    reads another one (stage 2, a mean of weights) reads that of as many images. What is not of the right form is left
    as it is, and reported when it is parsed.
    """
    grids, arms = content.get("grids"), by_name(content.get("arms"))
    if not (isinstance(grids, dict) and isinstance(arms, dict)):
        return content
    written, known = {}, dict(arms)
    for name, grid in grids.items():
        written[name] = grid
        few_shot = grid.get("few_shot") if isinstance(grid, dict) else None
        asked = (grid.get("arms") or list(arms)) if few_shot else ()
        if not (_are_shots(few_shot) and isinstance(asked, list) and all(_is_arm(arm, arms) for arm in asked)):
            continue
        derived: dict[str, dict | None] = {}
        for arm in asked:
            derived |= _arms_of(arm, arms, few_shot) if _entry(arm, arms).uses_labels else {arm: arms[arm]}
            for before in _all_before(arm, arms):
                known |= _arms_of(before, arms, few_shot)
        written[name] = {**grid, "arms": list(derived)}
        known |= derived
    return {**content, "grids": written, "arms": known}


def _are_shots(few_shot: Any) -> bool:
    """Whether it says overrides of `tuning`, or nothing, by numbers."""
    return isinstance(few_shot, dict) and all(
        isinstance(shots, int) and isinstance(overrides or {}, dict) for shots, overrides in few_shot.items()
    )


def _is_arm(arm: Any, arms: dict) -> bool:
    return (
        isinstance(arm, str)
        and arm in arms
        and isinstance(arms[arm] or {}, dict)
        and isinstance((arms[arm] or {}).get("tuning") or {}, dict)
        and ((arms[arm] or {}).get("method") or arm) in METHODS
    )


def _entry(arm: str, arms: dict) -> MethodEntry:
    return METHODS[(arms[arm] or {}).get("method") or arm]


def _arms_of(arm: str, arms: dict, few_shot: dict) -> dict[str, dict]:
    own = arms[arm] or {}
    derived = {}
    for shots, overrides in few_shot.items():
        tuning = {**(own.get("tuning") or {}), **(overrides or {}), "shots": shots}
        derived[few_shot_arm(arm, shots)] = {**own, "method": own.get("method") or arm, "tuning": tuning}
        for key, before in _arms_before(own, _entry(arm, arms)).items():
            derived[few_shot_arm(arm, shots)][key] = few_shot_arm(before, shots)
    return derived


def _arms_before(own: dict, entry: MethodEntry) -> dict[str, str]:
    """{setting of an arm: the arm that it names}, of those that it reads."""
    found = {"stage1": own.get("stage1", "cones")} if "stage1" in entry.inputs else {}
    return found | ({"tuned_arm": own.get("tuned_arm") or entry.tuned_arm} if entry.tuned_arm else {})


def _all_before(arm: str, arms: dict) -> list[str]:
    """The arms that it reads, and those that these read."""
    found, waiting = [], [arm]
    while waiting:
        one = waiting.pop()
        for before in _arms_before(arms[one] or {}, _entry(one, arms)).values():
            if before not in found and _is_arm(before, arms):
                found.append(before)
                waiting.append(before)
    return found
