"""Step `classification self-supervise`: a network trained on a dataset's images without labels, and its features."""

from collections.abc import Sequence

import torch
from torch import Tensor

from cones.data.classification import Item, load_pixels, read_items
from cones.experiment.cell import Plan
from cones.experiment.classification_cells import self_supervised_file
from cones.models.dual_encoder import PictureFormat
from cones.runtime.artifacts import save_tensors
from cones.runtime.devices import to_device
from cones.runtime.progress import log
from cones.steps.device import device_for
from cones.training.simclr import SimCLRRecipe, SimCLRTraining, encode

ONE_TO_ONE = PictureFormat(side=64, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))  # pixels from 0 to 1


def self_supervise(plan: Plan, dataset: str, *, identity: str = "") -> None:
    """Writes the features of all images, train, val and test (n, e); the network has seen the training images alone.

    An interrupted training of the same `identity` is gone on with. Empty for a skipped dataset.
    """
    path, manifest = self_supervised_file(plan, dataset), plan.manifest(dataset)
    if manifest["status"] == "skipped":
        save_tensors(path, {}, {"skipped": manifest["reason"]})
        return
    device, items = device_for(plan, next(iter(plan.classification.models))), read_items(plan.data_folder(dataset))
    recipe = SimCLRRecipe()

    def pictures(listed: Sequence[Item]) -> Tensor:
        if not listed:
            return torch.empty(0, 3, ONE_TO_ONE.side, ONE_TO_ONE.side, device=device)
        return to_device(load_pixels([plan.data_folder(dataset) / item.path for item in listed], ONE_TO_ONE), device)

    training = SimCLRTraining(
        pictures(items["train"]),
        recipe,
        seed=0,
        checkpoint=path.with_suffix(".resume.pt"),
        identity=identity,
        where=f"{dataset}: training images",
    )
    encoder = training.run()
    features = {split: encode(encoder, pictures(listed), recipe).cpu() for split, listed in items.items()}
    save_tensors(path, features, {"items": manifest["items"]["sha256"]})
    log.info("%s: features of %d training images without labels", path, len(items["train"]))
