"""UPT: one set of vectors becomes the prompts of both encoders (arXiv 2210.07225), as MVLPT's authors published it.

Official code: sIncerass/MVLPT 6fa518b, trainers/mvlpt.py (yuhangzang/UPT 3a17c46 has a README alone). 4 text vectors
(w wide) and 4 image vectors (D wide) for each image block go through Linears to m = 128, as one sequence through one
transformer block, and through Linears back to w and D; a Linear is left out where the widths are equal. There is no
way around the block: the vectors themselves are never used. The 4 that come out stand in the text as vectors, half
before the name and half behind it; those of each block stand in the image encoder's sequence, behind the first norm,
in place of those of the block before. Cross-entropy; everything trains; SGD 0.002, batch 32, 200 epochs. Text vectors
from N(0, 0.02²), image vectors from U(-a, a) as VPT's (vpt_deep.py), layers as PyTorch's.

Code and paper (`form`): the code gives the block the sequence in the wrong axis, so that every token is a sequence of
its own and none sees another; queries and keys get no gradient and only decay. The paper lets all tokens attend to each
other. `code` is the default, as its numbers were published; `paper` is checked against the edited code. Left out: the
code's option of an MLP in place of the block, which cannot run. Its best epoch on validation is here the last one.
"""

import torch
from torch import Tensor, nn

from baselines.joint_prompts.prompted import JointPromptMethod, JointPrompts, PromptedEncoders
from baselines.joint_prompts.unified_block import UnifiedBlock
from baselines.text_prompts.context import ContextTexts, drawn_context
from baselines.visual_prompts.vpt_deep import drawn_tokens
from cones.methods.classifier import ClassifierInputs, Recipe, choice
from cones.methods.drawn_layers import linear
from cones.models.dual_encoder import BlockTokens

METHOD = {
    "name": "upt",
    "classifier": "UPT",
    "not_for_detectors": "one block makes the prompts of both encoders and asks for token widths of one ViT; Swin"
    " and ResNet stages have several",
    "label": "UPT",
    "block": "joint_prompts",
    "has_vectors": False,
    "trains_image_encoder": True,
    "survey": {
        "paper": "arXiv 2210.07225; code of WACV 2024, arXiv 2211.11720",
        "idea": "one small transformer makes the prompts of both encoders",
        "attaches": "text encoder, input; image encoder, every block",
        "trains": "4 text vectors, 4 image vectors for each block, and the layers that make prompts of them",
        "quirk": "in the published code the vectors do not see each other; the paper's form is an option",
    },
}
FORMS = ("code", "paper")


class UnifiedPrompts(JointPrompts):
    """context (n, w) and tokens (blocks, n, D) before the layers; all of both are made at once."""

    def __init__(self, context: Tensor, tokens: Tensor, inner: int, *, interacting: bool, generator: torch.Generator):
        super().__init__()
        self.context, self.tokens = nn.Parameter(context), nn.Parameter(tokens)
        width, image_width = context.shape[-1], tokens.shape[-1]
        self.text_before, self.text_behind = _there_and_back(width, inner, generator)
        self.image_before, self.image_behind = _there_and_back(image_width, inner, generator)
        self.block = UnifiedBlock(inner, interacting=interacting, generator=generator)

    def made(self) -> tuple[Tensor, Tensor]:
        """The prompts that are used: (n, w), (blocks, n, D)."""
        joined = torch.cat([self.text_before(self.context), self.image_before(self.tokens.flatten(0, 1))])
        text, image = self.block(joined).split([len(self.context), len(joined) - len(self.context)])
        return self.text_behind(text), self.image_behind(image).view(self.tokens.shape)

    def of_texts(self) -> tuple[Tensor, None]:
        return self.made()[0], None

    def of_images(self) -> BlockTokens:
        return BlockTokens(dict(enumerate(self.made()[1])))


def _there_and_back(width: int, inner: int, generator: torch.Generator) -> tuple[nn.Module, nn.Module]:
    if width == inner:
        return nn.Identity(), nn.Identity()
    return linear(width, inner, generator=generator), linear(inner, width, generator=generator)


class UPT(JointPromptMethod):
    """The prompts serve any classes. `vectors`: n; `inner`: m."""

    recipe = Recipe(
        optimiser="sgd",
        learning_rate=2e-3,
        epochs=200,
        options={"form": "code", "vectors": 4, "inner": 128, "start_std": 0.02},
    )

    def note(self, inputs: ClassifierInputs) -> str | None:
        is_paper = self.options(inputs)["form"] == "paper"
        return "form paper is a reconstruction: in the public code no vector sees another" if is_paper else None

    def classifier(self, inputs: ClassifierInputs) -> PromptedEncoders:
        own, encoder, generator = self.options(inputs), inputs.encoder, inputs.generator
        context = drawn_context(inputs, own["vectors"], std=own["start_std"])
        shape = (encoder.image_blocks, own["vectors"], encoder.image_width)
        tokens = drawn_tokens(shape, encoder.image_patch, "mvlpt", generator).to(context)
        interacting = choice("form", own["form"], FORMS) == "paper"
        prompts = UnifiedPrompts(context, tokens, own["inner"], interacting=interacting, generator=generator)
        return self.of_classes(inputs, prompts.to(context))

    def of_classes(self, inputs: ClassifierInputs, prompts: UnifiedPrompts) -> PromptedEncoders:
        vectors = len(prompts.context)
        texts = ContextTexts(inputs.encoder, inputs.tokenizer, inputs.names, vectors=vectors, position="middle")
        return PromptedEncoders(texts, prompts, inputs.logit_scale)
