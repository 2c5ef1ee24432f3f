"""Folders of classes, through `prepare`: what becomes of them, and what is refused in which words."""

import json

import pytest

from cones.data.findings import summary
from cones.data.registry import load_registry
from cones.runtime.errors import ConesError
from tests.data.labelled_pictures import CLASSES, class_tree, labelled
from tests.data.own import AS_SHIPPED, DIVIDED, SPLITS, noise

FOLDERS = {"name": "class_folders", "folders": list(SPLITS)}
FLAT = {"name": "class_folders"}
PER_CLASS = {"rule": "per_class_50_20_30"}


def test_split_folders_become_items_with_labels_in_sorted_order(tmp_path):
    found = labelled(tmp_path, class_tree(), format=FOLDERS)
    assert found.manifest["classes"] == ["Sea_Lion", "cat", "dog"]
    assert found.manifest["texts"] == ["Sea Lion", "cat", "dog"]
    assert found.manifest["template"] == "a photo of a {}." and found.manifest["status"] == "ready"
    assert found.counts() == [9, 3, 6]
    assert all(path.split("/")[2] == name for split in SPLITS for path, name in found.classes(split).items())
    assert all((found.folder / path).is_file() for split in SPLITS for path in found.classes(split))
    assert found.manifest["splits"]["test"]["per_class"] == dict.fromkeys(["Sea_Lion", "cat", "dog"], 2)
    record = json.loads((found.folder / "test.json").read_text())
    assert record.items() >= found.manifest["splits"]["test"].items()


def test_the_same_files_give_the_same_bytes(tmp_path):
    one = labelled(tmp_path / "one", class_tree(), format=FOLDERS)
    two = labelled(tmp_path / "two", dict(reversed(class_tree().items())), format=FOLDERS)
    assert (one.folder / "items.json").read_bytes() == (two.folder / "items.json").read_bytes()
    assert one.manifest["pictures_sha256"] == two.manifest["pictures_sha256"]
    files = class_tree() | {"train/cat/0.png": noise(99)}
    assert (
        labelled(tmp_path / "three", files, format=FOLDERS).manifest["pictures_sha256"]
        != (one.manifest["pictures_sha256"])
    )


def test_the_entry_orders_and_names_the_classes(tmp_path):
    found = labelled(
        tmp_path,
        class_tree(),
        format=FOLDERS,
        classes=CLASSES,
        texts={"dog": "hound"},
        template="a drawing of a {}.",
    )
    assert found.manifest["classes"] == list(CLASSES)
    assert found.manifest["texts"] == ["cat", "hound", "Sea Lion"]
    assert found.manifest["template"] == "a drawing of a {}."
    assert set(found.classes("val").values()) == set(CLASSES)


@pytest.mark.parametrize(
    ("rule", "counts"), [(PER_CLASS, (5, 2, 3)), (DIVIDED, (6, 2, 2)), ({"rule": "holdout80"}, None)]
)
def test_without_split_folders_a_rule_divides_each_class_by_itself(tmp_path, rule, counts):
    files = class_tree((10,), splits=(".",))
    if counts is None:
        with pytest.raises(ConesError, match="no picture to test on; found train 24, val 6, test 0"):
            labelled(tmp_path, files, format=FLAT, split=rule)
        return
    found = labelled(tmp_path, files, format=FLAT, split=rule)
    for split, count in zip(SPLITS, counts):
        assert found.manifest["splits"][split]["per_class"] == dict.fromkeys(sorted(CLASSES), count)
    paths = [path for split in SPLITS for path in found.classes(split)]
    assert len(set(paths)) == len(paths) == 30


def test_folders_within_and_inside_and_ignored(tmp_path):
    files = {
        f"set/lung/{name}/images/{n}.png": noise(n + 10 * k, 8, 8) for k, name in enumerate("ab") for n in range(5)
    }
    files |= {f"set/colon/c/images/{n}.png": noise(n + 50, 8, 8) for n in range(5)}
    files |= {"set/lung/a/masks/0.png": noise(70, 8, 8), "set/lung/other/x.png": noise(71), "set/lung/y.png": noise(72)}
    within = {**FLAT, "root": "set", "within": ["lung", "colon"], "inside": "images", "ignore": ["other"]}
    found = labelled(tmp_path, files, format=within, split=DIVIDED)
    assert found.manifest["classes"] == ["a", "b", "c"] and sum(found.counts()) == 15
    assert found.notes["a folder that the entry ignores, left out"] == 1
    assert found.notes["a picture beside the class folders, left out"] == 1


