"""The pretended machine: one GPU, whose driver and allocator answer without being there.

Nothing else of PyTorch is replaced: its dispatcher, autograd and autocast are the real ones.
"""

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch

from tests.gpu.pretend.tensors import OnPretendedCuda

ANSWERS = {
    "_lazy_init": lambda: None,
    "is_available": lambda: True,
    "device_count": lambda: 1,
    "current_device": lambda: 0,
    "set_device": lambda device: None,
    "get_device_properties": lambda device=None: SimpleNamespace(uuid="pretended", name="pretended GPU"),
    "get_device_name": lambda device=None: "pretended GPU",
    "get_device_capability": lambda device=None: (8, 0),
    "is_bf16_supported": lambda including_emulation=True: True,
    "empty_cache": lambda: None,
    "max_memory_allocated": lambda device=None: 0,
    "synchronize": lambda device=None: None,
}


@contextlib.contextmanager
def pretended_gpu() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, answer in ANSWERS.items():
            patch.setattr(torch.cuda, name, answer)
        patch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
        kept = torch.__future__.get_overwrite_module_params_on_conversion()
        torch.__future__.set_overwrite_module_params_on_conversion(True)  # a parameter cannot change its class in place
        try:
            with OnPretendedCuda():
                yield
        finally:
            torch.__future__.set_overwrite_module_params_on_conversion(kept)
