"""One training step of every method, side by side: operations, seconds, peak memory and trained values, against ConES.

    python benchmarks/methods.py [--models glip_t glip_l uninext_r50 glip_nano uninext_nano --repeats 2]

A step is the project's own (`Tuner.step`): forward, losses, backward, clipping, AdamW, for one noise image with a few
boxes, the seven classes of Aquarium, and each suite's own settings. Weights are random: cost does not depend on them.
Each method runs in a process of its own, one after the other: a step that warms up, one whose operations are counted
(matrix products and convolutions; a multiply-add is two), and those that are timed: `--repeats` of them and a second's
worth at least, of which the least counts.
Parameter-efficient methods are stepped twice over: with the image features computed in the step, as when a view is seen
for the first time, and with those kept from an earlier step.

On a CPU seconds are the processor's, of one thread, and peak memory is the process's resident memory at its highest
within a step, beyond what imports take (Linux's VmHWM, reset before the step; nothing that torch does not know of is
missed). On a GPU seconds are the clock's and memory is `torch.cuda.max_memory_allocated`. Both include weights,
gradients and the optimiser's state; on a CPU also the copy of the best values so far, which is kept there.

The image has the paper's size (800 x 1333) on a GPU, 192 x 320 on a CPU, and never more than the model takes. Writes
benchmarks/methods.json and prints the rows of the README.
"""

import argparse
import importlib
import json
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from cones.data.batches import Split
from cones.data.masks import encoded
from cones.data.registry import load_registries
from cones.experiment.suite import Suite, cell_settings, load_suite
from cones.methods.method import METHODS, PromptInputs, TuningMethod
from cones.methods.prompts import encode_caption
from cones.methods.settings import CellSettings
from cones.models.checkpoints import build_detector, build_text_encoder, tokenizer_for
from cones.models.detector import GroundedDetector, Preprocessing
from cones.models.language import ClassPhrase, LanguageFeatures
from cones.models.text_sizes import NANO_VOCABULARY
from cones.runtime.artifacts import write_json
from cones.runtime.determinism import generator
from cones.runtime.devices import choose_device, precision_on
from cones.runtime.machine import machine
from cones.training.tuner import Tuner, mark_trainable

MODELS = {  # and the suite whose settings they are tuned with
    **dict.fromkeys(("glip_t", "glip_l", "uninext_r50"), "paper"),
    **dict.fromkeys(("glip_nano", "uninext_nano"), "miniature"),
}
OURS = "cones"
ROWS = ("linear_probing", "textual_inversion", "prompt_tuning", OURS, "full_finetuning", "cones_finetuned")
SIZES = {"cuda": (800, 1333), "cpu": (192, 320)}  # height, width
BOXES = ((0.1, 0.1, 0.4, 0.6), (0.4, 0.3, 0.5, 0.65), (0.7, 0.1, 0.2, 0.2))  # x, y, width, height as shares


def one_image(folder: Path, height: int, width: int) -> None:
    """A prepared split `train` of one noise picture with three boxes, whose masks are filled."""
    (folder / "raw").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "raw" / "noise.png")
    annotations = []
    for number, shares in enumerate(BOXES, start=1):
        x, y, w, h = (round(share * side) for share, side in zip(shares, (width, height) * 2))
        mask = np.zeros((height, width), bool)
        mask[y : y + h, x : x + w] = True
        box = {"bbox": [x, y, w, h], "area": w * h, "iscrowd": 0, "segmentation": encoded(mask)}
        annotations.append({"id": number, "image_id": 1, "category_id": number, **box})
    image = {"id": 1, "file_name": "noise.png", "height": height, "width": width}
    write_json(folder / "train.json", {"images": [image], "annotations": annotations, "categories": []})


def image_size(preprocessing: Preprocessing, device: torch.device) -> tuple[int, int]:
    """(height, width) of the image, which the model then takes as it is."""
    if preprocessing.long_side_cap < SIZES["cpu"][1]:  # nano
        return preprocessing.short_side, preprocessing.long_side_cap
    return SIZES[device.type]


def ingredients_for(name: str, model: GroundedDetector, settings: CellSettings) -> PromptInputs:
    """What the method asks for; the files of other steps are random rows of the length that they would have."""
    phrases = [ClassPhrase(each) for each in load_registries(())["aquarium"].classes]
    made = PromptInputs(phrases, settings, generator("vectors"), 1.0)
    made.tokenizer = tokenizer_for(name, NANO_VOCABULARY)  # the official vocabulary would have to be fetched
    inputs = METHODS[settings.method].inputs
    if "text_states" in inputs:
        positions = encode_caption(made.tokenizer, phrases).class_positions[None]  # (1, K, L)
        length = positions.shape[2]
        mask = torch.ones(1, length, dtype=torch.bool)
        made.text_states = LanguageFeatures(torch.randn(1, length, model.text_width), mask, positions)
    if "text_encoder" in inputs:
        made.text_encoder = build_text_encoder(name).eval()
    if "stage1" in inputs:
        vectors = torch.randn(len(phrases), settings.tokens_per_class, model.text_width)
        made.concepts = LanguageFeatures.of_tokens_per_class(vectors)
    return made


