"""Tensors that say they are on `cuda:0`, and the mode in which PyTorch makes them."""

from collections import Counter
from collections.abc import Callable, Iterable

import torch
from torch.utils._python_dispatch import TorchDispatchMode

CUDA = torch.device("cuda", 0)

WAITS: Counter[str] = Counter()
"""Operations that wait until the GPU has computed what they read, and how often they were called."""

READS_ON_THE_HOST = {
    "aten::_local_scalar_dense",  # .item(), float(), bool()
    "aten::is_nonzero",
    "aten::equal",
    # the shape of the result is the host's business
    "aten::nonzero",
    "aten::masked_select",
    "aten::_unique2",
    "aten::unique_dim",
    "aten::repeat_interleave",
}
# on a GPU, too, these take tensors of both devices
COPIES = {"aten::_to_copy", "aten::copy_", "aten::set_"}
INDEXING = {  # into a tensor on a GPU by indices that lie on the CPU
    "aten::index",
    "aten::index_put",
    "aten::index_put_",
    "aten::_index_put_impl_",
    "aten::_unsafe_index",
    "aten::_unsafe_index_put",
}


class OnCuda(torch.Tensor):
    """`_held` has the numbers, on the CPU."""

    @staticmethod
    def __new__(cls, held: torch.Tensor, requires_grad: bool = False):
        shape = torch.empty_strided(held.shape, held.stride(), dtype=held.dtype, device="meta")
        self = torch.Tensor._make_subclass(
            cls, shape, requires_grad, dispatch_device=True, device_for_backend_keys=CUDA
        )
        self._held = held.detach()
        return self

    def tolist(self):
        WAITS["tolist"] += 1
        return self._held.tolist()

    def data_ptr(self):
        return self._held.data_ptr()

    def __repr__(self):
        return f"OnCuda({self._held!r})"

    def __reduce_ex__(self, protocol):
        """A file has the numbers alone, as one that is loaded to the CPU."""
        return self._held.__reduce_ex__(protocol)

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return _run(operation, args, kwargs or {})


class OnPretendedCuda(TorchDispatchMode):
    """What is made `device="cuda"` becomes an `OnCuda`; what has one among its arguments gives one."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        on_cuda = any(isinstance(each, OnCuda) for each in _tensors((*args, *kwargs.values())))
        if on_cuda or _is_cuda(kwargs.get("device")):
            return _run(operation, args, kwargs)
        return operation(*args, **kwargs)

    def __enter__(self):
        self._lifted = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(…, device="cuda"): made on the CPU, then copied
        return super().__enter__()

    def __exit__(self, *exception):
        torch._C._set_only_lift_cpu_tensors(self._lifted)
        return super().__exit__(*exception)


def _is_cuda(device) -> bool:
    return device is not None and torch.device(device).type == "cuda"


def _run(operation, args, kwargs):
    """Carry out an operation on what its arguments hold; refuse what a GPU would refuse, count what waits for it."""
    if operation is torch.ops.prim.device.default:
        return CUDA
    name = operation._schema.name
    tensors = _tensors((*args, *kwargs.values()))
    on_cuda = any(isinstance(each, OnCuda) for each in tensors)
    of_one_device = tensors
    if name in INDEXING and isinstance(args[0], OnCuda):
        of_one_device = _tensors((args[0], *args[2:]))  # what is written, not where
    on_cpu = [each for each in of_one_device if not isinstance(each, OnCuda) and each.dim() > 0]
    if on_cuda and on_cpu and name not in COPIES:
        shapes = [tuple(each.shape) for each in on_cpu]
        raise RuntimeError(f"Expected all tensors to be on the same device: {operation} has {shapes} on the CPU")
    asked = kwargs.get("device")
    result_on_cuda = _is_cuda(asked) if asked is not None else on_cuda
    _count(name, args, kwargs, on_cuda=on_cuda, result_on_cuda=result_on_cuda)

    real_args = [_mapped(_held, each) for each in args]
    real_kwargs = {name: _mapped(_held, each) for name, each in kwargs.items()}
    if real_kwargs.get("device") is not None:
        real_kwargs["device"] = torch.device("cpu")
    if real_kwargs.get("pin_memory"):
        real_kwargs["pin_memory"] = False
    result = _computed(operation, name, real_args, real_kwargs)
    if name == "aten::_to_copy" and result is real_args[0]:
        result = result.clone()
    changed_in_place = {id(each._held): each for each in tensors if isinstance(each, OnCuda)}

    def wrapped(each):
        if id(each) in changed_in_place:
            return changed_in_place[id(each)]
        return OnCuda(each) if result_on_cuda else each

    return _mapped(wrapped, result)


def _computed(operation, name: str, args: list, kwargs: dict):
    """On the CPU, which has no kernel for a softmax from float16 to float32."""
    if name in ("aten::_softmax", "aten::_log_softmax") and args[2]:
        return operation(args[0].float(), args[1], False, **kwargs)
    if name in ("aten::_softmax_backward_data", "aten::_log_softmax_backward_data") and args[3] != args[0].dtype:
        return operation(*args[:3], args[0].dtype, **kwargs).to(args[3])
    return operation(*args, **kwargs)


def _tensors(values: Iterable) -> list[torch.Tensor]:
    """Of arguments, and of the lists among them."""
    found = []
    for value in values:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif type(value) in (list, tuple):
            found += _tensors(value)
    return found


def _mapped(change: Callable, value):
    """What an argument or a result, or a list of them, becomes when each tensor is changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    return type(value)(_mapped(change, each) for each in value) if type(value) in (list, tuple) else value


def _held(each):
    return each._held if isinstance(each, OnCuda) else each


def _count(name: str, args: tuple, kwargs: dict, *, on_cuda: bool, result_on_cuda: bool) -> None:
    if name in READS_ON_THE_HOST and on_cuda:
        WAITS[name.removeprefix("aten::")] += 1
    elif name == "aten::_to_copy" and on_cuda and not result_on_cuda:
        WAITS["copy to the CPU"] += 1
    elif name == "aten::_to_copy" and result_on_cuda and not on_cuda and not kwargs.get("non_blocking"):
        WAITS["copy to the GPU"] += 1
    elif name == "aten::copy_":
        target, source = (isinstance(each, OnCuda) for each in args[:2])
        non_blocking = kwargs.get("non_blocking") or (len(args) > 2 and args[2])
        if target != source and args[1].dim() > 0 and not non_blocking:
            WAITS["copy to the GPU" if target else "copy to the CPU"] += 1
    elif name in ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"):
        places = [each for each in args[1] if each is not None]
        WAITS["indexing by truth values"] += sum(each.dtype == torch.bool for each in places)
        WAITS["copy to the GPU"] += sum(not isinstance(each, OnCuda) for each in places)
