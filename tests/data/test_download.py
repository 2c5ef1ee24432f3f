import hashlib
import json
import multiprocessing
from pathlib import Path

import pytest

from cones.data.checksums import WrongFile, trust_on_first_use
from cones.data.download import fetch
from cones.data.registry import Archive
from cones.runtime.errors import ConesError
from tests.data.made_up import cells_entry, voc_files, zipped

GOOD = zipped(voc_files())
SHA256 = hashlib.sha256(GOOD).hexdigest()


def get(data_dir, entry, **options):
    return fetch(entry, "official", data_dir, backoff=0.01, **options)


def visible(data_dir: Path) -> list[str]:
    """Files a later step could see in the dataset's folder, hidden and half-written ones included."""
    return sorted(path.name for path in (data_dir / "official").rglob("*") if not path.is_dir())


def test_a_good_file_is_fetched_verified_and_recorded(tmp_path, server):
    server.answers["/cells.zip"] = [(200, GOOD)]
    url = f"{server.url}/cells.zip"
    result = get(tmp_path, cells_entry(archive={"urls": [url], "sha256": SHA256, "size": len(GOOD)}))
    assert result["status"] == "ready"
    assert result["archives"] == [
        {"filename": "cells.zip", "size": len(GOOD), "sha256": SHA256, "url": url, "pinned": True}
    ]
    folder = tmp_path / "official" / "cells"
    assert json.loads((folder / "fetch.json").read_text()) == result
    assert (folder / "archives" / "cells.zip").read_bytes() == GOOD
    assert visible(tmp_path) == ["cells.zip", "fetch.json"]


def test_a_second_fetch_asks_nobody_and_writes_the_same(tmp_path, server):
    server.answers["/cells.zip"] = [(200, GOOD)]
    entry = cells_entry(archive={"urls": [f"{server.url}/cells.zip"], "sha256": SHA256})
    first = get(tmp_path, entry)
    assert get(tmp_path, entry) == first and server.asked == ["/cells.zip"]


def test_a_file_damaged_on_disk_is_fetched_again(tmp_path, server):
    server.answers["/cells.zip"] = [(200, GOOD)]
    entry = cells_entry(archive={"urls": [f"{server.url}/cells.zip"], "sha256": SHA256})
    get(tmp_path, entry)
    (tmp_path / "official/cells/archives/cells.zip").write_bytes(GOOD[:-7])
    get(tmp_path, entry)
    assert (tmp_path / "official/cells/archives/cells.zip").read_bytes() == GOOD


def test_faults_that_pass_are_sat_out(tmp_path, server):
    server.answers["/cells.zip"] = [(503, b""), (200, GOOD, "truncated"), (200, GOOD)]
    get(tmp_path, cells_entry(archive={"urls": [f"{server.url}/cells.zip"]}))
    assert server.asked == ["/cells.zip"] * 3


@pytest.mark.parametrize(
    "answer, words, asked",
    [
        ((404, b""), "HTTP 404", 1),
        ((503, b""), r"HTTP 503.*\(3 attempts\)", 3),
        ((200, GOOD, "truncated"), "broke before the file was complete", 3),
        ((200, GOOD, "reset"), "no connection", 3),
        ((200, b"<!DOCTYPE html><html>Please log in</html>"), "a web page came instead of the file", 1),
        ((200, b"not a zip at all"), "not a file of its type", 1),
        ((200, b""), "the file is empty", 1),
        ((200, GOOD + b"x"), "wrong size", 1),
        ((200, GOOD[:-1] + b"x"), f"wrong checksum .expected sha256 {SHA256}", 1),
    ],
)
def test_a_bad_answer_leaves_nothing_and_says_what_to_do(tmp_path, server, answer, words, asked):
    server.answers["/cells.zip"] = [answer]
    entry = cells_entry(archive={"urls": [f"{server.url}/cells.zip"], "sha256": SHA256, "size": len(GOOD)})
    with pytest.raises(ConesError, match=words) as caught:
        get(tmp_path, entry)
    message = str(caught.value)
    assert message.startswith("dataset cells: ") and f"{server.url}/cells.zip" in message
    assert f"place it at {tmp_path}/drop/cells/cells.zip" in message and "\n" not in message
    assert visible(tmp_path) == [] and len(server.asked) == asked


def test_the_next_address_is_tried(tmp_path, server):
    server.answers["/good.zip"] = [(200, GOOD)]
    result = get(tmp_path, cells_entry(archive={"urls": [f"{server.url}/bad.zip", f"{server.url}/good.zip"]}))
    assert result["archives"][0]["url"].endswith("/good.zip")


def test_offline_is_said_in_plain_words(tmp_path):
    entry = cells_entry(archive={"urls": ["http://127.0.0.1:9/cells.zip"]})
    with pytest.raises(ConesError, match=r"cannot be reached \(offline\?\).*no connection"):
        get(tmp_path, entry)


def test_file_addresses_work(tmp_path):
    (tmp_path / "my cells.zip").write_bytes(GOOD)
    result = get(tmp_path / "data", cells_entry(archive={"urls": [(tmp_path / "my cells.zip").as_uri()]}))
    assert result["archives"][0]["sha256"] == SHA256
    with pytest.raises(ConesError, match="cannot read"):
        get(tmp_path / "other", cells_entry(archive={"urls": ["file:///nowhere/cells.zip"]}))


