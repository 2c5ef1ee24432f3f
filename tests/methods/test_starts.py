"""The random start of every method's vectors: a number, or a spread that is measured on the text encoder."""

import pytest
import torch

from cones.experiment.cell import Plan
from cones.experiment.cell_steps import job_of_cell
from cones.experiment.pipeline import Pipeline
from cones.experiment.suite import Suite, cell_settings, load_suite
from cones.methods.method import METHODS, TuningMethod
from cones.methods.prompts import random_vectors
from cones.methods.starts import start_std
from cones.models.checkpoints import build_detector, initial_state
from cones.models.language import LanguageFeatures
from cones.runtime.artifacts import save_tensors, write_json
from cones.runtime.errors import ConesError
from cones.steps.tune import gather
from tests.methods.one_step import prompt_inputs_for

MODEL = "glip_nano"
RANDOM = [name for name, entry in METHODS.items() if entry.start_std is not None]


def suite_with(**arms) -> Suite:
    """The miniature with these arms, and with no start of a model's own."""
    base = load_suite("miniature").model_dump(exclude_unset=True)
    models = {name: {**model, "start_std": {}} for name, model in base["models"].items()}
    return Suite(**{**base, "models": models, "arms": {**base["arms"], **arms}})


def test_every_vector_method_of_the_paper_starts_at_random():
    assert set(RANDOM) >= {"cones", "prompt_tuning", "textual_inversion"}


INSIDE = [name for name in RANDOM if METHODS[name].trains_image_encoder]  # their vectors stand in the detector


@pytest.mark.parametrize("method", [name for name in RANDOM if name not in INSIDE])
def test_the_vectors_of_every_such_method_have_the_spread_that_is_asked_for(method):
    model, made = build_detector(MODEL), {}
    for std in (1.0, 0.02):
        prompt_inputs = prompt_inputs_for(MODEL, method)
        prompt_inputs.start_std = std
        prompt = TuningMethod.load(method).prompt(model, prompt_inputs)
        made[std] = getattr(prompt, "caption", prompt).vectors.detach()
    drawn = torch.randn(made[1.0].shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(made[1.0], drawn) and torch.equal(made[0.02], drawn * 0.02)


@pytest.mark.parametrize("method", INSIDE)
def test_vectors_inside_the_detector_have_it_too(method):
    made = {}
    for std in (1.0, 0.02):
        way, prompt_inputs = TuningMethod.load(method), prompt_inputs_for(MODEL, method)
        model, prompt_inputs.start_std = build_detector(MODEL), std
        torch.manual_seed(0)
        way.extend(model, prompt_inputs)
        named = way.prompt(model, prompt_inputs), model
        made[std] = {
            name: value.detach()
            for prefix, part in zip(("prompt.", "model."), named)
            for name, value in part.named_parameters(prefix.rstrip("."))
            if way.trainable(name, model)
        }
    drawn = [name for name, value in made[1.0].items() if not torch.equal(value, made[0.02][name])]
    assert drawn
    for name in drawn:
        torch.testing.assert_close(made[0.02][name], 0.02 * made[1.0][name])
    assert torch.cat([made[1.0][name].flatten() for name in drawn]).std() == pytest.approx(1, rel=0.1)


def test_word_is_the_spread_of_the_word_embeddings_and_needs_no_text_encoder(tmp_path, monkeypatch):
    state = initial_state(MODEL, 0)
    (name,) = [key for key in state if key.endswith("word_embeddings.weight")]
    state[name] *= 3
    save_tensors(tmp_path / "weights.safetensors", state, {})
    monkeypatch.setattr("cones.models.glip.family.TextEncoder", None)  # building one would fail
    assert start_std("word", model=MODEL, weights=tmp_path / "weights.safetensors") == state[name].std().item()
    del state[name]
    save_tensors(tmp_path / "other.safetensors", state, {})
    with pytest.raises(ConesError, match=r'the start "word" needs .*word_embeddings.weight'):
        start_std("word", model=MODEL, weights=tmp_path / "other.safetensors")


def test_output_is_the_spread_of_the_states_that_stand_for_classes(tmp_path):
    hidden = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(0))
    positions = torch.tensor([[[0, 1, 0, 0, 0], [0, 0, 0, 1, 0]]], dtype=torch.bool)
    text = LanguageFeatures(hidden, torch.ones(1, 5, dtype=torch.bool), positions)
    found = start_std("output", model=MODEL, weights=tmp_path / "not read", text_states=text)
    assert found == pytest.approx(hidden[0, [1, 3]].std().item())


def test_an_arm_goes_before_the_model_and_the_model_before_the_method():
    suite = suite_with(**{"cones-wide": {"method": "cones", "start_std": 2}})
    model = suite.models[MODEL].model_copy(update={"start_std": {"cones": "word"}})
    changed = suite.model_copy(update={"models": {**suite.models, MODEL: model}})
    assert cell_settings(suite, MODEL, "cones").start_std == 1.0
    assert cell_settings(suite, MODEL, "prompt_tuning").start_std == "word"
    assert cell_settings(suite, MODEL, "full_finetuning").start_std is None
    assert cell_settings(changed, MODEL, "cones").start_std == "word"
    assert cell_settings(changed, MODEL, "cones-wide").start_std == 2.0


@pytest.mark.parametrize("start", ["output", "word", 0.5])
def test_only_a_start_measured_on_the_states_of_the_class_names_waits_for_them(start):
    plan = Plan(suite_with(odd={"method": "cones", "start_std": start}), Plan.load("miniature").registry)
    inputs = Pipeline(plan).inputs(job_of_cell("tune", plan.cell(MODEL, "bccd", "odd", 0)))
    assert ("text" in inputs) == (start == "output")


def test_a_step_by_hand_without_the_states_that_its_start_is_measured_on_is_one_line(tmp_path, monkeypatch):
    plan = Plan.load("miniature")
    monkeypatch.chdir(tmp_path)
    cell = plan.cell(MODEL, "bccd", "cones", 0)
    write_json(plan.data_folder("bccd") / "manifest.json", {"phrases": [{"name": "cell"}]})
    save_tensors(plan.weights(MODEL), {}, {})
    with pytest.raises(ConesError, match=r"text\.safetensors: file is missing; next: let the workflow make it"):
        gather(plan, cell)


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ({"method": "full_finetuning", "start_std": 1.0}, "has no vectors that start at random"),
        ({"method": "cones", "start_std": "words"}, "start_std"),
        ({"method": "cones", "start_std": -1.0}, "start_std"),
    ],
)
def test_a_start_that_cannot_be_is_refused(arm, message):
    with pytest.raises(ValueError, match=message):
        suite_with(odd=arm)


def test_a_method_that_forgot_to_name_its_start_is_told():
    prompt_inputs = prompt_inputs_for(MODEL, "cones")
    prompt_inputs.start_std = None
    with pytest.raises(ConesError, match=r"method cones.*nothing says with which standard deviation"):
        random_vectors(prompt_inputs, 8)
