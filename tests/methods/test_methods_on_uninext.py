"""Every method of the paper on a nano UNINEXT, through the seams: what trains is right, and a step moves only that."""

import re

import pytest
import torch
from toy import paint_split

from cones.data.batches import Split
from cones.methods.method import METHODS, PromptInputs, TuningMethod
from cones.methods.prompts import CaptionPrompt, PromptContext, encode_caption
from cones.methods.settings import CellSettings, Tuning
from cones.models.checkpoints import build_detector, build_text_encoder, tokenizer_for
from cones.models.detector import Target
from cones.models.language import ClassPhrase, LanguageFeatures
from cones.training.tuner import Tuner

MODEL = "uninext_nano"
PHRASES = [ClassPhrase(name) for name in ("fish", "car", "dog")]
PAPER = [name for name, entry in METHODS.items() if entry.block != "control"]
# what trains, as a pattern over all parameter names
WORDS = r"dot_product_projection_text\.(weight|bias)|log_scale|bias_lang|bias0"
TRAINS = {
    "zero_shot": r"(?!)",
    "linear_probing": rf"model\.detr\.detr\.class_embed\.[0-2]\.({WORDS})",
    "textual_inversion": r"prompt\.vectors",
    "prompt_tuning": r"prompt\.vectors",
    "cones": r"prompt\.vectors",
    "full_finetuning": r"(model|prompt)\..*",
    "cones_finetuned": r"model\..*",
}


class FilledBoxes(Split):
    """Every object's mask is its box."""

    def sample(self, view, **how):
        sample = super().sample(view, **how)
        masks = torch.zeros(len(sample.target.boxes), *sample.size, dtype=torch.bool)
        for mask, (left, top, right, bottom) in zip(masks, sample.target.boxes.round().int().tolist()):
            mask[top:bottom, left:right] = True
        sample.target = Target(sample.target.boxes, sample.target.labels, sample.target.image_id, masks)
        return sample


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    paint_split(folder, "train", images=2, seed=0, sizes=((96, 96),))
    return folder


def ingredients_for(method: str, settings: CellSettings) -> PromptInputs:
    encoder, tokenizer = build_text_encoder(MODEL).eval(), tokenizer_for(MODEL)
    with torch.no_grad():
        text = CaptionPrompt(encoder, encode_caption(tokenizer, PHRASES))(PromptContext())
    prompt_inputs = PromptInputs(PHRASES, settings, torch.Generator().manual_seed(0))
    given = {
        "text_states": {"text_states": text},
        "text_encoder": {"text_encoder": encoder, "tokenizer": tokenizer},
        "stage1": {"concepts": LanguageFeatures.of_tokens_per_class(torch.randn(3, 2, encoder.width))},
    }
    for name in METHODS[method].inputs:
        for attribute, value in given[name].items():
            setattr(prompt_inputs, attribute, value)
    return prompt_inputs


@pytest.mark.parametrize("method", PAPER)
def test_one_step(method, data, tmp_path):
    torch.manual_seed(0)
    settings = CellSettings(
        method=method,
        tokens_per_class=2,
        init_std=1.0,
        learning_rate=1e-2,
        stage1="cones",
        prompts="plain",
        tuning=Tuning(max_epochs=1, train_short_sides=(96,)),
    )
    model, way = build_detector(MODEL), TuningMethod.load(method)
    assert way.supports(MODEL) is None
    prompt = way.prompt(model, ingredients_for(method, settings))
    split = FilledBoxes(data, "train", preprocessing=model.preprocessing, inclusive=model.inclusive_boxes)
    if not METHODS[method].is_tuned:
        assert not way.trainable("model.detr.controller.layers.0.weight", model)
        return
    tuner = Tuner(
        model=model,
        prompt=prompt,
        method=way,
        train=split,
        val=split,
        settings=settings,
        seed=0,
        device=torch.device("cpu"),
        checkpoint=tmp_path / "resume.pt",
    )
    parts = [("model", model), ("prompt", prompt)]
    everything = {f"{part}.{name}": value for part, module in parts for name, value in module.named_parameters()}
    assert set(tuner.trained) == {name for name in everything if re.fullmatch(TRAINS[method], name)}
    before = {name: value.detach().clone() for name, value in everything.items()}
    buffers = {name: value.clone() for name, value in model.named_buffers()}

    way.set_modes(model, prompt)
    losses = tuner.step([split.sample(view) for view in tuner._batches(0)[0]])
    assert len(losses) == 3 * 6 + 3 + 3 * 3 and all(0 <= value < 1e4 for value in losses.values())
    changed = {name for name, value in everything.items() if not torch.equal(value, before[name])}
    assert changed <= set(tuner.trained)
    silent = {name for name in set(tuner.trained) - changed if "transformer.resizer" not in name}
    assert len(silent) <= 0.05 * len(tuner.trained), sorted(silent)[:5]
    assert all(torch.equal(value, buffers[name]) for name, value in model.named_buffers())


def test_the_methods_name_no_model():
    from cones.weights.official import LIST

    root = LIST.parents[2]
    files = [*sorted((root / "baselines").glob("*.py")), root / "cones/search.py", root / "cones/finetune.py"]
    assert len(files) > 7
    for file in files:
        assert not re.search("glip|uninext", file.name + file.read_text(encoding="utf-8"), re.IGNORECASE), file
