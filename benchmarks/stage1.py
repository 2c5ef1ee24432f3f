"""One training step of ConES stage 1, saving by saving: from the way of the published code to what runs here.

    python benchmarks/stage1.py [--models glip_t gdino_t … --height 256 --width 416 --rows 15 --repeats 2]

A step is: image features, head, losses and the way back to the vectors, one image. Operations are counted by PyTorch
(matrix products and convolutions; a multiply-add is two); seconds are processor seconds of one thread, the least of
the repeats, all ways in turn. Weights are random: time does not depend on them. Grounding DINO is compared with the
code of transformers in the same run, GLIP and UNINEXT with their published way. Writes benchmarks/stage1.json (models
that are not asked for stay as they are) and prints the rows of the README.
"""

import argparse
import copy
import gc
import json
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from library_grounding_dino import LIBRARY_MODELS, LIBRARY_WAY, LIBRARY_WAYS, LibraryStep
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cones.models.checkpoints import build_detector
from cones.models.detector import FeaturePyramid, GroundedDetector, ImageBatch, Target
from cones.models.language import MAX_POSITIONS, LanguageFeatures
from cones.models.layers.fusion import BiAttention
from cones.models.losses import normalised
from cones.models.optimisations import disable_optimisations

PUBLISHED_WAY = "256 text rows, plain fusion (the published way)"


def ways(model: GroundedDetector) -> dict[str, Callable[[], tuple[bool, bool]]]:
    """name -> what sets the model up and says (whether image features are given, whether weights keep gradients)."""

    def crop(rows: int | None, folded: bool | None, shared: bool, bookkeeping: bool = False) -> tuple[bool, bool]:
        model.text_rows = rows
        for module in model.modules():
            if isinstance(module, BiAttention):
                module.folded = folded
        return shared, bookkeeping

    return {
        "256 text rows, plain fusion, gradients of frozen weights too": lambda: crop(MAX_POSITIONS, False, False, True),
        PUBLISHED_WAY: lambda: crop(MAX_POSITIONS, False, False),
        "+ valid text rows only": lambda: crop(None, False, False),
        "+ folded fusion (ours)": lambda: crop(None, None, False),
        "+ shared image features (ours)": lambda: crop(None, None, True),
    }


class Step:
    """One image, a few objects, K x N vectors."""

    def __init__(self, model: GroundedDetector, *, height: int, width: int, rows: int):
        noise = torch.Generator().manual_seed(0)
        self.model = model
        self.images = ImageBatch(torch.randn(1, 3, height, width, generator=noise), [(height, width)])
        boxes = torch.tensor([[0.1, 0.1, 0.5, 0.7], [0.4, 0.3, 0.9, 0.95]]) * torch.tensor([width, height] * 2)
        masks = torch.zeros(2, height, width, dtype=torch.bool)
        for mask, (left, top, right, bottom) in zip(masks, boxes.int().tolist()):
            mask[top:bottom, left:right] = True
        self.targets = [Target(boxes, torch.tensor([0, 1]), 0, masks)]
        self.vectors = nn.Parameter(torch.randn(rows // 3, 3, model.text_width, generator=noise))
        with torch.no_grad():
            self.shared = model.encode_image(self.images)

    def __call__(self, is_shared: bool, bookkeeping: bool) -> None:
        self.model.requires_grad_(bookkeeping)
        self.vectors.grad = None
        pyramid: FeaturePyramid = self.shared if is_shared else self.model.encode_image(self.images)
        language = LanguageFeatures.of_tokens_per_class(self.vectors)
        torch.manual_seed(0)
        predictions = self.model.ground(pyramid, language, self.targets)
        sum(normalised(self.model.loss(predictions, self.targets)).values()).backward()
        for parameter in self.model.parameters():
            parameter.grad = None


def ours(step: Step, set_up: Callable[[], tuple[bool, bool]]) -> None:
    step(*set_up())


def measured(name: str, options: argparse.Namespace) -> list[dict]:
    torch.manual_seed(0)
    model = build_detector(name).eval()
    step = Step(model, height=options.height, width=options.width, rows=options.rows)
    steps = {way: partial(ours, step, set_up) for way, set_up in ways(model).items()}
    if name in LIBRARY_MODELS:
        given = {"images": step.images, "targets": step.targets, "vectors": step.vectors.detach()}
        steps |= {way: LibraryStep(name, rows=rows, **given) for way, rows in LIBRARY_WAYS.items()}
    seconds: dict[str, list[float]] = {}
    operations: dict[str, float] = {}
    for repeat in range(options.repeats + 1):
        for way, run in steps.items():
            if not repeat:  # counted once, which warms up as well
                with FlopCounterMode(display=False) as counter:
                    run()
                operations[way] = counter.get_total_flops() / 1e9
                continue
            started = time.process_time()
            run()
            seconds.setdefault(way, []).append(time.process_time() - started)
            gc.collect()
    published = LIBRARY_WAY if name in LIBRARY_MODELS else PUBLISHED_WAY
    rows = []
    for way, counted in operations.items():
        least = min(seconds[way])
        row = {"model": name, "way": way, "gflop": round(counted, 1), "seconds": round(least, 3)}
        row["times_fewer_operations"] = round(operations[published] / counted, 2)
        row["times_faster"] = round(min(seconds[published]) / least, 2)
        rows.append(row)
        print(
            f"| {name} | {way} | {counted:,.1f} | {row['times_fewer_operations']:.2f} x | {least:.2f} "
            f"| {row['times_faster']:.2f} x |",
            flush=True,
        )
    return rows


def masks_of_detections(name: str, options: argparse.Namespace) -> dict:
    """What `detect` costs with a mask for every query, as published, and with masks of what is kept."""
    torch.manual_seed(0)
    model = build_detector(name).eval().requires_grad_(False)
    plain = copy.deepcopy(model)
    disable_optimisations(plain)
    step = Step(model, height=options.height, width=options.width, rows=options.rows)
    with torch.no_grad():
        predictions = model.ground(step.shared, LanguageFeatures.of_tokens_per_class(step.vectors))
        found = {}
        for way, detector in (("every query", plain), ("what is kept", model)):
            with FlopCounterMode(display=False) as counter:
                (kept,) = detector.detect(predictions)
            started = time.process_time()
            detector.detect(predictions)
            found[way] = {
                "gflop": round(counter.get_total_flops() / 1e9, 3),
                "seconds": round(time.process_time() - started, 3),
            }
    print(f"masks of {name}, {len(kept.boxes)} detections kept: {found}", flush=True)
    return {"model": name, "detections": len(kept.boxes), "masks_for": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["glip_t", "glip_l", "uninext_r50", "gdino_t"])
    for name, value in (("height", 256), ("width", 416), ("rows", 15), ("repeats", 2)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    torch.set_num_threads(1)
    steps = [row for name in options.models for row in measured(name, options)]
    masks = [masks_of_detections(name, options) for name in options.models if name.startswith("uninext")]
    path = Path(__file__).with_suffix(".json")
    earlier = json.loads(path.read_text())
    at = {key: value for key, value in vars(options).items() if key != "models"}
    steps = [row for row in earlier["steps"] if row["model"] not in options.models] + [{**row, **at} for row in steps]
    masks = [row for row in earlier["masks"] if row["model"] not in options.models] + masks
    report = {"torch": torch.__version__, "machine": platform.machine(), "steps": steps, "masks": masks}
    path.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
