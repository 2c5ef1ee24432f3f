import json
import os
import signal
import subprocess
import sys

import pytest

from cones.data import coco
from cones.data.download import fetch
from cones.data.prepare import prepare
from cones.data.registry import dataset_named
from cones.runtime.errors import ConesError
from tests.data.made_up import cells_entry, voc_files, zipped

OUTPUTS = ("train.json", "val.json", "test.json", "splits.json", "manifest.json")


@pytest.fixture
def run(tmp_path, mirror):
    """Fetch from the mirror and prepare; returns (manifest, dataset folder)."""

    def run(entry=None):
        entry = entry or cells_entry()
        fetch(entry, "official", tmp_path / "data", mirror=mirror.path)
        manifest = prepare(entry, "official", tmp_path / "data")
        return manifest, tmp_path / "data" / "official" / "cells"

    return run


def contents(folder):
    return {name: (folder / name).read_bytes() for name in OUTPUTS}


@pytest.mark.parametrize("kind", ["tree", "archive"])
def test_from_mirror_to_canonical_splits(run, mirror, kind):
    files = voc_files({0: [("red", 2, 3, 20, 25), ("white", 30, 20, 50, 40), ("red", 5, 5, 5, 5)]})
    mirror.put(files) if kind == "tree" else mirror.put_archive(zipped(files))
    manifest, folder = run()
    assert manifest == json.loads((folder / "manifest.json").read_text())
    assert manifest["status"] == "ready" and manifest["classes"] == ["red", "white"]
    assert [manifest["splits"][split]["images"] for split in ("train", "val", "test")] == [6, 2, 2]
    assert sum(manifest["splits"][split]["boxes"] for split in manifest["splits"]) == 11
    assert manifest["report"]["boxes_listed"] == 12
    assert manifest["report"]["dropped"]["examples"][0]["file"] == "VOC/JPEGImages/cell_00.jpg"
    assert manifest["report"]["clipped"]["examples"][0]["kept"] == [30, 20, 10, 10]
    for split in ("train", "val", "test"):
        for image in json.loads((folder / f"{split}.json").read_text())["images"]:
            assert (folder / "raw" / image["file_name"]).is_file()


def test_dropped_and_clipped_boxes_are_told(run, mirror, caplog):
    caplog.set_level("INFO")
    mirror.put(voc_files({4: [("red", 35, 3, 50, 25), ("red", 50, 50, 60, 60)]}))
    run()
    assert "dataset cells: 1 box dropped" in caplog.text and "1 box clipped" in caplog.text
    assert "cell_04.jpg" in caplog.text


def test_the_same_input_gives_the_same_bytes(run, mirror):
    mirror.put_archive(zipped(voc_files()))
    first = contents(run()[1])
    assert contents(run()[1]) == first


def test_raw_is_unpacked_again_only_if_the_archive_changed(run, mirror):
    mirror.put_archive(zipped(voc_files()))
    before = (run()[1] / "raw").stat().st_ino
    assert (run()[1] / "raw").stat().st_ino == before
    mirror.put_archive(zipped(voc_files({0: [("white", 1, 1, 9, 9)]})))
    (mirror.path.parent / "data" / "checksums.lock.json").unlink()
    manifest, folder = run()
    assert (folder / "raw").stat().st_ino != before and manifest["splits"]["train"]["boxes"] == 6
    assert sum(split["per_class"]["white"] for split in manifest["splits"].values()) == 1


def test_from_archive_to_tree_and_back(run, mirror):
    mirror.put_archive(zipped(voc_files()))
    run()
    (mirror.path / "cells" / "cells.zip").unlink()
    mirror.put(voc_files())
    assert (run()[1] / "raw").is_symlink()
    mirror.put_archive(zipped(voc_files()))
    manifest, folder = run()
    assert not (folder / "raw").is_symlink() and manifest["tree"] is None
    assert (mirror.path / "cells/VOC").is_dir()  # the user's tree was not touched


def test_an_archive_swapped_after_the_fetch_is_noticed(run, mirror, tmp_path):
    mirror.put_archive(zipped(voc_files()))
    fetch(cells_entry(), "official", tmp_path / "data", mirror=mirror.path)
    mirror.put_archive(zipped(voc_files(count=4)))
    with pytest.raises(ConesError, match="an archive changed after it was fetched"):
        prepare(cells_entry(), "official", tmp_path / "data")


def with_file(name, content):
    return {**voc_files(), name: content}


