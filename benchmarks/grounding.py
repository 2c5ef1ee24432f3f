"""GLIP-T's head on one image: 256 padded text rows against the valid ones, plain against folded fusion, in one run.

    python benchmarks/grounding.py [--height 480 --width 800 --threads 2 --repeats 3]

Weights are random: time does not depend on them. Writes benchmarks/grounding.json and prints the rows of the README.
"""

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import torch

from cones.models.checkpoints import build_detector
from cones.models.detector import FeaturePyramid
from cones.models.glip.config import STRIDES
from cones.models.language import LanguageFeatures
from cones.models.layers.fusion import BiAttention

VALID_ROWS, REFERENCE_ROWS = 16, 256
WAYS = {  # name -> (text rows, folded projections)
    "256 rows, plain (the reference's way)": (REFERENCE_ROWS, False),
    "valid rows, plain": (VALID_ROWS, False),
    "valid rows, folded (ours)": (VALID_ROWS, True),
}


def language(rows: int, width: int) -> LanguageFeatures:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(1, REFERENCE_ROWS, width, generator=generator)[:, :rows]
    valid = torch.arange(rows)[None] < VALID_ROWS
    return LanguageFeatures(hidden, valid, valid[:, None].clone())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("height", 480), ("width", 800), ("threads", 2), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = build_detector("glip_t").eval()
    shapes = [(-(-options.height // stride), -(-options.width // stride)) for stride in STRIDES]
    pyramid = FeaturePyramid([torch.randn(1, 256, *shape) for shape in shapes], [(options.height, options.width)])
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    logits = {}
    with torch.no_grad():
        for repeat in range(options.repeats + 1):
            for name, (rows, folded) in WAYS.items():
                for module in model.modules():
                    if isinstance(module, BiAttention):
                        module.folded = folded
                started = time.perf_counter()
                predictions = model.ground(pyramid, language(rows, model.text_width))
                if repeat:  # the first pass warms up
                    seconds[name].append(time.perf_counter() - started)
                logits[name] = predictions.outputs["logits"][:, :, :VALID_ROWS]
    reference, *_ = logits.values()
    slowest = statistics.median(seconds[next(iter(WAYS))])
    rows = [
        {
            "way": name,
            "seconds": round(statistics.median(times), 3),
            "times_faster": round(slowest / statistics.median(times), 2),
            "largest_logit_difference_in_std": float((logits[name] - reference).abs().max() / reference.std()),
        }
        for name, times in seconds.items()
    ]
    report = {"options": vars(options), "torch": torch.__version__, "machine": platform.machine(), "rows": rows}
    Path(__file__).with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n")
    for row in rows:
        said = f"{row['seconds']:.2f} s | {row['times_faster']:.1f}x | {row['largest_logit_difference_in_std']:.0e}"
        print(f"| {row['way']} | {said} |")


if __name__ == "__main__":
    main()
