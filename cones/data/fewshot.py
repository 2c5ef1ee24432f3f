"""Few-shot subsets by GLIP's rule for datasets without prepared lists."""

from collections import Counter, defaultdict

import torch

from cones.runtime.determinism import generator


def few_shot(coco: dict, shots: int, seed: int | None = None) -> list[int]:
    """Image ids of a subset with about `shots` images per class (docs/spec/glip.md 10).

    Images are walked in the order of their ids, or with a seed in an order drawn from it. An image is kept if any of
    its classes still has quota, and then takes one from the quota of *every* class it shows, so a class that comes with
    others may end up with more images than `shots`. Images without boxes are left out.
    """
    classes = defaultdict(set)
    for annotation in coco["annotations"]:
        classes[annotation["image_id"]].add(annotation["category_id"])
    ids = sorted(classes)
    if seed is not None:
        ids = [ids[place] for place in torch.randperm(len(ids), generator=generator("shots", seed)).tolist()]
    quota = Counter({category["id"]: shots for category in coco["categories"]})
    kept = []
    for image_id in ids:
        if any(quota[category] > 0 for category in classes[image_id]):
            kept.append(image_id)
            quota.subtract(classes[image_id])
    return sorted(kept)
