"""What tests of joint prompts share: golden starts and the numbers that every golden file of them holds."""

from collections.abc import Mapping

import torch
from torch import Tensor

from baselines.joint_prompts.prompted import PromptedEncoders
from cones.methods.classifier import ClassifierInputs, ClassifierMethod, Recipe
from cones.models.dual_encoder import unit
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import NAMES, golden_clip, golden_images
from tests.methods.classifier.golden_words import GoldenTokenizer, golden_vectors, prompt_inputs
from tests.methods.classifier.prompted_images import set_to, steps_hold, trained
from tests.models.clip.seen import outputs_of

BLOCKS = {f"block{i}": f"visual.transformer.resblocks.{i}" for i in range(4)}


def golden_inputs(golden: GoldenFile, recipe: Recipe, **others) -> ClassifierInputs:
    """A model of its own; words of "a photo of a" also in parts."""
    tokenizer = GoldenTokenizer(NAMES, golden["in/token_ids"], before=4)
    tokenizer.phrases |= {"a photo": [320, 1125], "of a": [539, 320]}
    return prompt_inputs(tokenizer, encoder=golden_clip(), recipe=recipe, **others)


def rows_hold(golden: GoldenFile, classifier: PromptedEncoders, *, first: int, last: int, key: str) -> None:
    """Rows of the class, of the first and of the last token behind each image block, of the first training picture.

    first, last  rows of these tokens here, where they stand at the end; `key` has their official names
    """
    with outputs_of(classifier.encoder, BLOCKS) as seen:
        golden.compare("mid/image_features", classifier.encode(golden_images("train", 8)))
    for i, length in enumerate(golden["mid/vis_seq_len"]):
        assert seen[f"block{i}"].shape[1] == length
        golden.compare(key.format(i), seen[f"block{i}"][0, [0, first, last]], within=5e-5)


def features_hold(golden: GoldenFile, classifier: PromptedEncoders) -> None:
    texts = classifier.class_texts()
    golden.compare("mid/text_features", texts, within=5e-5)
    golden.compare("mid/text_features_unit", unit(texts), within=5e-5)
    golden.compare("mid/image_features_test", classifier.encode(golden_images("test", 6)), within=5e-5)
    golden.compare("logits/train", classifier(golden_images("train", 8)), within=5e-5)
    golden.compare("logits/test", classifier(golden_images("test", 6)), within=5e-5)


def three_steps_hold(
    golden: GoldenFile, method: ClassifierMethod, classifier: PromptedEncoders, start: Mapping[str, Tensor], by_name
) -> None:
    """Gradients at the start, and what three steps leave; `by_name(tensors by our names)` -> by official names."""
    steps = steps_hold(golden, "loss/steps_0_1_2_3", method, classifier, method.recipe)
    moved = {name: value - start[name] for name, value in steps.parameters[2].items()}
    for kind, values, within in (
        ("grad", steps.gradients[0], 1e-3),
        ("step3", steps.parameters[2], 5e-5),
        ("step3delta", moved, 5e-2),
    ):
        for name, value in by_name(values).items():
            key = f"{kind}/{name}"
            if kind != "step3delta" or key in golden:
                golden.compare(key, value, within=within)
    golden.compare("step3/logits_train", classifier(golden_images("train", 8)), within=5e-5)
    golden.compare("step3/logits_test", classifier(golden_images("test", 6)), within=5e-5)


# ------------------------------------------------------------------------------------------- IVLP's and PromptSRC's

TEXT_BLOCK = "text_encoder.transformer.resblocks.{}.VPT_shallow"
IMAGE_BLOCK = "image_encoder.transformer.resblocks.{}.VPT_shallow"
FIRST, CONTEXT = "image_encoder.VPT", "prompt_learner.ctx"


def independent_by_name(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Vectors by their official names."""
    tokens, deep = values["prompts.tokens"], values["prompts.deep"]
    found = {CONTEXT: values["prompts.context"], FIRST: tokens[0]}
    found |= {IMAGE_BLOCK.format(block): tokens[block] for block in (1, 2)}
    return found | {TEXT_BLOCK.format(block): deep[block - 1] for block in (1, 2)}


def independent_start(classifier: PromptedEncoders, prefix: str) -> None:
    """The golden start; that of the context are the words."""
    tokens = [golden_vectors(f"{prefix}/{FIRST}", (4, 192), 0.3)]
    tokens += [golden_vectors(f"{prefix}/{IMAGE_BLOCK.format(block)}", (4, 192), 0.5) for block in (1, 2)]
    deep = [golden_vectors(f"{prefix}/{TEXT_BLOCK.format(block)}", (4, 128), 0.1) for block in (1, 2)]
    assert trained(classifier) == {"prompts.context", "prompts.tokens", "prompts.deep"}
    set_to(classifier, {"prompts.tokens": torch.stack(tokens), "prompts.deep": torch.stack(deep)})
