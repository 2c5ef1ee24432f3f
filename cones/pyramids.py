"""Image features of one or many samples; those of a frozen image encoder are computed once per view and kept."""

from collections.abc import Sequence

import torch

from cones.data.batches import Sample, View, batch_of
from cones.models.detector import FeaturePyramid, GroundedDetector


class LivePyramids:
    """The image encoder trains: every batch goes through it."""

    def __init__(self, model: GroundedDetector, device: torch.device):
        self.model, self.device = model, device

    def __call__(self, samples: Sequence[Sample]) -> FeaturePyramid:
        return self.model.encode_image(batch_of(samples).to(self.device))


class FrozenPyramids:
    """The image encoder is frozen: each view is encoded once, alone, and kept in memory up to a budget.

    Alone, because the last bits of a batched result depend on which images share the batch; so a run that was
    interrupted and lost this memory still gives the same numbers. One object serves one split: views are known by their
    index in it.
    """

    def __init__(self, model: GroundedDetector, device: torch.device, budget_mb: int):
        self.model, self.device = model, device
        self._kept: dict[View, FeaturePyramid] = {}
        self._bytes_left = budget_mb * 2**20

    def __call__(self, samples: Sequence[Sample]) -> FeaturePyramid:
        """(B, C, H_l, W_l) per level for samples of one padded size."""
        pyramids = [self._one(sample) for sample in samples]
        padding = None if pyramids[0].padding is None else torch.cat([p.padding for p in pyramids]).to(self.device)
        return FeaturePyramid(
            maps=[torch.cat(levels).to(self.device) for levels in zip(*(p.maps for p in pyramids))],
            sizes=[sample.size for sample in samples],
            padding=padding,
        )

    @torch.no_grad()
    def _one(self, sample: Sample) -> FeaturePyramid:
        if sample.view in self._kept:
            return self._kept[sample.view]
        pyramid = self.model.encode_image(batch_of([sample]).to(self.device))
        size = sum(level.nbytes for level in pyramid.maps)
        if size <= self._bytes_left:
            self._bytes_left -= size
            self._kept[sample.view] = FeaturePyramid(
                [level.cpu() for level in pyramid.maps], pyramid.sizes, pyramid.padding
            )
        return pyramid
