"""`python -m cones datasets list | show NAME | preview NAME OUT.png`: the registry, and previews of datasets."""

import os
from typing import Annotated, Any

import typer

from cones.cli.prepared import preparing, print_prepared
from cones.data.registry import DRAWN, LISTED, Dataset, load_registries
from cones.runtime.errors import ConesError, closest

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="The registry.")

NameArgument = Annotated[str, typer.Argument(help="a dataset's id")]
SuiteOption = Annotated[
    str | None, typer.Option("--suite", help="config/<suite>.yaml: its datasets, source and data folder")
]
SourceOption = Annotated[
    str | None, typer.Option("--source", help="official (the default without a suite), miniature or sample")
]
DataOption = Annotated[str | None, typer.Option("--data-dir", help="where fetched datasets lie; without a suite: data")]
RegistryOption = Annotated[
    list[str] | None, typer.Option("--registry", help="a further registry file; may be repeated")
]
WIDTH = 100


def _places(
    suite: str | None, source: str | None, data_dir: str | None, registry: list[str] | None
) -> tuple[str, str, list[str]]:
    """(source, data folder, registry files): as the options say, else as the suite does."""
    if suite is None:
        return source or "official", data_dir or "data", registry or []
    from cones.experiment.suite import load_suite

    loaded = load_suite(suite)
    registries = [*loaded.registry, *(file for file in registry or () if file not in loaded.registry)]
    return source or loaded.source, data_dir or loaded.data_dir, registries


@app.command("list")
def list_datasets(
    suite: SuiteOption = None,
    source: SourceOption = None,
    data_dir: DataOption = None,
    registry: RegistryOption = None,
) -> None:
    """All datasets: group, access, state, size and licence."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from cones.data.providers import Providers

    source, data_dir, registry = _places(suite, source, data_dir, registry)
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", expand=True)
    providers, entries = Providers(), load_registries(registry)
    rows = [_row(entry, source, data_dir, providers) for entry in entries.values()]
    for column, name in enumerate(COLUMNS):
        longest = max(len(text) for text in (name, *(row[column] for row in rows)))
        fixed = {"ratio": 1} if name == "licence" else {"width": min(longest, 18 if name == "paper name" else longest)}
        table.add_column(
            name, no_wrap=True, overflow="ellipsis", justify="right" if name == "size" else "left", **fixed
        )
    for row in rows:
        colour = "green" if row[COLUMNS.index("state")] in HERE else "yellow"
        table.add_row(*(Text(text, style=colour if name == "state" else "") for name, text in zip(COLUMNS, row)))
    console = _console(Console)
    console.print(table)
    console.print(f"source: {source} · one entry: python -m cones datasets show NAME", style="dim", highlight=False)


COLUMNS = ("id", "paper name", "group", "access", "state", "size", "licence")
HERE = ("ready", "fetched", "placed", "drawn")


def _row(entry: Dataset, source: str, data_dir: str, providers: Any) -> tuple[str, ...]:
    from cones.data.state import state, stored_bytes
    from cones.runtime.progress import human_bytes

    size = stored_bytes(entry, source, data_dir)
    return (
        entry.id,
        entry.paper_name,
        entry.group.replace("_", "-"),
        entry.access,
        state(entry, source, data_dir, mirror=_mirror(source), providers=providers).word,
        human_bytes(size) if size else "?",
        entry.licence,
    )


@app.command()
def show(
    name: NameArgument,
    suite: SuiteOption = None,
    source: SourceOption = None,
    data_dir: DataOption = None,
    registry: RegistryOption = None,
) -> None:
    """One dataset in full: its entry, its state, and what came out once it is prepared, or how to prepare it."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from cones.data.download import dataset_dir
    from cones.data.state import state

    named_by = suite if data_dir is None and registry is None else None
    source, data_dir, registry = _places(suite, source, data_dir, registry)
    entry = _named(name, registry)
    dataset_state = state(entry, source, data_dir, mirror=_mirror(source))
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in [*_about(entry), ("state", f"{dataset_state.word} ({source})"), ("", dataset_state.reason or "")]:
        if value:
            table.add_row(key, Text(str(value)))
    for note in entry.notes:
        table.add_row("note", Text(note))
    for key, spec in entry.sources.items():
        table.add_row("")
        table.add_row(Text(key, style="bold cyan"), "")
        for label, value in _source_lines(spec):
            table.add_row(f"  {label}", Text(value))
    is_ready = dataset_state.word == "ready"
    if not is_ready and source in entry.sources:
        table.add_row("")
        table.add_row("prepare it", Text(preparing(name, source, data_dir, registry, named_by)))
    console = _console(Console)
    console.print(table)
    if is_ready:
        print_prepared(dataset_dir(data_dir, source, name), console)


