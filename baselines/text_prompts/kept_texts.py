"""Class texts that are made of what trains, at test computed once."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn


class KeptTexts:
    """The texts (K, d) that were made last, and the values that they were made with."""

    def __init__(self) -> None:
        self._values: Tensor | None = None
        self._texts: Tensor | None = None

    def at_test(self, classifier: nn.Module, parameters: Iterable[Tensor], made: Callable[[], Tensor]) -> Tensor:
        """As `of`; while the classifier trains, or gradients are wanted, always those of `made()`."""
        if torch.is_grad_enabled() or classifier.training:
            return made()
        return self.of(parameters, made)

    def of(self, parameters: Iterable[Tensor], made: Callable[[], Tensor]) -> Tensor:
        """The texts that were made with these values, or now those of `made()`."""
        values = torch.cat([value.flatten() for value in parameters])
        if self._values is None or not torch.equal(self._values, values):
            self._values, self._texts = values, made()
        return self._texts
