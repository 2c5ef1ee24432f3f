"""The memory of fully fine-tuning a detector, on paper: what AdamW holds, and what one image keeps for the way back.

    python benchmarks/memory.py [--models gdino_t gdino_b mm_gdino_l glip_t …]

Weights, gradients and two moments are 16 bytes a parameter. What the forward pass keeps is counted in float32, each
storage once, at two small sizes, and grows with the area: its line gives the value at 800 x 1333. Weights are random:
memory does not depend on them. No GPU is needed; what a library or an allocator takes besides is not in it.
Writes the rows of these models into benchmarks/memory.json and prints the rows of docs/scaling.md.
"""

import argparse
import json
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor, nn

from cones.methods.method import TuningMethod
from cones.models.checkpoints import build_detector, build_text_encoder
from cones.models.detector import ImageBatch, Target
from cones.models.language import LanguageFeatures
from cones.models.layers import deformable_attention
from cones.models.layers.weighted_samples import read_grids
from cones.models.losses import normalised
from cones.training.tuner import mark_trainable

TEXT_ROWS = 60
SMALL, LARGER, WANTED = (160, 288), (224, 384), (800, 1333)
MODELS = ("glip_t", "glip_l", "uninext_r50", "gdino_t", "gdino_b", "mm_gdino_t", "mm_gdino_b", "mm_gdino_l")
BYTES_OF_ADAMW = 16  # weights, gradients and two moments in float32


class Kept:
    """Bytes of the storages that autograd holds on to, parameters left out."""

    def __init__(self, module: nn.Module):
        self.own = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
        self.storages: dict[int, int] = {}
        self.alive: list[Tensor] = []  # so that no address comes twice

    def pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self.own:
            self.storages[storage.data_ptr()] = storage.nbytes()
            self.alive.append(tensor)
        return tensor

    @property
    def bytes(self) -> int:
        return sum(self.storages.values())


def kept_bytes(detector, encoder, size: tuple[int, int]) -> int:
    """Of one image of `size` (height, width) and a caption of `TEXT_ROWS` rows, up to the loss."""
    height, width = size
    images = ImageBatch(torch.randn(1, 3, height, width), [size])
    boxes = torch.tensor([[10.0, 10.0, 90.0, 120.0], [50.0, 30.0, 140.0, 150.0]])
    masks = torch.zeros(2, height, width, dtype=torch.bool)
    for mask, (left, top, right, bottom) in zip(masks, boxes.int().tolist()):
        mask[top:bottom, left:right] = True
    targets = [Target(boxes, torch.tensor([0, 1]), 0, masks if detector.predicts_masks else None)]
    positions = torch.eye(TEXT_ROWS // 3, dtype=torch.bool).repeat_interleave(3, dim=1)[None]  # (1, K, L)
    phrases = (torch.arange(TEXT_ROWS) // 3 * 3)[None]
    mask = torch.ones(1, TEXT_ROWS, dtype=torch.bool)
    kept = Kept(nn.ModuleList([detector, encoder]))
    hooks = torch.autograd.graph.saved_tensors_hooks(kept.pack, lambda tensor: tensor)
    with hooks, mock.patch.object(deformable_attention, "read_rows", read_grids):  # as a GPU samples
        hidden = encoder(input_ids=torch.ones_like(phrases), mask=mask, phrases=phrases)
        language = LanguageFeatures(hidden, mask, positions, phrases)
        predictions = detector.ground(detector.encode_image(images), language, targets)
        sum(normalised(detector.loss(predictions, targets)).values())
    return kept.bytes


def measured(name: str) -> dict:
    torch.manual_seed(0)
    detector, encoder = build_detector(name), build_text_encoder(name)
    method, prompt = TuningMethod.load("full_finetuning"), nn.ModuleDict({"text_encoder": encoder})
    trained = sum(parameter.numel() for parameter in mark_trainable(detector, prompt, method).values())
    every = sum(parameter.numel() for module in (detector, encoder) for parameter in module.parameters())
    method.set_modes(detector, prompt)
    areas = [height * width for height, width in (SMALL, LARGER, WANTED)]
    small, larger = (kept_bytes(detector, encoder, size) for size in (SMALL, LARGER))
    kept = small + (larger - small) / (areas[1] - areas[0]) * (areas[2] - areas[0])
    held = 4 * every + (BYTES_OF_ADAMW - 4) * trained
    row = {"model": name, "parameters": every, "trained": trained, "adamw_gb": round(held / 1e9, 2)}
    counted = ((SMALL, small), (LARGER, larger))
    row |= {"kept_gb": {"x".join(map(str, size)): round(count / 1e9, 2) for size, count in counted}}
    row["kept_gb"]["x".join(map(str, WANTED))] = round(kept / 1e9, 1)
    print(
        f"| {name} | {every / 1e6:.1f} | {held / 1e9:.1f} | {kept / 1e9:.0f} | {(held + kept) / 1e9:.0f} |", flush=True
    )
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=MODELS)
    models = parser.parse_args().models
    torch.set_num_threads(1)
    file = Path(__file__).with_suffix(".json")
    rows = {row["model"]: row for row in json.loads(file.read_text())["models"]} if file.exists() else {}
    rows |= {name: measured(name) for name in models}
    ordered = [rows[name] for name in MODELS if name in rows]
    report = {"text_rows": TEXT_ROWS, "torch": torch.__version__, "models": ordered}
    file.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
