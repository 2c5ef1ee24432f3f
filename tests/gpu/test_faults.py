"""Faults that only a GPU shows. Each one, put back by a stored patch, fails the test that guards against it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.gpu.device import ROOT, run_on_device

PATCHES = Path(__file__).with_name("faults")
ON_DEVICE = "tests/gpu/on_device"
CAUGHT_BY = {
    "image_features_on_two_devices": f"{ON_DEVICE}/test_detectors.py::test_a_cell[glip_nano-cones]",
    **dict.fromkeys(
        ("linear_probe_reads_the_gpu", "linear_probe_writes_from_the_cpu"),
        f"{ON_DEVICE}/test_classification.py::test_a_classifier[linear_probing]",
    ),
    "guidance_in_half_precision": f"{ON_DEVICE}/test_float32_places.py::test_guidance_and_the_steps_of_the_sampler",
    "mask_coordinates_in_half_precision": f"{ON_DEVICE}/test_float32_places.py::test_pixel_coordinates_of_masks",
    "matching_cost_of_uninext_in_half_precision": (
        f"{ON_DEVICE}/test_float32_places.py::test_the_cost_of_matching[uninext]"
    ),
    "matching_cost_of_grounding_dino_in_half_precision": (
        f"{ON_DEVICE}/test_float32_places.py::test_the_cost_of_matching[grounding_dino]"
    ),
    "class_scores_in_half_precision": f"{ON_DEVICE}/test_float32_places.py::test_class_scores",
    "imports_initialise_the_driver": (
        "tests/runtime/test_warm.py::test_no_import_of_the_server_initialises_the_driver_of_a_gpu"
    ),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the sources and tests, which a patch may change."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("cones", "baselines", "tests", "config"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "golden"))
    for name in ("pyproject.toml", "datasets.yaml"):
        shutil.copy(ROOT / name, folder)
    return folder


def patched(folder: Path, fault: str, *options: str) -> None:
    command = ["patch", "--strip=1", "--batch", "--silent", *options, "--input", str(PATCHES / f"{fault}.patch")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_fault_is_listed_and_its_patch_fits_the_sources():
    assert {file.stem for file in PATCHES.glob("*.patch")} == set(CAUGHT_BY)
    for fault in CAUGHT_BY:
        patched(ROOT, fault, "--dry-run", "--force")


@pytest.mark.slow
@pytest.mark.parametrize("fault", CAUGHT_BY)
def test_a_fault_put_back_fails_its_test(copy, fault):
    patched(copy, fault)
    try:
        done = run_on_device(CAUGHT_BY[fault], root=copy)
    finally:
        patched(copy, fault, "--reverse")
    assert done.returncode == 1 and "1 failed" in done.stdout, done.stdout[-3000:] + done.stderr[-1000:]
