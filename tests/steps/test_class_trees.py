"""Sets whose classes have a tree: a cell trains with it, and its answers are measured at every level."""

import pytest
import yaml

from cones.experiment.cell import Plan
from cones.methods.class_tree import Hierarchy
from cones.models.checkpoints import tokenizer_for
from cones.outputs.make import make_output
from cones.runtime.artifacts import read_json
from cones.runtime.errors import ConesError
from cones.runtime.sources import ROOT
from tests.steps.tiny_cells import encode, fit, run
from tests.tiny_sets import entry, write_tiny

SHORT = {"epochs": 3, "warmup_epochs": 0, "batch_size": 4, "options": {"vectors": 2}}
ARMS = {
    "zero_shot": None,
    "protect": {"recipe": {**SHORT, "learning_rate": 0.1}},
    "coop": {"recipe": {**SHORT, "learning_rate": 0.1}},
    "tip_adapter": None,
    "cones": {"recipe": {"epochs": 3}},
}
TREE = {"disc": ["red_disc", "green_disc"], "blue_box": None}


def write_sets(folder, tree) -> None:
    sets = {"shapes": entry("own/shapes", tree=tree), "dark_shapes": entry("own/dark_shapes")}
    (folder / "config/tiny_sets.yaml").write_text(yaml.safe_dump(sets, sort_keys=False))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trees")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "datasets.yaml").symlink_to(ROOT / "datasets.yaml")
        grids = {
            "survey": {"datasets": ["shapes"], "shots": [2]},
            "survey_base_to_new": {"setting": "base_to_new", "datasets": ["shapes"], "shots": [2]},
        }
        write_tiny(folder, arms=ARMS, datasets=["shapes"], seeds=[1], grids=grids)
        write_sets(folder, TREE)
        for step in ("fetch", "prepare"):
            run(step, "--dataset", "shapes")
        run("weights", "--model", "clip_nano")
        encode("pooled", "views")
        yield folder


def test_the_tree_names_classes_as_texts_do(world, monkeypatch):
    monkeypatch.chdir(world)
    tree = Plan.load("tiny").manifest("shapes")["class_tree"]
    assert tree == {"disc": {"red disc": None, "green disc": None}, "blue box": None}


def test_a_tree_trains_a_context_and_every_level_is_measured(world, monkeypatch):
    monkeypatch.chdir(world)
    for arm in ("zero_shot", "protect", "coop"):
        folder, metrics = fit(arm)
        found = metrics.targets["shapes"].hierarchy
        assert metrics.status == "done" and found.reason is None and found.nodes == 4
        # an answer that is right at every level is right among the classes, and cuts are wider than classes
        assert found.consistent <= metrics.targets["shapes"].accuracy <= 100
        if arm == "protect":
            record = read_json(folder / "tuning.json")
            assert record["runs"][0]["steps"] == 6 and metrics.trained.values == 2 * 96
    base = fit("protect", "shapes-base2")[1].targets
    assert base["base"].accuracy is not None and base["new"].accuracy == 100.0  # of one class there is one answer


@pytest.mark.parametrize("arm", ["tip_adapter", "cones"])
def test_a_method_without_texts_of_wider_classes_says_so(arm, world, monkeypatch):
    monkeypatch.chdir(world)
    found = fit(arm)[1].targets["shapes"]
    assert (
        found.accuracy is not None and found.hierarchy.consistent is None and "wider classes" in found.hierarchy.reason
    )


def test_the_table_has_a_row_per_method(world, monkeypatch):
    monkeypatch.chdir(world)
    for arm in ARMS:
        fit(arm)
    make_output(Plan.load("tiny"), "survey_hierarchy")
    table = (world / "results/tiny/survey_hierarchy.md").read_text()
    assert "ProTeCt" in table and "HCA" in table and "wider classes" in table


def test_a_tree_that_is_not_of_the_classes_is_refused_in_one_line(world, monkeypatch):
    monkeypatch.chdir(world)
    write_sets(world, {"disc": ["red_disc"], "blue_box": None})
    try:
        with pytest.raises(ConesError, match="green_disc is missing"):
            run("prepare", "--dataset", "shapes")
    finally:
        write_sets(world, TREE)


def test_the_trees_of_the_drawn_sets_are_of_their_classes():
    from cones.data.class_trees import tree_of_texts
    from cones.data.registry import load_registry

    sets = load_registry(ROOT / "config/datasets/classification_miniature.yaml")
    trees = {name: one for name, one in sets.items() if one.tree}
    assert set(trees) == {"nano_names", "nano_places", "nano_cells", "nano_modality"}
    for one in trees.values():
        names = [one.text_of(name) for name in one.classes]
        tree = Hierarchy.of(tree_of_texts(one.tree, one.text_of), names)
        assert len(tree.leaves) == len(names) and len(tree.inner) > 1


def test_the_texts_of_all_nodes_fit_behind_sixteen_vectors_in_the_nano_model():
    from cones.data.class_trees import tree_of_texts
    from cones.data.registry import load_registry

    tokenizer = tokenizer_for("clip_nano")
    for one in load_registry(ROOT / "config/datasets/classification_miniature.yaml").values():
        if one.tree:
            tree = Hierarchy.of(tree_of_texts(one.tree, one.text_of), [one.text_of(name) for name in one.classes])
            ids, _ = tokenizer([" ".join(["X"] * 16 + [f"{name}."]) for name in tree.names])
            assert len(ids) == len(tree.names)
