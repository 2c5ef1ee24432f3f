"""One step of tuning of any method on any nano model: what trains, what moved, and the losses."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from cones.data.batches import Split
from cones.data.pyramids import LivePyramids
from cones.methods.method import METHODS, PromptInputs, TunedValues, TuningMethod
from cones.methods.prompts import CaptionPrompt, PromptContext, encode_caption
from cones.methods.settings import CellSettings, Tuning
from cones.models.checkpoints import build_detector, build_text_encoder, tokenizer_for
from cones.models.language import ClassPhrase, LanguageFeatures
from cones.training.images import training_images
from cones.training.tuner import Tuner

PHRASES = [ClassPhrase(name) for name in ("fish", "car", "dog")]

# methods of the survey: what trains on any family, as a pattern over all parameter names; and the terms that they add
SURVEY = {
    "coop": r"prompt\.vectors",
    "kgcoop": r"prompt\.vectors",
    "cones_kg": r"prompt\.vectors",
    "cocoop": r"prompt\.(caption\.vectors|meta_net\.linear[12]\.(weight|bias))",
    "taskres": r"prompt\.residuals",
    "clip_adapter": r"prompt\.adapter\.[02]\.weight",
    "cupl": r"(?!)",
    "vcd": r"(?!)",
    "prograd": r"prompt\.vectors",
    "lasp": r"prompt\.(caption\.vectors|correction)",
    "variational": r"prompt\.(caption\.vectors|posterior\.(mean|log_variance)\.[024]\.(weight|bias))",
    "upl": r"prompt\.vectors",
    "dualcoop": r"prompt\.caption\.vectors",
    "calip": r"(?!)",
    "tpt": r"(?!)",
    "tip_adapter": r"(?!)",
    "tip_adapter_f": r"prompt\.keys",
    "wise_ft_full": r"(model|prompt)\..*",
    "wise_ft_cones": r"model\..*",
    "bias_only": r"model\.(?!(.*\.)?(bn|downsample\.1)).*\bbias(0|_lang)?",
    "vp": r"model\.pixels\.frame\.pad_(up|down|left|right)",
    "vpt_deep": r"model\..*\.layers\.\d\.blocks\.\d\.prompts\.tokens",
    "maple": r"model\..*\.layers\.\d\.blocks\.\d\.coupled\.(source\.vectors|coupling\.(weight|bias))",
    "sdpt": r"model\..*attn\.prototypes\.tokens",
    "sdpt_paper": r"model\..*attn\.prototypes\.tokens",
    "lora": r"model\..*\.parametrizations\.weight\.0\.(down|up)",
}
# one of each way: words, image features, parts of the encoder, all weights, scores, no training
QUICK = (
    "linear_probing",
    "cones",
    "full_finetuning",
    "cones_finetuned",
    "lora",
    "sdpt",
    "bias_only",
    "calip",
    "tip_adapter_f",
)
GLIP_ALONE = {"plot": r"prompt\.caption\.vectors"}  # others have no regions of points
OWN_TERMS = {
    "kgcoop": {"anchor"},
    "cones_kg": {"anchor"},
    "prograd": {"teacher"},
    "lasp": {"between_texts"},
    "variational": {"divergence"},
}


def settings_for(method: str) -> CellSettings:
    return CellSettings(
        method=method,
        tokens_per_class=2,
        learning_rate=1e-2,
        stage1="cones",
        prompts="plain",
        tuned_arm=METHODS[method].tuned_arm,
        tuning=Tuning(max_epochs=1, train_short_sides=(96,)),
    )


def prompt_inputs_for(model: str, method: str) -> PromptInputs:
    """What the method's registry entry asks for, of this model's family."""
    encoder, tokenizer = build_text_encoder(model).eval(), tokenizer_for(model)
    with torch.no_grad():
        text = CaptionPrompt(encoder, encode_caption(tokenizer, PHRASES))(PromptContext())
    prompt_inputs = PromptInputs(PHRASES, settings_for(method), torch.Generator().manual_seed(0), 1.0)
    given = {
        "text_states": {"text_states": text},
        "text_encoder": {"text_encoder": encoder, "tokenizer": tokenizer},
        "stage1": {"concepts": (concepts := LanguageFeatures.of_tokens_per_class(torch.randn(3, 2, encoder.width)))},
        "tuned": {"tuned": TunedValues({}, concepts)},
    }
    for name in set(METHODS[method].inputs) - {"training_images"}:  # those are of a split
        for attribute, value in given[name].items():
            setattr(prompt_inputs, attribute, value)
    return prompt_inputs


@dataclass
class Step:
    """all      every parameter's name, "model.…" or "prompt.…"
    trained  those that the method trains
    moved    those that a step changed
    buffers  whether one of the model's buffers changed
    """

    method: TuningMethod
    model: nn.Module
    all: set[str]
    trained: set[str]
    moved: set[str]
    losses: dict[str, float]
    buffers: bool


def one_step(model_name: str, method: str, data: Path, folder: Path, split_type: type[Split] = Split) -> Step:
    """Build model and method from the seed 0 and take one step on the training split in `data`; an untuned method
    takes none."""
    torch.manual_seed(0)
    model, way = build_detector(model_name), TuningMethod.load(method)
    assert way.supports(model_name) is None
    split = split_type(data, "train", preprocessing=model.preprocessing, inclusive=model.inclusive_boxes)
    prompt_inputs = prompt_inputs_for(model_name, method)
    if "training_images" in METHODS[method].inputs:
        pyramids = LivePyramids(model, torch.device("cpu"))
        prompt_inputs.training_images = partial(training_images, split, pyramids, torch.device("cpu"), "float32")
    way.extend(model, prompt_inputs)
    prompt = way.prompt(model, prompt_inputs)
    parts = [("model", model), ("prompt", prompt)]
    values = {f"{part}.{name}": value for part, module in parts for name, value in module.named_parameters()}
    if not METHODS[method].is_tuned:
        trained = {name for name, value in values.items() if way.trainable(name, model)}
        return Step(way, model, set(values), trained, set(), {}, False)
    tuner = Tuner(
        model=model,
        prompt=prompt,
        method=way,
        train=split,
        val=split,
        settings=settings_for(method),
        seed=0,
        device=torch.device("cpu"),
        checkpoint=folder / "resume.pt",
    )
    before = {name: value.detach().clone() for name, value in values.items()}
    buffers: dict[str, Tensor] = {name: value.clone() for name, value in model.named_buffers()}
    way.set_modes(model, prompt)
    losses = tuner.step([split.sample(view) for view in tuner._batches(0)[0]])
    moved = {name for name, value in values.items() if not torch.equal(value, before[name])}
    changed = any(not torch.equal(value, buffers[name]) for name, value in model.named_buffers())
    return Step(way, model, set(values), set(tuner.trained), moved, losses, changed)
