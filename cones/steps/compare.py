"""Step `compare`: two arms of a suite on the same test images, dataset by dataset; needs no model."""

from collections.abc import Iterator

from cones.data.few_pictures import read_split
from cones.evaluation.bootstrap import DRAWS, Difference, paired_bootstrap
from cones.evaluation.metrics import read_metrics
from cones.evaluation.predictions import read_predictions
from cones.experiment.cell import Cell, Plan
from cones.experiment.outputs import grids_of_methods, scored_grids
from cones.experiment.suite import CONFIG_FOLDER, MAIN_GRID
from cones.runtime.errors import ConesError


def compare_arms(
    plan: Plan, arms: tuple[str, str], *, model: str | None, datasets: list[str], seed: int, draws: int = DRAWS
) -> Iterator[tuple[str, Difference | str]]:
    """Yield (dataset, `Difference` or the reason for none) for the named datasets, else for all of the main grid.

    Both arms must have been scored; a dataset that was skipped has its reason. AP is that of boxes, of models that
    predict masks too.
    """
    models, every, _ = plan.suite.grid(main_grid(plan))
    for dataset in datasets or every:
        cells = [plan.cell(model or models[0], dataset, arm, seed) for arm in arms]
        yield dataset, _reason(cells) or _difference(plan, cells, draws)


def main_grid(plan: Plan) -> str:
    """The first grid whose table has methods as rows, or else whose cells are scored; ConesError if there is none."""
    parts = plan.suite.parts
    grids = [grid for grid in (MAIN_GRID, *grids_of_methods(parts), *scored_grids(parts)) if grid in parts]
    if not grids:
        raise ConesError(
            "no arm of the suite is scored",
            where=f"{CONFIG_FOLDER / plan.suite.suite}.yaml: grids",
            next_step="choose a suite with a table of methods, such as --suite miniature",
        )
    return grids[0]


def _reason(cells: list[Cell]) -> str | None:
    for cell in cells:
        metrics = read_metrics(cell.folder / "metrics.json")
        if metrics.status == "skipped":
            return f"skipped: {metrics.reason}"
    return None


def _difference(plan: Plan, cells: list[Cell], draws: int) -> Difference | str:
    folder, manifest = plan.data_folder(cells[0].dataset), plan.manifest(cells[0].dataset)
    results = [read_predictions(cell.folder / "predictions.json") for cell in cells]
    try:
        return paired_bootstrap(
            read_split(folder / "test.json", plan.suite.pictures),
            *results,
            manifest["detections_per_image"],
            draws=draws,
        )
    except ConesError as error:
        return str(error)


def print_comparison(plan: Plan, arms: tuple[str, str], *, seed: int, draws: int, **which) -> None:
    """Print the result of `compare_arms`, a line per dataset."""
    print(f"{'box AP by dataset':32} {'a':>5} {'b':>5}  {'a - b':>5} {'95 % interval':>16}  {'other':>6}  images")
    for dataset, outcome in compare_arms(plan, arms, seed=seed, draws=draws, **which):
        print(f"{dataset:32} {_outcome_text(outcome)}", flush=True)
    print(f"a: {arms[0]}, b: {arms[1]}, tuning seed {seed}; {draws} paired draws of the test images.")
    print("other: share of the draws in which the difference has the other sign or is none.")


def _outcome_text(outcome: Difference | str) -> str:
    if isinstance(outcome, str):
        return outcome
    return (
        f"{outcome.ap_a:5.1f} {outcome.ap_b:5.1f}  {outcome.difference:+5.1f}"
        f" [{outcome.low:+6.1f}, {outcome.high:+6.1f}]"
        f"  {outcome.other_sign:6.1%}  {outcome.images:6d}"
    )
