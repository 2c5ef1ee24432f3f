"""Detecting on one image with and without a text encoder, for every detector of the paper.

    python benchmarks/inference.py [--models glip_t glip_l uninext_r50 glip_nano uninext_nano --repeats 3]

The paper claims faster inference for ConES, whose detector has no text encoder. Three ways of the same detection, with
random weights (cost does not depend on them) and the class names of Aquarium:

    ConES                            K x N vectors from a file
    class names, encoded once        the text encoder's output from a file, as every static prompt is kept here
    class names, for each image      the text encoder runs for each image, as in the published code

Seconds are the processor's, of one thread, on a CPU and the clock's on a GPU, the least of `--repeats`; the text
encoder is timed by itself, so the last way is the second and one run of it. The image is that of methods.py: 800 x
1333 on a GPU, 192 x 320 on a CPU, and never more than the model takes. Writes benchmarks/inference.json and prints
the rows of the README.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch
from methods import MODELS, clock, image_size

from cones.data.registry import load_registries
from cones.experiment.suite import cell_settings, load_suite
from cones.methods.prompts import CaptionPrompt, PromptContext, encode_caption
from cones.models.checkpoints import build_detector, build_text_encoder, tokenizer_for
from cones.models.detector import GroundedDetector, ImageBatch
from cones.models.family import family_of
from cones.models.language import ClassPhrase, LanguageFeatures
from cones.models.text_sizes import NANO_VOCABULARY
from cones.runtime.devices import choose_device, mixed_precision, precision_on
from cones.runtime.machine import machine

WAYS = ("ConES", "class names, encoded once", "class names, for each image")


def least(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Seconds of the fastest of several runs after one that warms up."""
    work()
    seconds = []
    for _ in range(repeats):
        started = clock(device)
        work()
        seconds.append(clock(device) - started)
    return min(seconds)


def seconds_of_ways(name: str, model: GroundedDetector, device: torch.device, repeats: int) -> dict[str, float]:
    """{way: seconds of one image}."""
    phrases = [ClassPhrase(each) for each in load_registries(())["aquarium"].classes]
    tokens = cell_settings(load_suite(MODELS[name]), name, "cones").tokens_per_class
    tokenizer = tokenizer_for(name, NANO_VOCABULARY)  # the official vocabulary would have to be fetched
    names = CaptionPrompt(build_text_encoder(name).eval(), encode_caption(tokenizer, phrases)).to(device)
    vectors = torch.randn(len(phrases), tokens, model.text_width, device=device)
    concepts = LanguageFeatures.of_tokens_per_class(vectors)
    stored = names(PromptContext())
    size = image_size(model.preprocessing, device)
    images = ImageBatch(torch.randn(1, 3, *size, device=device), [size])

    def detect(language: LanguageFeatures) -> Callable[[], object]:
        return lambda: model.detect(model.ground(model.encode_image(images), language))

    text = least(lambda: names(PromptContext()), device, repeats)
    seconds = [least(detect(language), device, repeats) for language in (concepts, stored)]
    return dict(zip(WAYS, (*seconds, seconds[1] + text)))


def measure(name: str, repeats: int) -> list[dict]:
    device, wanted = choose_device(), family_of(name).scoring_precision
    torch.manual_seed(0)
    model = build_detector(name).eval().to(device)
    with torch.no_grad(), mixed_precision(device, wanted):
        seconds = seconds_of_ways(name, model, device, repeats)
    about = {"device": str(device), "precision": precision_on(device, wanted), "machine": machine(str(device))}
    size = list(image_size(model.preprocessing, device))
    return [
        {"model": name, "way": way, "image": size, "seconds": round(took, 4), **about} for way, took in seconds.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    if choose_device().type == "cpu":
        torch.set_num_threads(1)
    rows = []
    for name in options.models:
        mine = measure(name, options.repeats)
        for row in mine:
            print(
                f"| {name} | {row['way']} | {row['seconds']:.3f} | {row['seconds'] / mine[0]['seconds']:.2f} x |",
                flush=True,
            )
        rows += mine
    report = {"options": vars(options), "torch": torch.__version__, "rows": rows}
    Path(__file__).with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
