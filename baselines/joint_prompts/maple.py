"""MaPLe: deep text prompts, and image prompts that are made of them (CVPR 2023, arXiv 2210.03117).

Official code: muzairkhattak/multimodal-prompt-learning 69bce21, trainers/maple.py, clip/model.py, configs/trainers/
MaPLe/vit_b16_c2_ep5_batch4_2ctx.yaml. n = 2 vectors stand in place of the first n words of "a photo of a <name>."; the
words behind them ("of a") stay. Before each of the J - 1 blocks after the first, rows 1 … n of the text are replaced
by n further vectors. The same n vectors, of the first block without their positions, go through a Linear(w -> D) of
each block and stand behind all patches of the image encoder: those of the first block pass the first norm, later ones
replace those before them, and behind block J the last ones stay. J = 9 of 12. Cross-entropy; SGD 0.0035, batch 4, 5
epochs. Deep vectors from N(0, 0.02²), Linears as PyTorch's, the deep ones as copies of one: 3,555,072 values in
ViT-B/16. For other data sets J = 3, 0.0026 and 2 epochs are published.

What differs: encoders run in the precision of the cell (float16 there). `vectors` counts words of the sentence, whose
tokens are the vectors; more than four start at random. Tokens change what frozen rows see: there is no start at
zero-shot.

On a detector (`CoupledDetector`) N vectors of the suite stand before every class name in the one caption, as CoOp's do
there, and are replaced before each of the first three quarters of the text encoder's layers. Their maps enter the
windows of three quarters of the image encoder's blocks, behind each block's first norm, and are dropped behind the
block. A Swin's widths differ from stage to stage: one map for each stage; blocks beyond the layers share their vectors.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

from baselines.joint_prompts.coupled_tokens import CoupledCaption, coupled_tokens, sources_of
from baselines.joint_prompts.prompted import (
    DeepPrompts,
    JointPromptMethod,
    PromptedEncoders,
    checked_depth,
    start_of_words,
    texts_behind_words,
)
from baselines.text_prompts.caption import caption_with_context
from cones.methods.classifier import ClassifierInputs, Recipe
from cones.methods.drawn_layers import linear
from cones.methods.method import PromptInputs, TuningMethod
from cones.models.additions import add_module
from cones.models.detector import GroundedDetector
from cones.models.dual_encoder import BlockTokens
from cones.models.missing_places import reason_against_block_tokens

METHOD = {
    "name": "maple",
    "class": "CoupledDetector",
    "classifier": "MaPLe",
    "label": "MaPLe",
    "block": "joint_prompts",
    "inputs": ["text_encoder"],
    "start_std": "word",
    "has_vectors": False,
    "trains_image_encoder": True,
    "survey": {
        "paper": "CVPR 2023, arXiv 2210.03117",
        "idea": "text vectors of several blocks, and image tokens that a linear layer makes of them",
        "attaches": "both encoders, the first 9 blocks",
        "trains": "2 text vectors for each block and its linear layer: 3,555,072 values in ViT-B/16",
        "quirk": "two words of the sentence are learned, the others stay in it",
    },
}


class CoupledPrompts(DeepPrompts):
    """Image tokens are made of those of the texts by `couplings`, J layers w -> D."""

    def __init__(self, context: Tensor, deep: Tensor, couplings: nn.ModuleList):
        super().__init__(context, deep)
        self.couplings = couplings

    def of_images(self) -> BlockTokens:
        sources = (self.context, *self.deep)
        made = {block: couple(source) for block, (couple, source) in enumerate(zip(self.couplings, sources))}
        return BlockTokens(made, before_first_norm=True)


class MaPLe(JointPromptMethod):
    """Prompts and couplings train, and serve any classes."""

    recipe = Recipe(
        optimiser="sgd",
        learning_rate=3.5e-3,
        batch_size=4,
        epochs=5,
        options={"vectors": 2, "depth": 9, "start_std": 0.02},
    )

    def classifier(self, inputs: ClassifierInputs) -> PromptedEncoders:
        own, encoder, generator = self.options(inputs), inputs.encoder, inputs.generator
        depth = checked_depth(encoder, own["depth"])
        context = start_of_words(inputs, own["vectors"], std=own["start_std"])
        deep = own["start_std"] * torch.randn(depth - 1, *context.shape, generator=generator)
        first, others = (linear(encoder.text_width, encoder.image_width, generator=generator) for _ in range(2))
        couplings = nn.ModuleList([first, *(deepcopy(others) for _ in range(depth - 1))])
        return self.of_classes(inputs, CoupledPrompts(context, deep.to(context), couplings.to(context)))

    def of_classes(self, inputs: ClassifierInputs, prompts: CoupledPrompts) -> PromptedEncoders:
        texts = texts_behind_words(inputs, self.options(inputs)["vectors"], len(prompts.context))
        return PromptedEncoders(texts, prompts, inputs.logit_scale)


class CoupledDetector(TuningMethod):
    """On a detector: text vectors and maps train; the text encoder is frozen and in the gradient's path."""

    unseen_classes = True

    def supports(self, model_name: str) -> str | None:
        return super().supports(model_name) or reason_against_block_tokens(model_name)

    def extend(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> None:
        for place, tokens in coupled_tokens(model, prompt_inputs):
            add_module(model, place, "coupled", tokens, changes="input")

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> CoupledCaption:
        sources = sources_of(model, "coupled")
        return CoupledCaption(caption_with_context(prompt_inputs, sources[0].vectors.detach()[None]), sources)

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return ".coupled." in name
