"""The command line: `python -m cones <step> …`. Each command is thin and imports its step when called."""

import contextlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from cones.cli import classification as cli_classification
from cones.cli import datasets as cli_datasets
from cones.cli import elsewhere as cli_elsewhere
from cones.cli import generation as cli_generation
from cones.cli import methods as cli_methods
from cones.cli import new_suite as cli_new_suite
from cones.cli import plan as cli_plan
from cones.cli import predict as cli_predict
from cones.cli.options import (
    ArmOption,
    DatasetOption,
    ModelOption,
    SeedOption,
    SetOption,
    SuiteOption,
    load_plan,
    recorded,
)
from cones.runtime.errors import ConesError
from cones.runtime.progress import start_logging

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Concept Embedding Search and the benchmark around it. The workflow calls these steps; each runs by hand too.",
)

app.add_typer(cli_datasets.app, name="datasets", help="List the datasets, show one, or draw a preview of it.")
app.add_typer(
    cli_classification.app, name="classification", help="Encode images and fit classifiers with models of two encoders."
)
app.add_typer(cli_generation.app, name="generation", help="Learn, draw and score subjects with Stable Diffusion.")
app.command("methods")(cli_methods.print_methods)
app.command()(cli_plan.plan)
app.command()(cli_predict.predict)
app.command()(cli_elsewhere.elsewhere)
app.command("new-suite")(cli_new_suite.new_suite)

SourceOption = Annotated[str | None, typer.Option("--source", help="official, miniature or sample")]


@app.command()
def draw(dataset: DatasetOption, suite: SuiteOption = "miniature", overrides: SetOption = "{}") -> None:
    """Draw a dataset of the miniature world as an archive in its native format."""
    from cones.data.registry import DRAWN
    from cones.steps.data import draw_dataset

    plan = load_plan(suite, overrides, dataset=dataset)
    with contextlib.ExitStack() as records:
        for archive in plan.registry[dataset].source(DRAWN).archives:
            records.enter_context(recorded(plan, "draw", dataset=dataset, archive=archive.filename))
        draw_dataset(plan, dataset)


@app.command()
def fetch(
    dataset: DatasetOption,
    source: SourceOption = None,
    suite: SuiteOption = "miniature",
    overrides: SetOption = "{}",
) -> None:
    """Download a dataset's archives, or take them from the mirror, and verify them."""
    from cones.steps.data import fetch_dataset

    plan = load_plan(suite, overrides, source, dataset=dataset)
    with recorded(plan, "fetch", dataset=dataset):
        fetch_dataset(plan, dataset)


@app.command()
def prepare(
    dataset: DatasetOption,
    source: SourceOption = None,
    suite: SuiteOption = "miniature",
    overrides: SetOption = "{}",
) -> None:
    """Unpack, convert, check and split a fetched dataset into canonical COCO files."""
    from cones.steps.data import prepare_dataset

    plan = load_plan(suite, overrides, source, dataset=dataset)
    with recorded(plan, "prepare", dataset=dataset):
        prepare_dataset(plan, dataset)


@app.command()
def checkpoint(name: str, suite: SuiteOption = "miniature", overrides: SetOption = "{}") -> None:
    """Fetch an official checkpoint or vocabulary, or take the one that lies there, and verify it."""
    from cones.steps.weights import fetch_checkpoint

    plan = load_plan(suite, overrides)
    with recorded(plan, "checkpoint", name=name):
        fetch_checkpoint(plan, name)


@app.command()
def weights(model: ModelOption, suite: SuiteOption = "miniature", overrides: SetOption = "{}") -> None:
    """Make the base weights of a model."""
    from cones.steps.weights import make_weights

    plan = load_plan(suite, overrides, model=model)
    with recorded(plan, "weights", weights=plan.weights(model).stem):
        make_weights(plan, model)


@app.command()
def pretrain(model: str, out: Path = Path("results/pretraining")) -> None:
    """Pretrain a nano model of the miniature world, as the shipped one was; takes most of an hour."""
    from cones.steps.pretrain import pretrain as pretrain_model

    pretrain_model(model, out)


@app.command()
def text(
    model: ModelOption, dataset: DatasetOption, suite: SuiteOption = "miniature", overrides: SetOption = "{}"
) -> None:
    """Encode a dataset's class names with a model's frozen text encoder."""
    from cones.steps.text import encode_class_names

    plan = load_plan(suite, overrides, model=model, dataset=dataset)
    with recorded(plan, "text_states", model=model, dataset=dataset):
        encode_class_names(plan, model, dataset)


