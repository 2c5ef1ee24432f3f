"""What `datasets show` prints below an entry: of a prepared dataset what came out, else how to prepare it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cones.data.registry import DRAWN, LISTED, SPLITS

MOST_CLASSES = 60  # that a table of a terminal lists

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from cones.data.statistics import Statistics


def print_prepared(folder: Path, console: Console) -> None:
    """Print pictures and boxes by class and split, their sizes, and what was left out or changed, of the
    prepared dataset in `folder`."""
    from rich.text import Text

    from cones.data.findings import summary
    from cones.data.statistics import statistics
    from cones.runtime.artifacts import read_json

    manifest = read_json(folder / "manifest.json")
    if manifest["task"] in LISTED:
        console.print()
        console.print(_pictures_of_classes(manifest))
        console.print()
        for line in summary(manifest)[1:]:
            console.print(Text(line))
        return
    found = statistics(folder, manifest)
    console.print()
    console.print(_boxes(found))
    console.print()
    for line in (*_sizes(found), *summary(manifest)[1:]):
        console.print(Text(line))


def _pictures_of_classes(manifest: dict) -> Table:
    """Pictures of each class by split, and what texts call it where that is another word; of many the first classes."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("prepared", *SPLITS, "in texts"):
        table.add_column(name, justify="right" if name in SPLITS else "left", overflow="fold")
    splits = manifest["splits"]
    table.add_row(Text("pictures", style="bold"), *(f"{splits[split]['images']:,}" for split in SPLITS), "")
    for name, text in list(zip(manifest["classes"], manifest["texts"]))[:MOST_CLASSES]:
        counts = (f"{splits[split]['per_class'][name]:,}" for split in SPLITS)
        table.add_row(Text(f"  {name}"), *counts, Text("" if text == name else text))
    if (more := len(manifest["classes"]) - MOST_CLASSES) > 0:
        table.add_row(Text(f"  … {more} more", style="dim"))
    return table


def _boxes(found: Statistics) -> Table:
    """Pictures, boxes of each class and all boxes, by split."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("prepared", *SPLITS):
        table.add_column(name, justify="left" if name == "prepared" else "right", overflow="fold")
    rows = {"pictures": found.images, **{f"  {name}": counts for name, counts in found.per_class.items()}}
    for name, counts in {**rows, "boxes": found.boxes}.items():
        bold = "" if name.startswith(" ") else "bold"
        table.add_row(Text(name, style=bold), *(f"{counts[split]:,}" for split in SPLITS))
    return table


def _sizes(found: Statistics) -> list[str]:
    """Lines about the sizes of pictures and boxes."""
    ranges = [f"{side} {low} / {middle} / {high}" for side, (low, middle, high) in found.sides.items()]
    sizes = ", ".join(f"{count:,} {size}" for size, count in found.areas.items())
    lines = [f"pictures, smallest / median / largest in pixels: {', '.join(ranges)}"] if ranges else []
    if any(found.areas.values()):
        lines.append(f"boxes by area: {sizes} (small: below 32², large: above 96² pixels, as in COCO)")
    return lines


def preparing(name: str, source: str, data_dir: str, registries: Sequence[str], suite: str | None = None) -> str:
    """The command that prepares a dataset; `suite` is one that says all of this by itself."""
    changed = {"registry": list(registries)} if registries else {}
    changed |= {"data_dir": data_dir} if data_dir != "data" else {}
    options = ["--suite", suite] if suite else ["--set", json.dumps(changed)] if changed else []
    options = ["--dataset", name, *options]
    steps = [["draw", *options]] * (source == DRAWN)
    steps += [[step, *options, "--source", source] for step in ("fetch", "prepare")]
    return " && ".join(shlex.join(["python", "-m", "cones", *step]) for step in steps)
