"""Every method of the paper on a nano UNINEXT, through the seams: what trains is right, and a step moves only that."""

import re

import pytest
import torch
from toy import paint_split

from cones.data.batches import Split
from cones.methods.method import METHODS, TuningMethod
from cones.models.detector import Target
from tests.methods.one_step import OWN_TERMS, SURVEY, one_step

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
    **SURVEY,
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


def test_every_method_but_the_controls_is_here():
    known = {name for name, entry in METHODS.items() if entry.class_name and entry.block != "control"}
    known = {name for name in known if not TuningMethod.load(name).supports("uninext_nano")}
    assert set(TRAINS) - set(METHODS) == set() and known <= set(TRAINS)


@pytest.mark.parametrize("method", TRAINS)
def test_one_step(method, data, tmp_path):
    step = one_step("uninext_nano", method, data, tmp_path, FilledBoxes)
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
