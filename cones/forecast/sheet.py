"""The forecast as a table for people and as JSON for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from cones.forecast.forecast import Forecast, Line
from cones.outputs.quantities import seconds, span
from cones.outputs.sheet import said_once
from cones.outputs.wording import NO_NUMBER
from cones.runtime.progress import human_bytes

if TYPE_CHECKING:
    from rich.console import Console

HEADS = ("model", "arm", "cells", "done", "steps", "time on the device", "results", "known from")
BASES = {
    "recorded": "finished cells",
    "measured": "shipped table",
    "counted": "operations",
}


def print_forecast(found: Forecast, console: Console) -> None:
    """One row per model and arm, the sums below, then what has to be fetched and what all this rests on."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for place, head in enumerate(HEADS):
        table.add_column(head, justify="right" if 2 <= place <= 6 else "left", no_wrap=True)
    for row in said_once([_row(line) for line in found.lines], 1):
        table.add_row(*map(Text, row))
    console.print(Text(f"Suite {found.suite}: {', '.join(found.parts)}", style="bold"))
    console.print(table)
    for head, said in _sums(found):
        console.print(Text.assemble((f"{head:<12}", "bold"), said))
    for line in _legend(found):
        console.print(Text(line, style="dim"))


def _row(line: Line) -> list[str]:
    basis = ", ".join(dict.fromkeys(BASES[basis] for basis in line.devices.values()))
    left = line.cells - line.done
    unknown = f"{line.unknown} unknown" if line.unknown else ""
    return [
        line.model,
        line.arm,
        f"{line.cells:,}",
        f"{line.done:,}",
        span(line.steps, "{:,}".format) if left else NO_NUMBER,
        span(line.seconds, seconds) if left else NO_NUMBER,
        human_bytes(line.bytes),
        ", ".join(filter(None, (basis, unknown))),
    ]


def _sums(found: Forecast) -> list[tuple[str, str]]:
    """(head, what is said): cells, jobs, time by device, disk, downloads, what a person has to do."""
    jobs = ", ".join(f"{number:,} {rule}" for rule, number in found.jobs.items())
    rows = [
        ("cells", f"{found.cells:,}, of which {found.done:,} are done"),
        ("jobs", f"{sum(found.jobs.values()):,} from nothing ({jobs}), and those that write tables and figures"),
    ]
    if todo := found.subjects:
        said = f"{todo.cells:,} cells: {span(todo.passes, '{:,}'.format)} training passes, {todo.pictures:,} pictures"
        rows.append(("subjects", f"{said} in {todo.sampling_passes:,} sampling passes"))
    for device, took in found.seconds.items():
        rows.append(("time", f"{span(took, seconds)} on one {'core' if device == 'cpu' else device}"))
    disk = f"{human_bytes(found.data_bytes)} of data and weights, {human_bytes(found.result_bytes)} of results"
    if found.feature_bytes:
        disk += f", shared image features up to {human_bytes(found.feature_bytes)}"
    rows.append(("disk", disk))
    todo = [source for source in found.sources if source.is_downloaded]
    unsure = sum(not source.is_exact for source in todo)
    about = f" ({unsure} of unknown size, estimated)" if unsure else ""
    rows.append(("download", f"{human_bytes(found.download_bytes)} in {len(todo)} datasets and checkpoints{about}"))
    for source in found.by_hand:
        rows.append(("by hand", f"{source.name}: {source.state}; {source.reason or 'see docs/datasets.md'}"))
    return rows


def _legend(found: Forecast) -> list[str]:
    said = []
    if any(least != most for least, most in (line.steps for line in found.lines)):
        said.append(
            "Ranges: from the first epoch at which early stop can end tuning to the whole budget"
            " (--epochs N assumes N)."
        )
    said.append(
        "Data and weights: archives and the same again unpacked. While it runs, a tuning job also keeps a checkpoint of"
        " four times what it trains."
    )
    if found.subjects:
        said.append(
            "Subjects: a training pass is a batch through the UNet and back; a sampling pass is one picture through it,"
            " with guidance two for each step."
        )
    if found.cannot_draw:
        said.append(f"No work, since no generator carries them: {', '.join(found.cannot_draw)}.")
    bases = {basis for line in found.lines for basis in line.devices.values()}
    if "counted" in bases:
        said.append(
            "operations: counted for the real shapes, over an assumed speed (--tflops N): nothing was measured there."
        )
    if "measured" in bases:
        said.append("shipped table: seconds of a nano model on one core of two (cones/forecast/reference.json).")
    return said


def forecast_json(found: Forecast) -> dict:
    """All numbers; seconds and steps as [least, most]."""
    sums = ("cells", "done", "download_bytes", "data_bytes", "result_bytes")
    content = asdict(found) | {name: getattr(found, name) for name in sums}
    return {"version": 2, **content, "by_hand": [source.name for source in found.by_hand]}
