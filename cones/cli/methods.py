"""`python -m cones methods`: the survey's methods, a line each, of which docs/survey.md is made."""

from __future__ import annotations

from collections.abc import Iterable

import typer

from cones.methods.method import METHODS, MethodEntry, TuningMethod

TITLES = {  # folder of a method's file: heading
    "cones": "ConES",
    "baselines": "The methods it is compared with",
    "baselines/text_prompts": "Text prompts",
    "baselines/visual_prompts": "Visual prompts",
    "baselines/joint_prompts": "Text and visual prompts together",
    "baselines/adapters": "Adapters of features",
    "baselines/weights": "Weights",
    "baselines/training_free": "Without training",
}
HEADS = ("method", "key", "published", "idea", "attaches to", "trains", "labels", "chosen by", "to know")
ABOUT = """# The survey: every method in one line

Made of what each method's file says of itself by `python -m cones methods > docs/survey.md`; do not edit it here.
The key is the method's name in the `arms` of a suite and in the tables. *Labels*: whether it needs those of the few
training images. *Chosen by*: which labels chose anything, such as a factor: those of validation images, or none. How
all of them are run: [classification.md](classification.md); their numbers by default: [methods.md](methods.md).
"""


def page() -> str:
    """The whole of docs/survey.md: methods by the folder of their file, in the order of the registry."""
    lines, by_folder = [ABOUT], {folder: [] for folder in TITLES}
    for entry in METHODS.values():
        if entry.survey:
            by_folder.setdefault(_file(entry).rpartition("/")[0], []).append(_row(entry))
    for folder, rows in by_folder.items():
        if rows:
            lines += [f"## {TITLES.get(folder, folder)}", "", _cells(HEADS), _cells("---" for _ in HEADS), *rows, ""]
    return "\n".join(lines)


def _file(entry: MethodEntry) -> str:
    return f"{entry.module.replace('.', '/')}.py"


def _row(entry: MethodEntry) -> str:
    from cones.methods.classifier import ClassifierMethod

    line = entry.survey
    if entry.classifier:
        method = ClassifierMethod.load(entry.name)
        labels = {"train": "yes", "none": "no"}[method.labels]
    else:
        method, labels = TuningMethod.load(entry.name), "yes"
    return _cells(
        (
            *(f"[{entry.label}](../{_file(entry)})", f"`{entry.name}`", line.paper, line.idea, line.attaches),
            *(line.trains, labels, {"val": "validation", "none": "nothing"}.get(method.selection, method.selection)),
            line.quirk,
        )
    )


def _cells(texts: Iterable[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


def print_methods() -> None:
    """Print the methods of the survey, one line each: what docs/survey.md holds."""
    typer.echo(page(), nl=False)