@app.command()
def features(
    model: ModelOption, dataset: DatasetOption, suite: SuiteOption = "miniature", overrides: SetOption = "{}"
) -> None:
    """Encode a dataset's images once for all cells of a model whose image encoder is frozen."""
    from cones.steps.features import compute_features

    plan = load_plan(suite, overrides, model=model, dataset=dataset)
    with recorded(plan, "features", model=model, dataset=dataset):
        compute_features(plan, model, dataset)


@app.command()
def tune(
    model: ModelOption,
    dataset: DatasetOption,
    arm: ArmOption,
    seed: SeedOption = 0,
    suite: SuiteOption = "miniature",
    overrides: SetOption = "{}",
) -> None:
    """Tune one cell."""
    from cones.steps.tune import tune_cell

    plan = load_plan(suite, overrides)
    cell = plan.cell(model, dataset, arm, seed)
    with recorded(plan, "tune", model=model, dataset=dataset, arm=arm, seed=seed) as made_of:
        tune_cell(plan, cell, identity=made_of)


@app.command()
def evaluate(
    model: ModelOption,
    dataset: DatasetOption,
    arm: ArmOption,
    seed: SeedOption = 0,
    suite: SuiteOption = "miniature",
    overrides: SetOption = "{}",
) -> None:
    """Detect on the test split with a tuned cell, and score."""
    from cones.steps.evaluate import evaluate_cell

    plan = load_plan(suite, overrides)
    cell = plan.cell(model, dataset, arm, seed)
    with recorded(plan, "evaluate", model=model, dataset=dataset, arm=arm, seed=seed):
        evaluate_cell(plan, cell)


@app.command("preview-predictions")
def preview_predictions(
    model: ModelOption,
    dataset: DatasetOption,
    arm: Annotated[str | None, typer.Option("--arm", help="default: all arms, side by side")] = None,
    seed: SeedOption = 0,
    images: Annotated[int, typer.Option("--images", min=1, max=60)] = 6,
    out: Annotated[
        Path | None, typer.Option("--out", help="default: preview.png of the cell, predictions.png of the dataset")
    ] = None,
    suite: SuiteOption = "miniature",
    overrides: SetOption = "{}",
) -> None:
    """Test pictures of finished cells, annotated beside predicted, as one PNG; no model is run."""
    from cones.steps.preview import preview_cell, preview_dataset

    plan = load_plan(suite, overrides, model=model, dataset=dataset)
    if arm is not None:
        written = preview_cell(plan, plan.cell(model, dataset, arm, seed), out, pictures=images)
    elif out is not None:
        written = preview_dataset(plan, model, dataset, out, pictures=images)
    else:
        with recorded(plan, "preview", model=model, dataset=dataset):
            written = preview_dataset(plan, model, dataset, pictures=images)
    print(f"written: {written}")


@app.command()
def embed(
    model: ModelOption,
    dataset: DatasetOption,
    arm: ArmOption,
    seed: SeedOption = 0,
    suite: SuiteOption = "miniature",
    overrides: SetOption = "{}",
) -> None:
    """Write a tuned cell's class vectors and, where Table 3 asks for them, its boxes' features."""
    from cones.steps.embed import embed_cell

    plan = load_plan(suite, overrides)
    cell = plan.cell(model, dataset, arm, seed)
    with recorded(plan, "embed", model=model, dataset=dataset, arm=arm, seed=seed):
        embed_cell(plan, cell)


@app.command()
def compare(
    arms: Annotated[tuple[str, str], typer.Option("--arms", help="two arms of the suite")],
    dataset: Annotated[list[str] | None, typer.Option("--dataset", help="default: every dataset of Table 1")] = None,
    model: Annotated[str | None, typer.Option("--model", help="default: the first of Table 1")] = None,
    seed: SeedOption = 0,
    draws: Annotated[int, typer.Option(min=1)] = 1000,
    suite: SuiteOption = "miniature",
    overrides: SetOption = "{}",
) -> None:
    """Compare two scored arms by a paired bootstrap over the test images of each dataset."""
    from cones.steps.compare import print_comparison

    print_comparison(load_plan(suite, overrides), arms, model=model, datasets=dataset or [], seed=seed, draws=draws)


@app.command()
def collect(
    grid: Annotated[str, typer.Argument(help="a grid of the suite: table1, table2, …")],
    suite: SuiteOption = "miniature",
    overrides: SetOption = "{}",
    partial: bool = False,
) -> None:
    """Gather the scores of a grid's cells into one list, of which its tables are made."""
    from cones.steps.collect import collect_grid

    collect_grid(load_plan(suite, overrides), grid, partial=partial)


