"""VP: learned pixels that are added to every picture (arXiv 2203.17274).

Official code: hjbahng/visual_prompting 679e71f, models/prompters.py, main_clip.py. x + v with x already normalised for
CLIP and v the same for all pictures; nothing is clamped. `form`:
- padding       a frame of `size` pixels: up and down over the full width, left and right between them
- fixed_patch   a square of `size` pixels in the upper left corner
- random_patch  the same square anywhere: row, then column, drawn in 0 … side - size - 1, so that it never touches the
                last row or column; one draw for a whole pass
Text: "This is a photo of a {}" without a full stop; names in small letters, hyphens are spaces. Cross-entropy, SGD 40,
momentum 0.9, no decay, batch 256, 1000 epochs, cosine; v starts from N(0, 1), so that training begins below zero-shot;
with `start_std` 0 it begins there: at zero-shot of its own text, which is not that of the set's template. At 224 pixels
the frame has 69,840 values.

What differs: the published code takes the best epoch by its test loader, here the last one counts; its 1000 linear
warm-up steps are left out; `size` is published at 224 pixels and shrinks with the side of the model's pictures. At test
the published random patch moves from batch to batch; here it has one place, drawn with the start, so that an answer
depends on no other picture.

On a detector (`FramedDetector`) the frame of 224 pixels (of the model's own short side, if that is less) is resized as
pictures are, to the size each has before padding, and added there: 69,840 values for any size. Class names as they are;
start, N(0, 1), as published, or of another spread by the arm's `start_std`; rate and budget are those of all methods.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.visual_prompts.frame import PUBLISHED_SIDE, SIZE, ResizedFrame, frame_shapes, joined_frame
from baselines.visual_prompts.prompted import PromptedImages
from cones.methods.classifier import ClassifierInputs, ClassifierMethod, Recipe, choice
from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import FixedPrompt
from cones.models.additions import add_module
from cones.models.detector import GroundedDetector
from cones.models.dual_encoder import DualEncoder

METHOD = {
    "name": "vp",
    "class": "FramedDetector",
    "classifier": "VP",
    "label": "VP",
    "block": "visual_prompts",
    "inputs": ["text_states"],
    "has_vectors": False,
    "start_std": 1.0,
    "trains_image_encoder": True,
    "survey": {
        "paper": "arXiv 2203.17274",
        "idea": "learned pixels are added to every picture",
        "attaches": "pixels, after normalisation",
        "trains": "a frame of 30 pixels, or a square: 69,840 values at 224 pixels",
        "quirk": "published epochs were chosen on test images; the last one counts here",
    },
}
TEMPLATE = "This is a photo of a {}"
FORMS = ("padding", "fixed_patch", "random_patch")


class PixelPrompt(PromptedImages):
    """Parameters as the code names them: pad_up, pad_down (1, 3, n, side), pad_left, pad_right (1, 3, side - 2n, n), or
    patch (1, 3, n, n). `place` (2,) is the row and column of a patch when it does not move."""

    def __init__(
        self, encoder: DualEncoder, text: Tensor, scale: float, pixels: dict[str, Tensor], place: Tensor, *, moves: bool
    ):
        super().__init__(encoder, text, scale)
        for name, value in pixels.items():
            self.register_parameter(name, value if isinstance(value, nn.Parameter) else nn.Parameter(value))
        self.moves, self.names = moves, tuple(pixels)
        self.register_buffer("place", place)

    def added(self) -> Tensor:
        """(1, 3, side, side): what is added to a picture."""
        side = self.encoder.picture_format.side
        if "pad_up" in self.names:
            return joined_frame(self)
        size = self.patch.shape[-1]
        row, column = (drawn_place(side, size) if self.moves and self.training else self.place).tolist()
        return F.pad(self.patch, (column, side - size - column, row, side - size - row))

    def encode(self, images: Tensor) -> Tensor:
        return super().encode(images + self.added())


class VP(ClassifierMethod):
    """The pixels serve any classes."""

    reads = frozenset({"image_encoder"})
    unseen_classes = True
    recipe = Recipe(
        optimiser="sgd",
        learning_rate=40.0,
        weight_decay=0.0,
        epochs=1000,
        batch_size=256,
        schedule="cosine_per_step",
        warmup_epochs=0,
        options={"form": "padding", "size": SIZE, "start_std": 1.0},
    )

    def classifier(self, inputs: ClassifierInputs) -> PixelPrompt:
        own, side = self.options(inputs), inputs.encoder.picture_format.side
        form, size = choice("form", own["form"], FORMS), max(1, round(own["size"] * side / PUBLISHED_SIDE))
        shapes = frame_shapes(side, size) if form == "padding" else {"patch": (1, 3, size, size)}
        pixels = {
            name: (own["start_std"] * torch.randn(shape, generator=inputs.generator)).to(inputs.encoder.logit_scale)
            for name, shape in shapes.items()
        }
        moves = form == "random_patch"
        place = drawn_place(side, size, inputs.generator) if moves else torch.zeros(2, dtype=torch.int64)
        return self.made(inputs, pixels, place, moves=moves)

    def for_classes(self, classifier: PixelPrompt, inputs: ClassifierInputs) -> PixelPrompt:
        pixels = {name: getattr(classifier, name) for name in classifier.names}
        return self.made(inputs, pixels, classifier.place, moves=classifier.moves)

    def made(self, inputs: ClassifierInputs, pixels: dict[str, Tensor], place: Tensor, *, moves: bool) -> PixelPrompt:
        text = inputs.text([TEMPLATE.format(plain(name)) for name in inputs.names])
        return PixelPrompt(inputs.encoder, text, inputs.logit_scale, pixels, place, moves=moves)


def plain(name: str) -> str:
    return name.lower().replace("_", " ").replace("-", " ")


def drawn_place(side: int, size: int, generator: torch.Generator | None = None) -> Tensor:
    """(2,) row, then column; without a generator by PyTorch's own, which training seeds at each step."""
    return torch.cat([torch.randint(side - size, (1,), generator=generator) for _ in range(2)])


class FramedDetector(TuningMethod):
    """On a detector: the frame trains; of zeros it is zero-shot."""

    unseen_classes = True

    def extend(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> None:
        side, std = min(PUBLISHED_SIDE, model.preprocessing.short_side), prompt_inputs.start_std or 0.0
        add_module(model, "pixels", "frame", ResizedFrame(side, std, prompt_inputs.generator), changes="input")

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> FixedPrompt:
        return FixedPrompt(prompt_inputs.text_states)

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return name.startswith("model.pixels.frame.")
