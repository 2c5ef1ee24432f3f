"""VT-CLIP, a reconstruction: class texts that look at the positions of an image (arXiv 2112.02399, version 3).

There is no official code: none of the authors' repositories holds it. The paper says: texts are queries, the image's
spatial features keys and values, with self-attention over the classes and a feed-forward part, added to the texts; CLIP
is frozen; the result is compared with the global image feature. Chosen here: one pre-norm block of 8 heads, an inner
width of 4 d, exact GELU, unit texts and unit positions as input, no norm on keys and values, AdamW 1e-4 with decay
0.01. Output projections start at zero, so that training starts at zero-shot.
"""

import torch
from torch import Tensor, nn

from cones.methods.classifier import Classifier, ClassifierInputs, ClassifierMethod, Recipe
from cones.models.dual_encoder import ImageFeatures, unit

METHOD = {
    "name": "vt_clip",
    "classifier": "VTCLIP",
    "not_for_detectors": "its class texts attend to the image, as those of a detector with fusion do already; a form"
    " for one without fusion is not built",
    "features": ["patches"],
    "label": "VT-CLIP",
    "block": "adapters",
    "has_vectors": False,
    "survey": {
        "paper": "arXiv 2112.02399",
        "idea": "class texts attend to the positions of an image",
        "attaches": "class vectors, per image",
        "trains": "one block of attention",
        "quirk": "a reconstruction: no official code exists",
    },
}


class ClassesLookAtImage(nn.Module):
    """A pre-norm block: class rows attend to each other, then to the positions of each image, then an MLP."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.among_classes = nn.MultiheadAttention(width, heads, batch_first=True)
        self.to_image = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.before_classes, self.before_image, self.before_mlp = (nn.LayerNorm(width) for _ in range(3))

    def forward(self, classes: Tensor, patches: Tensor) -> Tensor:
        """Classes (K, d) and positions (B, P, d) -> classes as each image sees them (B, K, d)."""
        return self.feed_forward(self.look(self.compare(classes), patches))

    def compare(self, classes: Tensor) -> Tensor:
        rows = self.before_classes(classes)[None]  # (1, K, d), the same for every image
        return classes + self.among_classes(rows, rows, rows, need_weights=False)[0][0]

    def look(self, classes: Tensor, patches: Tensor) -> Tensor:
        rows = self.before_image(classes).expand(len(patches), -1, -1)  # (B, K, d)
        return classes + self.to_image(rows, patches, patches, need_weights=False)[0]

    def feed_forward(self, classes: Tensor) -> Tensor:
        return classes + self.mlp(self.before_mlp(classes))

    @torch.no_grad()
    def start(self, generator: torch.Generator) -> None:
        """Matrices from N(0, 1/inputs); biases, and what is added to the classes, zero."""
        for parameter in self.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=parameter.shape[1] ** -0.5, generator=generator)
        self.mlp[0].bias.zero_()  # those of attention start so
        for last in (self.among_classes.out_proj, self.to_image.out_proj, self.mlp[2]):
            for parameter in last.parameters():
                parameter.zero_()


class GuidedTexts(Classifier):
    """Texts (K, d), unit, guided by each image's positions and compared with its pooled feature."""

    def __init__(self, text: Tensor, scale: float, block: ClassesLookAtImage):
        super().__init__()
        self.scale, self.block = scale, block
        self.register_buffer("text", text)

    def forward(self, images: ImageFeatures) -> Tensor:
        guided = unit(self.block(self.text, unit(images.patches)))  # (B, K, d)
        return self.scale * torch.einsum("bd,bkd->bk", unit(images.pooled), guided)


class VTCLIP(ClassifierMethod):
    """Only the block trains, and it serves any classes."""

    reads = frozenset({"pooled", "patches"})
    unseen_classes = True
    label_note = "reconstruction: no official code exists"
    recipe = Recipe(
        optimiser="adamw",
        learning_rate=1e-4,
        weight_decay=0.01,
        epochs=50,
        schedule="constant",
        warmup_epochs=0,
        options={"heads": 8},
    )

    def classifier(self, inputs: ClassifierInputs) -> GuidedTexts:
        text = unit(inputs.class_texts())
        block = ClassesLookAtImage(text.shape[1], self.options(inputs)["heads"])
        block.start(inputs.generator)
        return GuidedTexts(text, inputs.logit_scale, block)

    def for_classes(self, classifier: GuidedTexts, inputs: ClassifierInputs) -> GuidedTexts:
        return GuidedTexts(unit(inputs.class_texts()), inputs.logit_scale, classifier.block)