def test_what_is_short_is_said_and_not_padded(tmp_path):
    files = class_tree() | {f"train/cat/more{n}.png": noise(100 + n) for n in range(20)}
    files = {name: content for name, content in files.items() if not name.startswith("test/dog")}
    files |= {"test/dog/.keep": b""}
    with pytest.raises(ConesError, match='no picture of class "dog"'):
        labelled(tmp_path / "empty", files, format=FOLDERS)
    del files["test/dog/.keep"]
    found = labelled(tmp_path, files, format=FOLDERS)
    assert found.notes["a class without a test picture: it is left out of means over classes"] == 1
    assert found.notes["a class with fewer than 16 training pictures: 16 shots take all it has"] == 2
    lines = summary(found.manifest)
    assert lines[0] == "train 29, val 3, test 4 pictures, 3 classes"
    assert any("fewer than 16 training pictures" in line and "(Sea_Lion, dog)" in line for line in lines)


def test_files_that_are_no_pictures_are_left_out_and_counted(tmp_path):
    found = labelled(tmp_path, class_tree() | {"train/cat/notes.txt": b"mine", "val/dog/x.heic": b"y"}, format=FOLDERS)
    assert found.counts() == [9, 3, 6]
    assert found.notes["a file of a class folder that is no picture, left out"] == 2


@pytest.mark.parametrize("twin", ["CAT", "Cat ", "c_at"])
def test_classes_that_a_text_calls_the_same_are_said(tmp_path, twin):
    """Text encoders read lower case and single spaces; a method of names alone cannot tell such classes apart."""
    found = labelled(tmp_path, class_tree(classes=("cat", "c at", "dog", twin)), format=FOLDERS)
    assert len(found.manifest["classes"]) == 4
    assert found.notes["a class that texts call as another one"] == 1


@pytest.mark.parametrize("name", ["狐 (Fuchs)", "x{0}y", "{}", "a {b} c", "it's 100%", "__init__"])
def test_names_of_any_kind_are_classes(tmp_path, name):
    found = labelled(tmp_path, class_tree(classes=("cat", name)), format=FOLDERS)
    assert set(found.manifest["classes"]) == {"cat", name}
    assert set(found.manifest["texts"]) == {"cat", " ".join(name.replace("_", " ").split())}


def test_a_set_that_is_only_scored_needs_no_training_pictures(tmp_path):
    files = class_tree((4,), splits=("val",))
    rule = {"rule": "as_shipped", "shipped": {"test": "val"}}
    found = labelled(tmp_path, files, format={**FOLDERS, "folders": ["val"]}, split=rule)
    assert found.counts() == [0, 0, 12]
    assert found.notes == {"a class that is only scored: there are no training pictures": 3}


def test_one_picture_in_two_splits_or_classes(tmp_path):
    files = class_tree()
    twice = files | {"test/cat/copy.png": files["train/cat/0.png"]}
    with pytest.raises(ConesError, match=r"1 pictures are in two splits \(train and test\)"):
        labelled(tmp_path / "refused", twice, format=FOLDERS)
    found = labelled(tmp_path / "allowed", twice, format=FOLDERS, allow_leaks=True)
    assert found.manifest["report"]["leaks"]["count"] == 1
    both = files | {"train/dog/copy.png": files["train/cat/0.png"]}
    found = labelled(tmp_path / "classes", both, format=FOLDERS)
    assert found.notes["a picture that has another class elsewhere, both kept"] == 1
    assert found.manifest["report"]["leaks"]["count"] == 0


@pytest.mark.parametrize("broken", [b"", b"no picture", noise(1, kind="JPEG")[:-40], noise(1)[:200]])
def test_a_picture_that_does_not_decode_is_refused_by_name(tmp_path, broken):
    files = class_tree() | {"val/dog/bad.jpg": broken}
    with pytest.raises(ConesError) as caught:
        labelled(tmp_path, files, format=FOLDERS)
    message = str(caught.value)
    assert "val/dog/bad.jpg" in message and 'exclude: ["val/dog/bad.jpg"]' in message and "\n" not in message
    found = labelled(tmp_path, files, format=FOLDERS, exclude=["val/dog/bad.jpg"])
    assert found.counts() == [9, 3, 6] and found.manifest["report"]["excluded"]["count"] == 1


