"""Every method and control on a nano Grounding DINO, through the seams: what trains is right, nothing else moves."""

import re

import pytest
import torch

from cones.methods.method import METHODS, TuningMethod
from cones.models.checkpoints import build_detector
from cones.models.detector import ImageBatch
from cones.models.grounding_dino.criterion import term_names
from cones.models.language import phrase_places
from cones.training.state import State
from tests.methods.one_step import OWN_TERMS, QUICK, SURVEY, one_step, prompt_inputs_for
from tests.some_fast import fast

MODEL = "grounding_dino_nano"
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
    **SURVEY,
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
    "coop": [0, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0],
    "kgcoop": [0, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0],
    "cones_kg": [0, 1] * 3,
    "cocoop": [0, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0],
    "taskres": NAMES,
    "clip_adapter": NAMES,
    "bias_only": NAMES,
    "lora": NAMES,
    "vp": NAMES,
    "sdpt": NAMES,
    "sdpt_paper": NAMES,
    "maple": (context := [0, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0]),
    "vpt_deep": NAMES,
    "prograd": context,
    "lasp": context,
    "variational": context,
    "upl": context,
    "dualcoop": context * 2,
    "calip": NAMES,
    "tpt": [0, *(0, 1, 2, 3, 4, 5) * 3, 0],
    "tip_adapter": NAMES,
    "tip_adapter_f": NAMES,
    "wise_ft_full": NAMES,
    "wise_ft_cones": [0, 1] * 3,
    "cupl": [0, 0, 0],
    # nine phrases "name, which has …." of so many rows
    "vcd": [0, *(place for rows in (15, 17, 17, 14, 18, 20, 15, 19, 14) for place in range(rows)), 0],
}


def test_every_method_is_here():
    own = {name for name, entry in METHODS.items() if entry.class_name and not TuningMethod.load(name).supports(MODEL)}
    assert set(TRAINS) == set(PLACES) == own


@pytest.mark.parametrize("method", fast(TRAINS, *QUICK))
def test_one_step(method, data, tmp_path):
    step = one_step(MODEL, method, data, tmp_path)
    assert step.trained == {name for name in step.all if re.fullmatch(TRAINS[method], name)}
    if not METHODS[method].is_tuned:
        return
    own = OWN_TERMS.get(method, set())
    assert set(step.losses) - own == set(term_names(3, step.model.loss_groups)) and len(step.losses) == 12 + len(own)
    assert all(0 <= value < 1e4 for value in step.losses.values())
    assert step.moved <= step.trained
    silent = step.trained - step.moved
    assert len(silent) <= 0.05 * len(step.trained), sorted(silent)[:5]


@pytest.mark.parametrize("method", TRAINS)
def test_language_says_where_phrases_begin_also_after_it_was_stored(method, tmp_path):
    model, way = build_detector(MODEL), TuningMethod.load(method)
    given = prompt_inputs_for(MODEL, method)
    way.extend(model, given)
    prompt = way.prompt(model, given)
    with torch.no_grad():
        images = ImageBatch(torch.zeros(1, 3, 64, 64), [(64, 64)])
        language = prompt.eval().for_images(model.eval().encode_image(images))
    State(language=language, base_sha256="0" * 64).save(tmp_path / "state.safetensors")
    read = State.load(tmp_path / "state.safetensors").language
    for each in (language, read, read.for_batch(2)):
        assert phrase_places(each.phrases)[-1].tolist() == PLACES[method]
