"""MaskCLIP: a class for every position of a picture, without training (ECCV 2022, arXiv 2112.01071).

Official code: chongzhou96/MaskCLIP 245d31f, mmseg/models/decode_heads/maskclip_head.py, mmseg/models/backbones/vit.py,
tools/maskclip_utils/prompt_engineering.py, configs/maskclip/. The image encoder's last layer is read without its
attention (`cones/models/clip/positions.py`); a score is the cosine of a position and a class text, the mean over
templates of unit features made unit again. Two refinements are off in the released configs and on (0.5 and 1.0) in
those of MaskCLIP+:

denoise  prompt denoising: p = softmax over classes of 100 score; a class whose greatest p over the positions is below
         this has the score -100 in that picture. Where no class is left the picture keeps its scores; the code answers
         its first class there
smooth   key smoothing, after it: positions whose greatest p is below this get sum_j w_ij p_j; all others keep p
form     code: w = k k^T of keys that are normalised over positions, not divided by its sum; paper: cosines of keys

What differs: the network is CLIP's own, where the code has exact GELU and norms of eps 1e-6. Of the 85 templates the
five "in the scene" are the published ones; for the 80 of ImageNet stand the seven of our own and the set's own.
Left out: MaskCLIP+, a DeepLab trained on these answers.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.zero_shot import TEMPLATES
from cones.methods.class_vectors import averaged_texts
from cones.methods.classifier import Classifier, ClassifierInputs, ClassifierMethod, Recipe, choice
from cones.models.dual_encoder import unit
from cones.models.positions import Positions

METHOD = {
    "name": "maskclip",
    "classifier": "MaskCLIP",
    "not_for_detectors": "reads positions of CLIP's last layer without its attention, and a detector has no such layer",
    "label": "MaskCLIP",
    "block": "training_free",
    "is_tuned": False,
    "has_vectors": False,
    "survey": {
        "paper": "ECCV 2022, arXiv 2112.01071",
        "idea": "the last layer is read without its attention, and each position compared with the class texts",
        "attaches": "the image encoder's last layer",
        "trains": "nothing",
        "quirk": "for a class for every pixel; key smoothing normalises keys over positions in the code, over channels"
        " in the paper",
    },
}

SCENE_TEMPLATES = (
    "there is a {} in the scene.",
    "there is the {} in the scene.",
    "this is a {} in the scene.",
    "this is the {} in the scene.",
    "this is one {} in the scene.",
)
SCALE, REMOVED = 100.0, -100.0  # constants of the code: before a softmax, and the score of a class that is taken out


class ScoredPositions(Classifier):
    """Texts (K, d), unit; positions -> cosines (B, K, H, W), or probabilities where keys smooth them."""

    def __init__(self, text: Tensor, *, denoise: float, smooth: float, over_positions: bool):
        super().__init__()
        self.denoise, self.smooth, self.over_positions = denoise, smooth, over_positions
        self.register_buffer("text", text)

    def forward(self, images: Positions) -> Tensor:
        return self.refine(images.as_map(unit(images.features) @ self.text.T), images.keys)

    def refine(self, scores: Tensor, keys: Tensor) -> Tensor:
        """Scores (B, K, H, W) and keys (B, H W, w) -> (B, K, H, W)."""
        if self.denoise:
            scores = denoised(scores, self.denoise)
        if self.smooth:
            scores = smoothed(scores, keys, self.smooth, axis=1 if self.over_positions else 2)
        return scores


def denoised(scores: Tensor, threshold: float) -> Tensor:
    """(B, K, H, W) without the classes of which no position of a picture is sure."""
    is_seen = (SCALE * scores).softmax(1).amax((2, 3), keepdim=True) >= threshold  # (B, K, 1, 1)
    is_seen = is_seen | ~is_seen.any(1, keepdim=True)
    return torch.where(is_seen, scores, REMOVED)


def smoothed(scores: Tensor, keys: Tensor, threshold: float, *, axis: int) -> Tensor:
    """(B, K, H, W) -> probabilities; where the greatest is below a threshold, those of positions with similar keys."""
    probabilities = (SCALE * scores).softmax(1)
    keys = F.normalize(keys, dim=axis)
    weights = keys @ keys.transpose(1, 2)  # (B, H W, H W)
    others = torch.einsum("bij,bkj->bki", weights, probabilities.flatten(2)).view_as(probabilities)
    return torch.where(probabilities.amax(1, keepdim=True) < threshold, others, probabilities)


class MaskCLIP(ClassifierMethod):
    """Nothing trains, nothing is chosen."""

    serves = frozenset({"dense"})
    reads = frozenset({"value_positions"})
    labels = "none"
    recipe = Recipe(epochs=0, options={"denoise": 0.0, "smooth": 0.0, "form": "code"})

    def classifier(self, inputs: ClassifierInputs) -> ScoredPositions:
        own = self.options(inputs)
        templates = dict.fromkeys((inputs.template, *TEMPLATES, *SCENE_TEMPLATES))
        texts = [[template.format(name) for template in templates] for name in inputs.names]
        return ScoredPositions(
            averaged_texts(inputs.text, texts),
            denoise=own["denoise"],
            smooth=own["smooth"],
            over_positions=choice("form", own["form"], ("code", "paper")) == "code",
        )
