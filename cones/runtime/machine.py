"""The properties of the machine that a step's seconds and memory depend on."""

import os
import platform
from pathlib import Path

import psutil


def machine(device: str) -> dict[str, str | int | None]:
    """Processor name, cores that this process may use, memory_bytes of the whole machine, and accelerator.

    `accelerator`: the product name of the GPU behind `device` ("cuda", "cuda:1"), None for "cpu".
    """
    return {
        "processor": _processor(),
        "cores": _cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "accelerator": _accelerator(device),
    }


def _accelerator(device: str) -> str | None:
    if not device.startswith("cuda"):
        return None
    import torch

    return torch.cuda.get_device_name(device)


def _processor() -> str:
    """The model name that Linux gives; elsewhere what Python knows, at least the architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(named), None) or platform.processor() or platform.machine()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux: fewer than there are, in a container or a Slurm job
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
