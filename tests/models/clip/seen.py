"""What modules inside a model give while it runs."""

import contextlib
from collections.abc import Iterator, Mapping

from torch import Tensor, nn


@contextlib.contextmanager
def outputs_of(model: nn.Module, places: Mapping[str, str]) -> Iterator[dict[str, Tensor]]:
    """{name: place of a module}; yields {name: its last output}, filled while the model runs inside the block."""
    seen: dict[str, Tensor] = {}
    handles = []
    for name, place in places.items():

        def keep(module, inputs, output, name=name):
            seen[name] = output

        handles.append(model.get_submodule(place).register_forward_hook(keep))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
