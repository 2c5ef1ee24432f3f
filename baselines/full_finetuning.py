"""Full fine-tuning: class names, and everything trains, the text encoder included.

With two encoders the recipe is that of WiSE-FT's fine-tuning (arXiv 2109.01903; mlfoundations/wise-ft 58b7a4b, README
and src/args.py: AdamW 3e-5, decay 0.1, gradients clipped to norm 1, 10 epochs, cosine; batch 512 and 500 warm-up steps
there, batch 32 and none here), its head being the class texts of the text encoder that trains along.
"""

from torch import Tensor

from baselines.text_prompts.kept_texts import KeptTexts
from cones.methods.class_vectors import mean_cosines
from cones.methods.classifier import Classifier, ClassifierInputs, ClassifierMethod, Recipe
from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import CaptionPrompt, Prompt, encode_caption
from cones.models.detector import GroundedDetector
from cones.models.dual_encoder import DualEncoder

METHOD = {
    "name": "full_finetuning",
    "class": "FullFinetuning",
    "classifier": "FullyTunedEncoders",
    "label": "Full fine-tuning",
    "block": "fine_tuning",
    "inputs": ["text_encoder"],
    "has_vectors": False,
    "trains_image_encoder": True,
    "survey": {
        "paper": "CVPR 2022, arXiv 2109.01903",
        "idea": "everything trains, both encoders, with the class names as texts",
        "attaches": "both encoders",
        "trains": "everything",
        "quirk": "WiSE-FT's recipe for fine-tuning, without warm-up and in batches of 32",
    },
}


class FullFinetuning(TuningMethod):
    """Trains everything but what the model freezes for every method (its stem and first stage)."""

    unseen_classes = True
    not_for_generators = "training the whole UNet for one subject is DreamBooth, which the paper does not run"

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> CaptionPrompt:
        return CaptionPrompt(prompt_inputs.text_encoder, encode_caption(prompt_inputs.tokenizer, prompt_inputs.phrases))

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return True

    def set_modes(self, model: GroundedDetector, prompt: Prompt) -> None:
        model.train()
        prompt.train()


class BothEncoders(Classifier):
    """Pixels and the tokens of K class texts through both encoders. Batch normalisation keeps the statistics of
    pretraining."""

    keeps_texts = True

    def __init__(self, encoder: DualEncoder, ids: Tensor, ends: Tensor):
        super().__init__()
        self.kept = KeptTexts()
        self.encoder = encoder.requires_grad_(True)
        self.register_buffer("ids", ids)  # (K, L)
        self.register_buffer("ends", ends)  # (K,)

    def train(self, mode: bool = True) -> "BothEncoders":
        super().train(mode)
        self.encoder.eval()
        return self

    def class_texts(self) -> Tensor:
        """(K, d), not normalised; at test made once for as long as the text encoder does not change."""
        image, named = self.encoder.image_prefix, self.encoder.named_parameters()
        weights = (value for name, value in named if not name.startswith(image))
        return self.kept.at_test(self, weights, self._texts)

    def _texts(self) -> Tensor:
        return self.encoder.encode_text(self.encoder.embed_text(self.ids), self.ends)

    def forward(self, images: Tensor) -> Tensor:
        pooled = self.encoder.encode_image(images).pooled
        return self.encoder.logit_scale.exp() * mean_cosines(pooled, self.class_texts())


class FullyTunedEncoders(ClassifierMethod):
    """Both encoders and the scale train, from zero-shot on, and serve any classes."""

    reads = frozenset({"image_encoder", "text_encoder"})
    unseen_classes = True
    recipe = Recipe(
        optimiser="adamw",
        learning_rate=3e-5,
        weight_decay=0.1,
        epochs=10,
        schedule="cosine_per_step",
        warmup_epochs=0,
        clip_norm=1.0,
    )

    def classifier(self, inputs: ClassifierInputs) -> BothEncoders:
        return BothEncoders(inputs.encoder, *inputs.tokenizer([inputs.template.format(name) for name in inputs.names]))

    def for_classes(self, classifier: BothEncoders, inputs: ClassifierInputs) -> BothEncoders:
        ids, ends = inputs.tokenizer([inputs.template.format(name) for name in inputs.names])
        return BothEncoders(classifier.encoder, ids.to(classifier.ids.device), ends.to(classifier.ends.device))
