"""What `clip_nano` knows of the drawn sets, which lie in world 0: without training, and at best with what it sees."""

import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cones.data.registry import Dataset
from cones.miniature.archives import SEED, paint_pages
from cones.miniature.classification.layouts import class_of
from cones.miniature.layouts import Page, jpeg
from cones.miniature.pretraining.clip.batches import normalised
from cones.models.dual_encoder import DualEncoder, Tokenizer, scaled_cosines, unit

STRENGTHS = (0.1, 1.0, 10.0, 100.0)  # of the logistic regression, `C` of scikit-learn; the best on validation is taken


def scores_of(model: DualEncoder, tokenizer: Tokenizer, dataset: Dataset, *, seed: int = SEED) -> dict[str, float]:
    """{"classes", "chance", "zero_shot", "ceiling"} of a drawn set, in per cent of its test pictures.

    "ceiling" is a logistic regression on the features of all training pictures: what a frozen image encoder allows.
    """
    pages = paint_pages(dataset, seed=seed)
    parts = {split: [page for page in pages if page.split == split] for split in ("train", "val", "test")}
    features = {split: features_of(model, part) for split, part in parts.items()}
    labels = {
        split: np.array([dataset.classes.index(class_of(page)) for page in part]) for split, part in parts.items()
    }
    texts = [dataset.sentence.format(dataset.text_of(name)) for name in dataset.classes]
    return {
        "classes": len(dataset.classes),
        "chance": round(100 / len(dataset.classes), 1),
        "zero_shot": zero_shot(model, tokenizer, texts, features["test"], labels["test"]),
        "ceiling": _ceiling(features, labels),
    }


@torch.no_grad()
def features_of(model: DualEncoder, pages: Sequence[Page]) -> Tensor:
    """(N, d) of length 1, of the pictures as they are packed."""
    side = model.picture_format.side
    found = []
    for start in range(0, len(pages), 128):
        pictures = [Image.open(io.BytesIO(jpeg(page))).convert("RGB") for page in pages[start : start + 128]]
        pixels = np.stack([np.asarray(one.resize((side, side), Image.Resampling.BICUBIC)) for one in pictures])
        found.append(unit(model.encode_image(normalised(pixels, model.picture_format)).pooled))
    return torch.cat(found)


@torch.no_grad()
def zero_shot(
    model: DualEncoder, tokenizer: Tokenizer, texts: Sequence[str], features: Tensor, labels: np.ndarray
) -> float:
    """Top-1 in per cent of pictures (N, d) among K texts."""
    ids, ends = tokenizer(texts)
    classes = model.encode_text(model.embed_text(ids), ends)
    chosen = scaled_cosines(features, classes, 1.0).argmax(dim=1).numpy()
    return _per_cent(chosen == labels)


def _ceiling(features: dict[str, Tensor], labels: dict[str, np.ndarray]) -> float:
    from sklearn.linear_model import LogisticRegression

    known = {split: values.numpy() for split, values in features.items()}
    best, found = -1.0, 0.0
    for strength in STRENGTHS:
        head = LogisticRegression(C=strength, max_iter=2000).fit(known["train"], labels["train"])
        validation = _per_cent(head.predict(known["val"]) == labels["val"])
        if validation > best:
            best, found = validation, _per_cent(head.predict(known["test"]) == labels["test"])
    return found


def _per_cent(right: np.ndarray) -> float:
    return round(100 * float(right.mean()), 1)