@app.command()
def preview(
    name: NameArgument,
    out: Annotated[str, typer.Argument(help="the PNG to write")],
    suite: SuiteOption = None,
    source: SourceOption = None,
    data_dir: DataOption = None,
    registry: RegistryOption = None,
    pictures: Annotated[int, typer.Option(min=1, max=60)] = 9,
) -> None:
    """Some pictures of a prepared dataset with boxes, masks and class names, as one PNG."""
    from cones.data import preview as drawing
    from cones.data.download import dataset_dir

    source, data_dir, registry = _places(suite, source, data_dir, registry)
    entry = _named(name, registry)
    if not (dataset_dir(data_dir, source, name) / "manifest.json").exists():
        others = [key for key in entry.sources if (dataset_dir(data_dir, key, name) / "manifest.json").exists()]
        raise ConesError(
            "not prepared yet",
            where=f"dataset {name}, source {source}",
            next_step=f"--source {others[0]}" if others else "fetch and prepare it, or let the workflow do it",
        )
    typer.echo(f"written: {drawing.preview(entry, source, data_dir, out, pictures=pictures)}")


def _named(name: str, registry: list[str]) -> Dataset:
    from cones.experiment.suite import CONFIG_FOLDER

    entries = load_registries(registry)
    if name not in entries:
        next_step = closest(name, entries)
        if (CONFIG_FOLDER / f"{name}.yaml").is_file():
            next_step = f"--suite {name}, if you mean the dataset of that suite"
        raise ConesError(f'no dataset "{name}"', where="the registry", next_step=next_step)
    return entries[name]


def _mirror(source: str) -> str | None:
    return None if source == DRAWN else os.environ.get("CONES_MIRROR")


def _console(console: Any) -> Any:
    """A console as wide as the terminal, but never narrower than WIDTH (logs and pipes have no width)."""
    default = console()
    return default if default.is_terminal and default.width >= WIDTH else console(width=WIDTH)


def _about(entry: Dataset) -> list[tuple[str, str]]:
    return [
        ("id", entry.id),
        ("paper name", entry.paper_name),
        ("group", f"{entry.group.replace('_', '-')} · {entry.task.replace('_', ' ')}"),
        ("classes", f"{len(entry.classes)}: {', '.join(entry.classes)}" if entry.classes else "those of its files"),
        ("template", entry.sentence if entry.task in LISTED else ""),
        ("prompts", _phrases(entry.prompts)),
        ("manual prompts", _phrases(entry.manual_prompts)),
        ("home", entry.home),
        ("licence", entry.licence),
        ("access", entry.access),
    ]


def _phrases(phrases: Any) -> str:
    return "; ".join(f"{phrase.prefix}{phrase.name}{phrase.suffix}" for phrase in phrases or ())


def _source_lines(spec: Any) -> list[tuple[str, str]]:
    from cones.runtime.progress import human_bytes

    lines = [("folder", spec.folder)] if spec.folder else []
    for archive in spec.archives:
        known = [human_bytes(archive.size)] if archive.size else []
        known += [f"{kind} {value}" for kind in ("sha256", "md5") if (value := getattr(archive, kind))]
        lines.append(("archive", " · ".join([archive.filename, *known])))
        lines += [("from", url) for url in archive.urls]
    lines.append(("format", _keys({"": spec.format.name, **spec.format.parameters})))
    lines.append(("split", _keys({"": spec.split.rule, **spec.split.shipped})))
    if spec.expected:
        boxes = "" if spec.expected.boxes is None else f", {spec.expected.boxes} boxes"
        lines.append(("expected", _keys(spec.expected.images.model_dump()) + boxes))
    return lines


def _keys(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}".strip() for key, value in values.items())
