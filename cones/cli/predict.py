"""`python -m cones predict --cell results/…/seed0 photo.jpg`: a tuned cell looks at pictures of your own."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from cones.cli.options import SeedOption, SetOption, SuiteOption, load_plan
from cones.runtime.errors import ConesError


def predict(
    pictures: Annotated[list[Path], typer.Argument(help="pictures, and folders of pictures")],
    cell: Annotated[Path | None, typer.Option("--cell", help="results/<suite>/<model>/<dataset>/<arm>/seed<k>")] = None,
    model: Annotated[str | None, typer.Option("--model", help="instead of --cell: its names")] = None,
    dataset: Annotated[str | None, typer.Option("--dataset")] = None,
    arm: Annotated[str | None, typer.Option("--arm")] = None,
    seed: SeedOption = 0,
    threshold: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="least score; default: as many detections as its test split has objects"),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="folder of the PNG files and predictions.json")] = Path(
        "predicted"
    ),
    suite: SuiteOption = "miniature",
    overrides: SetOption = "{}",
) -> None:
    """Detect with a tuned cell on pictures of your own: a PNG for each, and one JSON of COCO results."""
    from cones.experiment.cell import Cell
    from cones.steps.predict import named_cell, predict_pictures

    if cell is not None:
        suite, model, dataset, arm, seed = vars(Cell.of_folder(cell)).values()
    plan = load_plan(suite, overrides)
    tuned = named_cell(plan, model, dataset, arm, seed)
    predictions = predict_pictures(plan, tuned, pictures, out=out, threshold=threshold)
    for picture in predictions.pictures:
        found = Counter(result["category_name"] for result in picture.results)
        words = ", ".join(f"{count} {name}" for name, count in found.most_common()) or "nothing"
        print(f"{picture.picture}: {words} -> {picture.drawn}")
    if predictions.others:
        print(f"{predictions.others} other files in these folders are no pictures")
    print(f"scores of {predictions.threshold:.3g} or more; written: {predictions.file}")
    if faults := predictions.faults:
        for fault in faults:
            typer.echo(f"error: {fault}", err=True)
        raise ConesError(
            f"{len(faults)} of {len(faults) + len(predictions.pictures)} pictures could not be read",
            next_step="mend those above or leave them out; the others are written",
        )
