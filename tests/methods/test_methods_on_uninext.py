"""Every method of the paper on a nano UNINEXT, through the seams: what trains is right, and a step moves only that."""

import re

import pytest

from cones.methods.method import METHODS, TuningMethod
from tests.methods.on_detectors import FilledBoxes
from tests.methods.one_step import OWN_TERMS, QUICK, SURVEY, one_step
from tests.some_fast import fast

MODEL = "uninext_nano"
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
    **{method: pattern for method, pattern in SURVEY.items() if TuningMethod.load(method).supports(MODEL) is None},
}


def test_every_method_but_the_controls_is_here():
    known = {name for name, entry in METHODS.items() if entry.class_name and entry.block != "control"}
    carried = {name for name in known if TuningMethod.load(name).supports(MODEL) is None}
    assert set(TRAINS) - set(METHODS) == set() and carried <= set(TRAINS)


@pytest.mark.parametrize("method", fast(TRAINS, *QUICK))
def test_one_step(method, data, tmp_path):
    step = one_step(MODEL, method, data, tmp_path, FilledBoxes)
    assert step.trained == {name for name in step.all if re.fullmatch(TRAINS[method], name)}
    if not METHODS[method].is_tuned:
        return
    assert len(step.losses) == 3 * 6 + 3 + 3 * 3 + len(OWN_TERMS.get(method, ()))
    assert all(0 <= value < 1e4 for value in step.losses.values())
    assert step.moved <= step.trained and not step.buffers
    # the last layer of a box head starts at zero: no gradient passes it in the first step
    quiet = r".*(transformer\.resizer|bbox_embed\.\d\.layers\.[01]\.bias).*"
    silent = {name for name in step.trained - step.moved if not re.fullmatch(quiet, name)}
    assert len(silent) <= 0.05 * len(step.trained), sorted(silent)[:5]
