"""Steps `fetch` and `prepare`: a dataset of the registry from its archives to canonical COCO files."""

from pathlib import Path

from cones.data import download
from cones.data import prepare as preparation
from cones.data.registry import DRAWN
from cones.experiment.cell import Plan


def mirror_of(plan: Plan) -> Path | None:
    """The mirror that datasets are fetched from, if any; for the miniature world the folder of its drawn archives."""
    if plan.suite.source == DRAWN:
        return download.miniature_mirror(plan.suite.data_dir)
    return Path(plan.suite.mirror) if plan.suite.mirror else None


def draw_dataset(plan: Plan, dataset: str) -> None:
    from cones.miniature.archives import draw

    draw(plan.registry[dataset], plan.suite.data_dir)


def fetch_dataset(plan: Plan, dataset: str) -> None:
    suite = plan.suite
    download.fetch(plan.registry[dataset], suite.source, suite.data_dir, mirror=mirror_of(plan))


def prepare_dataset(plan: Plan, dataset: str) -> None:
    preparation.prepare(
        plan.registry[dataset],
        plan.suite.source,
        plan.suite.data_dir,
        selects_on_validation=selects_on_validation(plan, dataset),
    )


def selects_on_validation(plan: Plan, dataset: str) -> bool:
    """Whether any cell tuned on the dataset keeps the weights that were best on its validation split."""
    tuned = (cell for cell in plan.all_cells() if cell.dataset == dataset and plan.method(cell.arm).uses_labels)
    return any(plan.settings(cell).tuning.selection == "best" for cell in tuned)
