"""What the default suite promises of its grids: models, datasets of each group, and that no method is forgotten."""

from collections import Counter

from cones.experiment.cell import Plan
from cones.methods.method import METHODS


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
