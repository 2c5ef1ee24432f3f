"""Which device a step takes, and in which precision: on a made-up machine with GPUs, for there is none here."""

from types import SimpleNamespace

import pytest
import torch

from cones.runtime import devices


@pytest.fixture
def gpus(monkeypatch, tmp_path):
    """A machine with two GPUs, where leases lie in a folder of the test."""
    chosen = []
    cuda = {
        "is_available": lambda: True,
        "device_count": lambda: 2,
        "get_device_properties": lambda index: SimpleNamespace(uuid=f"GPU-{index}"),
        "set_device": chosen.append,
        "is_bf16_supported": lambda including_emulation=True: including_emulation,
    }
    for name, value in cuda.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr("cones.runtime.lease.lock_folder", lambda: tmp_path)
    yield chosen
    devices.best_device.cache_clear()


def test_a_process_keeps_its_gpu_and_the_next_one_gets_another(gpus):
    devices.best_device.cache_clear()
    first = devices.best_device()
    assert devices.best_device() is first and first == torch.device("cuda", 0)
    devices.best_device.cache_clear()  # another process, as far as the lease can tell
    assert devices.best_device() == torch.device("cuda", 1)
    assert gpus == [torch.device("cuda", 0), torch.device("cuda", 1)]


def test_a_gpu_that_only_imitates_bfloat16_computes_in_float32(gpus, monkeypatch):
    gpu = torch.device("cuda", 0)
    assert devices.precision(gpu) == devices.precision(torch.device("cpu")) == "float32"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert devices.precision(gpu) == "bfloat16" and devices.precision(torch.device("cpu")) == "float32"
    context = devices.mixed_precision(gpu)
    assert isinstance(context, torch.autocast) and context.fast_dtype == torch.bfloat16
