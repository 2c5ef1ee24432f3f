"""Formats of labelled pictures that have files of labels, on pieces in the real layouts."""

import json

import pytest

from cones.runtime.errors import ConesError
from tests.data.labelled_pictures import labelled
from tests.data.own import AS_SHIPPED, noise

COOP = {"name": "coop_split", "split_file": "split_zhou_Pets.json", "images": "images"}
LINES = [
    ("train", "cat/1.jpg", 1, "house_cat"),
    ("train", "dog/2.jpg", 0, "dog"),
    ("val", "cat/3.jpg", 1, "house_cat"),
    ("test", "dog/4.jpg", 0, "dog"),
    ("test", "cat/5.jpg", 1, "house_cat"),
]


def coop(lines=LINES, *, place="images", file="split_zhou_Pets.json", **more) -> dict[str, bytes]:
    """The split file and a picture for each of its lines."""
    listed = {split: [line[1:] for line in lines if line[0] == split] for split in ("train", "val", "test")}
    files = {f"{place}/{line[1]}": noise(n, 24, 16) for n, line in enumerate(lines) if isinstance(line[1], str)}
    return files | {file: json.dumps(listed | more).encode()}


def test_a_split_file_gives_labels_names_and_splits(tmp_path):
    found = labelled(tmp_path, coop(), format=COOP)
    assert found.manifest["classes"] == ["dog", "house_cat"] and found.manifest["texts"] == ["dog", "house cat"]
    assert found.classes("train") == {"raw/images/cat/1.jpg": "house_cat", "raw/images/dog/2.jpg": "dog"}
    assert found.classes("val") == {"raw/images/cat/3.jpg": "house_cat"} and len(found.classes("test")) == 2


def test_labels_are_those_of_the_file_and_not_of_the_alphabet(tmp_path):
    lines = [(split, path, 1 - label, name) for split, path, label, name in LINES]
    assert labelled(tmp_path, coop(lines), format=COOP).manifest["classes"] == ["house_cat", "dog"]


@pytest.mark.parametrize("below", ["BTMRI", "data/BTMRI"])
def test_the_split_file_may_lie_in_a_folder_with_its_pictures(tmp_path, below):
    """As in BiomedCoOp's zip files: BTMRI/split_BTMRI.json beside BTMRI/BTMRI/<class>/."""
    files = coop(place=f"{below}/images", file=f"{below}/split_zhou_Pets.json")
    assert labelled(tmp_path, files, format=COOP).counts() == [2, 1, 2]


def test_pictures_that_no_line_names_are_left_out_and_counted(tmp_path):
    more = {f"images/BACKGROUND/{n}.jpg": noise(50 + n) for n in range(3)} | {"images/cat/9.jpg": noise(60)}
    found = labelled(tmp_path, coop() | more, format=COOP)
    assert found.notes["a folder of pictures that the split file does not name, left out"] == 1
    assert found.notes["a picture that no annotation names, left out"] == 1
    assert sum(found.counts()) == 5


def test_two_labels_of_one_name_stay_two_classes(tmp_path):
    lines = [(split, path, label, "pet") for split, path, label, _ in LINES]
    found = labelled(tmp_path, coop(lines), format=COOP)
    assert found.manifest["classes"] == ["pet", "pet (1)"] and found.manifest["texts"] == ["pet", "pet"]
    assert found.notes["a class that texts call as another one"] == 1


def test_missing_pictures_are_refused_or_allowed_by_number(tmp_path):
    files = coop()
    del files["images/cat/5.jpg"]
    files |= {"images/dog/6.jpg": noise(7)}
    with pytest.raises(ConesError, match=r"1 of 5 listed pictures are missing; expected images/cat/5\.jpg"):
        labelled(tmp_path / "refused", files, format=COOP)
    found = labelled(tmp_path / "allowed", files, format=COOP, allow_missing=1)
    assert found.counts() == [2, 1, 1] and found.manifest["report"]["missing"]["count"] == 1
    assert found.notes["a class without a test picture: it is left out of means over classes"] == 1


