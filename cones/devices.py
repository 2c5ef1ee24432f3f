"""Where a step computes, and in which precision."""

import contextlib

import torch
from torch import Tensor


def best_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def mixed_precision(device: torch.device) -> contextlib.AbstractContextManager:
    """bfloat16 autocast on a GPU (no loss scaling needed), nothing on a CPU; losses are computed in float32 anyway."""
    if device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return contextlib.nullcontext()


def full_precision(x: Tensor) -> Tensor:
    """Half precision -> float32, anything else as it is; losses, boxes and deformable sampling are never in half."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def peak_memory_bytes(device: torch.device) -> int:
    """Peak of the device's allocator, or of this process's resident memory on a CPU.

    The latter includes what was imported. A warm step's begins with all that its server had resident when it forked:
    pages that both still share count in full, as if the step had imported them; peaks of the server do not count.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
