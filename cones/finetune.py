"""ConES, stage 2: the concept embeddings of stage 1 are fixed and the rest of the model trains (paper, eq. 6)."""

from torch import Tensor

from cones.methods.class_vectors import mean_cosines
from cones.methods.classifier import Classifier, ClassifierInputs, ClassifierMethod, Recipe
from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import FixedPrompt, Prompt
from cones.models.detector import GroundedDetector
from cones.models.dual_encoder import DualEncoder

METHOD = {
    "name": "cones_finetuned",
    "class": "ConceptFinetuning",
    "classifier": "ConceptFinetunedEncoder",
    "label": "ConES (stage 2)",
    "block": "fine_tuning",
    "inputs": ["stage1"],
    "trains_image_encoder": True,
    "context": "cones.methods.contexts:FixedConceptContext",
    "survey": {
        "paper": "arXiv 2305.18993",
        "idea": "the vectors of stage 1 stay as they are, and the image encoder trains",
        "attaches": "image encoder",
        "trains": "the image encoder",
        "quirk": "its recipe on two encoders is that of full fine-tuning",
    },
}


class ConceptFinetuning(TuningMethod):
    """Everything but the embeddings trains; there is no text encoder to train. Of a generator its UNet trains."""

    not_for_generators = None

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> FixedPrompt:
        return FixedPrompt(prompt_inputs.concepts)

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return name.startswith("model.")

    def set_modes(self, model: GroundedDetector, prompt: Prompt) -> None:
        model.train()


class EncoderBesideConcepts(Classifier):
    """Pixels through an image encoder that trains, compared with fixed vectors (K, N, d). Batch normalisation keeps the
    statistics of pretraining."""

    def __init__(self, encoder: DualEncoder, concepts: Tensor):
        super().__init__()
        self.encoder = encoder
        self.register_buffer("concepts", concepts)
        for name, parameter in encoder.named_parameters():
            parameter.requires_grad_(name.startswith(encoder.image_prefix))

    def train(self, mode: bool = True) -> "EncoderBesideConcepts":
        super().train(mode)
        self.encoder.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        pooled = self.encoder.encode_image(images).pooled
        return self.encoder.logit_scale.exp() * mean_cosines(pooled, self.concepts)


class ConceptFinetunedEncoder(ClassifierMethod):
    """With two encoders the image encoder trains; there is no text encoder. The recipe is that of full fine-tuning."""

    reads = frozenset({"image_encoder"})
    recipe = Recipe(
        optimiser="adamw",
        learning_rate=3e-5,
        weight_decay=0.1,
        epochs=10,
        batch_size=32,
        schedule="cosine_per_step",
        warmup_epochs=0,
        clip_norm=1.0,
    )

    def classifier(self, inputs: ClassifierInputs) -> EncoderBesideConcepts:
        return EncoderBesideConcepts(inputs.encoder, inputs.concepts)
