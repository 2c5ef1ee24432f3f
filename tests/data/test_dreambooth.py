import os
from pathlib import Path

import pytest
import yaml

from cones.data import coco
from cones.data.download import fetch
from cones.data.formats import dreambooth
from cones.data.formats.records import NativeFiles
from cones.data.prepare import prepare
from cones.data.registry import load_registry
from cones.experiment.suite import load_suite
from cones.miniature.archives import draw
from cones.runtime.errors import ConesError
from tests.data.made_up import jpeg, write_tree
from tests.data.own import noise

DREAMBOOTH = load_registry()["dreambooth"]
FACTS = yaml.safe_load((Path(__file__).parent / "natural_facts.yaml").read_text())["dreambooth"]
TEXT = """Classes

subject_name,class
rex,dog
old_mug,coffee mug
spare,toy

Prompts

Object Prompts

prompt_list = [
'a {0} {1} in the jungle'.format(unique_token, class_token),
'a cube shaped {0} {1}'.format(unique_token, class_token)
]

Live Subject Prompts

prompt_list = [
"a {0} {1} wearing a santa's hat".format(unique_token, class_token)
]
"""


def tree(text=TEXT):
    files = {f"dataset/{name}/{number:02d}.jpg": jpeg() for name in ("rex", "old_mug") for number in range(2)}
    return {**files, "dataset/prompts_and_classes.txt": text.encode(), "dataset/references_and_licenses.txt": b"-"}


def native(tmp_path, files):
    return NativeFiles(dataset_id="dreambooth", raw=write_tree(tmp_path, files), classes=["rex", "old_mug"])


def test_subjects_class_words_and_prompts(tmp_path):
    files = native(tmp_path, tree())
    parameters = dreambooth.Parameters()
    records = list(dreambooth.convert(files, parameters))
    assert [record.item_id for record in records] == ["rex/00", "rex/01", "old_mug/00", "old_mug/01"]
    assert {record.split for record in records} == {"train"} and not any(record.objects for record in records)
    described = dreambooth.describe(files, parameters)
    assert described["subjects"]["old_mug"] == {
        "class_word": "coffee mug",
        "prompts": "object",
        "images": ["dataset/old_mug/00.jpg", "dataset/old_mug/01.jpg"],
    }
    assert described["subjects"]["rex"]["prompts"] == "live"
    assert described["prompts"] == {
        "object": ["a {0} {1} in the jungle", "a cube shaped {0} {1}"],
        "live": ["a {0} {1} wearing a santa's hat"],
    }


def changed(**changes):
    files = tree()
    for name, content in changes.items():
        path = {"first": "dataset/rex/00.jpg", "second": "dataset/rex/01.jpg"}.get(name, f"dataset/{name}")
        del files[path]
        if content:
            files[path] = content
    return files


@pytest.mark.parametrize(
    "files, words",
    [
        (changed(first=None, second=None), ["dataset/rex", 'no picture of subject "rex"']),
        ({**changed(first=None, second=None), "dataset/rex/notes.txt": b""}, ['no picture of subject "rex"', ".jpg"]),
        (
            {**changed(first=None, second=None), "dataset/rexx/00.jpg": jpeg()},
            ['no picture of subject "rex"', "found folders old_mug, rexx", 'did you mean "rexx"'],
        ),
        (
            changed(**{"prompts_and_classes.txt": None}),
            ["prompts_and_classes.txt", "class words and prompts is missing"],
        ),
        (tree(TEXT.replace("rex,dog\n", "")), ["prompts_and_classes.txt", 'no class word for subject "rex"']),
        (tree(TEXT.replace("rex,dog\n", "rex,\n")), ['no class word for subject "rex"']),
        (tree(TEXT.replace("{0} {1} in", "{1} in")), ["line 13 is no prompt", "in the jungle"]),
        (tree(TEXT.replace("{0} {1} in", "{0} {2} in")), ["line 13 is no prompt"]),
        (tree(TEXT.replace(".format(unique_token, class_token)\n]\n\nLive", "\n]\n\nLive")), ["line 14 is no prompt"]),
        (tree(TEXT.replace("Live Subject Prompts", "More Prompts")), ["no prompt under Live Subject Prompts"]),
        (tree(TEXT[: TEXT.index("Prompts")]), ["no prompt under Object Prompts"]),
        ({"other/a.jpg": jpeg()}, ["dataset", "folder is missing", "found other"]),
        (changed(**{"prompts_and_classes.txt": b"\xff\xfe\x00"}), ["prompts_and_classes.txt", "not text"]),
    ],
)
def test_faults_name_dataset_and_file(tmp_path, files, words):
    raw = native(tmp_path, files)
    with pytest.raises(ConesError) as caught:
        list(dreambooth.convert(raw, dreambooth.Parameters()))
        dreambooth.describe(raw, dreambooth.Parameters())
    message = str(caught.value)
    assert message.startswith("dataset dreambooth: ") and "next: " in message
    assert all(word in message for word in words), message


