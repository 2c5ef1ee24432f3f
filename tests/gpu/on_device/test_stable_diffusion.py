"""Stable Diffusion on a GPU, of a few thousand random parameters: a subject is learnt, drawn and scored by commands."""

import pytest

from cones.runtime.artifacts import read_json
from tests.gpu.on_device.waits import in_words
from tests.steps.test_generation import prepare, run, world  # noqa: F401 (world is a fixture)

SUBJECT = "rex"
OTHERS = ["textual_inversion", "zero_shot"]


@pytest.mark.parametrize("method", ["cones", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_a_subject(world, waits, method):  # noqa: F811
    suite = world / "config/three.yaml"
    suite.write_text(suite.read_text() + "device: gpu\nallow_cpu: false\n")
    prepare()
    for command in ("learn", "draw", "score"):
        run(command, "--subject", SUBJECT, "--arm", method)
    folder = world / f"results/three/sd_nano/three-{SUBJECT}/{method}/seed0"
    assert read_json(folder / "tuning.json")["learning"]["device"] == "cuda:0"
    assert len(list(folder.glob("images/*/*.png"))) == 3 + 2 * 2  # reconstructions; two prompts, two pictures each
    assert read_json(folder / "metrics.json")["status"] == "done"
    if waits:
        print(f"\nsd_nano, {method}: a step waits for the GPU {in_words(waits[-1])}")
