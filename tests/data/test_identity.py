"""Who is who in other people's files: category and image ids, class names, file names."""

import unicodedata
import zipfile

import pytest

from cones.data.unpack import unpack
from cones.methods.prompts import encode_caption
from cones.models.checkpoints import tokenizer_for
from cones.models.language import ClassPhrase
from cones.runtime.errors import ConesError
from tests.data.own import COCO, DIVIDED, coco_json, coco_tree, noise, prepared


def with_labels(content: bytes, split="train"):
    return {**coco_tree(), f"{split}/labels.json": content}


NAMES = [f"train_{n}.png" for n in range(3)]
BOXES = [(n, 1, [2, 3, 10, 12]) for n in (1, 2, 3)]


def test_a_category_id_for_two_classes_is_refused_by_both_names(tmp_path):
    twice = [{"id": 1, "name": "red"}, {"id": 1, "name": "white"}]
    with pytest.raises(ConesError, match=r'category id 1 stands for two classes.*found "red" and "white"'):
        prepared(tmp_path, with_labels(coco_json(NAMES, BOXES, categories=twice)), format=COCO)


def test_two_ids_of_one_class_are_one_class(tmp_path):
    twice = [{"id": 1, "name": "red"}, {"id": 2, "name": "red "}]
    boxes = [(1, 1, [2, 3, 10, 12]), (2, 2, [2, 3, 10, 12])]
    result = prepared(tmp_path, with_labels(coco_json(NAMES, boxes, categories=twice)), format=COCO)
    assert result.manifest["splits"]["train"]["per_class"] == {"red": 2, "white": 0}


def test_ids_as_text_are_the_numbers_they_say(tmp_path):
    boxes = [{"id": "5", "image_id": str(n), "category_id": "1", "bbox": [2, 3, 10, "12"]} for n in (1, 2, 3)]
    result = prepared(tmp_path, with_labels(coco_json(NAMES, boxes)), format=COCO)
    assert result.manifest["splits"]["train"]["per_class"]["red"] == 3


def annotation(**changes):
    return {"id": 7, "image_id": 2, "category_id": 1, "bbox": [2, 3, 10, 12], **changes}


@pytest.mark.parametrize(
    "content, words",
    [
        (coco_json(NAMES, [annotation(bbox=[])]), r"annotation 7 has no box; expected bbox: \[x, y.*found \[\]"),
        (coco_json(NAMES, [annotation(bbox=None)]), "annotation 7 has no box.*found null"),
        (
            coco_json(NAMES, [annotation(bbox=[1, None, 3, 4])]),
            r"annotation 7 has no usable box.*found \[1, null, 3, 4\]",
        ),
        (coco_json(NAMES, [annotation(bbox=[1, 2, 3, float("inf")])]), "annotation 7 has no usable box"),
        (coco_json(NAMES, [annotation(image_id=9)]), "image id 9, which is not listed; .*found annotation 7"),
        (coco_json(NAMES, [annotation(category_id=None)]), "category_id of annotation 7 is no id; .*found null"),
        (
            coco_json(NAMES, [annotation(iscrowd="maybe")]),
            'iscrowd of annotation 7 is neither yes nor no; .*found "maybe"',
        ),
        (
            coco_json([{"id": 1, "file_name": n} for n in NAMES]),
            'id 1 is used twice; found "train_0.png" and "train_1.png"',
        ),
        (coco_json([NAMES[0], NAMES[0]]), 'the picture "train_0.png" is listed twice; found image ids 1 and 2'),
        (coco_json([{"id": 3, "file_name": None}]), "image 3 has no file_name; expected text; found null"),
        (
            coco_json(["../../label-studio/train_0.png"]),
            r'image 1 has a path that leaves.*found "\.\./\.\./label.*`images:',
        ),
    ],
)
def test_a_fault_names_the_entry_the_value_and_a_step_for_a_folder_of_ones_own(tmp_path, content, words):
    with pytest.raises(ConesError, match=rf"dataset my_cells: train/labels\.json: .*{words}") as caught:
        prepared(tmp_path, with_labels(content), format=COCO)
    assert "next: " in str(caught.value) and "fetch" not in str(caught.value)


@pytest.mark.parametrize("word, crowd", [("0", 0), ("false", 0), (0.0, 0), (None, 0), ("1", 1), (True, 1), ("1.0", 1)])
def test_words_for_crowds(tmp_path, word, crowd):
    boxes = [annotation(iscrowd=word), annotation(id=8, image_id=1)]
    result = prepared(tmp_path, with_labels(coco_json(NAMES, boxes)), format=COCO)
    assert sorted(one["iscrowd"] for one in result.document("train")["annotations"]) == sorted([0, crowd])


# ------------------------------------------------------------------------------------------------------- class names


