"""What `python -m cones plan` reckons with at first: operations of the official models, seconds of the nano ones.

    python benchmarks/reference_costs.py [names of models; the others stay as they are]

Official models have random weights of their real shape: one image of 320 x 544 pixels, 16 text rows, every operation
counted by `torch.utils.flop_counter` (one multiply-add is two), the way forward and the way back. Nano models are tuned
for a few epochs with every method, on one drawn dataset, with the processor's clock in place of the wall's, so that
other work on the machine does not count. The nano generator's seconds are those its finished cells recorded, wall time;
Stable Diffusion's operations are those that benchmarks/generation.json counted. Needs the datasets and the nano weights
in place (any run of the miniature suite leaves them). Writes cones/forecast/reference.json.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from unittest import mock

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import cones.experiment.cell as cell_module
import cones.steps.evaluate as evaluate_module
import cones.training.loop as loop_module
from cones.experiment.cell import RESULTS, Plan
from cones.forecast.rates import REFERENCE, read_records
from cones.forecast.subjects import read_subject_records
from cones.methods.method import METHODS, TuningMethod
from cones.models.checkpoints import build_detector, build_text_encoder
from cones.models.detector import GroundedDetector, ImageBatch
from cones.models.language import LanguageFeatures
from cones.models.stable_diffusion.shape import POSITIONS, sd15_unet
from cones.runtime.artifacts import load_tensors, read_json
from cones.runtime.errors import ConesError
from cones.steps.evaluate import evaluate_cell
from cones.steps.text import encode_class_names
from cones.steps.tune import tune_cell
from cones.training.tuner import mark_trainable
from cones.weights.shipped import FOLDER

OFFICIAL = ("glip_t", "glip_t_a", "glip_l", "uninext_r50", "gdino_t", "gdino_b", "mm_gdino_l")
NANO = {"glip_nano": "aquarium", "uninext_nano": "kvasir_seg", "grounding_dino_nano": "aquarium"}  # and its dataset
DRAWING = ("sd_nano", "sd15")
EPOCHS = 6
LIKE = {
    **dict.fromkeys(("glip_t_b", "glip_t_c"), "glip_t"),
    **dict.fromkeys(("glip_nano_a", "glip_nano_b", "glip_nano_c"), "glip_nano"),
    **dict.fromkeys(("mm_gdino_t", "mm_gdino_t_goldg", "mm_gdino_t_grit", "mm_gdino_t_grit_v3det"), "gdino_t"),
    **dict.fromkeys(("llmdet_t",), "gdino_t"),
    **dict.fromkeys(("mm_gdino_b", "mm_gdino_b_all", "llmdet_b"), "gdino_b"),
    **dict.fromkeys(("mm_gdino_l_all", "llmdet_l"), "mm_gdino_l"),
}
HEIGHT, WIDTH, TEXT_ROWS = 320, 544, 16
JOB_SECONDS = {"nano": 0.5, "official": 20.0}  # a warm start; an assumption: imports, and gigabytes of weights to read


def operations(name: str) -> dict:
    """GFLOP of the passes of one image, and the parameters that each method without vectors trains."""
    torch.manual_seed(0)
    model, encoder = build_detector(name).eval(), build_text_encoder(name).eval()
    images = ImageBatch(torch.randn(1, 3, HEIGHT, WIDTH), [(HEIGHT, WIDTH)])
    language = sentence(torch.randn(1, TEXT_ROWS, model.text_width))
    model.requires_grad_(False)
    gflop = {}
    with torch.no_grad():
        pyramid = counted(gflop, "encode", lambda: model.encode_image(images))
        counted(gflop, "ground", lambda: model.ground(pyramid, language))
        tokens = torch.ones(1, TEXT_ROWS, dtype=torch.long)
        counted(gflop, "text", lambda: encoder(input_ids=tokens))
    heard = language.hidden.requires_grad_()
    said = summed(model.ground(pyramid, sentence(heard)))
    counted(gflop, "back_to_language", said.backward)
    del said
    mark_trainable(model, nn.Module(), TuningMethod.load("linear_probing"))
    said = summed(model.ground(pyramid, sentence(language.hidden.detach())))
    counted(gflop, "back_to_projections", said.backward)
    del said
    mark_trainable(model, nn.Module(), TuningMethod.load("full_finetuning"))
    said = summed(model.ground(model.encode_image(images), language))
    counted(gflop, "back_through_everything", said.backward)
    return {
        "counted_at": {"height": HEIGHT, "width": WIDTH, "text_rows": TEXT_ROWS},
        "gflop": gflop,
        "job_seconds": JOB_SECONDS["official"],
        "test_short_side": model.preprocessing.short_side,
        **sizes(model, encoder),
    }


def sizes(model: GroundedDetector, encoder: nn.Module) -> dict:
    """Values of the whole model, and those that each method trains beside its vectors."""
    without_encoder = nn.Module()
    counted = {}
    for method, entry in METHODS.items():
        prompt = encoder if "text_encoder" in entry.inputs else without_encoder
        marked = mark_trainable(model, prompt, TuningMethod.load(method))
        counted[method] = sum(parameter.numel() for parameter in marked.values())
    every = [*model.parameters(), *encoder.parameters()]
    return {
        "text_width": model.text_width,
        "parameters": sum(parameter.numel() for parameter in every),
        "trained": {method: values for method, values in counted.items() if values},
    }


def sentence(hidden: Tensor) -> LanguageFeatures:
    valid = torch.ones(hidden.shape[:2], dtype=torch.bool)
    return LanguageFeatures(hidden, valid, valid[:, None].clone(), torch.zeros_like(valid, dtype=torch.long))


def summed(predictions) -> Tensor:
    """One number that depends on everything the losses look at."""
    return sum(tensor.sum() for tensor in tensors_in(predictions.outputs) if tensor.requires_grad)


def tensors_in(value: object) -> Iterator[Tensor]:
    """The tensors of a nest of mappings, lists and dataclasses."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from tensors_in(part)
    elif is_dataclass(value):
        yield from tensors_in(vars(value))