class Step:
    """The project's optimiser step of one method on one image; image features are kept up to `cache_mb`."""

    def __init__(self, model, prompt, method: TuningMethod, settings: CellSettings, split: Split, cache_mb: int):
        tuning = settings.tuning.model_copy(update={"pyramid_cache_mb": cache_mb, "batch_size": 1, "flip": 0.0})
        self.tuner = Tuner(
            model=model,
            prompt=prompt,
            method=method,
            train=split,
            val=split,
            settings=settings.model_copy(update={"tuning": tuning}),
            seed=0,
            device=choose_device(),
            checkpoint=split.root / "resume.pt",
        )
        method.set_modes(model, prompt)
        self.tuner._keep_frozen_parts_in_eval_mode()
        self.samples = self.tuner._samples(self.tuner._batches(0)[0])

    def __call__(self) -> None:
        self.tuner.step(self.samples)

    def measured(self, repeats: int) -> dict[str, float]:
        """{gflop, seconds, peak_bytes} of a step after the first."""
        device = self.tuner.device
        self()
        with FlopCounterMode(display=False) as counter:
            self()
        seconds = []
        reset_peak(device)
        while len(seconds) < repeats or sum(seconds) < 1.0:
            started = clock(device)
            self()
            seconds.append(clock(device) - started)
        return {"gflop": counter.get_total_flops() / 1e9, "seconds": min(seconds), "peak_bytes": peak(device)}


def clock(device: torch.device) -> float:
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")


def peak(device: torch.device) -> int:
    """Bytes since `reset_peak`."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def settings_of(suite: Suite, model: str, method: str, short_side: int) -> CellSettings:
    settings = cell_settings(suite, model, method)
    tuning = settings.tuning.model_copy(update={"train_short_sides": (short_side,)})
    return settings.model_copy(update={"tuning": tuning})


def measure(name: str, method_name: str, repeats: int) -> dict:
    """A row: in a process of its own, so that memory is this method's alone."""
    device = choose_device()
    if device.type == "cpu":
        torch.set_num_threads(1)
    importlib.import_module("torch._dynamo")  # the first optimiser would: it is no part of a step's memory
    reset_peak(device)
    imports = peak(device)
    torch.manual_seed(0)
    model = build_detector(name).eval()
    height, width = image_size(model.preprocessing, device)
    settings = settings_of(load_suite(MODELS[name]), name, method_name, height)
    method = TuningMethod.load(method_name)
    prompt = method.prompt(model, ingredients_for(name, model, settings))
    with tempfile.TemporaryDirectory() as place:
        one_image(folder := Path(place), height, width)
        split = Split(
            folder,
            "train",
            preprocessing=model.preprocessing,
            inclusive=model.inclusive_boxes,
            masks=model.predicts_masks,
        )
        found = Step(model, prompt, method, settings, split, cache_mb=0).measured(repeats)
        kept = {}
        if not METHODS[method_name].trains_image_encoder:
            kept = Step(model, prompt, method, settings, split, cache_mb=1024).measured(repeats)
    return {
        "model": name,
        "method": method_name,
        "image": [height, width],
        "trained": sum(value.numel() for value in mark_trainable(model, prompt, method).values()),
        "gflop": round(found["gflop"], 3),
        "seconds": round(found["seconds"], 4),
        "peak_mb": round((found["peak_bytes"] - imports) / 1e6, 1),
        "features_kept": {key: round(kept[key], 4) for key in ("gflop", "seconds") if kept},
        "device": str(device),
        "precision": precision_on(device, settings.precision),
        "machine": machine(str(device)),
    }


def rows_of(name: str, repeats: int) -> list[dict]:
    """Every method of a model, one process at a time."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        return [pool.submit(measure, name, method, repeats).result() for method in ROWS]


def print_table(rows: list[dict]) -> None:
    """A row of the README for each method; × is against ConES with features computed in the step too, or kept too."""
    ours = next(row for row in rows if row["method"] == OURS)

    def cells(row: dict, ours: dict, key: str, form: str) -> str:
        return f"{row[key]:{form}} | {row[key] / ours[key]:.2f} x" if row else "- | -"

    for row in rows:
        kept, ours_kept = row["features_kept"], ours["features_kept"]
        print(
            f"| {row['model']} | {METHODS[row['method']].label} | {row['trained']:,} "
            f"| {cells(row, ours, 'gflop', ',.2f')} | {cells(row, ours, 'seconds', ',.2f')} "
            f"| {cells(row, ours, 'peak_mb', ',.0f')} "
            f"| {cells(kept, ours_kept, 'gflop', ',.2f')} | {cells(kept, ours_kept, 'seconds', ',.2f')} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    report = {"options": vars(options), "torch": torch.__version__, "steps": []}
    for name in options.models:
        rows = rows_of(name, options.repeats)
        print_table(rows)
        report["steps"] += rows
        Path(__file__).with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