def test_the_shipped_suite_reads_the_layout_of_the_repository(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    lines = "".join(f"{name},{word}\n" for name, (word, *_) in FACTS.items())
    text = TEXT.replace("rex,dog\nold_mug,coffee mug\nspare,toy\n", lines)
    files = {"dataset/prompts_and_classes.txt": text.encode(), "README.md": b"# DreamBooth"}
    files |= {"dataset/references_and_licenses.txt": b"-", ".git/HEAD": b"ref", "dataset/.DS_Store": b"\0"}
    for seed, name in enumerate(FACTS):
        files |= {f"dataset/{name}/{number:02d}.jpg": noise(10 * seed + number, kind="JPEG") for number in range(2)}
    monkeypatch.setenv("CONES_DREAMBOOTH", str(write_tree(tmp_path / "repository", files)))
    (nine,) = load_registry("config/datasets/dreambooth_nine.yaml").values()
    assert nine.id == load_suite("dreambooth").generation.dataset and len(FACTS) == 30 and len(nine.classes) == 9
    fetch(nine, "official", tmp_path)
    manifest = prepare(nine, "official", tmp_path)
    assert list(manifest["generation"]["subjects"]) == nine.classes and manifest["splits"]["train"]["images"] == 18
    others = [name for name in sorted(FACTS) if name not in nine.classes]
    assert [record.message for record in caplog.records if "subjects left out" in record.message] == [
        f"dataset {nine.id}: 21 subjects left out: {', '.join(others)}"
    ]
    assert manifest["report"]["notes"]["a subject that `classes` does not name, left out"]["count"] == 21


def test_the_drawn_archive_has_all_subjects_and_the_real_prompts(tmp_path):
    draw(DREAMBOOTH, tmp_path)
    fetch(DREAMBOOTH, "miniature", tmp_path)
    manifest = prepare(DREAMBOOTH, "miniature", tmp_path)
    generation = manifest["generation"]
    found = {
        name: (one["class_word"], len(one["images"]), one["prompts"] == "live")
        for name, one in generation["subjects"].items()
    }
    assert found == {name: tuple(facts) for name, facts in FACTS.items()}
    assert [len(generation["prompts"][kind]) for kind in ("object", "live")] == [25, 25]
    assert all(
        (tmp_path / "miniature/dreambooth/raw" / one).is_file() for one in generation["subjects"]["dog6"]["images"]
    )


def test_only_datasets_for_generation_describe_subjects(tmp_path):
    aquarium = load_registry()["aquarium"]
    draw(aquarium, tmp_path)
    fetch(aquarium, "miniature", tmp_path)
    assert "generation" not in prepare(aquarium, "miniature", tmp_path)


def test_the_real_subjects_that_are_here():
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "dreambooth"
    raw = Path(os.environ.get("CONES_TEST_DREAMBOOTH", beside))
    if not (raw / "dataset" / "prompts_and_classes.txt").is_file():
        pytest.skip("the real DreamBooth is not here: set CONES_TEST_DREAMBOOTH to the folder that holds dataset/")
    present = [name for name in FACTS if (raw / "dataset" / name).is_dir()]
    files = NativeFiles(dataset_id="dreambooth", raw=raw, classes=present)
    validated = coco.gate(dreambooth.convert(files, dreambooth.Parameters()), files)
    described = dreambooth.describe(files, dreambooth.Parameters())
    assert len(validated.images) == sum(FACTS[name][1] for name in present) and len(present) >= 1
    for name, subject in described["subjects"].items():
        word, count, live = FACTS[name]
        assert (subject["class_word"], len(subject["images"]), subject["prompts"] == "live") == (word, count, live)
    assert [len(prompts) for prompts in described["prompts"].values()] == [25, 25]
    drawn = Path("cones/miniature/dreambooth_prompts_and_classes.txt").read_bytes()
    assert drawn == (raw / "dataset" / "prompts_and_classes.txt").read_bytes()
