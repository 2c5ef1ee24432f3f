"""Random generators seeded by name: the same seed gives the same numbers, whether a run is interrupted or not.

Nothing depends on how far a random stream has been used: whatever is random at one place is drawn from a generator
seeded by that place's name, such as ("order", seed, epoch). Resuming needs no random state.
"""

import hashlib
import os

import torch


def seed_of(*place: object) -> int:
    """A 63-bit seed for a named place; equal names give equal seeds on every platform."""
    return int.from_bytes(hashlib.sha256(repr(place).encode()).digest()[:8], "big") >> 1


def generator(*place: object) -> torch.Generator:
    return torch.Generator().manual_seed(seed_of(*place))


def make_deterministic() -> None:
    """Set PyTorch to bit-equal runs on one CPU machine; on a GPU as far as PyTorch can (docs/reproducibility.md)."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # only helps to find bugs, and slows every allocation
