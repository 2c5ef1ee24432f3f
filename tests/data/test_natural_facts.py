"""The registry's entries against facts that were compiled apart from it."""

from pathlib import Path

import pytest
import yaml

from cones.data.registry import load_registry
from cones.miniature.dreambooth import SUBJECTS
from cones.miniature.odinw import SUPERCATEGORIES

FACTS = yaml.safe_load((Path(__file__).parent / "natural_facts.yaml").read_text())
REGISTRY = load_registry()


def test_the_natural_group_is_odinw_13_in_the_order_of_the_paper_s_table():
    assert [name for name, entry in REGISTRY.items() if entry.group == "natural"] == list(FACTS["odinw"])
    assert sum(len(facts["classes"]) for facts in FACTS["odinw"].values()) == 50


@pytest.mark.parametrize("name", FACTS["odinw"])
def test_an_odinw_entry_is_what_glip_ships(name):
    facts, entry = FACTS["odinw"][name], REGISTRY[name]
    official = entry.source("official")
    train, val, test = facts["counts"]
    images = official.expected.images
    assert (images.train, images.val, images.test) == (train, val, test or val)
    assert official.split.aliases == ({} if test else {"test": "val"})
    assert entry.classes == facts["classes"]
    (archive,) = official.archives
    assert archive.filename == facts["archive"]
    assert archive.urls == [f"https://huggingface.co/GLIPModel/GLIP/resolve/main/odinw_35/{facts['archive']}"]
    parameters, shipped = official.format.parameters, official.split.shipped
    for split in ("train", "val", "test"):
        if "files" in parameters:
            path = parameters["files"][shipped[split]]
        else:
            path = f"{shipped[split]}/annotations_without_background.json"
        assert f"{parameters['root']}/{path}" == facts[split]
    assert SUPERCATEGORIES[name] == facts["supercategory"]
    said = [f"{one.prefix}{one.name}{one.suffix}" for one in entry.manual_prompts or []]
    published = facts.get("manual_prompt", "").replace(" , ", ", ")
    assert " . ".join(said) == published


def test_dreambooth_s_subjects_and_their_pictures():
    facts = FACTS["dreambooth"]
    assert REGISTRY["dreambooth"].classes == list(facts) and len(facts) == 30
    images = REGISTRY["dreambooth"].source("official").expected.images
    assert images.train == sum(count for _, count, _ in facts.values()) == 158
    assert {name: subject[0] for name, subject in SUBJECTS.items()} == {
        name: count for name, (_, count, _) in facts.items()
    }


def test_cityscapes():
    entry, facts = REGISTRY["cityscapes"], FACTS["cityscapes"]
    official = entry.source("official")
    assert entry.classes == facts["classes"] and entry.access == "login"
    assert [official.expected.images.train, official.expected.images.val] == facts["counts"]
    assert official.split.aliases == {"test": "val"}
    assert {archive.filename: archive.md5 for archive in official.archives} == facts["md5"]
