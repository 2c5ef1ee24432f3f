import subprocess
import sys

import pytest
import yaml

from cones.data.registry import dataset_named, load_registry
from cones.runtime.errors import ConesError
from cones.runtime.strict import read_yaml


@pytest.fixture
def registry_with(tmp_path):
    """Write the real registry with one place changed: `registry_with("bccd.sources.official.format.name", "vok")`."""

    def write(place, value):
        content = read_yaml("datasets.yaml")
        node = content
        *parents, last = place.split(".")
        for key in parents:
            node = node[key]
        node[last] = value
        path = tmp_path / "datasets.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    return write


def test_the_registry_as_shipped():
    registry = load_registry()
    bccd, aquarium = registry["bccd"], registry["aquarium"]
    assert bccd.source("official").expected.boxes == 4886
    assert sum(bccd.source("official").expected.images.model_dump().values()) == 364
    assert [phrase.name for phrase in aquarium.phrases] == aquarium.classes
    assert len(aquarium.manual_prompts) == len(aquarium.classes)


def test_miniature_takes_layout_but_no_address_or_checksum_from_official():
    for entry in load_registry().values():
        official, miniature = entry.source("official"), entry.source("miniature")
        assert miniature.format == official.format and miniature.split == official.split
        if "archives" not in read_yaml("datasets.yaml")[entry.id]["sources"]["miniature"]:
            assert [one.filename for one in miniature.archives] == [one.filename for one in official.archives]
        assert not any(one.urls or one.sha256 or one.md5 or one.size for one in miniature.archives)


@pytest.mark.parametrize(
    "place, value, words",
    [
        ("bccd.clases", [], ["bccd: clases", "unknown key", '"classes"']),
        ("bccd.sources.official.formt", {}, ["sources.official.formt", '"format"']),
        ("bccd.sources.official.archives", [{"filename": "a.zip", "urll": []}], ["archives.0.urll", '"urls"']),
        ("bccd.sources.official.format.name", "vok", ['there is no native format "vok"', '"voc"']),
        ("bccd.sources.official.format.rot", "x", ["sources.official.format: rot", '"root"']),
        ("bccd.group", "non-radiology", ["bccd: group", "non_radiology"]),
        ("bccd.sources.official.split.rule", "stabel_cut", ["split.rule", "stable_cut"]),
        ("bccd.sources.official.archives", [{"filename": "../a.zip"}], ["archives.0.filename"]),
        ("bccd.prompts", [{"name": "RBC"}], ["one phrase for each of the 3 classes"]),
        ("bccd.classes", ["RBC", "RBC"], ["listed twice"]),
        ("Bad_Id", {}, ["Bad_Id"]),
        ("bccd", "text", ["an entry must be a mapping"]),
        ("bccd.id", "bccd", ["bccd: id", "remove this line"]),
    ],
)
def test_a_mistake_ends_in_one_line_with_file_and_key(registry_with, place, value, words):
    path = registry_with(place, value)
    with pytest.raises(ConesError) as caught:
        load_registry(path)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    assert all(word in message for word in words), message


def test_an_id_is_a_safe_path_part(registry_with):
    entry = read_yaml("datasets.yaml")["bccd"]
    assert "dreambooth-dog6" in load_registry(registry_with("dreambooth-dog6", entry))
    with pytest.raises(ConesError, match="an id is lower-case"):
        load_registry(registry_with("a/bccd", entry))


def test_a_mistyped_dataset_or_source_is_answered_with_the_nearest():
    with pytest.raises(ConesError, match='did you mean "aquarium"'):
        dataset_named("aquarum")
    with pytest.raises(ConesError, match='did you mean "miniature"'):
        dataset_named("bccd").source("minature")


def test_reading_the_registry_imports_nothing_heavy():
    code = (
        "import sys; from cones.data.registry import load_registry; load_registry();"
        "print([m for m in ('torch', 'numpy', 'PIL', 'requests', 'pooch', 'pycocotools') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
