"""Step `text`: encode class names with the frozen text encoder, once per model and dataset."""

import torch

from cones.experiment.cell import Plan
from cones.methods.prompts import CaptionPrompt, PromptContext, encode_caption
from cones.models.checkpoints import load_text_encoder
from cones.models.language import ClassPhrase
from cones.runtime.artifacts import save_tensors, sha256
from cones.runtime.progress import log
from cones.steps.base_model import caption_tokenizer


def phrases_of(manifest: dict, prompts: str) -> list[ClassPhrase]:
    """The phrase of each class; `prompts` is "plain" or "glip_manual" (plain where a dataset has no manual phrases)."""
    manual = prompts == "glip_manual" and manifest["manual_phrases"]
    return [ClassPhrase(**phrase) for phrase in manual or manifest["phrases"]]


def encode_class_names(plan: Plan, model: str, dataset: str) -> None:
    """Writes `hidden (1, L, D)`, `mask`, `class_positions` and, for some families, `phrases` of the caption of all
    class names."""
    phrases = phrases_of(plan.manifest(dataset), plan.suite.prompts)
    encoder, tokenizer = load_text_encoder(model, plan.weights(model)).eval(), caption_tokenizer(plan, model)
    for phrase in phrases:
        if tokenizer.divides(text := f"{phrase.prefix}{phrase.name}{phrase.suffix}"):
            log.warning('%s reads "%s" of %s as several phrases, as published: it has "." or "?"', model, text, dataset)
    prompt = CaptionPrompt(encoder, encode_caption(tokenizer, phrases))
    with torch.no_grad():
        features = prompt(PromptContext())
    path = plan.text_states(model, dataset)
    metadata = {
        "base_sha256": sha256(plan.weights(model)),
        "text_encoder_parameters": str(sum(parameter.numel() for parameter in encoder.parameters())),
    }
    save_tensors(path, features.tensors(), metadata)
    log.info("%s: %d positions for %d classes", path, features.hidden.shape[1], len(phrases))
