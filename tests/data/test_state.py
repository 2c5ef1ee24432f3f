"""The registry on the command line: states, one entry, previews; and the list at the end of a run."""

import json

import pytest
from PIL import Image
from typer.testing import CliRunner

from cones.cli.main import app
from cones.data.download import fetch
from cones.data.drawing import class_colour
from cones.data.prepare import prepare
from cones.data.preview import preview
from cones.data.registry import load_registry
from cones.data.state import state, waiting
from cones.runtime.errors import ConesError
from tests.data.made_up import cells_entry, voc_files, write_tree, zipped


@pytest.fixture(autouse=True)
def nobody_is_logged_in(monkeypatch, tmp_path):
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN", "CITYSCAPES_USERNAME", "CITYSCAPES_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "no-such-folder"))


@pytest.fixture
def prepared(tmp_path, mirror):
    """The made-up dataset, prepared under tmp_path/data; returns its entry."""
    boxes = {n: [("white", 1, 1, 20, 25), ("red", 5, 5, 39, 29)] for n in range(4)}
    mirror.put(voc_files(boxes))
    entry = cells_entry()
    fetch(entry, "official", tmp_path / "data", mirror=mirror.path)
    prepare(entry, "official", tmp_path / "data")
    return entry


@pytest.mark.parametrize(
    "archive, access, word",
    [
        ({"urls": ["https://example.org/cells.zip"]}, "open", "to fetch"),
        ({"urls": ["kaggle:ann/cells"]}, "kaggle", "needs token"),
        ({"urls": ["cityscapes:1"]}, "login", "needs login"),
        ({}, "login", "needs login"),
        ({}, "request", "needs form"),
        ({}, "gone", "needs a copy"),
        ({"urls": ["gdrive:1l55cv3DuY", "kaggle:ann/cells"]}, "gdrive", "to fetch"),
    ],
)
def test_the_state_says_what_the_next_fetch_would_do(tmp_path, archive, access, word):
    entry = cells_entry(archive=archive, access=access)
    assert state(entry, "official", tmp_path).word == word
    write_tree(tmp_path / "drop" / "cells", {"cells.zip": zipped(voc_files())})
    assert state(entry, "official", tmp_path).word == "placed"
    assert state(entry, "sample", tmp_path).word == "no files"


def test_the_state_after_each_step(tmp_path, mirror, prepared):
    assert state(prepared, "official", tmp_path / "data").word == "ready"
    (tmp_path / "data/official/cells/manifest.json").unlink()
    assert state(prepared, "official", tmp_path / "data").word == "fetched"


def test_what_still_needs_a_person(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    entries = {"cells": cells_entry(access="request"), "dead": cells_entry(id="dead"), "new": cells_entry(id="new")}
    fetch(entries["cells"], "official", "data")
    log = write_tree(tmp_path / "logs/data/official/dead", {"fetch.log": b"12:00 try\nerror: dataset dead: HTTP 404\n"})
    found = waiting(entries, list(entries), "official", "data")
    assert [(one.dataset, one.status) for one in found] == [("cells", "needs_request"), ("dead", "failed")]
    assert "get cells.zip from https://example.org/cells into data/drop/cells/" in found[0].what
    assert found[1].what == "dataset dead: HTTP 404" and log.is_dir()


def run(*words):
    result = CliRunner().invoke(app, ["datasets", *map(str, words)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


@pytest.mark.parametrize("source", ["official", "miniature"])
def test_the_list_holds_every_dataset_and_is_readable(tmp_path, source):
    lines = run("list", "--source", source, "--data-dir", tmp_path).splitlines()
    for name, entry in load_registry().items():
        (line,) = [line for line in lines if line.startswith(f"{name} ")]
        assert entry.access in line and entry.group.replace("_", "-") in line
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("name", load_registry())
def test_show_tells_all_of_an_entry(tmp_path, name):
    entry, text = load_registry()[name], "".join(run("show", name, "--data-dir", tmp_path).split())
    for wanted in (entry.paper_name, entry.home, entry.licence, *entry.classes, *entry.notes):
        assert "".join(wanted.split()) in text


def test_a_mistyped_name_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(ConesError, match='did you mean "bccd"'):
        run("show", "bcd")


def test_a_preview_shows_every_class_and_is_the_same_each_time(tmp_path, prepared):
    paths = [preview(prepared, "official", tmp_path / "data", tmp_path / f"{n}.png", pictures=4) for n in range(2)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with Image.open(paths[0]) as sheet:
        colours = {colour for _, colour in sheet.convert("RGB").getcolors(1 << 24)}
        assert sheet.width > 1000 and {class_colour(n, 2) for n in range(2)} <= colours


def test_masks_are_drawn_where_there_are_any(tmp_path, prepared):
    plain = preview(prepared, "official", tmp_path / "data", tmp_path / "plain.png").read_bytes()
    folder = tmp_path / "data/official/cells"
    for split in ("train", "val", "test"):
        content = json.loads((folder / f"{split}.json").read_text())
        for one in content["annotations"]:
            if one["category_id"] == 1:
                one["segmentation"] = {"size": [30, 40], "counts": [100, 300, 800]}
            else:
                one["segmentation"] = [[2, 2, 18, 2, 18, 20]]
        (folder / f"{split}.json").write_text(json.dumps(content))
    assert preview(prepared, "official", tmp_path / "data", tmp_path / "masks.png").read_bytes() != plain


def test_no_preview_of_what_is_not_prepared(tmp_path):
    with pytest.raises(ConesError, match="not prepared yet"):
        run("preview", "bccd", tmp_path / "a.png", "--data-dir", tmp_path)
    entry = cells_entry(access="request")
    fetch(entry, "official", tmp_path)
    prepare(entry, "official", tmp_path)
    with pytest.raises(ConesError, match=r"nothing to show: its files are not here.*needs_request"):
        preview(entry, "official", tmp_path, tmp_path / "a.png")
