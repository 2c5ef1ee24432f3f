"""The icon world: what is said of an icon is what is painted, and a recipe of sd_nano that was cut off."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cones.data.registry import load_registry
from cones.miniature.dreambooth import SUBJECTS
from cones.miniature.icon_classifier import ANSWERS, IconClassifier, accuracy, answers, classification_loss
from cones.miniature.icons import COLOURS, FIGURES, NOUNS, PATTERNS, PLACES, Icon, paint_icon, random_icon
from cones.miniature.painter import generator_of
from cones.miniature.pretraining.diffusion import gate, recipe, stage
from cones.miniature.pretraining.diffusion.pictures import icon_number, painted_icons, scaled
from cones.miniature.pretraining.diffusion.words import build_tokenizer, caption, described
from cones.runtime.errors import ConesError
from cones.training.checkpoint import Checkpoint

ICON = Icon("teapot", "red", "white", "striped", "in the snow")


def painted(icon, number=0, side=64):
    return np.asarray(paint_icon(icon, generator_of(f"test:{number}"), side)[0], np.float32)


def test_a_picture_is_a_function_of_icon_and_numbers_and_its_box_holds_the_icon():
    assert np.array_equal(painted(ICON), painted(ICON)) and not np.array_equal(painted(ICON), painted(ICON, 1))
    picture, (left, top, right, bottom) = paint_icon(ICON, generator_of("box"), 64)
    pixels = np.asarray(picture, np.float32)
    ground = np.abs(pixels - pixels[:, :1]).max(-1) > 60  # unlike the left edge of its row
    outside = ground.copy()
    outside[top:bottom, left:right] = False
    assert ground.any() and not outside.any()


@pytest.mark.parametrize("main", COLOURS)
def test_the_main_colour_is_what_most_of_a_plain_icon_has(main):
    second = "white" if main != "white" else "red"
    pixels = painted(Icon("vase", main, second, "plain", "in the jungle"))[24:44, 24:40].reshape(-1, 3)
    nearest = min(COLOURS, key=lambda name: np.square(np.median(pixels, 0) - COLOURS[name]).sum())
    assert nearest == main


@pytest.mark.parametrize("noun", NOUNS)
def test_patterns_and_places_show(noun):
    plain = painted(Icon(noun, "red", "yellow", "plain", "in the snow"))
    pictures = [painted(Icon(noun, "red", "yellow", pattern, "in the snow")) for pattern in PATTERNS[1:]]
    pictures.append(painted(Icon(noun, "red", "yellow", "plain", "in the jungle")))
    for other in pictures:
        assert (np.abs(other - plain).max(-1) > 60).mean() > 0.01


def test_the_subjects_of_the_miniature_dreambooth_are_icons_of_their_class_and_no_two_alike():
    assert set(SUBJECTS) == set(load_registry()["dreambooth"].classes)
    looks = [replace(icon, place="") for _, icon in SUBJECTS.values()]
    assert len(set(looks)) == len(looks)
    for _, icon in SUBJECTS.values():
        assert icon.main in COLOURS and icon.second in COLOURS and icon.figure < len(FIGURES[icon.noun])


def test_captions_say_what_is_there_and_every_word_is_one_token():
    tokenizer = build_tokenizer()
    assert described(ICON) == "red and white striped teapot"
    assert described(replace(ICON, pattern="plain"), second=False) == "red teapot"
    ends = {tokenizer.bos_token, tokenizer.eos_token}
    for number in range(60):
        icon = icon_number(3, number)
        text = caption(icon, generator_of(f"caption:{number}"))
        assert icon.noun in text
        pieces = tokenizer.convert_ids_to_tokens(tokenizer(text).input_ids)
        assert [p.removesuffix("</w>") for p in pieces if p not in ends] == text.replace(
            "close-up", "close - up"
        ).split()
        assert len(pieces) <= recipe.TEXT_POSITIONS


def test_pictures_are_painted_once_and_read_again(tmp_path):
    icons, pictures = painted_icons(0, 4, 32, tmp_path / "pictures.npy")
    again = painted_icons(0, 4, 32, tmp_path / "pictures.npy")
    assert icons == again[0] and torch.equal(pictures, again[1]) and pictures.shape == (4, 3, 32, 32)
    assert scaled(pictures).min() >= -1 and scaled(pictures).max() <= 1


def test_the_classifier_learns_and_is_scored_question_by_question():
    torch.manual_seed(0)
    icons = [random_icon(generator_of(f"some:{number}")) for number in range(12)]
    pictures = scaled(torch.from_numpy(np.stack([painted(icon, 0, 32) for icon in icons]))).permute(0, 3, 1, 2)
    classifier = IconClassifier()
    optimiser = torch.optim.Adam(classifier.parameters(), 2e-3)
    for _ in range(60):
        optimiser.zero_grad()
        classification_loss(classifier(pictures), answers(icons)).backward()
        optimiser.step()
    scores = accuracy(classifier.eval(), pictures, icons)
    assert set(scores) == set(ANSWERS) and min(scores.values()) > 0.9


def test_the_caption_grid_shows_every_noun_with_every_pattern():
    grid = gate.caption_grid()
    assert {(icon.noun, icon.pattern) for icon in grid} == {(n, p) for n in NOUNS for p in PATTERNS} and len(grid) == 60
    assert {icon.main for icon in grid} == set(COLOURS) and {icon.place for icon in grid} == set(PLACES)
    assert all(icon.main != icon.second for icon in grid)


def test_the_floor_is_exact_where_the_linear_code_is():
    pictures = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert gate.principal_components_floor(pictures, 2, 11) > gate.principal_components_floor(pictures, 2, 4) > 0
    assert gate.decibels(pictures, pictures + 0.2) == pytest.approx(20.0, abs=0.01)


def training(folder, loss_scale=1.0, steps=6):
    torch.manual_seed(0)
    modules = torch.nn.ModuleDict({"layer": torch.nn.Linear(3, 1)})

    def loss(step):
        inputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(step))
        return loss_scale * (modules["layer"](inputs) - 1).square().mean()

    plan = recipe.Stage(images=4 * steps, batch_size=4, learning_rate=0.1, warmup_steps=2)
    return stage.StageTraining(
        name="test", modules=modules, loss=loss, stage=plan, inputs="", checkpoint=folder / "test.pt"
    )


def test_a_stage_that_was_cut_off_ends_in_the_same_weights(tmp_path, monkeypatch):
    whole = training(tmp_path / "whole")
    assert whole.run().step == 6
    monkeypatch.setattr(Checkpoint, "is_due", lambda *_, **__: True)
    cut = training(tmp_path / "cut")
    step = cut.step

    def step_then_die(batch):
        if cut.progress.step == 3:
            raise KeyboardInterrupt
        return step(batch)

    monkeypatch.setattr(cut, "step", step_then_die)
    with pytest.raises(KeyboardInterrupt):
        cut.run()
    resumed = training(tmp_path / "cut")
    assert resumed.run().step == 6
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, resumed.average.state_dict()[name])
    assert not torch.equal(whole.average["layer"].weight, whole.modules["layer"].weight)


def test_a_stage_of_another_recipe_is_not_taken_up_and_a_broken_loss_ends_it(tmp_path):
    training(tmp_path).run()
    assert training(tmp_path, steps=7).run().step == 7
    with pytest.raises(ConesError, match="not finite at step 1"):
        training(tmp_path / "other", loss_scale=float("nan")).run()