@pytest.mark.parametrize(
    "files, words",
    [
        (with_file("VOC/JPEGImages/cell_03.jpg", b""), r"cell_03\.jpg: the picture is empty \(0 bytes\)"),
        (voc_files({2: []}), r"cell_02\.xml: XML without <object>"),
        (voc_files({2: [("rde", 1, 1, 5, 5)]}), r'cell_02\.xml: unknown class "rde".*did you mean "red"'),
        (voc_files(count=9), "expected train 6, val 2, test 2; found train 6, val 2, test 1"),
        (with_file("../evil.txt", b"x"), 'outside the folder; found "../evil.txt"'),
    ],
)
def test_bad_input_ends_in_one_line_and_no_manifest(run, mirror, files, words):
    mirror.put_archive(zipped(voc_files()))
    folder = run()[1]
    assert (folder / "manifest.json").exists()
    mirror.put_archive(zipped(files))
    (mirror.path.parent / "data" / "checksums.lock.json").unlink()
    with pytest.raises(ConesError, match=words) as caught:
        run()
    assert str(caught.value).startswith("dataset cells") and "\n" not in str(caught.value)
    assert "next: " in str(caught.value)
    assert not (folder / "manifest.json").exists()
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    assert not (mirror.path.parent / "data/official/evil.txt").exists()


def test_a_wrong_number_of_boxes_is_an_error(run, mirror):
    mirror.put(voc_files())
    entry = cells_entry(source={"expected": {"images": {"train": 6, "val": 2, "test": 2}, "boxes": 9}})
    with pytest.raises(ConesError, match="usable boxes is wrong; expected 9; found 10 of 10"):
        run(entry)


def test_a_declared_skip_gives_empty_splits_and_its_reason(tmp_path, capsys):
    entry = cells_entry(access="request")
    fetch(entry, "official", tmp_path)
    manifest = prepare(entry, "official", tmp_path)
    assert manifest["status"] == "skipped" and manifest["reason"].startswith("needs_request: ")
    for split in ("train", "val", "test"):
        document = json.loads((tmp_path / f"official/cells/{split}.json").read_text())
        assert document["images"] == document["annotations"] == []
        assert document["categories"] == coco.categories(["red", "white"])
        assert manifest["splits"][split]["images"] == 0


def test_preparing_before_fetching_says_so(tmp_path):
    with pytest.raises(ConesError, match=r"fetch\.json: file is missing; next: let the workflow make it"):
        prepare(cells_entry(), "official", tmp_path)


KILLED = """
import os, sys, signal
import cones.data.prepare as module
calls, real = int(sys.argv[2]), module.write_json
def write_json(path, *arguments, **options):
    global calls
    calls -= 1
    if calls < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    real(path, *arguments, **options)
module.write_json = write_json
from tests.data.made_up import cells_entry
module.prepare(cells_entry(), "official", sys.argv[1])
"""


@pytest.mark.parametrize("writes", [0, 2, 5])
def test_killed_at_any_write_no_manifest_is_left_and_a_new_run_ends_the_same(run, mirror, tmp_path, writes):
    mirror.put_archive(zipped(voc_files()))
    folder = run()[1]
    whole = contents(folder)
    (folder / "raw" / ".unpacked.json").unlink()  # so that it is unpacked again
    command = [sys.executable, "-c", KILLED, str(tmp_path / "data"), str(writes)]
    assert subprocess.run(command, env={**os.environ, "PYTHONPATH": "."}).returncode == -signal.SIGKILL
    assert not (folder / "manifest.json").exists()
    assert contents(run()[1]) == whole


def test_the_real_bccd(real_bccd_mirror, tmp_path):
    bccd = dataset_named("bccd")
    fetch(bccd, "official", tmp_path, mirror=real_bccd_mirror)
    manifest = prepare(bccd, "official", tmp_path)
    splits = manifest["splits"]
    assert [splits[split]["images"] for split in ("train", "val", "test")] == [255, 73, 36]
    assert sum(split["boxes"] for split in splits.values()) == 4886
    totals = {name: sum(split["per_class"][name] for split in splits.values()) for name in manifest["classes"]}
    assert totals == {"Platelets": 361, "RBC": 4153, "WBC": 372}
    report = manifest["report"]
    assert report["boxes_listed"] == 4888 and report["clipped"]["count"] == report["size_differs"]["count"] == 0
    assert [one["file"].split("/")[-1] for one in report["dropped"]["examples"]] == [
        "BloodImage_00338.jpg",
        "BloodImage_00343.jpg",
    ]
    # frozen: another membership would make every number of the bccd suite incomparable
    assert splits["test"]["items_sha256"] == "1f6889026a1c4e401e8da226d37d656050ea01e9066c1f9d3bb7bf05dd3b3ce0"
