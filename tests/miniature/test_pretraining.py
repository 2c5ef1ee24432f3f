"""Pretraining: what is shown, what is said of it, and a run that was cut off."""

import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from toy import ToySegmenter

from cones.data.masks import boxes_of
from cones.data.registry import load_registry
from cones.miniature.objects import paint_object
from cones.miniature.pretraining import scenes, training, validation
from cones.miniature.pretraining.captions import SYNONYMS, class_list, sentence
from cones.miniature.pretraining.recipes import RECIPES, Recipe
from cones.miniature.pretraining.scene_batches import SceneBatches, scene_generator
from cones.miniature.pretraining.scenes import names_to_learn, paint_scene, shape_of_batch
from cones.models.checkpoints import build_detector, load_detector, load_text_encoder, tokenizer_for
from cones.models.detector import Detections, FeaturePyramid, Predictions
from cones.models.language import LanguageFeatures
from cones.models.losses import LossTerm
from cones.runtime.artifacts import read_json, sha256
from cones.steps.weights import make_weights
from cones.training.checkpoint import Checkpoint
from cones.weights.shipped import FOLDER, shipped
from tests.some_fast import fast

NANO = "glip_nano"
OLD_SCENES = "25d2ea66738d7c81a0a8455f181e0c3d8219ccb98f4e3b2ce491810ed5680f50"
SHORT = Recipe(images=16, sentences=0.5, warmup_steps=2)


def some_scenes(count=24):
    for number in range(count):
        rng = scene_generator(7, number)
        yield paint_scene(rng, shape_of_batch(rng), names_to_learn())


def test_a_scene_is_a_function_of_its_number_and_its_boxes_lie_in_it():
    for one, again in zip(some_scenes(6), some_scenes(6)):
        assert np.array_equal(one.pixels, again.pixels) and one.names == again.names
    for scene in some_scenes():
        height, width, _ = scene.pixels.shape
        assert max(height, width) == 160 and scene.pixels.dtype == np.uint8
        assert len(scene.boxes) == len(scene.names) and set(scene.names) <= set(names_to_learn())
        assert (scene.boxes >= 0).all() and (scene.boxes[:, 2:] < [width, height]).all()


def test_scenes_are_those_that_the_shipped_model_was_pretrained_on():
    """Names, boxes and the random numbers that follow, exactly; the pixels as far as another processor may round."""
    told, brightness = [], []
    for number in range(12):
        rng = scene_generator(7, number)
        scene = paint_scene(rng, shape_of_batch(rng), names_to_learn())
        told.append((scene.place, scene.names, np.round(scene.boxes, 2).tolist(), int(rng.integers(1 << 32))))
        brightness.append(float(scene.pixels.mean()))
    assert hashlib.sha256(repr(told).encode()).hexdigest() == OLD_SCENES
    assert brightness == pytest.approx(
        [130.7, 151.5, 137.3, 145.8, 198.3, 143.3, 103.6, 133.7, 74.6, 138.0, 137.0, 102.6], abs=0.1
    )


def test_masks_are_what_is_visible_of_the_objects():
    objects, covered = 0, 0
    for scene in some_scenes():
        assert scene.masks.shape == (len(scene.boxes), *scene.pixels.shape[:2])
        assert scene.masks.sum(axis=0).max(initial=0) <= 1, "nothing is seen through another thing"
        visible = scene.masks.any(axis=(1, 2))
        inner, outer = boxes_of(scene.masks[visible]), scene.boxes[visible] + [0, 0, 1, 1]
        assert (inner[:, :2] >= outer[:, :2] - 2).all() and (inner[:, 2:] <= outer[:, 2:] + 2).all()
        areas, sides = scene.masks[visible].sum(axis=(1, 2)), inner[:, 2:] - inner[:, :2]
        assert (areas > 0.15 * sides.prod(axis=1)).all()
        objects, covered = objects + len(scene.boxes), covered + (~visible).sum()
    assert objects > 60 and covered < 0.05 * objects


def test_a_recipe_with_masks_has_targets_boxed_by_them():
    preprocessing = build_detector(NANO).preprocessing
    whole = SceneBatches(NANO, SHORT, preprocessing, inclusive=True)[2]
    visible = SceneBatches(NANO, replace(SHORT, masks=True), preprocessing, inclusive=True)[2]
    assert torch.equal(whole.images.pixels, visible.images.pixels) and torch.equal(whole.ids, visible.ids)
    for plain, target, size in zip(whole.targets, visible.targets, visible.images.sizes):
        assert plain.masks is None
        assert target.masks.shape == (len(target.labels), *size) and target.masks.dtype == torch.bool
        for (x1, y1, x2, y2), mask in zip(target.boxes.int().tolist(), target.masks):
            assert mask[y1:y2, x1:x2].sum() == mask.sum() > 0
            assert mask[y1].any() and mask[y2 - 1].any() and mask[:, x1].any() and mask[:, x2 - 1].any()


