"""Every method and control on a nano Grounding DINO, through the seams: what trains is right, nothing else moves."""

import re

import pytest
import torch
from toy import paint_split

from cones.data.batches import Split
from cones.methods.method import METHODS, PromptInputs, TuningMethod
from cones.methods.prompts import CaptionPrompt, PromptContext, encode_caption
from cones.methods.settings import CellSettings, Tuning
from cones.models.checkpoints import build_detector, build_text_encoder, tokenizer_for
from cones.models.grounding_dino.criterion import term_names
from cones.models.language import ClassPhrase, LanguageFeatures, phrase_places
from cones.training.state import State
from cones.training.tuner import Tuner

MODEL = "grounding_dino_nano"
PHRASES = [ClassPhrase(name) for name in ("fish", "car", "dog")]
LAST_BOX_LAYER = r"(bbox_embed\.[0-2]|model\.encoder_output_bbox_embed)\.layers\.2\.(weight|bias)"
CLASS_BIAS = r"(class_embed\.[0-2]|model\.encoder_output_class_embed)\.bias"
# what trains, as a pattern over all parameter names
TRAINS = {
    "zero_shot": r"(?!)",
    "linear_probing": rf"model\.(model\.text_projection\.(weight|bias)|{CLASS_BIAS}|{LAST_BOX_LAYER})",
    "textual_inversion": r"prompt\.vectors",
    "prompt_tuning": r"prompt\.vectors",
    "cones": r"prompt\.vectors",
    "full_finetuning": r"(model|prompt)\..*",
    "cones_finetuned": r"model\..*",
    "added_table": r"prompt\.vectors",
    "cones_text_init": r"prompt\.vectors",
    "cones_step0": r"(?!)",
}
# places of the rows in their phrases: [CLS] fish . car . dog . [SEP], vectors beside or instead of the names
NAMES = [0, 0, 1, 0, 1, 0, 1, 0]
PLACES = {
    "zero_shot": NAMES,
    "linear_probing": NAMES,
    "textual_inversion": [0, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0],
    "prompt_tuning": [0, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0],
    "cones": [0, 1] * 3,
    "full_finetuning": NAMES,
    "cones_finetuned": [0, 1] * 3,
    "added_table": NAMES,
    "cones_text_init": [0, 1] * 3,
    "cones_step0": [0, 1] * 3,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    paint_split(folder, "train", images=2, seed=0, sizes=((96, 96),))
    return folder


def settings_for(method: str) -> CellSettings:
    return CellSettings(
        method=method,
        tokens_per_class=2,
        init_std=1.0,
        learning_rate=1e-2,
        stage1="cones",
        prompts="plain",
        tuning=Tuning(max_epochs=1, train_short_sides=(96,)),
    )


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


def test_every_method_is_here():
    assert set(TRAINS) == set(PLACES) == set(METHODS)


@pytest.mark.parametrize("method", TRAINS)
def test_one_step(method, data, tmp_path):
    torch.manual_seed(0)
    settings = settings_for(method)
    model, way = build_detector(MODEL), TuningMethod.load(method)
    assert way.supports(MODEL) is None
    prompt = way.prompt(model, ingredients_for(method, settings))
    split = Split(data, "train", preprocessing=model.preprocessing, inclusive=model.inclusive_boxes)
    if not METHODS[method].is_tuned:
        assert not way.trainable("model.model.text_projection.weight", model)
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

    way.set_modes(model, prompt)
    losses = tuner.step([split.sample(view) for view in tuner._batches(0)[0]])
    assert set(losses) == set(term_names(3, model.loss_groups)) and len(losses) == 12
    assert all(0 <= value < 1e4 for value in losses.values())
    changed = {name for name, value in everything.items() if not torch.equal(value, before[name])}
    assert changed <= set(tuner.trained)
    silent = set(tuner.trained) - changed
    assert len(silent) <= 0.05 * len(tuner.trained), sorted(silent)[:5]


@pytest.mark.parametrize("method", TRAINS)
def test_language_says_where_phrases_begin_also_after_it_was_stored(method, tmp_path):
    model, way = build_detector(MODEL), TuningMethod.load(method)
    prompt = way.prompt(model, ingredients_for(method, settings_for(method)))
    with torch.no_grad():
        language = prompt.eval()(PromptContext())
    State(language=language, base_sha256="0" * 64).save(tmp_path / "state.safetensors")
    read = State.load(tmp_path / "state.safetensors").language
    for each in (language, read, read.for_batch(2)):
        assert phrase_places(each.phrases)[-1].tolist() == PLACES[method]


def test_the_methods_name_no_model_of_the_family():
    from cones.weights.official import LIST

    root = LIST.parents[2]
    files = [*sorted((root / "baselines").glob("*.py")), root / "cones/search.py", root / "cones/finetune.py"]
    assert len(files) > 7
    for file in files:
        assert not re.search("gdino|grounding.dino|llmdet", file.read_text(encoding="utf-8"), re.IGNORECASE), file