def test_several_broken_pictures_are_counted(tmp_path):
    files = class_tree() | {"val/dog/bad.jpg": b"x", "train/cat/bad.jpg": b"y"}
    with pytest.raises(ConesError, match=r"train/cat/bad\.jpg: 2 pictures cannot be read, the first"):
        labelled(tmp_path, files, format=FOLDERS)


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        ({"test/kat/1.png": noise(1)}, {}, '1 classes of test are not in train.*found kat.*did you mean "cat"'),
        ({"test/wolf/1.png": noise(1)}, {}, "1 classes of test are not in train"),
        ({}, {"classes": ["cat", "dog"]}, "other classes than the entry.*expected 2 classes.*files alone: Sea_Lion"),
        ({}, {"classes": ["cat", "dog", "Sea_Lion", "owl"]}, "not in the files: owl"),
        ({}, {"texts": {"dgo": "hound"}}, '`texts` names what is no class of the files: "dgo".*did you mean "dog"'),
        ({}, {"format": {**FOLDERS, "root": "other"}}, "folder is missing from your folder.*found test, train, val"),
        ({}, {"format": {**FOLDERS, "folders": ["train", "valid"]}}, "valid: the folder is missing"),
        ({}, {"split": {**AS_SHIPPED, "shipped": {"train": "train"}}}, "12 items? belong|belong to no split"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused_in_one_line(tmp_path, change, options, words):
    with pytest.raises(ConesError, match=words) as caught:
        labelled(tmp_path, class_tree((4, 4, 4)) | change, **{"format": FOLDERS, **options})
    assert "\n" not in str(caught.value)


def test_a_class_without_training_pictures_is_refused(tmp_path):
    files = class_tree((10,), splits=(".",))
    files = {name: content for name, content in files.items() if not name.startswith("dog") or name.endswith("/1.png")}
    rule = {"rule": "test20_then_holdout80"}
    with pytest.raises(ConesError, match="1 of 3 classes have no training picture; found dog"):
        labelled(tmp_path, files, format=FLAT, split=rule)


def test_pictures_of_one_patient_stay_together(tmp_path):
    files = {
        f"{name}/p{person}_{n}.png": noise(100 * person + 10 * n + k, 8, 8)
        for k, name in enumerate(("ill", "well"))
        for person in range(10)
        for n in range(3)
    }
    rule = {"rule": "test20_then_holdout80", "patients": "/(p[0-9]+)_"}
    found = labelled(tmp_path, files, format=FLAT, split=rule)
    people = {split: {path.rpartition("/")[2].partition("_")[0] for path in found.classes(split)} for split in SPLITS}
    assert sum(map(len, people.values())) == 10 and found.manifest["report"]["groups"]["in_two_splits"] == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("task: detection\n  classes: [a, b]", "this format gives pictures one class each.*task: classification"),
        ("task: classification\n  template: a photo", "`template` must hold {} once"),
        ("task: classification\n  template: 'a {} of {}'", "`template` must hold {} once"),
        ("task: classification\n  template: 'a {kind} of {}'", "and no other brace"),
        ("task: classification\n  template: 'a {0}'", "`template` must hold {} once"),
        ("task: classification\n  template: 'a {} of {'", "and no other brace"),
        ("task: classification\n  template: 'a }{'", "`template` must hold {} once"),
        ("task: detection\n  classes: []", "`classes` is missing or empty"),
        ("task: classification\n  texts: {x: y}\n  classes: [a, b]", "`texts` names what is no class: x"),
    ],
)
def test_an_entry_that_does_not_fit_its_task(tmp_path, line, words):
    (tmp_path / "mine.yaml").write_text(
        f"mine:\n  paper_name: x\n  group: natural\n  {line}\n  home: x\n  licence: x\n  access: open\n  sources:\n"
        "    official:\n      folder: x\n      format: {name: class_folders}\n      split: {rule: holdout80}\n"
    )
    with pytest.raises(ConesError, match=words):
        load_registry(tmp_path / "mine.yaml")