def test_the_world_of_the_datasets_is_never_shown(monkeypatch):
    worlds = Counter()

    def watched(name, rng, size, *, world, **options):
        worlds[world] += 1
        return paint_object(name, rng, size, world=world, **options)

    monkeypatch.setattr(scenes, "paint_object", watched)
    list(some_scenes(12))
    assert len(worlds) > 5 and 0 not in worlds


def test_no_medical_word_is_learnt():
    registry = load_registry()
    medical = {name.lower() for each in registry.values() if "radiology" in each.group for name in each.classes}
    assert medical and not medical & set(names_to_learn())


def test_a_class_list_names_what_is_there_and_no_synonym_of_it():
    tokenizer, names = tokenizer_for(NANO), names_to_learn()
    shuffled = set()
    for number in range(40):
        objects = ["motorbike", "dog", "dog", "stuffed animal"]
        said = class_list(tokenizer, objects, names, scene_generator("list", number))
        text = tokenizer.decode(said.ids.tolist())
        assert "motorcycle" not in text and {"motorbike", "motorcycle"} in SYNONYMS
        for name, label in zip(objects, said.labels):
            pieces = said.ids[said.class_positions[label]].tolist()
            assert tokenizer.decode(pieces) == name
        shuffled.add(tuple(said.labels))
    assert len(shuffled) > 5  # a class has no place of its own in a list


def test_a_sentence_counts_and_marks_the_nouns_alone():
    tokenizer = tokenizer_for(NANO)
    said = sentence(tokenizer, ["dog", "dog", "car"], "on the grass", scene_generator("sentence"))
    text = tokenizer.decode(said.ids.tolist())
    assert "two dog ##s" in text and "a car" in text and text.endswith("on the grass")
    nouns = [tokenizer.decode(said.ids[row].tolist()) for row in said.class_positions]
    assert sorted(nouns) == ["car", "dog"] or sorted(nouns) == ["car", "dog ##s"]
    assert [nouns[label][:3] for label in said.labels] == ["dog", "dog", "car"]


def test_a_batch_pads_texts_behind_a_mask():
    batch = SceneBatches(NANO, SHORT, build_detector(NANO).preprocessing, inclusive=True)[1]
    assert batch.images.pixels.shape[0] == len(batch.targets) == 4
    assert not batch.class_positions[~batch.mask[:, None].expand_as(batch.class_positions)].any()
    for target, positions in zip(batch.targets, batch.class_positions):
        assert positions[target.labels].any(dim=-1).all()


@pytest.mark.parametrize("model", fast([NANO, "grounding_dino_nano"], NANO))
def test_a_run_that_was_cut_off_ends_in_the_same_weights_and_scores(model, tmp_path, monkeypatch):
    monkeypatch.setattr(validation, "SCENES", 4)
    recipe = replace(SHORT, validation=8)
    whole = training.Pretrainer(model=model, recipe=recipe, checkpoint=tmp_path / "whole.pt")
    assert whole.run().step == 4
    assert [point["images"] for point in whole.progress.validation] == [8, 16]

    monkeypatch.setattr(Checkpoint, "is_due", lambda *_, **__: True)
    cut = training.Pretrainer(model=model, recipe=recipe, checkpoint=tmp_path / "cut.pt")
    step = cut.step

    def step_then_die(batch):
        if cut.progress.step == 3:
            raise KeyboardInterrupt
        return step(batch)

    monkeypatch.setattr(cut, "step", step_then_die)
    with pytest.raises(KeyboardInterrupt):
        cut.run()
    resumed = training.Pretrainer(model=model, recipe=recipe, checkpoint=tmp_path / "cut.pt")
    assert resumed.run().step == 4
    assert resumed.progress.validation == whole.progress.validation
    for name, value in whole.shipped_state().items():
        assert torch.equal(value, resumed.shipped_state()[name]), name


def test_scoring_changes_nothing_of_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr(validation, "SCENES", 4)
    plain = training.Pretrainer(model=NANO, recipe=SHORT, checkpoint=tmp_path / "plain.pt")
    scored = training.Pretrainer(model=NANO, recipe=replace(SHORT, validation=4), checkpoint=tmp_path / "scored.pt")
    plain.run(), scored.run()
    assert len(scored.progress.validation) == 4 and plain.progress.validation == []
    for name, value in plain.shipped_state().items():
        assert torch.equal(value, scored.shipped_state()[name]), name


class Knowing(ToySegmenter):
    """Finds every object of the batches that it is given, in their order."""

    def __init__(self, batches, moved=0):
        super().__init__()
        self.answers = iter([target for batch in batches for target in batch.targets])
        self.moved = moved

    def encode_image(self, images):
        return FeaturePyramid([images.pixels], images.sizes)

    def ground(self, pyramid, language, targets=None):
        return Predictions(outputs={}, language=language, pyramid=pyramid)

    def detect(self, predictions, sizes=None):
        answers = [next(self.answers) for _ in predictions.pyramid.sizes]
        return [Detections(each.boxes + self.moved, torch.ones(len(each.labels)), each.labels) for each in answers]


