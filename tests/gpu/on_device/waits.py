"""How often something waits until the GPU has computed what it reads, step by step.

On a pretended GPU by the names of the operations; on a real one by the warnings of PyTorch's own debug mode.
"""

import os
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tests.gpu.device import VARIABLE
from tests.gpu.pretend.tensors import WAITS


@contextmanager
def counted() -> Iterator[Counter]:
    """The counter is filled when the block ends."""
    found = Counter()
    if os.environ[VARIABLE] == "pretended":
        before = WAITS.copy()
        yield found
        found.update(+(WAITS - before))
        return
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield found
    finally:
        torch.cuda.set_sync_debug_mode("default")
    found["waits"] = sum("synchronizing" in str(each.message) for each in caught)


def in_words(waits: Counter) -> str:
    kinds = ", ".join(f"{name} {count}" for name, count in sorted(waits.items()))
    return f"{sum(waits.values())} times ({kinds})"
