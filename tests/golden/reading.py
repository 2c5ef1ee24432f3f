"""Reading the golden files of the CLIP methods, so that no number in them goes unread.

    with GoldenFile("taskres") as golden:
        golden.compare("test_logits", logits)
        start = golden["start"]

Leaving the block fails if a key was neither read nor compared: a file that is read in part proves a part only.
Keys, where their numbers come from, and tolerances: clip/FORMAT-A.md to FORMAT-D.md.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).parent / "clip"
STRIDED = (
    (".shape", ".stride"),
    ("__shape", "__stride"),
)  # how a file says that it holds every n-th number of a tensor


class GoldenFile:
    """`tests/golden/clip/<name>.npz`. Tolerances are in standard deviations of the golden tensor, as FORMAT has them.

    A key `k` beside which stand `k.shape` and `k.stride` (or `k__shape`, `k__stride`) is a tensor of that shape,
    flattened and cut to every stride-th number; reading or comparing `k` reads these as well.
    """

    def __init__(self, name: str):
        self.name = name
        with np.load(FOLDER / f"{name}.npz") as content:
            self.content = {key: content[key] for key in content.files}
        self.unread = set(self.content)

    def __enter__(self) -> "GoldenFile":
        return self

    def __exit__(self, kind, error, trace) -> None:
        if kind is None:
            assert not self.unread, f"{self.name}.npz has numbers that no one reads: {sorted(self.unread)}"

    def __contains__(self, key: str) -> bool:
        return key in self.content

    def __getitem__(self, key: str) -> Tensor:
        """The numbers of a key: whole numbers as int64, others as float32. A strided tensor can only be compared."""
        assert self._stride(key) is None, f"{key} is strided: compare it"
        self._take(key)
        return _tensor(self.content[key])

    def texts(self, key: str) -> list[str]:
        """The texts of a key."""
        self._take(key)
        return self.content[key].tolist()

    def keys(self, prefix: str = "") -> list[str]:
        """Keys that begin so, without those that describe a stride; asking for them reads none."""
        ends = tuple(end for pair in STRIDED for end in pair)
        return [key for key in self.content if key.startswith(prefix) and not key.endswith(ends)]

    def skip(self, key: str, reason: str) -> None:
        """Leave a key unread on purpose, for a reason that the test's reader sees."""
        assert reason
        self._take(key)

    def part(self, key: str, value: Tensor) -> Tensor:
        """What of `value`, a tensor as the golden one, the file holds; AssertionError if its shape is another."""
        value = value.detach()
        stride = self._stride(key)
        if stride is None:
            assert value.shape == self.content[key].shape, f"{key}: {tuple(value.shape)}"
            return value
        shape, step = stride
        assert tuple(value.shape) == shape, f"{key}: {tuple(value.shape)} is not {shape}"
        return value.flatten()[::step]

    def distance(self, key: str, value: Tensor, *, centred: bool = False) -> float:
        """max |value - golden| in standard deviations of the golden tensor; of a single number relative to it.

        centred: after subtracting the mean over the first axis from both, for tensors whose rows are nearly alike.
        """
        golden = _tensor(self.content[key]).double()
        found = self.part(key, torch.as_tensor(value)).double()
        self._take(key)
        if golden.ndim == 0:
            return float((found - golden).abs() / golden.abs())
        if centred:
            golden, found = golden - golden.mean(0), found - found.mean(0)
        return float((found - golden).abs().max() / golden.std(correction=0))

    def compare(self, key: str, value: Tensor, *, within: float = 1e-4, centred: bool = False) -> None:
        """AssertionError if `value` is further away than `within`; whole numbers must be equal."""
        if self.content[key].dtype.kind in "iub":
            self._take(key)
            assert torch.equal(torch.as_tensor(value).long(), _tensor(self.content[key])), key
            return
        distance = self.distance(key, value, centred=centred)
        assert distance <= within, f"{self.name}.npz, {key}: {distance:.2e} standard deviations away"

    def _stride(self, key: str) -> tuple[tuple[int, ...], int] | None:
        for shape, stride in STRIDED:
            if key + stride in self.content:
                return tuple(int(n) for n in self.content[key + shape]), self.content[key + stride].item()
        return None

    def _take(self, key: str) -> None:
        self.unread -= {key, *(key + end for pair in STRIDED for end in pair)}


def _tensor(array: np.ndarray) -> Tensor:
    if array.dtype.kind in "iub":
        return torch.from_numpy(np.asarray(array, np.int64))
    return torch.from_numpy(np.asarray(array, np.float32))