@app.command()
def make(
    name: Annotated[str, typer.Argument(help="a table or figure of the suite: table1, table8, figure4, …")],
    suite: SuiteOption = "miniature",
    overrides: SetOption = "{}",
    partial: bool = False,
) -> None:
    """Make a table or figure of what the cells and datasets of a suite left; --partial: of what there is so far."""
    from cones.outputs.make import make_output

    print("written:", *make_output(load_plan(suite, overrides), name, partial=partial))


@app.command("learning-rates")
def learning_rates(
    cells: Path = Path("results/learning_rates/table1_cells.csv"), out: Path = Path("docs/miniature_learning_rates.csv")
) -> None:
    """Validation AP of every method at every rate of the grid, and which rate that chooses."""
    from cones.outputs.analysis.learning_rates import write_learning_rates

    write_learning_rates(cells, out)


@app.command()
def report(suite: SuiteOption = "miniature", overrides: SetOption = "{}", partial: bool = False) -> None:
    """Write the report of a suite and its figure; --partial: of the tables that `collect --partial` wrote."""
    from cones.steps.report import write_report

    plan = load_plan(suite, overrides)
    print("written:", *write_report(plan, overrides=json.loads(overrides), partial=partial))


@app.command()
def verify(
    tree: Annotated[Path, typer.Argument(help="results, a suite's folder or a cell's")] = Path("results"),
) -> None:
    """Check a finished tree again: every file against its recorded sha256, every table against its cells."""
    from cones.steps.verify import verify as verify_tree

    result = verify_tree(tree)
    for fault in result.faults:
        print(f"off: {fault}")
    for path in sorted(result.absent):
        print(f"not compared, because it is not here: {path}")
    for path, reason in sorted(result.stale.files.items()):
        print(f"stale, so the workflow would make it again: {path}: {reason}")
    if cells := result.stale.not_compared:
        why = next(iter(cells.values()))
        print(f"not compared with a config: {len(cells)} cell{'s' * (len(cells) != 1)}, the first because: {why}")
    for path in result.left:
        print(f"left by a process that was killed: {path}; nothing reads it, and the next write there removes it")
    if result.faults:
        raise ConesError(
            f"not all is as it was recorded ({result})",
            where=tree,
            found=f"{len(result.faults)} fault{'s' * (len(result.faults) != 1)}",
            next_step='do what each line above that begins with "off" says',
        )
    print(f"{tree}: {result}: all as recorded")


@app.command()
def finish(
    suite: SuiteOption = "miniature", overrides: SetOption = "{}", failed: bool = False, since: float = 0.0
) -> None:
    """Print the table of a run and where it is, or what is missing and why."""
    from cones.steps.finish import finish_run

    finish_run(load_plan(suite, overrides), overrides=json.loads(overrides), failed=failed, since=since)


@app.command()
def schema() -> None:
    """Write the JSON schemas of config and registry to config/, for editors and reviewers."""
    from cones.experiment.schemas import write_schemas

    write_schemas()


@app.command()
def show(table: Annotated[Path, typer.Argument(help="a CSV file, such as results/table1.csv")]) -> None:
    """Print a finished table."""
    from cones.steps.show import show_table

    show_table(table)


class Stopped(BaseException):
    """SIGINT or SIGTERM reached this step."""

    def __init__(self, number: int):
        self.number = number


def main() -> None:
    """Run a command: a ConesError is one line and exit code 1; anything else is a bug, with its traceback first."""
    start_logging()
    for number in (signal.SIGINT, signal.SIGTERM):
        _stop_on(number)
    try:
        app()
    except ConesError as error:
        _say_error(error)
        sys.exit(1)
    except Stopped as stop:
        name = signal.Signals(stop.number).name
        _say_error(ConesError(f"stopped by {name}", next_step="run the same command again: what is finished is kept"))
        sys.exit(128 + stop.number)
    except BrokenPipeError:
        os._exit(1)
    except Exception as error:
        traceback.print_exc()
        what = f"{type(error).__name__}: {error}"
        _say_error(ConesError(what, next_step="this is not foreseen: report it with the lines above"))
        sys.exit(1)


def _say_error(error: ConesError) -> None:
    typer.secho(f"error: {error}", fg="red" if sys.stderr.isatty() else None, err=True)


def _stop_on(number: signal.Signals) -> None:
    """Let a signal end this step in order: temporary files go, the log says why. One that is ignored stays so."""
    before = signal.getsignal(number)
    if before in (signal.SIG_IGN, None):
        return

    def stop(number: int, frame: object) -> None:
        if callable(before):  # Python's own for Ctrl-C, or the one of a warm process, which gets the second of two
            with contextlib.suppress(KeyboardInterrupt):
                before(number, frame)
                return
        raise Stopped(number)

    signal.signal(number, stop)
