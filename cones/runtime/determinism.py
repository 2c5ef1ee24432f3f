"""Random generators seeded by name: the same seed gives the same numbers, whether a run is interrupted or not.

Nothing depends on how far a random stream has been used: whatever is random at one place is drawn from a generator
seeded by that place's name, such as ("order", seed, epoch). Resuming needs no random state.
"""

import hashlib

import torch


def seed_of(*place: object) -> int:
    """A 63-bit seed for a named place; equal names give equal seeds on every platform."""
    return int.from_bytes(hashlib.sha256(repr(place).encode()).digest()[:8], "big") >> 1


def generator(*place: object) -> torch.Generator:
    return torch.Generator().manual_seed(seed_of(*place))


def make_deterministic(device: torch.device) -> None:
    """Set PyTorch to bit-equal runs where they are promised, on a CPU (docs/reproducibility.md).

    A GPU keeps its fastest algorithms: they cost speed, and some operations have no other.
    """
    torch.backends.cudnn.benchmark = False  # pictures have many shapes, each of which it would search anew
    torch.use_deterministic_algorithms(device.type == "cpu", warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # only helps to find bugs, and slows every allocation
