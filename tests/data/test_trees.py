"""A tree that is used where it lies is the one that was fetched, or it is refused."""

import os

import pytest

from cones.data.download import fetch
from cones.data.prepare import prepare
from cones.data.trees import describe, files_below
from cones.runtime.errors import ConesError
from tests.data.made_up import cells_entry, voc_files


def test_files_below_follows_links_and_ends_in_a_circle(tmp_path):
    (tmp_path / "tree/a").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/far.txt").write_text("far")
    (tmp_path / "tree/a/near.txt").write_text("near")
    (tmp_path / "tree/b").symlink_to(tmp_path / "other")
    (tmp_path / "other/again").symlink_to(tmp_path / "tree")
    (tmp_path / "tree/dead").symlink_to("nowhere")
    assert [name for name, _, _ in files_below(tmp_path / "tree")] == ["a/near.txt", "b/far.txt"]
    assert list(files_below(tmp_path / "none")) == []


def test_an_edit_of_equal_size_after_fetch_is_refused_until_it_is_fetched(tmp_path, mirror):
    files = voc_files({0: [("red", 2, 3, 20, 25)]})
    mirror.put(files)
    first = fetch(cells_entry(), "official", tmp_path / "data", mirror=mirror.path)
    tree = tmp_path / "data/official/cells/tree"
    before = prepare(cells_entry(), "official", tmp_path / "data")
    file = next(path for path in tree.rglob("*.xml") if b"<xmin>2<" in path.read_bytes())
    status = file.stat()
    file.write_bytes(file.read_bytes().replace(b"<xmin>2<", b"<xmin>4<"))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))  # as a careless copy leaves it
    assert file.stat().st_size == status.st_size and describe(tree)["bytes"] == first["tree"]["bytes"]
    with pytest.raises(ConesError, match=r"files changed after they were fetched.*next: fetch them again"):
        prepare(cells_entry(), "official", tmp_path / "data")
    assert not (tmp_path / "data/official/cells/manifest.json").exists()
    fetch(cells_entry(), "official", tmp_path / "data", mirror=mirror.path)
    after = prepare(cells_entry(), "official", tmp_path / "data")
    assert after["tree"]["listing_sha256"] != before["tree"]["listing_sha256"]
    assert after["splits"]["train"]["sha256"] != before["splits"]["train"]["sha256"] or after != before
