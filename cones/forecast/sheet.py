"""The forecast as a table for people and as JSON for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from cones.forecast.forecast import Forecast, Line
from cones.forecast.memory import GPU_BYTES, PICTURES, TEXTS, Memory
from cones.outputs.quantities import seconds, span
from cones.outputs.sheet import blank_repeats
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


def print_forecast(forecast: Forecast, console: Console) -> None:
    """Print one row per model and arm, the sums below, then the files to fetch and the basis of the numbers."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for place, head in enumerate(HEADS):
        table.add_column(head, justify="right" if 2 <= place <= 6 else "left", no_wrap=True)
    for row in blank_repeats([_row(line) for line in forecast.lines], 1):
        table.add_row(*map(Text, row))
    console.print(Text(f"Suite {forecast.suite}: {', '.join(forecast.parts)}", style="bold"))
    console.print(table)
    for head, text in _sums(forecast):
        console.print(Text.assemble((f"{head:<12}", "bold"), text))
    for line in _legend(forecast):
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


def _sums(forecast: Forecast) -> list[tuple[str, str]]:
    """The lines below the table as (head, text): cells, jobs, time by device, disk, downloads, files by hand."""
    jobs = ", ".join(f"{number:,} {rule}" for rule, number in forecast.jobs.items())
    rows = [
        ("cells", f"{forecast.cells:,}, of which {forecast.done:,} are done"),
        ("jobs", f"{sum(forecast.jobs.values()):,} from nothing ({jobs}), and those that write tables and figures"),
    ]
    if todo := forecast.subjects:
        text = f"{todo.cells:,} cells: {span(todo.passes, '{:,}'.format)} training passes, {todo.pictures:,} pictures"
        rows.append(("subjects", f"{text} in {todo.sampling_passes:,} sampling passes"))
    for device, took in forecast.seconds.items():
        rows.append(("time", f"{span(took, seconds)} on one {'core' if device == 'cpu' else device}"))
        if device != "cpu" and forecast.gpus > 1:
            share = tuple(value / forecast.gpus for value in took)
            rows.append(("", f"{span(share, seconds)} on {forecast.gpus} of them, as long as each has a job"))
    rows += [("memory", _memory(one)) for one in forecast.memory]
    disk = f"{human_bytes(forecast.data_bytes)} of data and weights, {human_bytes(forecast.result_bytes)} of results"
    if forecast.feature_bytes:
        disk += f", shared image features up to {human_bytes(forecast.feature_bytes)}"
    rows.append(("disk", disk))
    todo = [source for source in forecast.sources if source.is_downloaded]
    unsure = sum(not source.is_exact for source in todo)
    about = f" ({unsure} of unknown size, estimated)" if unsure else ""
    rows.append(("download", f"{human_bytes(forecast.download_bytes)} in {len(todo)} datasets and checkpoints{about}"))
    for source in forecast.by_hand:
        rows.append(("by hand", f"{source.name}: {source.state}; {source.reason or 'see docs/datasets.md'}"))
    return rows


def _memory(one: Memory) -> str:
    ends = "both fit in" if one.fits else "more than"
    cut = "" if one.fits else "; a batch that does not fit is cut in halves by itself, which changes no number"
    prompts, weights, texts = (human_bytes(number) for number in (one.prompts, one.weights, one.texts))
    return (
        f"{one.model}, {PICTURES} pictures at once: {prompts} for prompts, {weights} for its image weights, {ends}"
        f" {human_bytes(GPU_BYTES)}; {texts} more for every {TEXTS} class texts{cut}"
    )


def _legend(forecast: Forecast) -> list[str]:
    lines = []
    if any(least != most for least, most in (line.steps for line in forecast.lines)):
        lines.append(
            "Ranges: from the first epoch at which early stop can end tuning to the whole budget"
            " (--epochs N assumes N)."
        )
    lines.append(
        "Data and weights: archives and the same again unpacked. While it runs, a tuning job also keeps a checkpoint of"
        " four times what it trains."
    )
    if forecast.subjects:
        lines.append(
            "Subjects: a training pass is a batch through the UNet and back; a sampling pass is one picture through it,"
            " with guidance two for each step."
        )
    if forecast.cannot_draw:
        lines.append(f"No work, since no generator carries them: {', '.join(forecast.cannot_draw)}.")
    if forecast.memory:
        lines.append(
            "Memory: counted from the shapes in float32, without what the GPU's libraries take for themselves."
        )
    bases = {basis for line in forecast.lines for basis in line.devices.values()}
    if "counted" in bases:
        lines.append(
            "operations: counted for the real shapes, over an assumed speed (--tflops N): nothing was measured there."
        )
    if "measured" in bases:
        lines.append("shipped table: seconds of a nano model on one core of two (cones/forecast/reference.json).")
    return lines


def forecast_json(forecast: Forecast) -> dict:
    """The forecast as JSON values; seconds and steps as [least, most]."""
    sums = ("cells", "done", "download_bytes", "data_bytes", "result_bytes")
    content = asdict(forecast) | {name: getattr(forecast, name) for name in sums}
    return {"version": 2, **content, "by_hand": [source.name for source in forecast.by_hand]}
