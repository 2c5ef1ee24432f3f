"""The mean of what the epochs of a training leave, weighted by a Gaussian over their numbers (PromptSRC)."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def gaussian_weights(epochs: int, *, mean: float, spread: float) -> Tensor:
    """(E,) float64: the normal density at 1 … E, divided by its sum."""
    places = torch.arange(1, epochs + 1, dtype=torch.float64)
    return (-((places - mean) ** 2) / (2 * spread**2)).softmax(0)


class GaussianAverage(nn.Module):
    """Sums weights[e] times the parameters as epoch e left them.

    Its buffers are no part of a state, and belong to the checkpoint of an interrupted training.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], weights: Tensor, *, steps_per_epoch: int):
        super().__init__()
        self.averaged, self.weights, self.steps_per_epoch = tuple(parameters), weights.tolist(), steps_per_epoch
        self.register_buffer("step", torch.zeros((), dtype=torch.int64), persistent=False)
        for number, parameter in enumerate(self.averaged):
            self.register_buffer(f"sum{number}", torch.zeros_like(parameter), persistent=False)

    def before_step(self) -> None:
        """To be called before each step of the optimiser: the first of an epoch finds what the last epoch left."""
        epoch, place = divmod(int(self.step), self.steps_per_epoch)
        if place == 0 and epoch > 0:
            self._add(epoch)
        self.step += 1

    @torch.no_grad()
    def finish(self) -> None:
        """Behind the last step: the parameters become the average."""
        self._add(len(self.weights))
        for number, parameter in enumerate(self.averaged):
            parameter.copy_(getattr(self, f"sum{number}"))

    @torch.no_grad()
    def _add(self, epoch: int) -> None:
        for number, parameter in enumerate(self.averaged):
            getattr(self, f"sum{number}").add_(parameter, alpha=self.weights[epoch - 1])
