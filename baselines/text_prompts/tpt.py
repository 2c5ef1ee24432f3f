"""TPT: one step on the context for each test image, towards sure answers on its views (NeurIPS 2022, arXiv 2209.07511).

Official code: azshue/TPT 63ecbac, tpt_classification.py, clip/custom_clip.py, data/datautils.py, scripts/test_tpt.sh.
Of 64 views of an image, the first plain, the tenth with the least entropy is kept (6, chosen once); the loss is the
entropy of their mean probability. One step of AdamW on the context ("a photo of a"): 5e-3, decay 0.01 (PyTorch's
default); the answer is that of the plain view. Context and optimiser start afresh for each image, so that no answer
depends on another image. Nothing is trained beforehand and no label is used.

What differs: all views are crops and flips as training images are cut; on fine-grained sets the code mixes AugMix in.
On a detector: `tuned_on_places.py`.
"""

import torch
from torch import Tensor

from baselines.text_prompts.context import START, WORDS, ContextTexts, start_of_context
from baselines.text_prompts.tuned_on_places import TunedOnPlaces
from cones.methods.classifier import Classifier, ClassifierInputs, ClassifierMethod, Recipe
from cones.models.dual_encoder import scaled_cosines
from cones.runtime.errors import ConesError

METHOD = {
    "name": "tpt",
    "class": "TunedAtTest",
    "classifier": "TPT",
    "label": "TPT",
    "block": "text_prompts",
    "inputs": ["text_encoder"],
    "is_tuned": False,
    "has_vectors": False,
    "survey": {
        "paper": "NeurIPS 2022, arXiv 2209.07511",
        "idea": "one step on the context for each test image, towards sure answers on its views",
        "attaches": "text encoder, input, at test time",
        "trains": "nothing beforehand; 4 vectors afresh for each image",
        "quirk": "64 views of each test image; uses no label, and answers are the same for every seed",
    },
}
VIEWS = 64
OPTIONS = {"share": 0.1, "steps": 1, "rate": 5e-3, "decay": 0.01}


class TunedOnTheImage(Classifier):
    """Views (B, V, 3, side, side) -> logits of the first (B, K), each image with a context of its own."""

    def __init__(self, texts: ContextTexts, context: Tensor, scale: float, **own):
        super().__init__()
        self.texts, self.scale = texts, scale
        self.share, self.steps, self.rate, self.decay = (own[name] for name in OPTIONS)
        self.register_buffer("context", context)

    def forward(self, images: Tensor) -> Tensor:
        if images.ndim != 5:
            raise ConesError(
                "TPT needs several views of each test image",
                expected="(images, views, 3, side, side)",
                found=tuple(images.shape),
                next_step="load as many as its `test_views`",
            )
        return torch.stack([self.answer(views) for views in images])

    def answer(self, views: Tensor) -> Tensor:
        """(V, 3, side, side) -> (K,)."""
        with torch.no_grad():
            features = self.texts.encoder.encode_image(views).pooled  # (V, d)
        context = self.tuned(features)
        with torch.no_grad():
            return self.logits(features[:1], context)[0]

    def logits(self, features: Tensor, context: Tensor) -> Tensor:
        return scaled_cosines(features, self.texts(context), self.scale)

    @torch.enable_grad()
    def tuned(self, features: Tensor) -> Tensor:
        """The context after its steps on views (V, d)."""
        context = self.context.clone().requires_grad_()
        optimiser = torch.optim.AdamW([context], lr=self.rate, weight_decay=self.decay)
        chosen = None
        for _ in range(self.steps):
            if chosen is None:
                with torch.no_grad():
                    chosen = surest(self.logits(features, context), self.share)
            loss = entropy_of_mean(self.logits(features[chosen], context))
            context.grad = torch.autograd.grad(loss, context)[0]
            optimiser.step()
        return context.detach()


class TunedAtTest(TunedOnPlaces):
    """On a detector: one step on the context for each test image, towards sure answers at its surest places."""

    options = OPTIONS


class TPT(ClassifierMethod):
    """Without a step it is zero-shot of "a photo of a {}."."""

    reads = frozenset({"image_encoder", "text_encoder"})
    labels = "none"
    unseen_classes = True
    test_views = VIEWS
    label_note = "draws nothing of the seed: one seed says what all would"
    recipe = Recipe(epochs=0, options={**START, "words": WORDS, **OPTIONS})

    def classifier(self, inputs: ClassifierInputs) -> TunedOnTheImage:
        own = self.options(inputs)
        context = start_of_context(inputs, own)
        texts = ContextTexts(inputs.encoder, inputs.tokenizer, inputs.names, vectors=len(context))
        return TunedOnTheImage(texts, context, inputs.logit_scale, **own)

    def for_classes(self, classifier: TunedOnTheImage, inputs: ClassifierInputs) -> TunedOnTheImage:
        texts = ContextTexts(inputs.encoder, inputs.tokenizer, inputs.names, vectors=len(classifier.context))
        return TunedOnTheImage(texts, classifier.context, inputs.logit_scale, **self.options(inputs))


def entropies(logits: Tensor) -> Tensor:
    """(V, K) -> (V,)."""
    return -(logits.softmax(-1) * logits.log_softmax(-1)).sum(-1)


def surest(logits: Tensor, share: float) -> Tensor:
    """The rows of the least entropy, in rising order: a share of all, rounded down, one at least."""
    return entropies(logits).argsort()[: max(1, int(len(logits) * share))]


def entropy_of_mean(logits: Tensor) -> Tensor:
    """Entropy of the mean probability over rows."""
    mean = logits.log_softmax(-1).logsumexp(0) - torch.tensor(float(len(logits))).log()
    return -(mean.exp() * mean).sum()
