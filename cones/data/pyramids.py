"""Image features of one or many samples; those of a frozen image encoder are computed once per view and kept."""

from collections.abc import Callable, Container, Sequence

import torch
from torch import Tensor

from cones.data.batches import Sample, Split, View, batch_of
from cones.data.pyramid_file import PyramidFile, name_of
from cones.models.detector import FeaturePyramid, GroundedDetector
from cones.runtime.devices import to_device
from cones.runtime.progress import log


def trains_image_encoder(model: GroundedDetector, trained: Container[str]) -> bool:
    """Whether any parameter behind `encode_image` is among the trained ones ("model.…")."""
    inside = {id(parameter) for module in model.image_encoder() for parameter in module.parameters()}
    return any(id(parameter) in inside and f"model.{name}" in trained for name, parameter in model.named_parameters())


def concat(pyramids: Sequence[FeaturePyramid], device: torch.device) -> FeaturePyramid:
    """Pyramids of images of one padded size as one batch on `device`, wherever each of them is: kept ones are in CPU
    memory, one beyond the budget is where it was computed."""

    def batch(parts: Sequence[Tensor]) -> Tensor:
        return torch.cat([to_device(part, device) for part in parts])

    padding = None if pyramids[0].padding is None else batch([p.padding for p in pyramids])  # (B, H, W)
    maps = [batch(levels) for levels in zip(*(p.maps for p in pyramids))]  # (B, C, H_l, W_l)
    return FeaturePyramid(maps, [size for p in pyramids for size in p.sizes], padding)


def split_batch(pyramid: FeaturePyramid) -> list[FeaturePyramid]:
    """The inverse of `concat`."""
    padding = [None] * len(pyramid.sizes) if pyramid.padding is None else pyramid.padding.split(1)
    return [
        FeaturePyramid([level[[row]] for level in pyramid.maps], [size], padding[row])
        for row, size in enumerate(pyramid.sizes)
    ]


class SharedPyramids:
    """The pyramids of a split that a file holds; none without a file.

    The first one is computed as well: if the two differ in a bit, the file comes from other weights, pictures, sources
    or another kind of machine, and is not used from then on.
    """

    def __init__(self, file: PyramidFile | None, split: Split):
        self._file, self._split, self._is_compared = file, split, False

    def get(self, samples: Sequence[Sample], compute: Callable[[], FeaturePyramid], device) -> FeaturePyramid:
        """(B, C, H_l, W_l) per level for samples of one padded size: all from the file, or all computed."""
        pyramids = [self._file and self._file.get(name_of(self._split, sample.view)) for sample in samples]
        if any(pyramid is None for pyramid in pyramids):
            return compute()
        stored = concat(pyramids, device)
        return stored if self._is_compared else self._compare(stored, compute())

    def _compare(self, stored: FeaturePyramid, computed: FeaturePyramid) -> FeaturePyramid:
        self._is_compared = True
        kinds = [[(level.shape, level.dtype) for level in pyramid.maps] for pyramid in (stored, computed)]
        if kinds[0] != kinds[1] or not all(map(torch.equal, stored.maps, computed.maps)):
            log.info("the shared image features are not those of this process: they are computed here")
            self._file = None
        return computed


class LivePyramids:
    """Pyramids computed anew for every batch, unless a file has them: the image encoder trains, or views occur once."""

    def __init__(self, model: GroundedDetector, device: torch.device, shared: SharedPyramids | None = None):
        self.model, self.device, self._shared = model, device, shared

    def __call__(self, samples: Sequence[Sample]) -> FeaturePyramid:
        def compute() -> FeaturePyramid:
            return self.model.encode_image(batch_of(samples).to(self.device))

        return self._shared.get(samples, compute, self.device) if self._shared else compute()


class FrozenPyramids:
    """Pyramids of a frozen image encoder: each view is encoded once, alone, and kept in memory up to a budget.

    Alone, because the last bits of a batched result depend on which images share the batch; so a run that was
    interrupted and lost this memory still gives the same numbers. One object serves one split: views are known by their
    index in it.
    """

    def __init__(
        self, model: GroundedDetector, device: torch.device, budget_mb: int, shared: SharedPyramids | None = None
    ):
        self.device, self._live = device, LivePyramids(model, device, shared)
        self._kept: dict[View, FeaturePyramid] = {}
        self._bytes_left = budget_mb * 2**20

    def __call__(self, samples: Sequence[Sample]) -> FeaturePyramid:
        """(B, C, H_l, W_l) per level for samples of one padded size."""
        return concat([self._pyramid(sample) for sample in samples], self.device)

    @torch.no_grad()
    def _pyramid(self, sample: Sample) -> FeaturePyramid:
        if sample.view in self._kept:
            return self._kept[sample.view]
        pyramid = self._live([sample])
        size = sum(level.nbytes for level in pyramid.maps)
        if size <= self._bytes_left:
            self._bytes_left -= size
            self._kept[sample.view] = FeaturePyramid(
                [level.cpu() for level in pyramid.maps], pyramid.sizes, pyramid.padding
            )
        return pyramid
