"""`python -m cones classification encode | self-supervise | fit`: the steps of models with two encoders."""

from typing import Annotated, Literal

import typer

from cones.cli.options import SeedOption, SetOption, SuiteOption, load_plan, recorded

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Classification with models of two encoders, such as CLIP: the steps that the workflow calls.",
)

ModelOption = Annotated[str, typer.Option("--model", help="a model of the suite's `classification`")]
DatasetOption = Annotated[str, typer.Option("--dataset")]


@app.command()
def encode(
    kind: Annotated[
        Literal["pooled", "patches", "regions", "regions_unplaced", "views"], typer.Argument(help="which features")
    ],
    model: ModelOption,
    dataset: DatasetOption,
    suite: SuiteOption = "miniature",
    overrides: SetOption = "{}",
) -> None:
    """Encode a dataset's images once for all cells of a model."""
    from cones.steps.encode_images import encode_images

    plan = load_plan(suite, overrides, model=model, dataset=dataset)
    with recorded(plan, "encode_images", model=model, dataset=dataset, name=kind):
        encode_images(plan, model, dataset, kind)


@app.command("self-supervise")
def self_supervise(dataset: DatasetOption, suite: SuiteOption = "miniature", overrides: SetOption = "{}") -> None:
    """Train a network on a dataset's images without labels, and write its features of all images."""
    from cones.steps.self_supervise import self_supervise as train

    plan = load_plan(suite, overrides, dataset=dataset)
    with recorded(plan, "self_supervise", dataset=dataset) as made_of:
        train(plan, dataset, identity=made_of)


@app.command()
def fit(
    model: ModelOption,
    setting: Annotated[str, typer.Option("--setting", help="such as nano_names-16shot or nano_names-base16")],
    arm: Annotated[str, typer.Option("--arm", help="an arm of the suite's `classification`")],
    seed: SeedOption = 1,
    suite: SuiteOption = "miniature",
    overrides: SetOption = "{}",
) -> None:
    """Fit one cell on its few labelled images and score it; an interrupted training goes on where it was."""
    from cones.experiment.classification_cells import classification_cell
    from cones.steps.classified_cell import classify_cell

    plan = load_plan(suite, overrides)
    cell = classification_cell(plan, model, setting, arm, seed)
    with recorded(plan, "classify", model=model, dataset=setting, arm=arm, seed=seed) as made_of:
        classify_cell(plan, cell, identity=made_of)
