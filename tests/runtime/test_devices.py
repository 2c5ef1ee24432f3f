"""Which device a step takes, and in which precision: on a made-up machine with GPUs, for there is none here."""

from types import SimpleNamespace

import pytest
import torch

from cones.experiment.cell import Plan
from cones.runtime import devices
from cones.runtime.devices import choose_device, driver_version, mixed_precision, precision_on
from cones.runtime.errors import ConesError
from cones.steps.device import device_for

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture
def gpus(monkeypatch, tmp_path):
    """A machine with two GPUs, where leases lie in a folder of the test."""
    chosen = []
    cuda = {
        "is_available": lambda: True,
        "device_count": lambda: 2,
        "get_device_properties": lambda index: SimpleNamespace(uuid=f"GPU-{index}"),
        "get_device_name": lambda device: "a GPU of the test",
        "set_device": chosen.append,
        "is_bf16_supported": lambda including_emulation=True: including_emulation,
    }
    for name, value in cuda.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr("cones.runtime.lease.lock_folder", lambda: tmp_path)
    devices.leased_gpu.cache_clear()
    yield chosen
    devices.leased_gpu.cache_clear()


def test_a_process_keeps_its_gpu_and_the_next_one_gets_another(gpus):
    first = choose_device()
    assert choose_device() is first and first == GPU
    devices.leased_gpu.cache_clear()  # another process, as far as the lease can tell
    assert choose_device() == torch.device("cuda", 1)
    assert gpus == [GPU, torch.device("cuda", 1)]


@pytest.mark.parametrize(
    ("suite", "model", "overrides", "expected"),
    [
        ("paper", "glip_t", {}, GPU),
        ("miniature", "glip_nano", {}, CPU),
        ("miniature", "sd_nano", {}, CPU),
        ("bccd", "glip_nano", {}, CPU),
        ("bccd", "glip_nano", {"device": "gpu"}, GPU),
        ("paper", "glip_t", {"device": "cpu", "allow_cpu": True}, CPU),
    ],
)
def test_nano_models_leave_the_gpus_to_others_unless_their_suite_asks(gpus, suite, model, overrides, expected):
    assert device_for(Plan.load(suite, overrides), model) == expected
    assert len(gpus) == (expected == GPU), "who computes on the CPU leases no GPU"


def test_every_step_says_on_what_it_computes(gpus, caplog, monkeypatch):
    caplog.set_level("INFO", "cones")
    choose_device()
    choose_device(wants_gpu=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    choose_device()
    gpu, cpu, fallback = caplog.messages
    assert gpu == "device: cuda:0, a GPU of the test" and cpu.startswith("device: cpu")
    assert "no GPU can be used" in fallback and torch.__version__ in fallback and "NVIDIA driver" in fallback


def test_a_suite_that_allows_no_cpu_refuses_a_machine_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(devices, "driver_version", lambda: "550.54.15")
    paper = Plan.load("paper")
    with pytest.raises(ConesError, match="allow_cpu") as refusal:
        device_for(paper, "glip_t")
    message = str(refusal.value)
    assert torch.__version__ in message and "550.54.15" in message and "config/paper.yaml" in message
    with pytest.raises(ConesError, match="device is cpu, and allow_cpu is false"):
        Plan.load("paper", {"device": "cpu"})


def test_the_version_of_the_driver(tmp_path):
    file = tmp_path / "version"
    assert driver_version(file) is None
    file.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC\n")
    assert driver_version(file) == "550.54.15"
    file.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.10  Release Build\n")
    assert driver_version(file) == "570.86.10"


def test_a_gpu_that_only_imitates_bfloat16_computes_in_float32(gpus, monkeypatch):
    assert precision_on(GPU, "bfloat16") == precision_on(CPU, "bfloat16") == "float32"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert precision_on(GPU, "bfloat16") == "bfloat16" and precision_on(CPU, "bfloat16") == "float32"


@pytest.mark.parametrize("wanted", ["bfloat16", "float16"])
def test_autocast_has_the_precision_of_the_device(gpus, monkeypatch, wanted):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    context = mixed_precision(GPU, wanted)
    assert isinstance(context, torch.autocast) and context.fast_dtype == getattr(torch, wanted)
    for context in (mixed_precision(GPU, "float32"), mixed_precision(CPU, wanted)):
        assert not isinstance(context, torch.autocast)
