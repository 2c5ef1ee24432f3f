"""IVLP: deep prompts of both encoders that know nothing of each other (the baseline of arXiv 2210.03117, 2307.06948).

n vectors in place of the first n words of "a photo of a <name>.", n tokens behind all patches of the picture, and n
fresh ones in place of both before each of the J - 1 blocks after the first, placed as MaPLe's (maple.py); no coupling.
Cross-entropy; tokens from N(0, 0.02²); SGD, batch 4. Two public `form`s:
- promptsrc  muzairkhattak/PromptSRC bb95c77, trainers/independentVL.py, configs/trainers/IVLP: n = 4, J = 9 of 12, rate
             0.0025, 20 epochs; 46,080 values in ViT-B/16
- maple      muzairkhattak/multimodal-prompt-learning 69bce21, its own IVLP file: n = 2, J = 12, rate 0.0035, 5 epochs;
             words behind the first two stay in the sentence
The recipe is that of promptsrc, the default; an arm of the other form says its rate and epochs itself. `vectors` and
`depth` are n and J where a cell has others.

What differs: encoders run in the precision of the cell (float16 there). Tokens change what frozen rows see: there is
no start at zero-shot.
"""

import torch
from torch import Tensor, nn

from baselines.joint_prompts.prompted import (
    DeepPrompts,
    JointPromptMethod,
    PromptedEncoders,
    checked_depth,
    start_of_words,
    texts_behind_words,
)
from cones.methods.classifier import ClassifierInputs, Recipe, choice
from cones.models.dual_encoder import BlockTokens

METHOD = {
    "name": "ivlp",
    "classifier": "IVLP",
    "not_for_detectors": "prompts of both encoders without a link; on detectors its halves are rows of their own,"
    " CoOp and VPT",
    "label": "IVLP",
    "block": "joint_prompts",
    "has_vectors": False,
    "trains_image_encoder": True,
    "survey": {
        "paper": "baseline of CVPR 2023, arXiv 2210.03117, and of ICCV 2023, arXiv 2307.06948",
        "idea": "learned vectors in several blocks of both encoders, each on its own",
        "attaches": "both encoders, the first 9 blocks",
        "trains": "4 vectors for each block of each encoder: 46,080 values in ViT-B/16",
        "quirk": "two public configurations exist: 4 vectors in 9 blocks, and 2 in 12",
    },
}
FORMS = {"promptsrc": {"vectors": 4, "depth": 9}, "maple": {"vectors": 2, "depth": 12}}
OPTIONS = {"form": "promptsrc", "vectors": None, "depth": None, "start_std": 0.02}


class IndependentPrompts(DeepPrompts):
    """Of the pictures `tokens` (J, n, D)."""

    def __init__(self, context: Tensor, deep: Tensor, tokens: Tensor):
        super().__init__(context, deep)
        self.tokens = nn.Parameter(tokens)

    def of_images(self) -> BlockTokens:
        return BlockTokens(dict(enumerate(self.tokens)), before_first_norm=True)


class IVLP(JointPromptMethod):
    """The vectors train, and serve any classes."""

    recipe = Recipe(optimiser="sgd", learning_rate=2.5e-3, batch_size=4, epochs=20, options=OPTIONS)

    def sizes(self, inputs: ClassifierInputs) -> tuple[int, int]:
        """(n, J)."""
        own = self.options(inputs)
        published = FORMS[choice("form", own["form"], tuple(FORMS))]
        return own["vectors"] or published["vectors"], own["depth"] or published["depth"]

    def classifier(self, inputs: ClassifierInputs) -> PromptedEncoders:
        (count, depth), std, encoder = self.sizes(inputs), self.options(inputs)["start_std"], inputs.encoder
        checked_depth(encoder, depth)
        context = start_of_words(inputs, count, std=std)
        deep = std * torch.randn(depth - 1, *context.shape, generator=inputs.generator)
        tokens = std * torch.randn(depth, count, encoder.image_width, generator=inputs.generator)
        return self.of_classes(inputs, IndependentPrompts(context, deep.to(context), tokens.to(context)))

    def of_classes(self, inputs: ClassifierInputs, prompts: IndependentPrompts) -> PromptedEncoders:
        texts = texts_behind_words(inputs, self.sizes(inputs)[0], len(prompts.context))
        return PromptedEncoders(texts, prompts, inputs.logit_scale)
