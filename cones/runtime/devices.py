"""The device a step computes on, and its precision."""

import contextlib
import functools

import torch
from torch import Tensor

from cones.runtime.lease import lease


@functools.cache
def best_device() -> torch.device:
    """A GPU leased for this process until it ends, or the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    names = [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]
    device = torch.device("cuda", lease(names).index)
    torch.cuda.set_device(device)
    return device


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether the device has hardware bfloat16; older GPUs, which would emulate it, compute in float32."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def precision(device: torch.device) -> str:
    """Name of the device's precision, as `run.json` records it."""
    return "bfloat16" if computes_in_bfloat16(device) else "float32"


def mixed_precision(device: torch.device) -> contextlib.AbstractContextManager:
    """bfloat16 autocast on a GPU (no loss scaling needed), float32 on a CPU; losses are computed in float32 anyway."""
    if computes_in_bfloat16(device):
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return contextlib.nullcontext()


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