def counted(into: dict, name: str, call):
    started = time.monotonic()
    with FlopCounterMode(display=False) as counter:
        result = call()
    into[name] = round(counter.get_total_flops() / 1e9, 1)
    print(f"  {name}: {into[name]} GFLOP, {time.monotonic() - started:.1f} s here", flush=True)
    return result


def measured(name: str, dataset: str) -> dict:
    """Seconds of a nano model's steps, by method, and of its detection, on one core."""
    torch.set_num_threads(1)
    tuning = {"max_epochs": EPOCHS, "early_stop": EPOCHS}
    plan = Plan.load("miniature", {"tuning": tuning})
    clock = SimpleNamespace(monotonic=time.process_time)
    step_seconds, image_seconds = {}, []
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(cell_module, "RESULTS", Path(folder)),
        mock.patch.object(loop_module, "time", clock),
        mock.patch.object(evaluate_module, "time", clock),
    ):
        encode_class_names(plan, name, dataset)
        for method in plan.suite.models[name].learning_rate:
            cell = plan.cell(name, dataset, method, 0)
            tune_cell(plan, cell)
            evaluate_cell(plan, cell)
        for record in read_records(Path(folder), [name]):
            step_seconds[record.method] = round(record.step, 4)
            image_seconds.append(record.image)
    return {
        "measured_at": {"batch_size": record.batch, "area": record.area},
        "step_seconds": step_seconds,
        "image_seconds": round(fmean(image_seconds), 4),
        "device": record.device,
        "job_seconds": JOB_SECONDS["nano"],
        **sizes(build_detector(name), build_text_encoder(name)),
    }


def drawn(name: str) -> dict:
    """Seconds of a nano generator's passes, by method, and the bytes it leaves, of the finished cells in results/."""
    plan, records = Plan.load("miniature"), list(read_subject_records(RESULTS, name))
    if not records:
        raise ConesError("no cell is finished", where=RESULTS, next_step="snakemake --cores all results/generation.csv")
    samples = {r.method: [each.sample for each in records if each.method == r.method] for r in records if r.sample}
    drawing, pictures = plan.suite.generation, RESULTS.glob(f"*/{name}/*/*/seed*/images/*/*.png")
    null = load_tensors(plan.text_states(name, drawing.dataset))[0]["null"]  # (1, L, D)
    unet = FOLDER / name / "unet" / "diffusion_pytorch_model.safetensors"
    real = next(iter(load_tensors(plan.real_pictures(name, drawing.dataset))[0].values()))  # (P, D)
    return {
        "cells": len(records),
        "sample_seconds": {method: round(fmean(seconds), 5) for method, seconds in samples.items()},
        "sampling_seconds": round(fmean(record.sampling for record in records), 5),
        "device": records[0].device,
        "job_seconds": JOB_SECONDS["nano"],
        "text_positions": null.shape[1],
        "text_width": null.shape[2],
        "unet_parameters": sum(value.numel() for value in load_tensors(unet)[0].values()),
        "feature_width": real.shape[1],
        "picture_bytes": round(fmean(path.stat().st_size for path in pictures)),
    }


def drawing_operations() -> dict:
    """GFLOP of the parts of Stable Diffusion 1.5 at 512 pixels; CLIP B/32 and DINO S/16 look at its pictures."""
    part = read_json(Path(__file__).with_name("generation.json"))["gflop_of_parts"]
    with torch.device("meta"):
        unet_parameters = sum(parameter.numel() for parameter in sd15_unet().parameters())
    return {
        "gflop": {
            "encode": part["autoencoder, encode"],
            "decode": part["autoencoder, decode"],
            "text_and_back": part["text encoder, forward and backward to its input"],
            "unet": part[f"UNet, forward, {POSITIONS} positions"],
            "unet_and_back": part[f"UNet, forward and backward to the context, {POSITIONS} positions"],
            "unet_and_back_short": part["UNet, forward and backward to the context, 1 position"],
        },
        "job_seconds": JOB_SECONDS["official"],
        "text_positions": POSITIONS,
        "text_width": 768,
        "unet_parameters": unet_parameters,
        "feature_width": 512 + 384,
        "picture_bytes": 2 * 512**2,  # an assumption: two bytes a pixel, as PNG files of photographs have
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    every = (*NANO, *OFFICIAL, *DRAWING)
    parser.add_argument("models", nargs="*", metavar="model", help=f"of {', '.join(every)}; default: all")
    wanted = parser.parse_args().models or every
    there = read_json(REFERENCE)
    models, generators = there["models"], there["generators"]
    for name in wanted:
        print(name, flush=True)
        if name in NANO:
            models[name] = measured(name, NANO[name])
        elif name in OFFICIAL:
            models[name] = operations(name)
        elif name in DRAWING:
            generators[name] = drawn(name) if name == "sd_nano" else drawing_operations()
        else:
            parser.error(f"no model {name}")
    report = {"made_by": "benchmarks/reference_costs.py", "torch": torch.__version__, "like": LIKE}
    report |= {"models": models, "generators": generators}
    REFERENCE.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
