"""Step `features`: the image features of a frozen image encoder, computed once for all cells that keep it frozen."""

from collections.abc import Iterator
from itertools import product

import torch

from cones.data.batches import Split, View, groups_of_equal_size
from cones.data.pyramid_file import name_of, write_pyramids
from cones.data.pyramids import FrozenPyramids, LivePyramids, split_batch
from cones.evaluation.prediction import batches_at_test
from cones.experiment.cell import Plan
from cones.methods.settings import Tuning
from cones.models.detector import FeaturePyramid, GroundedDetector
from cones.runtime.devices import mixed_precision
from cones.runtime.errors import ConesError
from cones.runtime.precision import Precision
from cones.runtime.progress import log, watched
from cones.runtime.provenance import settings_digest
from cones.steps.base_model import base_detector
from cones.steps.device import device_for
from cones.steps.tune import open_split


def compute_features(plan: Plan, model_name: str, dataset: str) -> None:
    """Writes the shared features of a model and dataset; views that exceed the suite's budget are left to the cells."""
    index = plan.features(model_name, dataset)
    if index is None:
        raise ConesError(
            "no two cells share image features here",
            where=f"{model_name}, {dataset}",
            next_step="nothing has to be done: each cell computes its own (to share them, set feature_cache_gb)",
        )
    manifest = plan.manifest(dataset)
    if manifest["status"] == "skipped":
        write_pyramids(index, [], budget=0)
        return
    device = device_for(plan, model_name)
    model = base_detector(plan, model_name).to(device).eval()
    budget = plan.feature_budget()
    stored = write_pyramids(index, pyramids_of(plan, model_name, dataset, model, device), budget=budget)
    log.info("%s: %d views, at most %.2f GB", index, stored, budget / 1e9)


def pyramids_of(
    plan: Plan, model_name: str, dataset: str, model: GroundedDetector, device: torch.device
) -> Iterator[tuple[str, FeaturePyramid]]:
    """Yield the pyramids of all views, bit-equal to those the cells would compute: test pictures in the batches of
    `predict`, those of validation and training alone; each in the precision in which the cells would."""
    settings = plan.settings(plan.sharing[model_name, dataset][0])  # precisions are the model's: equal in all cells
    cells, side, seen = plan.sharing[model_name, dataset], model.preprocessing.short_side, set()
    yield from test_pyramids(open_split(plan, cells[0], "test", model), model, device, settings.scoring_precision)
    tuned = {
        settings_digest(plan.settings(sharing_cell).tuning): sharing_cell
        for sharing_cell in cells
        if plan.method(sharing_cell.arm).is_tuned
    }
    alone = FrozenPyramids(model, device, budget_mb=0)
    for name, cell in product(("val", "train"), tuned.values()):
        split, at_test = open_split(plan, cell, name, model, few_shot=True), name == "val"
        views = [View(index, side) for index in range(len(split))]
        precision = settings.scoring_precision if at_test else settings.precision
        if not at_test:
            views = train_views(split, plan.settings(cell).tuning)
        for view in watched(views, label=f"image features of {name}"):
            if (view_name := name_of(split, view)) not in seen:
                seen.add(view_name)
                with mixed_precision(device, precision):
                    yield view_name, alone([split.sample(view, at_test=at_test)])


@torch.no_grad()
def test_pyramids(
    split: Split, model: GroundedDetector, device: torch.device, precision: Precision
) -> Iterator[tuple[str, FeaturePyramid]]:
    live = LivePyramids(model, device)
    for batch in watched(batches_at_test(split, model.preprocessing.short_side), label="image features of test"):
        for samples in groups_of_equal_size([split.sample(view, at_test=True) for view in batch], len(batch)):
            with mixed_precision(device, precision):
                pyramid = live(samples)
            yield from zip((name_of(split, sample.view) for sample in samples), split_batch(pyramid))


def train_views(train: Split, tuning: Tuning) -> list[View]:
    """Every view that training may draw."""
    flips = [flip for flip, share in ((False, 1 - tuning.flip), (True, tuning.flip)) if share]
    return [View(*which) for which in product(train.trainable_indices(), tuning.train_short_sides, flips)]
