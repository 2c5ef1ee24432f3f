"""Where the time of learning a subject goes: text encoder, autoencoder and UNet, ConES against textual inversion.

    python benchmarks/generation.py [--shape nano|sd15 --side 128 --repeats 5 --threads 1]

Operations are counted at the size of Stable Diffusion 1.5 and 512 pixels, whatever is timed (one multiply-add is two);
seconds are of whole training passes, all ways in turn, with random weights: time does not depend on them. Only ratios
within a run mean anything. Writes benchmarks/generation.json and prints the rows of the README.
"""

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cones.methods.contexts import Context, TextParts
from cones.miniature.icons import Icon, paint_icon
from cones.miniature.painter import generator_of
from cones.miniature.pretraining.diffusion import parts as nano
from cones.miniature.pretraining.diffusion.words import build_tokenizer
from cones.models.generator import Subject
from cones.models.stable_diffusion import shape
from cones.models.stable_diffusion.settings import SubjectTuning
from cones.training.subjects.generator import StableDiffusion, TextStates

WAYS = {  # name -> (method, mode, posteriors cached)
    "textual inversion, encoding each pass (the public protocol)": ("textual_inversion", "bare", False),
    "ConES in the slot of the null prompt, encoding each pass": ("cones", "slot", False),
    "ConES bare, encoding each pass": ("cones", "bare", False),
    "textual inversion, cached posteriors": ("textual_inversion", "bare", True),
    "ConES in the slot of the null prompt, cached posteriors": ("cones", "slot", True),
    "ConES bare, cached posteriors": ("cones", "bare", True),
}


# ------------------------------------------------------------------------------------------------------ operations


def operations() -> dict[str, float]:
    """GFLOP of each part at 512 pixels, batch 1, by PyTorch's counter on tensors without values."""
    unet, autoencoder = shape.on_meta(shape.sd15_unet), shape.on_meta(shape.sd15_autoencoder)
    encoder = shape.on_meta(shape.sd15_text_encoder)
    latents, timestep = torch.empty(1, 4, 64, 64, device="meta"), torch.empty(1, device="meta")
    ids = torch.empty(1, shape.POSITIONS, dtype=torch.long, device="meta")

    def denoise(length: int, backward: bool) -> None:
        context = torch.empty(1, length, 768, device="meta", requires_grad=backward)
        found = unet(latents, timestep, encoder_hidden_states=context).sample
        if backward:
            found.sum().backward()

    def read(backward: bool) -> None:
        embedding = encoder.get_input_embeddings()
        hook = embedding.register_forward_hook(lambda _, __, rows: rows.detach().requires_grad_(backward))
        states = encoder(ids).last_hidden_state
        if backward:
            states.sum().backward()
        hook.remove()

    return {
        "autoencoder, encode": _counted(lambda: autoencoder.encode(torch.empty(1, 3, 512, 512, device="meta"))),
        "autoencoder, decode": _counted(lambda: autoencoder.decode(latents)),
        "text encoder, forward": _counted(lambda: read(False)),
        "text encoder, forward and backward to its input": _counted(lambda: read(True)),
        "UNet, forward, 77 positions": _counted(lambda: denoise(77, False)),
        "UNet, forward, 1 position": _counted(lambda: denoise(1, False)),
        "UNet, forward and backward to the context, 77 positions": _counted(lambda: denoise(77, True)),
        "UNet, forward and backward to the context, 1 position": _counted(lambda: denoise(1, True)),
    }


def _counted(run) -> float:
    with FlopCounterMode(display=False) as counter:
        run()
    return round(counter.get_total_flops() / 1e9, 1)


def operations_of_a_pass(part: dict[str, float], method: str, mode: str, cached: bool) -> float:
    bare = method == "cones" and mode == "bare"
    total = part[f"UNet, forward and backward to the context, {'1 position' if bare else '77 positions'}"]
    if method == "textual_inversion":
        total += part["text encoder, forward and backward to its input"]
    return total if cached else total + part["autoencoder, encode"]


# --------------------------------------------------------------------------------------------------------- seconds