def changed(number: int, **values) -> list:
    keys = ("split", "path", "label", "name")
    lines = [dict(zip(keys, line)) for line in LINES]
    lines[number] |= values
    return [tuple(line.values()) for line in lines]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (coop(file="other.json"), "the split file is missing.*found other.json"),
        (coop(file="a/split_zhou_Pets.json") | coop(file="b/split_zhou_Pets.json"), "2 files have the name"),
        (coop() | {"split_zhou_Pets.json": b"{"}, "broken JSON"),
        (coop() | {"split_zhou_Pets.json": b'{"train": []}'}, "not a split file"),
        (coop() | {"split_zhou_Pets.json": b'{"train": [], "test": []}'}, "the split file names no picture"),
        (coop(extra=[]), 'a split that is not read: "extra"'),
        (coop(changed(0, name=" ")), r"entry 0 of train cannot be read.*cat/1\.jpg"),
        (coop(changed(2, label=True)), "entry 0 of val cannot be read"),
        (coop(changed(4, path="../secret.jpg")), "entry 1 of test cannot be read"),
        (coop(changed(4, name="cat")), 'label 1 has two class names; found "house_cat" and "cat"'),
        (coop([(s, p, 2 * label, n) for s, p, label, n in LINES]), "without a gap.*no picture of label 1"),
        (coop(changed(4, path="cat/1.jpg")), "the picture is listed 2 times"),
        (coop(place="pictures"), "the folder is missing"),
    ],
)
def test_a_split_file_that_cannot_be_read_is_refused_in_one_line(tmp_path, files, words):
    with pytest.raises(ConesError, match=words) as caught:
        labelled(tmp_path, files, format=COOP)
    assert "\n" not in str(caught.value)


AIRCRAFT = {"name": "fgvc_aircraft", "root": "fgvc-aircraft-2013b/data"}
PLANES = {"train": ["0034309 A340-300", "0034310 DC-8"], "val": ["0100000 DC-8"], "test": ["0100001 707-320 B"]}


def aircraft(lists=PLANES, variants=("707-320 B", "A340-300", "DC-8"), level="variant") -> dict[str, bytes]:
    root = "fgvc-aircraft-2013b/data"
    names = [line.split()[0] for lines in lists.values() for line in lines]
    files = {f"{root}/images/{name}.jpg": noise(n) for n, name in enumerate(names)}
    files |= {f"{root}/images_{level}_{split}.txt": "\n".join(lines).encode() for split, lines in lists.items()}
    return files | {f"{root}/{level}s.txt": ("\n".join(variants) + "\n").encode()}


def test_aircraft_are_read_from_their_own_lists(tmp_path):
    lists = PLANES | {"train": [*PLANES["train"], "0034311 707-320 B"]}
    found = labelled(tmp_path, aircraft(lists) | {"fgvc-aircraft-2013b/data/images/x.jpg": noise(90)}, format=AIRCRAFT)
    assert found.manifest["classes"] == ["707-320 B", "A340-300", "DC-8"] and found.counts() == [3, 1, 1]
    assert set(found.classes("test").values()) == {"707-320 B"}
    assert found.notes["a picture that no annotation names, left out"] == 1


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (aircraft(PLANES | {"val": ["0100000 DC-9"]}), 'line 1 names an unknown class "DC-9".*did you mean "DC-8"'),
        (aircraft(), "1 of 3 classes have no training picture; found 707-320 B"),
        (aircraft(level="family"), "the list is missing"),
    ],
)
def test_aircraft_lists_that_do_not_fit_are_refused(tmp_path, files, words):
    with pytest.raises(ConesError, match=words):
        labelled(tmp_path, files, format=AIRCRAFT)


