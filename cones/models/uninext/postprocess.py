"""From query outputs to detections with masks: class scores, NMS, the best (docs/spec/uninext.md 12)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from cones.models.detector import Detections
from cones.models.layers.boxes import to_corners
from cones.models.layers.suppression import class_wise_nms
from cones.models.uninext.criterion import MaskHead
from cones.models.uninext.decoder import LayerOutput
from cones.runtime.devices import float32_product, full_precision

NMS_IOU = 0.7
MASKS_AT_ONCE = 16  # enlarged to the size of the image together: bounds memory


def class_scores(logits: Tensor, quality: Tensor, class_positions: Tensor) -> Tensor:
    """logits (Q, L), quality (Q,), class_positions (K, L) bool -> (Q, K): sqrt(class * IoU).

    The logits of a class's words are averaged before the sigmoid. A class without positions scores 0.
    """
    count = class_positions.sum(dim=1)  # (K,)
    mean = float32_product(logits, (class_positions / count.clamp(min=1)[:, None]).T)  # (Q, K)
    probability = mean.sigmoid() * (count > 0)
    return (probability * quality.sigmoid()[:, None]).sqrt()


def kept_by_suppression(scores: Tensor, boxes: Tensor) -> Tensor:
    """scores (Q, K), boxes (Q, 4) cx, cy, w, h -> (M,) int64, ascending: each query counts for its best class."""
    best, label = scores.max(dim=1)
    return class_wise_nms(to_corners(boxes), best, label, NMS_IOU)


def detect_one(
    layer: LayerOutput,
    image: int,
    class_positions: Tensor,
    *,
    size: tuple[int, int],
    bounds: tuple[int, int],
    limit: int,
) -> tuple[Detections, Tensor]:
    """Detections of one image, best first, without masks, and the query (M,) of each; a query may stand for several
    classes. `size` (height, width) of the unpadded image; boxes are clipped to `bounds` and empty ones dropped."""
    logits, quality, boxes = layer.logits[image], layer.quality[image], layer.boxes[image]  # (Q, L), (Q,), (Q, 4)
    scores = class_scores(full_precision(logits), full_precision(quality), class_positions)  # (Q, K)
    kept = kept_by_suppression(scores, boxes)
    best = scores[kept].flatten().topk(min(limit, len(kept) * scores.shape[1]))
    query, label = kept[best.indices // scores.shape[1]], best.indices % scores.shape[1]
    scale, edge = (boxes.new_tensor([width, height] * 2) for height, width in (size, bounds))
    corners = torch.minimum((to_corners(boxes[query]) * scale).clamp(min=0), edge)
    whole = (corners[:, 2:] > corners[:, :2]).all(dim=1)
    return Detections(corners[whole], best.values[whole], label[whole]), query[whole]


def enlarged_masks(
    layer: LayerOutput, image: int, query: Tensor, predict: MaskHead, stride: int, size: tuple[int, int]
) -> Tensor:
    """Masks of some queries (M,), repeated or not -> (M, height, width) bool. The mask head runs once for each."""
    masks = torch.zeros(0, *size, dtype=torch.bool, device=query.device)
    different, place = query.unique(return_inverse=True)
    for some in different.split(MASKS_AT_ONCE):
        logits = full_precision(predict(image, layer.queries[image, some], layer.reference[image, some]))  # (M', h, w)
        large = F.interpolate(logits[None], scale_factor=stride, mode="bilinear", align_corners=False)[0]
        masks = torch.cat([masks, large.sigmoid()[:, : size[0], : size[1]] > 0.5])
    return masks[place]