def random_generator(which: str, side: int) -> StableDiffusion:
    torch.manual_seed(0)
    words = build_tokenizer()
    if which == "nano":
        unet, autoencoder, scheduler = nano.build_unet(), nano.build_autoencoder(), nano.build_scheduler()
        encoder = nano.build_text_encoder(words)
    else:
        unet, autoencoder, scheduler = shape.sd15_unet(side), shape.sd15_autoencoder(), shape.sd15_scheduler()
        encoder = shape.sd15_text_encoder()
        words.model_max_length = shape.POSITIONS
    text = TextParts(encoder.eval(), words)
    states = TextStates(text.states([""]), {})
    return StableDiffusion(
        unet=unet, autoencoder=autoencoder, scheduler=scheduler, states=states, text=text, device=torch.device("cpu")
    )


def seconds_of_passes(generator: StableDiffusion, repeats: int, folder: Path) -> dict[str, float]:
    """Least seconds of one pass, its optimiser step included; the ways take turns."""
    file = folder / "dog.png"
    paint_icon(Icon("dog", "red", "white", "striped", "in the snow"), generator_of("benchmark"), 64)[0].save(file)
    subject = Subject("dog", "dog", (file,) * 4)
    learners = {}
    for name, (method, mode, cached) in WAYS.items():
        tuning = SubjectTuning(mode=mode, cache_posteriors=cached, accumulation=1)
        context = Context.of(method, generator.prompt_inputs(subject, tuning, seed=0))
        learners[name] = generator.learner(subject, context, tuning=tuning, seed=0, folder=folder, inputs=name)
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    for repeat in range(repeats + 1):
        for name, learner in learners.items():
            passes = next(learner.batches())
            started = time.perf_counter()
            learner.step(passes)
            if repeat:  # the first turn warms up
                found[name].append(time.perf_counter() - started)
    return {name: min(times) for name, times in found.items()}


def seconds_of_optimiser_steps(table: Tensor, repeats: int) -> dict[str, float]:
    """AdamW over the word table (V, D) with the other rows put back, as the public script; and over one vector."""
    whole, vector = nn.Parameter(table.clone()), nn.Parameter(table[0].clone())
    found = {}
    for name, trained in (("whole word table, other rows put back", whole), ("one vector", vector)):
        trained.grad = torch.zeros_like(trained)
        optimiser, times = torch.optim.AdamW([trained], lr=5e-4), []
        for _ in range(repeats + 1):
            started = time.perf_counter()
            optimiser.step()
            if trained is whole:
                whole.data[1:] = table[1:]
            times.append(time.perf_counter() - started)
        found[name] = min(times[1:])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=("nano", "sd15"), default="nano", help="what is timed")
    for name, value in (("side", 128), ("repeats", 5), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    part = operations()
    generator = random_generator(options.shape, options.side)
    with tempfile.TemporaryDirectory() as folder:
        seconds = seconds_of_passes(generator, options.repeats, Path(folder))
    table = generator.text.encoder.get_input_embeddings().weight.data
    first = next(iter(WAYS))
    counted = {name: operations_of_a_pass(part, *way) for name, way in WAYS.items()}
    rows = [
        {
            "way": name,
            "gflop": round(counted[name], 1),
            "times_fewer_operations": round(counted[first] / counted[name], 3),
            "seconds": round(seconds[name], 4),
            "times_faster": round(seconds[first] / seconds[name], 2),
        }
        for name in WAYS
    ]
    report = {
        "options": vars(options),
        "side": generator.side,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "gflop_of_parts": part,
        "rows": rows,
        "optimiser_seconds": {
            name: round(value, 5) for name, value in seconds_of_optimiser_steps(table, options.repeats).items()
        },
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n")
    for name, value in part.items():
        print(f"| {name} | {value:,.1f} |")
    for row in rows:
        print(
            f"| {row['way']} | {row['gflop']:,.1f} | {row['times_fewer_operations']:.3f}x "
            f"| {row['seconds']:.3f} | {row['times_faster']:.2f}x |"
        )
    print(report["optimiser_seconds"])


if __name__ == "__main__":
    main()
