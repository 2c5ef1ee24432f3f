"""Several processes, each with a device of its own, tune one cell: `torchrun --nproc-per-node 4 -m cones tune …`."""

import os
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from math import nan
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn

Item = TypeVar("Item")
PATIENCE = timedelta(hours=12)  # the others wait while the first process validates


class Processes:
    """This process's `rank` among `size` processes; for a single process, rank 0 of 1, every method is a no-op.

    Every process takes its share of each batch. Losses are sums over normalisers known beforehand, so with those of all
    processes added up, the added gradients are those of the whole batch; every process then takes the same step.
    """

    def __init__(self, rank: int = 0, size: int = 1, device: torch.device | None = None):
        self.rank, self.size, self.device = rank, size, device

    @classmethod
    def from_environment(cls, device: torch.device) -> "Processes":
        """The processes that `torchrun` started, or this one alone."""
        if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "RANK" not in os.environ:
            return cls()
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
        return cls(distributed.get_rank(), distributed.get_world_size(), device)

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process's share of the items: every `size`-th from the `rank`-th on; may be empty."""
        return items[self.rank :: self.size]

    def sum(self, values: dict[str, Tensor | float]) -> dict[str, Tensor | float]:
        """The values summed over the processes, by name; all processes have the same names."""
        if self.size == 1:
            return values  # one common type would change their last bits
        added = torch.stack([torch.as_tensor(value, device=self.device) for value in values.values()])
        distributed.all_reduce(added)
        return dict(zip(values, added))

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum the parameters' gradients over the processes in place; a missing gradient counts as zeros."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            distributed.all_reduce(parameter.grad)

    def add_up(self, tensor: Tensor) -> None:
        """Replace the tensor by its sum over the processes."""
        if self.size > 1:
            distributed.all_reduce(tensor)

    def any(self, flag: bool) -> bool:
        """Whether the flag is true in any process."""
        return flag if self.size == 1 else bool(self.sum({"": float(flag)})[""] > 0)

    def first(self, call: Callable[[], float | None]) -> float | None:
        """The result of `call` in the first process, a finite number or None, returned in all of them."""
        if self.size == 1:
            return call()
        value = call() if self.rank == 0 else None
        result = torch.tensor(nan if value is None else value, dtype=torch.float64, device=self.device)
        distributed.broadcast(result, src=0)
        return None if result.isnan() else result.item()

    def of_first(self, call: Callable[[], Item]) -> Item:
        """As `first`, for any plain value."""
        if self.size == 1:
            return call()
        held = [call() if self.rank == 0 else None]
        distributed.broadcast_object_list(held, src=0, device=self.device)
        return held[0]
