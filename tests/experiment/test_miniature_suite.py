"""What the default suite promises of its grids: models, datasets of each group, and that no method is forgotten."""

from collections import Counter

from cones.data.classification import base_and_new
from cones.experiment.cell import Plan
from cones.experiment.classification import Setting
from cones.experiment.classification_cells import classification_cells
from cones.methods.classifier import ClassifierMethod
from cones.methods.method import METHODS
from cones.methods.recipes import steps_of, steps_per_epoch
from cones.methods.settings import Recipe


def test_the_grid_of_modern_detectors_has_three_datasets_of_each_group():
    plan = Plan.load("miniature")
    cells = list(plan.cells("table1_modern"))
    assert len(cells) == 63 and {cell.model for cell in cells} == {"grounding_dino_nano"}
    groups = Counter(plan.registry[dataset].group for dataset in {cell.dataset for cell in cells})
    assert groups == {"natural": 3, "non_radiology": 3, "radiology": 3}
    assert {cell.arm for cell in cells} == {cell.arm for cell in plan.cells("table1")}
    assert {cell.model for cell in plan.cells("table1")} == {"glip_nano"}


def test_every_method_of_the_survey_for_two_encoders_has_a_row_in_the_default_suite():
    section = Plan.load("miniature").classification
    arms = {section.method(arm) for arm in section.arms}
    assert {name for name, entry in METHODS.items() if entry.survey and entry.classifier} <= arms


def test_no_training_on_few_images_ends_in_its_warm_up():
    """Cut at a few steps, a recipe with many epochs of warm-up would never come to its rate."""
    plan = Plan.load("miniature")
    section, cut = plan.classification, {}
    for dataset, arm in dict.fromkeys((cell.dataset, cell.arm) for cell in classification_cells(plan)):
        setting, method = Setting.of(dataset), ClassifierMethod.load(section.method(arm))
        if setting.kind not in ("few_shot", "base_to_new") or section.trains_jointly(arm):
            continue
        recipe = Recipe(**{**method.recipe.model_dump(), **section.recipe_of("clip_nano", arm)})
        classes = plan.registry[setting.dataset].classes
        images = setting.shots * len(base_and_new(classes)[0] if setting.kind == "base_to_new" else classes)
        if 0 < steps_of(recipe, images) <= recipe.warmup_epochs * steps_per_epoch(recipe, images):
            cut[dataset, arm] = steps_of(recipe, images)
    assert cut == {}
