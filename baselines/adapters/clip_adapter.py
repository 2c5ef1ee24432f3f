"""CLIP-Adapter: a small network behind the image encoder, mixed with what went in (IJCV 2023, arXiv 2110.04544).

Official code: gaopengcuhk/CLIP-Adapter 08d07f8, clip_adapter.py. a = ReLU(W2 ReLU(W1 f)) on the un-normalised image
feature f, without biases, a quarter of the width inside; 0.2 a + 0.8 f is made unit and compared with the hand
template's texts. As in the code *both* layers end in a ReLU and the ratio is fixed. The repository has no settings: its
readers are told to take CoOp's (SGD 0.002, momentum 0.9, decay 5e-4, batch 32, cosine, one warm-up epoch at 1e-5, 50
epochs with ResNet-50). Paper: rate 1e-5 and a ratio searched for each set. Left out: the paper's text adapter, which
the code does not have.
"""

from torch import Tensor, nn

from cones.methods.classifier import Classifier, ClassifierInputs, ClassifierMethod, Recipe
from cones.methods.drawn_layers import linear
from cones.models.dual_encoder import ImageFeatures, scaled_cosines

METHOD = {
    "name": "clip_adapter",
    "classifier": "CLIPAdapter",
    "label": "CLIP-Adapter",
    "block": "adapters",
    "has_vectors": False,
    "survey": {
        "paper": "IJCV 2023, arXiv 2110.04544",
        "idea": "A small network behind the image encoder, mixed with what went in.",
        "attaches": "image vector",
        "trains": "two layers, d²/2 values",
        "quirk": "Both layers end in a ReLU in the code; the paper searched the ratio for each set.",
    },
}


class AdaptedImages(Classifier):
    """Image features through an adapter, against texts (K, d)."""

    def __init__(self, text: Tensor, scale: float, *, adapter: nn.Module, ratio: float):
        super().__init__()
        self.adapter, self.ratio, self.scale = adapter, ratio, scale
        self.register_buffer("text", text)

    def forward(self, images: ImageFeatures) -> Tensor:
        mixed = self.ratio * self.adapter(images.pooled) + (1 - self.ratio) * images.pooled
        return scaled_cosines(mixed, self.text, self.scale)


class CLIPAdapter(ClassifierMethod):
    """Only the adapter trains, and it serves any classes; with ratio 0 the classifier is zero-shot."""

    unseen_classes = True
    recipe = Recipe(optimiser="sgd", learning_rate=2e-3, epochs=50, options={"ratio": 0.2, "reduction": 4})

    def classifier(self, inputs: ClassifierInputs) -> AdaptedImages:
        own, text = self.options(inputs), inputs.class_texts()
        width = text.shape[1]
        inner = width // own["reduction"]
        adapter = nn.Sequential(
            linear(width, inner, bias=False, generator=inputs.generator),
            nn.ReLU(),
            linear(inner, width, bias=False, generator=inputs.generator),
            nn.ReLU(),
        )
        return AdaptedImages(text, inputs.logit_scale, adapter=adapter, ratio=own["ratio"])

    def for_classes(self, classifier: AdaptedImages, inputs: ClassifierInputs) -> AdaptedImages:
        return AdaptedImages(
            inputs.class_texts(), inputs.logit_scale, adapter=classifier.adapter, ratio=classifier.ratio
        )
