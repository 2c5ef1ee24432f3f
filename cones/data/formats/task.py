"""Which task a format is made for, by what its converter defines."""

from types import ModuleType

from cones.runtime.errors import ConesError

MADE_FOR = {"class_names": "classification", "numbers": "dense"}  # what a converter defines -> its only task
GIVES = {
    "classification": "gives pictures one class each, and no boxes",
    "dense": "gives pictures a class map each, and no boxes",
}


def require_format_of_task(task: str, converter: ModuleType, where: str) -> None:
    """ConesError if a format of labelled pictures or class maps is named for another task, or the other way round."""
    own = next((made_for for part, made_for in MADE_FOR.items() if hasattr(converter, part)), None)
    if own == (task if task in GIVES else None):
        return
    wanted = {"classification": "class_folders", "dense": "class_maps"}.get(task)
    raise ConesError(
        f"this format {GIVES[own]}" if own else "this format has no classes of whole pictures or of pixels",
        where=f"{where}.name",
        found=f"{converter.FORMAT['name']} with task {task}",
        next_step=(f"set `task: {own}`, or take" if own else "take")
        + (
            f" a format of docs/datasets.md for {task}, such as {wanted}, or another task"
            if wanted
            else " another format"
        ),
    )
