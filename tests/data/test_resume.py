"""Transfers that break: gone on with where the server confirms, begun again where it does not."""

import collections
import hashlib
import os
import shutil
import threading

import pytest

from cones.data import transfer
from cones.data.download import fetch
from cones.data.providers import Providers
from cones.runtime.errors import ConesError
from tests.data.imitations import Storage
from tests.data.made_up import cells_entry, voc_files, zipped

GOOD = zipped({"padding.bin": os.urandom(300_000), **voc_files()})
SHA256 = hashlib.sha256(GOOD).hexdigest()


def get(data_dir, url, **archive):
    entry = cells_entry(archive={"urls": [url], **archive})
    return fetch(entry, "official", data_dir, backoff=0.01)


def files(data_dir):
    return sorted(path.name for path in (data_dir / "official").rglob("*") if path.is_file())


def arrived(data_dir):
    path = data_dir / "official/cells/archives/cells.zip"
    return path.exists() and path.read_bytes() == GOOD


@pytest.fixture
def storage():
    with Storage({"/cells.zip": GOOD}).running() as running:
        yield running


def test_a_broken_transfer_goes_on_where_it_broke(tmp_path, storage):
    storage.breaks = [200_000]
    get(tmp_path, f"{storage.url}/cells.zip", sha256=SHA256)
    (_, first), (_, second) = storage.requests
    start = int(second["Range"].removeprefix("bytes=").rstrip("-"))
    assert "Range" not in first and 0 < start <= 200_000 and second["If-Range"] == '"v1"'
    assert arrived(tmp_path) and files(tmp_path) == ["cells.zip", "fetch.json"]


def test_what_an_earlier_run_began_is_gone_on_with(tmp_path, storage):
    storage.breaks = [70_000, 0, 0]
    with pytest.raises(ConesError, match="broke before the file was complete"):
        fetch(
            cells_entry(archive={"urls": [f"{storage.url}/cells.zip"]}),
            "official",
            tmp_path,
            attempts=1,
            backoff=0.01,
        )
    assert files(tmp_path) == [".cells.zip.part", ".cells.zip.part.json"]  # hidden: no later step looks at them
    storage.breaks, storage.requests = [], []
    get(tmp_path, f"{storage.url}/cells.zip", sha256=SHA256)
    assert storage.requests[0][1]["Range"] and arrived(tmp_path)
    assert files(tmp_path) == ["cells.zip", "fetch.json"]


@pytest.mark.parametrize("change", ["other version", "server ignores ranges"])
def test_a_server_that_cannot_confirm_sends_everything_again(tmp_path, storage, change):
    storage.breaks = [200_000]
    original = storage.reply

    def reply(request):
        if request.headers.get("Range"):
            storage.etag, storage.ignore_range = '"v2"', change != "other version"
        return original(request)

    storage.reply = reply
    get(tmp_path, f"{storage.url}/cells.zip", sha256=SHA256)
    assert arrived(tmp_path) and len(storage.requests) == 2


def test_a_wrong_range_is_not_pieced_together(tmp_path, storage):
    storage.breaks, original = [200_000], storage.reply

    def reply(request):
        if request.headers.get("Range"):
            return 206, {"ETag": '"v1"', "Content-Range": f"bytes 5-{len(GOOD) - 1}/{len(GOOD)}"}, GOOD[5:]
        return original(request)

    storage.reply = reply
    get(tmp_path, f"{storage.url}/cells.zip", sha256=SHA256)
    assert arrived(tmp_path) and len(storage.requests) == 3


def test_pieces_that_do_not_fit_are_fetched_once_more_whole(tmp_path, storage):
    storage.breaks, original = [200_000], storage.reply

    def reply(request):
        status, headers, body = original(request)
        return status, headers, bytes(len(body)) if status == 206 else body

    storage.reply = reply
    get(tmp_path, f"{storage.url}/cells.zip", sha256=SHA256)
    assert arrived(tmp_path) and len(storage.requests) == 3


def test_a_slow_server_that_resets_again_and_again_is_followed_to_the_end(tmp_path, storage):
    original = storage.reply

    def reply(request):
        status, headers, body = original(request)
        return status, {**headers, "Content-Length": str(len(body))}, body[:80_000]

    storage.reply = reply
    get(tmp_path, f"{storage.url}/cells.zip", sha256=SHA256)  # more breaks than attempts, but each gets further
    assert arrived(tmp_path) and len(storage.requests) > 3


def test_a_server_that_stops_sending_is_told_from_being_offline(tmp_path, storage):
    release, original = threading.Event(), storage.reply

    def reply(request):
        release.wait(5)
        return original(request)

    storage.reply = reply
    with pytest.raises(transfer.Unavailable, match="no answer in time"):
        transfer.transfer(
            [f"{storage.url}/cells.zip"],
            tmp_path / "cells.zip",
            check=lambda *_: None,
            providers=Providers(),
            attempts=1,
            timeout=0.2,
        )
    release.set()


def test_a_file_larger_than_the_disk_is_refused_at_once(tmp_path, storage, monkeypatch):
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1000, 0, 1000))
    with pytest.raises(ConesError, match=r"the disk is full.*1000 are free.*free some space"):
        get(tmp_path, f"{storage.url}/cells.zip")
    assert files(tmp_path) == []