NAMES = b"n01440764 tench\nn01443537 goldfish\nn01484850 great white shark\n"
WORDNET = ("n01440764", "n01443537", "n01484850")
IMAGENET = {"name": "imagenet_folders", "folders": {"train": "images/train", "val": "images/val"}}
VAL_IS_TEST = {"rule": "as_shipped", "shipped": {"train": "train", "test": "val"}}
SCORED = {"rule": "as_shipped", "shipped": {"test": "all"}}


def imagenet(classes=WORDNET) -> dict[str, bytes]:
    files = {"classnames.txt": NAMES}
    for k, split in enumerate(("train", "val")):
        for label, name in enumerate(classes):
            for n in range(2):
                picture = noise(100 * k + 10 * label + n, 24, 16, "JPEG")
                files[f"images/{split}/{name}/{name}_{n}.JPEG"] = picture
    return files


def test_imagenets_validation_split_is_its_test_and_classes_are_wordnet_ids(tmp_path):
    found = labelled(tmp_path, imagenet(), format=IMAGENET, split=VAL_IS_TEST)
    assert found.manifest["classes"] == list(WORDNET) and found.counts() == [6, 0, 6]
    assert found.manifest["texts"] == ["tench", "goldfish", "great white shark"]


@pytest.mark.parametrize(
    ("place", "folders", "format", "classes"),
    [
        ("imagenetv2-matched-frequency-format-val", ("0", "1", "2"), {"numbered": True}, WORDNET),
        ("sketch", WORDNET, {}, WORDNET),
        ("imagenet-a", WORDNET[1:], {"subset": True}, WORDNET[1:]),
    ],
)
def test_shifted_copies_have_the_classes_of_their_source(tmp_path, place, folders, format, classes):
    files = {f"{place}/{name}/{n}.jpg": noise(10 * k + n) for k, name in enumerate(folders) for n in range(2)}
    files |= {"classnames.txt": NAMES, f"{place}/README.txt": b"about"}
    entry = {"name": "imagenet_folders", "folders": {"all": place}, **format}
    found = labelled(tmp_path, files, format=entry, split=SCORED)
    assert found.manifest["classes"] == list(classes) and found.counts() == [0, 0, 2 * len(classes)]
    for path, name in found.classes("test").items():
        assert path.split("/")[2] == (str(WORDNET.index(name)) if "numbered" in format else name)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (imagenet(WORDNET[:2]), "1 of 3 classes have no folder; expected n01484850 .great white shark.*subset: true"),
        (imagenet((*WORDNET, "n09")), "n09: a class folder that the file of names does not know"),
        ({k: v for k, v in imagenet().items() if k != "classnames.txt"}, "the file of class names is missing"),
        (imagenet() | {"classnames.txt": NAMES + NAMES}, "line 4 names a class again"),
        (imagenet() | {"classnames.txt": NAMES + b"n09\n"}, "line 4 has no name"),
        (
            {k.replace("/val/n", "/val/"): v for k, v in imagenet().items()},
            "class folder that the file of names does not know",
        ),
        (
            {("images/val/" + k.rpartition("/")[2] if "/val/" in k else k): v for k, v in imagenet().items()},
            "no class folder is there; found 6 pictures without a folder",
        ),
    ],
)
def test_imagenet_folders_that_do_not_fit_are_refused(tmp_path, files, words):
    with pytest.raises(ConesError, match=words):
        labelled(tmp_path, files, format=IMAGENET, split=VAL_IS_TEST)


def test_a_val_split_that_is_the_test_is_said(tmp_path):
    split = {**AS_SHIPPED, "shipped": {"train": "train", "val": "val", "test": "val"}}
    found = labelled(tmp_path, imagenet(), format=IMAGENET, split=split)
    assert found.counts() == [6, 6, 6] and found.manifest["same_splits"] == {"test": "val"}
    assert found.manifest["report"]["leaks"]["count"] == 0
