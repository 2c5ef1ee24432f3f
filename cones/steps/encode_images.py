"""Step `classification encode`: the features of a dataset's images that the cells of a model share."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from cones.data.ahead import ahead
from cones.data.classification import Item, load_pixels, read_items, train_views
from cones.data.task_rules import MULTI_LABEL
from cones.experiment.cell import Plan
from cones.experiment.classification_cells import features_file
from cones.models.checkpoints import load_dual_encoder
from cones.models.dual_encoder import DualEncoder
from cones.runtime.artifacts import save_tensors
from cones.runtime.devices import to_device
from cones.runtime.progress import log, watched
from cones.steps.device import device_for

BATCH = 64
REGIONS = {"regions": True, "regions_unplaced": False}  # kind -> whether positions are added
VIEWS = 10  # augmented passes over the training images (gaopengcuhk/Tip-Adapter, configs: augment_epoch)
SCALE = "logit_scale"  # beside the pooled features: exp of the model's


def encode_images(plan: Plan, model: str, dataset: str, kind: str) -> None:
    """Writes `<kind>.safetensors`, float32, images in the order of `items.json`; empty for a skipped dataset.

    pooled   train, val, test (n, d), and `logit_scale`
    patches  train, val, test (n, P, d)
    regions, regions_unplaced  train, val, test (n, 1 + P, d) (`DualEncoder.encode_regions`)
    views    train (V, n, d): pooled features of augmented passes over the training images

    Pictures of several classes are read whole, squeezed to the square: a middle would lose what is at the edges.
    """
    path, manifest = features_file(plan, model, dataset, kind), plan.manifest(dataset)
    if manifest["status"] == "skipped":
        save_tensors(path, {}, {"skipped": manifest["reason"]})
        return
    device, folder = device_for(plan, model), plan.data_folder(dataset)
    encoder = load_dual_encoder(model, plan.weights(model)).to(device)
    items = read_items(folder)
    if kind == "views":
        passes = [_encoded(encoder, folder, items["train"], device, view) for view in range(VIEWS)]
        tensors = {"train": torch.stack([pooled for pooled, _ in passes])}
    else:
        tensors = {}
        for split, listed in items.items():
            pooled, positions = _encoded(
                encoder, folder, listed, device, kind=kind, whole=manifest["task"] == MULTI_LABEL
            )
            tensors[split] = pooled if kind == "pooled" else positions
        if kind == "pooled":
            tensors[SCALE] = encoder.logit_scale.detach().exp()
    save_tensors(path, tensors, {"items": manifest["items"]["sha256"]})
    log.info("%s: %s features of %s images", path, kind, ", ".join(f"{len(items[split])} {split}" for split in items))


@torch.no_grad()
def _encoded(
    encoder: DualEncoder,
    folder: Path,
    items: Sequence[Item],
    device: torch.device,
    view: int | None = None,
    *,
    kind: str = "pooled",
    whole: bool = False,
) -> tuple[Tensor, Tensor]:
    """(pooled (n, d), patches or regions (n, …, d), empty where nobody asks); `view` numbers an augmented pass, None is
    the middle of a picture, or all of it."""

    def pixels(part: Sequence[Item]) -> Tensor:
        paths = [folder / item.path for item in part]
        if view is None:
            return load_pixels(paths, encoder.picture_format, whole=whole)
        return train_views(paths, [item.path for item in part], encoder.picture_format, "stored view", view)

    pooled, positions = [torch.empty(0, encoder.width)], []
    batches = ahead(pixels, list(_batches(items)), device_type=device.type)
    for batch in watched(batches, label="batches of images", total=-(-len(items) // BATCH)):
        batch = to_device(batch, device)
        if kind in REGIONS:
            positions.append(encoder.encode_regions(batch, placed=REGIONS[kind]).float().cpu())
            continue
        features = encoder.encode_image(batch, patches=kind == "patches")
        pooled.append(features.pooled.float().cpu())
        if kind == "patches":
            positions.append(features.patches.float().cpu())
    return torch.cat(pooled), torch.cat(positions) if positions else torch.empty(0, 0, encoder.width)


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[at : at + BATCH] for at in range(0, len(items), BATCH))
