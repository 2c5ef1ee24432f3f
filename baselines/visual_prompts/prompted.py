"""What visual prompts share: pictures through a frozen image encoder against class texts that never change."""

from torch import Tensor

from cones.methods.classifier import Classifier
from cones.models.dual_encoder import DualEncoder, scaled_cosines


class PromptedImages(Classifier):
    """logits = `scale` * cosine of the prompted image and the frozen text of a class (K, d), which is kept."""

    def __init__(self, encoder: DualEncoder, text: Tensor, scale: float):
        super().__init__()
        self.encoder, self.scale = encoder.requires_grad_(False).eval(), scale
        self.register_buffer("text", text)

    def train(self, mode: bool = True) -> "PromptedImages":
        super().train(mode)
        self.encoder.eval()
        return self

    def encode(self, images: Tensor) -> Tensor:
        """Pixels (B, 3, side, side) -> (B, d), with the prompt; without one as zero-shot does it."""
        return self.encoder.encode_image(images).pooled

    def forward(self, images: Tensor) -> Tensor:
        return scaled_cosines(self.encode(images), self.text, self.scale)