class Silent(nn.Module):
    def forward(self, input_ids, mask, phrases):
        return torch.zeros(*input_ids.shape, 8)


@pytest.mark.parametrize("inclusive", [True, False])
def test_validation_scores_a_perfect_model_100_and_others_less(inclusive, monkeypatch):
    monkeypatch.setattr(validation, "SCENES", 16)
    preprocessing = build_detector(NANO).preprocessing
    scenes_seen = validation.Validation.beside(SceneBatches(NANO, SHORT, preprocessing, inclusive=inclusive))
    batches = [scenes_seen.batches[number] for number in range(4)]
    assert scenes_seen.scores(Knowing(batches), Silent()) == {"ap": 100.0, "ap50": 100.0}
    assert scenes_seen.scores(Knowing(batches, moved=4), Silent())["ap"] < 80
    first = SceneBatches(NANO, SHORT, preprocessing, inclusive=inclusive)[0]
    assert not torch.equal(first.images.pixels, batches[0].images.pixels)


def test_boxes_reach_to_the_edges_of_objects_or_to_their_last_pixels():
    preprocessing = build_detector(NANO).preprocessing
    last, edge = (SceneBatches(NANO, SHORT, preprocessing, inclusive=each)[0] for each in (True, False))
    for inner, outer, size in zip(last.targets, edge.targets, edge.images.sizes):
        assert torch.equal(inner.boxes[:, :2], outer.boxes[:, :2])
        assert ((outer.boxes - inner.boxes)[:, 2:] > 0.5).all()
        assert (outer.boxes[:, 2:] <= torch.tensor(size[::-1]) + 1e-3).all()


class Tiny(ToySegmenter):
    """What a model with batch statistics and random queries asks of pretraining."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(6)
        self.lengthened = nn.Linear(64, 8)

    def thaw(self):
        self.norm.train()
        self.is_thawed = True

    def encode_image(self, images):
        assert self.is_thawed
        return FeaturePyramid([self.body(self.norm(self.stem(images.pixels)))], images.sizes)

    def ground(self, pyramid, language, targets=None):
        hidden = self.lengthened(language.hidden) + 0.1 * torch.randn(8)  # as denoising draws its noise
        return super().ground(pyramid, LanguageFeatures(hidden, language.mask, language.class_positions), targets)

    def loss(self, predictions, targets):
        assert all(target.masks is not None for target in targets)
        logits = predictions.outputs["logits"]
        return {"classification": LossTerm((logits**2).sum(), torch.tensor(float(logits.numel())))}


def test_statistics_and_random_draws_survive_an_interruption(tmp_path, monkeypatch):
    """Nothing in pretraining is about one model: a detector that gathers statistics and draws noise resumes too."""
    monkeypatch.setattr(training, "build_detector", lambda name: Tiny())
    monkeypatch.setattr(training, "joined_state", lambda name, detector, text: detector.state_dict())
    monkeypatch.setattr(Checkpoint, "is_due", lambda *_, **__: True)
    recipe = replace(SHORT, masks=True)

    def trainer(name, dies_at=None):
        made = training.Pretrainer(model=NANO, recipe=recipe, checkpoint=tmp_path / name)
        step = made.step

        def step_or_die(batch):
            if made.progress.step == dies_at:
                raise KeyboardInterrupt
            return step(batch)

        monkeypatch.setattr(made, "step", step_or_die)
        return made

    whole = trainer("whole.pt")
    whole.run()
    assert whole.shipped_state()["norm.running_mean"].abs().max() > 0
    with pytest.raises(KeyboardInterrupt):
        trainer("cut.pt", dies_at=2).run()
    resumed = trainer("cut.pt")
    resumed.run()
    for name, value in whole.shipped_state().items():
        assert torch.equal(value, resumed.shipped_state()[name]), name


SHIPPED = sorted(path.stem for path in FOLDER.glob("*.safetensors") if path.stem in RECIPES)  # the detectors


def test_the_default_model_ships_with_the_project():
    assert NANO in SHIPPED


@pytest.mark.parametrize("model", SHIPPED)
def test_a_shipped_model_is_that_of_its_record(model):
    weights, record = shipped(model)
    content = read_json(record)
    assert sha256(weights) == content["sha256"] and weights.stat().st_size == content["bytes"] < 6_000_000
    assert content["recipe"]["images"] == RECIPES[model].images, "the recipe has changed since"
    for dataset, scores in content["zero_shot"].items():
        assert set(scores) <= {"ap", "ap50", "ap_rotated", "mask_ap", "mask_ap50"}, dataset


def test_the_weights_step_takes_the_shipped_file(tmp_path, monkeypatch):
    from cones.experiment.cell import Plan

    plan = Plan.load("miniature")
    monkeypatch.chdir(tmp_path)
    make_weights(plan, NANO)
    path = Path("checkpoints/glip_nano.safetensors")
    assert load_detector(NANO, path).rpn.head.bias0.dtype == torch.float32
    assert load_text_encoder(NANO, path).width == 64
