"""VPT-deep on CLIP: learned tokens in every block of the image encoder (ECCV 2022, arXiv 2203.12119).

The text of a class is frozen and stays the classifier; fresh tokens enter before every block in place of those of the
block before, without positions. Where they stand in the sequence changes nothing. Cross-entropy. Three public `form`s:
- mvlpt  sIncerass/MVLPT 6fa518b, trainers/mvlpt.py: after the first norm; 16 tokens from U(-a, a), a² = 6 / (3 p² + D)
         with the patch's side p and a row's width D; SGD 0.002, batch 32, 200 epochs
- maple  muzairkhattak/multimodal-prompt-learning 69bce21, trainers/vpt.py: the first block's tokens pass the first
         norm; 8 tokens from N(0, 0.02²); SGD 0.0025
- dpt    fanrena/DPT 11fef90, trainers/VPT.py: after the first norm, as mvlpt; 10 tokens from N(0, 0.02²); SGD 0.01, 100
         epochs, 10 of them warm-up
The recipe is that of mvlpt, the default; an arm of another form says its rate and epochs itself.

What differs: the original (KMnP/vpt) trains a linear head in place of the texts and chooses rate and decay on a grid;
MVLPT takes the best epoch on validation, here the last one counts. Tokens change what the frozen rows see even where
they are zero: there is no start at zero-shot.

On a detector (`TokensInWindows`) tokens stand in every window of every block of a Swin, as the original has them there
(KMnP/vpt 7f3942e, src/models/vit_prompt/swin_transformer.py, `prepend`, `DEEP`): they pass the block's first norm, have
neither bias nor mask, and the next block has its own. All start from U(-a, a), with D the width of the first block. Its
count of tokens is the one whose values are nearest to ConES's: 45 for a Swin-T; the original tries 1 to 200.
"""

import torch
from torch import Tensor, nn

from baselines.equal_budget import parts_of_equal_budget
from baselines.visual_prompts.prompted import PromptedImages
from cones.methods.classifier import ClassifierInputs, ClassifierMethod, Recipe, choice
from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import FixedPrompt
from cones.models.additions import add_module
from cones.models.detector import GroundedDetector
from cones.models.dual_encoder import BlockTokens, DualEncoder
from cones.models.missing_places import reason_against_block_tokens, reason_against_image_tokens

METHOD = {
    "name": "vpt_deep",
    "class": "TokensInWindows",
    "classifier": "VPTDeep",
    "label": "VPT-deep",
    "block": "visual_prompts",
    "inputs": ["text_states"],
    "has_vectors": False,
    "trains_image_encoder": True,
    "survey": {
        "paper": "ECCV 2022, arXiv 2203.12119",
        "idea": "fresh learned tokens join the sequence of the image encoder before every block",
        "attaches": "image encoder, every block",
        "trains": "16 tokens for each block: 147,456 values in ViT-B/16",
        "quirk": "three public forms on CLIP differ in the norm before the first block, the start and the rate",
    },
}
TOKENS = {"mvlpt": 16, "maple": 8, "dpt": 10}  # published, by form


class DeepTokens(PromptedImages):
    """Tokens (blocks, n, D), one set for each block."""

    def __init__(self, encoder: DualEncoder, text: Tensor, scale: float, tokens: Tensor, *, before_first_norm: bool):
        super().__init__(encoder, text, scale)
        self.tokens = tokens if isinstance(tokens, nn.Parameter) else nn.Parameter(tokens)
        self.before_first_norm = before_first_norm

    def encode(self, images: Tensor) -> Tensor:
        tokens = BlockTokens(dict(enumerate(self.tokens)), before_first_norm=self.before_first_norm)
        return self.encoder.encode_image(images, tokens=tokens).pooled


class VPTDeep(ClassifierMethod):
    """The tokens serve any classes. `tokens`: how many enter a block; None: as many as the form published."""

    reads = frozenset({"image_encoder"})
    unseen_classes = True
    recipe = Recipe(optimiser="sgd", learning_rate=2e-3, epochs=200, options={"form": "mvlpt", "tokens": None})

    def supports(self, model_name: str, setting: str) -> str | None:
        return reason_against_image_tokens(model_name)

    def classifier(self, inputs: ClassifierInputs) -> DeepTokens:
        own, encoder = self.options(inputs), inputs.encoder
        form = choice("form", own["form"], tuple(TOKENS))
        shape = (encoder.image_blocks, own["tokens"] or TOKENS[form], encoder.image_width)
        tokens = drawn_tokens(shape, encoder.image_patch, form, inputs.generator).to(encoder.logit_scale)
        return self.made(inputs, tokens)

    def for_classes(self, classifier: DeepTokens, inputs: ClassifierInputs) -> DeepTokens:
        return self.made(inputs, classifier.tokens)

    def made(self, inputs: ClassifierInputs, tokens: Tensor) -> DeepTokens:
        before = self.options(inputs)["form"] == "maple"
        return DeepTokens(inputs.encoder, inputs.class_texts(), inputs.logit_scale, tokens, before_first_norm=before)


def drawn_tokens(shape: tuple[int, int, int], patch: int, form: str, generator: torch.Generator) -> Tensor:
    """The start of the tokens (blocks, n, D) as a form published it."""
    if form != "mvlpt":
        return 0.02 * torch.randn(shape, generator=generator)
    return reach(patch, shape[-1]) * (2 * torch.rand(shape, generator=generator) - 1)


def reach(patch: int, width: int) -> float:
    """a of U(-a, a): that of a layer which makes rows of patches."""
    return (6 / (3 * patch**2 + width)) ** 0.5


class TokensOfBlock(nn.Module):
    """Inputs of a block of a detector's image encoder -> the same with tokens (n, D)."""

    def __init__(self, tokens: Tensor):
        super().__init__()
        self.tokens = nn.Parameter(tokens)

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        return rows, self.tokens


class TokensInWindows(TuningMethod):
    """On a detector: the tokens of every block train; the text encoder has run once."""

    unseen_classes = True

    def supports(self, model_name: str) -> str | None:
        return super().supports(model_name) or reason_against_block_tokens(model_name)

    def extend(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> None:
        blocks, generator = model.image_blocks, prompt_inputs.generator
        count = parts_of_equal_budget(model, sum(blocks.widths.values()), what="tokens of each block")
        a = reach(blocks.patch, next(iter(blocks.widths.values())))
        for place, width in blocks.widths.items():
            tokens = a * (2 * torch.rand(count, width, generator=generator) - 1)
            add_module(model, place, "prompts", TokensOfBlock(tokens), changes="input")

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> FixedPrompt:
        return FixedPrompt(prompt_inputs.text_states)

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return name.endswith(".prompts.tokens")
