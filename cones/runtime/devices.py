"""The device a step computes on, and its precision."""

import contextlib
import functools
import re
from pathlib import Path

import torch
from torch import Tensor

from cones.runtime.errors import ConesError
from cones.runtime.lease import lease
from cones.runtime.precision import Precision
from cones.runtime.progress import log


def choose_device(*, wants_gpu: bool = True, allow_cpu: bool = True, where: object = None) -> torch.device:
    """A GPU leased for this process until it ends, or the CPU; says in the log which, and why.

    `allow_cpu` false: ConesError, naming `where`, if a GPU is wanted and PyTorch sees none.
    """
    if not wants_gpu:
        log.info("device: cpu, as the suite asks or as is usual for nano models")
        return torch.device("cpu")
    if torch.cuda.is_available():
        device = leased_gpu()
        log.info("device: %s, %s", device, torch.cuda.get_device_name(device))
        return device
    built_for = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
    found = f"PyTorch {torch.__version__}, {built_for}; NVIDIA driver: {driver_version() or 'none'}"
    if not allow_cpu:
        raise ConesError(
            "no GPU can be used, and a CPU is not allowed",
            where=where,
            expected="a GPU that PyTorch sees",
            found=found,
            next_step="install the PyTorch that fits the driver, or set `allow_cpu: true` and have a lot of patience",
        )
    log.info("device: cpu; no GPU can be used (%s)", found)
    return torch.device("cpu")


@functools.cache
def leased_gpu() -> torch.device:
    names = [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]
    device = torch.device("cuda", lease(names).index)
    torch.cuda.set_device(device)
    return device


def driver_version(file: Path = Path("/proc/driver/nvidia/version")) -> str | None:
    """The version of NVIDIA's driver; None where there is none."""
    found = re.search(r"Kernel Module.*?(\d+(?:\.\d+)+)", file.read_text()) if file.exists() else None
    return found and found.group(1)


def precision_on(device: torch.device, wanted: Precision) -> Precision:
    """The precision in which the device computes: a CPU in float32; so does a GPU that would imitate bfloat16."""
    if device.type != "cuda":
        return "float32"
    if wanted == "bfloat16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return "float32"
    return wanted


def mixed_precision(device: torch.device, wanted: Precision) -> contextlib.AbstractContextManager:
    """Autocast to the precision in which the device computes; losses are computed in float32 anyway."""
    if (precision := precision_on(device, wanted)) == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, precision))


def to_device(x: Tensor, device: torch.device) -> Tensor:
    """To a GPU from pinned memory, so that the copy does not wait for what the GPU is computing."""
    if device.type == "cuda" and x.is_cpu:
        return x.pin_memory().to(device, non_blocking=True)
    return x.to(device)


def full_precision(x: Tensor) -> Tensor:
    """Half precision -> float32, anything else as it is; losses, boxes and deformable sampling are never in half."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def float32_product(a: Tensor, b: Tensor) -> Tensor:
    """`a @ b` in float32, also where autocast would take half precision: for scores and costs that are compared."""
    with torch.autocast(a.device.type, enabled=False):
        return full_precision(a) @ full_precision(b)


def release_memory(device: torch.device) -> None:
    """Free the cached blocks of the device's allocator; called once the failed pass is out of scope."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def peak_memory_bytes(device: torch.device) -> int:
    """Peak of the device's allocator, or of this process's resident memory on a CPU.

    The latter includes what was imported. A warm step's begins with all that its server had resident when it forked:
    pages that both still share count in full, as if the step had imported them; peaks of the server do not count.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