def test_without_a_published_checksum_the_first_file_is_remembered(tmp_path, server, caplog):
    server.answers["/cells.zip"] = [(200, GOOD)]
    entry = cells_entry(archive={"urls": [f"{server.url}/cells.zip"]})
    assert get(tmp_path, entry)["status"] == "downloaded_unverified"
    assert "trusted on first use" in caplog.text and SHA256 in caplog.text
    lock = json.loads((tmp_path / "checksums.lock.json").read_text())
    assert lock["official"]["cells"]["cells.zip"] == {"size": len(GOOD), "sha256": SHA256}

    (tmp_path / "official/cells/archives/cells.zip").unlink()
    server.answers["/cells.zip"] = [(200, zipped(voc_files(count=3)))]
    with pytest.raises(ConesError, match=r"not the file that was first fetched.*checksums\.lock\.json"):
        get(tmp_path, entry)
    assert visible(tmp_path) == ["fetch.json"]  # the earlier one; Snakemake removes it before it runs the step again


def remember(data_dir, number):
    archive = Archive(filename=f"a{number}.zip")
    trust_on_first_use(
        data_dir=data_dir, source="official", dataset_id="d", archive=archive, found={"size": number, "sha256": "0"}
    )


def test_datasets_fetched_at_once_do_not_lose_each_others_checksums(tmp_path):
    with multiprocessing.get_context("fork").Pool(4) as pool:
        pool.starmap(remember, [(tmp_path, number) for number in range(16)])
    assert len(json.loads((tmp_path / "checksums.lock.json").read_text())["official"]["d"]) == 16
    with pytest.raises(WrongFile):
        trust_on_first_use(
            data_dir=tmp_path,
            source="official",
            dataset_id="d",
            archive=Archive(filename="a3.zip"),
            found={"size": 3, "sha256": "1"},
        )


def test_a_mirror_of_archives_is_verified_and_linked(tmp_path, mirror):
    mirror.put_archive(GOOD)
    result = get(tmp_path / "data", cells_entry(archive={"sha256": SHA256}), mirror=mirror.path)
    link = tmp_path / "data/official/cells/archives/cells.zip"
    assert result["status"] == "ready" and link.is_symlink() and link.read_bytes() == GOOD
    assert str(tmp_path) not in json.dumps(result)  # the same on every machine


@pytest.mark.parametrize(
    "content, changes, words",
    [
        (GOOD, {"sha256": "0" * 64}, "wrong checksum; expected sha256 0000"),
        (GOOD, {"md5": "0" * 32}, "wrong checksum; expected md5 0000"),
        (GOOD, {"size": 5}, "wrong size; expected 5 bytes"),
        (b"", {}, "the file is empty"),
        (b"<html>", {}, "a web page came"),
    ],
)
def test_a_wrong_mirror_file_is_refused(tmp_path, mirror, content, changes, words):
    mirror.put_archive(content)
    with pytest.raises(ConesError, match=words) as caught:
        get(tmp_path / "data", cells_entry(archive=changes), mirror=mirror.path)
    assert str(mirror.path / "cells" / "cells.zip") in str(caught.value)
    assert "replace this file" in str(caught.value) and visible(tmp_path / "data") == []


def test_a_mirror_may_hold_the_unpacked_tree(tmp_path, mirror):
    mirror.put(voc_files())
    result = get(tmp_path / "data", cells_entry(), mirror=mirror.path)
    assert result["status"] == "ready" and result["tree"]["files"] == 20
    assert (tmp_path / "data/official/cells/tree/VOC/Annotations/cell_00.xml").exists()


def test_a_tree_may_keep_the_top_folder_of_its_archive(tmp_path, mirror):
    mirror.put({f"cells-1a2b/{name}": content for name, content in voc_files().items()})
    get(tmp_path / "data", cells_entry(archive={"strip": "cells-1a2b"}), mirror=mirror.path)
    assert (tmp_path / "data/official/cells/tree/VOC").is_dir()


@pytest.mark.parametrize("present, found", [(None, "no such folder"), ("Cells(1).zip", r"Cells\(1\)\.zip")])
def test_a_mirror_without_the_file_says_what_it_has(tmp_path, mirror, server, present, found):
    if present:
        mirror.put_archive(GOOD, present)
    server.answers["/cells.zip"] = [(200, GOOD)]
    entry = cells_entry(archive={"urls": [f"{server.url}/cells.zip"]})
    with pytest.raises(ConesError, match=rf"the mirror has no cells\.zip.*found {found}.*place cells\.zip there"):
        get(tmp_path / "data", entry, mirror=mirror.path)
    assert server.asked == []  # a mirror replaces the network


@pytest.mark.parametrize(
    "access, status",
    [("request", "needs_request"), ("login", "needs_login"), ("kaggle", "needs_kaggle_token")],
)
def test_a_dataset_for_which_a_person_must_ask_is_a_declared_skip(tmp_path, capsys, access, status):
    result = get(tmp_path, cells_entry(access=access))
    assert result["status"] == status and result["archives"] == []
    assert json.loads((tmp_path / "official/cells/fetch.json").read_text()) == result
    printed = capsys.readouterr().out
    assert f"[cells] MANUAL DOWNLOAD NEEDED ({status})" in printed
    assert f"Place : {tmp_path}/drop/cells/" in printed and "From  : https://example.org/cells" in printed


def test_a_file_in_the_drop_folder_ends_the_skip(tmp_path):
    entry = cells_entry(access="request")
    get(tmp_path, entry)
    drop = tmp_path / "drop" / "cells"
    drop.mkdir(parents=True)
    (drop / "cells.zip").write_bytes(GOOD)
    assert get(tmp_path, entry)["status"] == "downloaded_unverified"
