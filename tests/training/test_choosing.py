"""Numbers that are chosen on validation: the first best, nothing where validation decides nothing, and what is added to
a loss in parts is exact also for a process without an image."""

import pytest
import torch
from toy import ToyDetector

from cones.data.batches import Split
from cones.methods.method import METHODS, TuningMethod
from cones.methods.prompts import FixedPrompt
from cones.models.language import LanguageFeatures
from cones.training import choosing
from tests.methods.one_step import OWN_TERMS
from tests.training.test_tuning import cell_settings, data  # noqa: F401 (a fixture)


class WithNumbers(FixedPrompt):
    def __init__(self):
        super().__init__(LanguageFeatures.of_tokens_per_class(torch.zeros(3, 1, 8)))
        self.register_buffer("alpha", torch.tensor(7.0))


class Chosen(TuningMethod):
    candidates = ({"alpha": 0.0}, {"alpha": 1.0}, {"alpha": 2.0}, {"alpha": 3.0})

    def prompt(self, model, prompt_inputs):
        return WithNumbers()

    def trainable(self, name, model):
        return False


def choose(monkeypatch, data, scores, method=None, **tuning):  # noqa: F811
    """(what is chosen, alpha afterwards, the alphas that were tried)"""
    model, prompt, seen = ToyDetector(), WithNumbers(), []

    def ap(model, prompt, *rest, **options):
        seen.append(prompt.alpha.item())
        return scores[int(prompt.alpha)]

    monkeypatch.setattr(choosing, "validation_ap", ap)
    val = Split(data, "val", preprocessing=model.preprocessing, inclusive=False)
    if scores is None:
        val.coco["annotations"] = []
    found = choosing.choose(model, prompt, method or Chosen(), val, None, cell_settings(**tuning))
    return found, prompt.alpha.item(), seen


def test_the_first_best_is_taken_and_all_that_was_tried_is_said(monkeypatch, data):  # noqa: F811
    found, alpha, seen = choose(monkeypatch, data, [10.0, 30.0, 30.0, 20.0])
    assert seen == [0, 1, 2, 3] and alpha == 1
    assert found["taken"] == {"alpha": 1.0}
    assert found["tried"] == [[{"alpha": float(n)}, ap] for n, ap in enumerate([10.0, 30.0, 30.0, 20.0])]


def test_what_the_arm_gives_is_not_chosen():
    settings = cell_settings()
    cache = TuningMethod.load("tip_adapter")
    assert choosing.candidates_of(cache, settings) == list(cache.candidates)
    settings.options["alpha"] = 0
    assert choosing.candidates_of(cache, settings) == [{"beta": 1.0, "alpha": 0}, {"beta": 5.5, "alpha": 0}]


def test_an_arm_that_gives_all_chooses_nothing(monkeypatch, data):  # noqa: F811
    settings = cell_settings()
    settings.options["alpha"] = 3.0
    monkeypatch.setattr("tests.training.test_choosing.cell_settings", lambda **tuning: settings)
    assert choose(monkeypatch, data, [1.0] * 4) == (None, 7.0, [])


@pytest.mark.parametrize("why", ["the last epoch counts", "no box", "nothing to choose"])
def test_where_validation_decides_nothing_the_number_stays(monkeypatch, data, why):  # noqa: F811
    method = TuningMethod.load("cones") if why == "nothing to choose" else None
    tuning = {"selection": "last"} if why == "the last epoch counts" else {}
    scores = None if why == "no box" else [1.0] * 4
    assert choose(monkeypatch, data, scores, method, **tuning) == (None, 7.0, [])


@pytest.mark.parametrize("method", sorted(OWN_TERMS))
def test_a_process_without_an_image_adds_nothing_to_the_normalisers(method):
    assert METHODS[method].class_name
    assert TuningMethod.load(method).normalisers([], (32, 32)) == dict.fromkeys(OWN_TERMS[method], 0)