@pytest.mark.parametrize(
    "classes, words",
    [
        ('["", cat]', "classes.0: a class name is empty"),
        ("[yes, no]", "classes.0: YAML reads yes as true, not as text; found yes; next: put it in quotes: 'yes'"),
        ("[cat, 12:30]", "classes.1: YAML reads 12:30 as the number 750, not as text"),
        ("[010, cat]", "classes.0: YAML reads 010 as the number 8, not as text"),
        ("[cat, ~]", "classes.1: YAML reads ~ as nothing, not as text"),
    ],
)
def test_class_names_that_are_none(tmp_path, classes, words):
    import yaml

    from cones.data.registry import load_registry
    from tests.data.own import entry

    text = yaml.safe_dump({"my_cells": entry(tmp_path, format=COCO)})
    assert "  - red\n  - white\n" in text
    (tmp_path / "mine.yaml").write_text(text.replace("classes:\n  - red\n  - white\n", f"classes: {classes}\n"))
    with pytest.raises(ConesError, match=rf"mine\.yaml: my_cells: {words}"):
        load_registry(tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    "names, words",
    [
        (("猫", "dog"), '"猫" has no letter or digit that the text encoder knows'),
        (("Ship", "ship"), 'reads the classes "Ship" and "ship" as the same words'),
        (("plane (civil)", "plane (military)"), r'"plane \(civil\)" and "plane \(military\)" as the same words'),
        (("red_cell", "cat", "red cell"), '"red_cell" and "red cell" as the same words'),
    ],
)
def test_classes_that_the_text_encoder_cannot_tell_apart(names, words):
    with pytest.raises(ConesError, match=f"{words}.*`prompts`"):
        encode_caption(tokenizer_for("glip_nano"), [ClassPhrase(name) for name in names])


def test_classes_that_differ_in_the_words_around_them_may_share_a_name():
    phrases = [ClassPhrase("cell", prefix="red "), ClassPhrase("cell", prefix="white ")]
    assert encode_caption(tokenizer_for("glip_nano"), phrases).class_positions.shape[0] == 2


def test_more_vectors_than_a_caption_holds_are_said_when_the_plan_is_made(tmp_path):
    import yaml

    from cones.experiment.cell import CAPTION_POSITIONS, Plan
    from cones.models.language import MAX_POSITIONS
    from tests.data.own import entry

    assert CAPTION_POSITIONS == MAX_POSITIONS
    many = entry(tmp_path, format=COCO, classes=[str(n) for n in range(100)])
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"many": many}))
    suite = {"registry": [str(tmp_path / "mine.yaml")], "datasets": ["many"], "arms": ["textual_inversion"]}
    with pytest.raises(
        ConesError, match=r"glip_nano, many, textual_inversion: .*: 401; next: set `tokens_per_class: 1`"
    ):
        Plan.load("bccd", suite)
    Plan.load("bccd", {**suite, "arms": {"textual_inversion": {"tokens_per_class": 1}}})
    Plan.load("bccd", {**suite, "arms": ["cones"]})  # no caption there


def test_a_class_name_is_known_in_either_unicode_form(tmp_path):
    files = coco_tree(classes=(unicodedata.normalize("NFD", "é blé"), "white"))
    result = prepared(tmp_path, files, format=COCO, classes=("é blé", "white"))
    assert result.manifest["splits"]["train"]["per_class"]["é blé"] == 3


# -------------------------------------------------------------------------------------------------------- file names


def one_folder(names, on_disk=None):
    """All pictures under `all/`, listed by `names`, lying there as `on_disk`; a box each."""
    files = {f"all/{name}": noise(n) for n, name in enumerate(on_disk or names)}
    boxes = [(n, 1, [2, 3, 10, 12]) for n in range(1, len(names) + 1)]
    return files | {"all/labels.json": coco_json(names, boxes)}


ALL = {"name": "coco", "files": {"all": "all/labels.json"}}


def test_sub_folders_dots_and_equal_stems_are_pictures_of_their_own(tmp_path):
    names = ["cam0/000.png", "cam1/000.png", "a.png", "a.jpg", "b.v1.rf.12.png", "b.v1.rf.13.png"]
    result = prepared(tmp_path, one_folder(names), format=ALL, split=DIVIDED)
    items = [item for split in ("train", "val", "test") for item in result.items(split)]
    wanted = ["cam0/000", "cam1/000", "a.png", "a.jpg", "b.v1.rf.12", "b.v1.rf.13"]
    assert sorted(items) == sorted(f"all/{name}" for name in wanted)


@pytest.mark.parametrize(
    "listed, on_disk",
    [
        ("images\\a.png", "images/a.png"),
        (unicodedata.normalize("NFD", "blé.png"), unicodedata.normalize("NFC", "blé.png")),
        (unicodedata.normalize("NFC", "blé.png"), unicodedata.normalize("NFD", "blé.png")),
        ("A.PNG", "a.png"),
        ("./a.png", "a.png"),
    ],
)
def test_a_name_finds_its_file_whatever_machine_wrote_it(tmp_path, listed, on_disk):
    rest = [f"{n}.png" for n in range(5)]
    result = prepared(tmp_path, one_folder([listed, *rest], [on_disk, *rest]), format=ALL, split=DIVIDED)
    assert f"all/{on_disk}" in result.objects() and sum(result.counts()) == 6


def test_json_with_a_byte_order_mark_is_json(tmp_path):
    content = coco_tree()["train/labels.json"]
    for number, wide in enumerate((b"\xef\xbb\xbf" + content, content.decode().encode("utf-16"))):
        assert prepared(tmp_path / str(number), with_labels(wide), format=COCO).counts() == [3, 1, 1]


def test_zip_names_in_utf8_without_the_flag_are_read_as_utf8(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("blé/猫.txt", b"x")
        archive.writestr("._blé.txt", b"x")
        archive.writestr("Thumbs.db", b"x")
    raw = bytearray((tmp_path / "a.zip").read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        position = raw.find(mark)
        while position >= 0:
            raw[position + offset + 1] &= 0xF7  # the flag for UTF-8 is bit 11
            position = raw.find(mark, position + 1)
    (tmp_path / "a.zip").write_bytes(raw)
    (tmp_path / "out").mkdir()
    unpack(tmp_path / "a.zip", tmp_path / "out", dataset_id="cells")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")] == ["blé/猫.txt"]
