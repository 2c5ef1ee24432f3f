"""Every kind of address against a local imitation of its server."""

import hashlib
import json
import os

import pytest

from cones.data.addresses import parse_address
from cones.data.download import fetch
from cones.data.providers import Providers
from cones.runtime.errors import ConesError
from tests.data.imitations import CityscapesImitation, Drive, Hub, KaggleImitation, Storage, ZenodoImitation
from tests.data.made_up import cells_entry, voc_files, zipped

GOOD = zipped({"padding.bin": os.urandom(300_000), **voc_files()})
SHA256, MD5 = hashlib.sha256(GOOD).hexdigest(), hashlib.md5(GOOD).hexdigest()
DRIVE_ID = "1l55cv3DuY-f7JotDN7N5n"
SECRETS = ("k3y-secret", "t0ken-secret", "pa55-secret")


@pytest.fixture(autouse=True)
def nobody_is_logged_in(monkeypatch, tmp_path):
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN", "CITYSCAPES_USERNAME", "CITYSCAPES_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "no-such-folder"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost,127.0.0.2")


def get(data_dir, *urls, bases=None, access="open", **archive):
    entry = cells_entry(archive={"urls": list(urls), **archive}, access=access)
    return fetch(entry, "official", data_dir, providers=Providers(**(bases or {})), backoff=0.01)


def files(data_dir):
    return sorted(path.name for path in (data_dir / "official").rglob("*") if path.is_file())


def arrived(data_dir):
    path = data_dir / "official/cells/archives/cells.zip"
    return path.exists() and path.read_bytes() == GOOD


def refused(data_dir, words, *urls, **options):
    """The fetch ends in one line with `words`, without secrets, and leaves nothing."""
    with pytest.raises(ConesError, match=words) as caught:
        get(data_dir, *urls, **options)
    message = str(caught.value)
    assert message.startswith("dataset cells: ") and urls[0] in message and "next: " in message
    assert "\n" not in message and not any(secret in message for secret in SECRETS)
    assert files(data_dir) == []


# ------------------------------------------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    "url, kind",
    [
        (f"https://drive.google.com/file/d/{DRIVE_ID}/view?usp=sharing", "gdrive"),
        (f"https://drive.google.com/open?id={DRIVE_ID}", "gdrive"),
        (f"gdrive-folder:{DRIVE_ID}/cpm17.zip", "gdrive_folder"),
        ("https://www.kaggle.com/datasets/sabermalek/mrihs", "kaggle"),
        ("https://zenodo.org/record/3723295/files/subset0.zip?download=1", "zenodo"),
        ("https://www.cityscapes-dataset.com/file-handling/?packageID=3", "cityscapes"),
        ("https://huggingface.co/GLIPModel/GLIP/tree/main/odinw_35/Aquarium.zip", "huggingface"),
        ("https://example.org/a.zip", "web"),
        ("file:///tmp/a.zip", "file"),
    ],
)
def test_an_address_tells_its_provider(url, kind):
    assert parse_address(url).kind == kind


@pytest.mark.parametrize("url", ["ftp://example.org/a", "https://ann:pw@example.org/a.zip", "kaggle:cells", "a.zip"])
def test_an_address_of_no_known_form_is_refused_by_the_registry(url):
    with pytest.raises(ValueError, match="not an address that can be fetched"):
        cells_entry(archive={"urls": [url]})


@pytest.fixture
def storage():
    with Storage({"/cells.zip": GOOD}).running() as running:
        yield running


# ---------------------------------------------------------------------------------------- Hugging Face and Zenodo


@pytest.mark.parametrize("word", ["resolve", "tree", "blob"])
def test_hugging_face_by_any_of_its_links(tmp_path, word):
    with Hub({"/GLIPModel/GLIP/resolve/main/odinw_35/cells.zip": GOOD}, len(GOOD), SHA256).running() as hub:
        url = f"https://huggingface.co/GLIPModel/GLIP/{word}/main/odinw_35/cells.zip"
        get(tmp_path, url, bases={"huggingface": hub.url})
    assert arrived(tmp_path)


@pytest.mark.parametrize(
    "size, sha256, words",
    [(5, SHA256, "not the size its server states"), (len(GOOD), "0" * 64, "not the checksum its server states")],
    ids=["size", "checksum"],
)
def test_what_hugging_face_states_is_held_against_the_file(tmp_path, size, sha256, words):
    with Hub({"/a/b/resolve/main/cells.zip": GOOD}, size, sha256).running() as hub:
        url = "https://huggingface.co/a/b/resolve/main/cells.zip"
        refused(tmp_path, words, url, bases={"huggingface": hub.url})
    assert not (tmp_path / "checksums.lock.json").exists()  # a wrong file is not remembered either


def test_zenodo_states_the_checksum(tmp_path):
    with ZenodoImitation(3723295, "cells.zip", GOOD, f"md5:{MD5}").running() as zenodo:
        get(tmp_path, "https://zenodo.org/record/3723295/files/cells.zip", bases={"zenodo": zenodo.url})
        assert [path for path, _ in zenodo.requests] == [
            "/api/records/3723295",
            "/records/3723295/files/cells.zip?download=1",
        ]
        get(tmp_path / "pinned", "zenodo:3723295/cells.zip", bases={"zenodo": zenodo.url}, md5=MD5)
        assert len(zenodo.requests) == 3  # a checksum of the registry's own needs no question
    assert arrived(tmp_path)


def test_zenodo_with_another_checksum_or_without_the_file(tmp_path):
    with ZenodoImitation(7, "cells.zip", GOOD, "md5:" + "0" * 32).running() as zenodo:
        bases = {"zenodo": zenodo.url}
        refused(tmp_path, "not the checksum its server states", "zenodo:7/cells.zip", bases=bases)
        refused(tmp_path, r"record 7 has no file subset9.zip \(it has cells.zip\)", "zenodo:7/subset9.zip", bases=bases)


# --------------------------------------------------------------------------------------------------- Google Drive


@pytest.mark.parametrize("mode", ["plain", "confirm"])
def test_google_drive_with_and_without_its_form(tmp_path, mode):
    with Drive(DRIVE_ID, GOOD, mode).running() as drive:
        url = f"https://drive.google.com/file/d/{DRIVE_ID}/view"
        result = get(tmp_path, url, bases={"gdrive": drive.url}, access="gdrive")
    assert arrived(tmp_path) and result["archives"][0]["url"] == url


def test_google_drive_goes_on_where_it_broke(tmp_path):
    with Drive(DRIVE_ID, GOOD, "plain").running() as drive:
        drive.breaks = [200_000]
        get(tmp_path, f"gdrive:{DRIVE_ID}", bases={"gdrive": drive.url})
        assert drive.requests[1][1]["Range"]
    assert arrived(tmp_path)


@pytest.mark.parametrize(
    "identifier, mode, words",
    [
        (DRIVE_ID, "quota", "quota of this file is used up; try again tomorrow"),
        (DRIVE_ID, "private", "does not share this file"),
        ("another-file", "plain", "no such file"),
    ],
)
def test_google_drives_pages_are_understood(tmp_path, identifier, mode, words):
    with Drive(DRIVE_ID, GOOD, mode).running() as drive:
        refused(tmp_path, words, f"gdrive:{identifier}", bases={"gdrive": drive.url}, access="gdrive")


def test_a_used_up_quota_leads_to_the_next_address(tmp_path, storage):
    with Drive(DRIVE_ID, GOOD, "quota").running() as drive:
        get(tmp_path, f"gdrive:{DRIVE_ID}", f"{storage.url}/cells.zip", bases={"gdrive": drive.url})
    assert arrived(tmp_path)


def test_a_file_of_a_google_drive_folder(tmp_path):
    with Drive(DRIVE_ID, GOOD, "confirm").running() as drive:
        bases = {"gdrive_folder": drive.url}
        get(tmp_path, "gdrive-folder:folder-123/cells.zip", bases=bases)
        words = r"no file other.zip \(it shows cells.zip\)"
        refused(tmp_path / "other", words, "gdrive-folder:folder-123/other.zip", bases=bases)
    assert arrived(tmp_path)


# --------------------------------------------------------------------------------------------------------- Kaggle


@pytest.fixture
def kaggle():
    with Storage({"/signed.zip": GOOD}, host="127.0.0.2").running() as files, KaggleImitation(files).running() as site:
        yield site


def give_kaggle(monkeypatch, tmp_path, how):
    if how == "environment":
        monkeypatch.setenv("KAGGLE_USERNAME", "ann")
        monkeypatch.setenv("KAGGLE_KEY", "k3y-secret")
    elif how == "token":
        monkeypatch.setenv("KAGGLE_API_TOKEN", "t0ken-secret")
    elif how == "wrong":
        monkeypatch.setenv("KAGGLE_USERNAME", "ann")
        monkeypatch.setenv("KAGGLE_KEY", "wrong-k3y-secret")
    else:
        folder = tmp_path / "dot-kaggle"
        folder.mkdir()
        monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(folder))
        content = {"username": "ann", "key": "k3y-secret"}
        (folder / how).write_text(json.dumps(content) if how == "kaggle.json" else "t0ken-secret\n")


@pytest.mark.parametrize("how", ["environment", "token", "kaggle.json", "access_token"])
def test_kaggle_sends_the_token_to_kaggle_alone(tmp_path, monkeypatch, kaggle, how, caplog):
    give_kaggle(monkeypatch, tmp_path, how)
    data = tmp_path / "data"
    get(data, "kaggle:ann/cells", bases={"kaggle": kaggle.url}, access="kaggle")
    assert arrived(data)
    assert kaggle.requests[0][1]["Authorization"] and len(kaggle.storage.requests) == 1
    path, headers = kaggle.storage.requests[0]
    assert "Authorization" not in headers and "Signature" in path
    written = caplog.text + "".join(path.read_text() for path in data.rglob("*.json"))
    assert not any(word in written for word in (*SECRETS, "Signature"))


def test_kaggle_goes_on_where_it_broke(tmp_path, monkeypatch, kaggle):
    give_kaggle(monkeypatch, tmp_path, "token")
    kaggle.storage.breaks = [200_000]
    get(tmp_path, "kaggle:ann/cells", bases={"kaggle": kaggle.url}, access="kaggle")
    assert arrived(tmp_path) and kaggle.storage.requests[1][1]["Range"]


@pytest.mark.parametrize(
    "how, status, url, words",
    [
        ("wrong", 302, "kaggle:ann/cells", r"does not accept your token \(HTTP 401\); make a new one"),
        ("token", 403, "kaggle:ann/cells", r"terms accepted.*https://www.kaggle.com/datasets/ann/cells"),
        ("token", 302, "kaggle:ann/other", r"no data set ann/other, or it is private \(HTTP 404\)"),
        ("token", 503, "kaggle:ann/cells", r"HTTP 503.*\(3 attempts\)"),
    ],
)
def test_kaggles_refusals_are_explained(tmp_path, monkeypatch, kaggle, how, status, url, words):
    give_kaggle(monkeypatch, tmp_path, how)
    kaggle.status = status
    refused(tmp_path, words, url, bases={"kaggle": kaggle.url}, access="kaggle")


def test_without_a_token_kaggle_is_a_declared_skip_until_there_is_one(tmp_path, monkeypatch, kaggle, capsys):
    options = {"bases": {"kaggle": kaggle.url}, "access": "kaggle"}
    result = get(tmp_path, "kaggle:ann/cells", **options)
    assert result["status"] == "needs_kaggle_token" and kaggle.requests == []
    assert "Or    : kaggle.com > Settings > API" in capsys.readouterr().out
    give_kaggle(monkeypatch, tmp_path, "token")
    assert get(tmp_path, "kaggle:ann/cells", **options)["status"] == "downloaded_unverified"
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    assert get(tmp_path, "kaggle:ann/cells", **options)["status"] == "downloaded_unverified"  # it is here already


# ----------------------------------------------------------------------------------------------------- Cityscapes


@pytest.fixture
def cityscapes():
    with CityscapesImitation({"1": GOOD}).running() as running:
        yield running


def give_cityscapes(monkeypatch, password="pa55-secret"):
    monkeypatch.setenv("CITYSCAPES_USERNAME", "ann")
    monkeypatch.setenv("CITYSCAPES_PASSWORD", password)


def test_cityscapes_logs_in_once_and_keeps_the_cookie(tmp_path, monkeypatch, cityscapes, caplog):
    give_cityscapes(monkeypatch)
    cityscapes.breaks = [10**9, 200_000]  # the second body is the file's
    get(tmp_path, "cityscapes:1", bases={"cityscapes": cityscapes.url}, access="login")
    assert arrived(tmp_path)
    assert [path for path, _ in cityscapes.requests].count("/login/") == 2  # the form, and the login itself
    written = caplog.text + (tmp_path / "official/cells/fetch.json").read_text()
    assert "pa55-secret" not in written and "session" not in written


@pytest.mark.parametrize(
    "password, package, words",
    [
        ("another-pa55-secret", "1", "the Cityscapes login was refused; check CITYSCAPES_USERNAME"),
        ("pa55-secret", "9", r"no package 9 \(HTTP 404\)"),
    ],
)
def test_cityscapes_refusals_are_explained(tmp_path, monkeypatch, cityscapes, password, package, words):
    give_cityscapes(monkeypatch, password)
    refused(tmp_path, words, f"cityscapes:{package}", bases={"cityscapes": cityscapes.url}, access="login")


def test_a_login_that_expired_is_told_from_the_file(tmp_path, monkeypatch, cityscapes):
    give_cityscapes(monkeypatch)
    original = cityscapes.reply

    def reply(request):
        request.headers.replace_header("Cookie", "form=f1") if "file-handling" in request.path else None
        return original(request)

    cityscapes.reply = reply
    words = r'answered with a web page \("Login"\) instead of the package: log in once in the browser'
    refused(tmp_path, words, "cityscapes:1", bases={"cityscapes": cityscapes.url}, access="login")


def test_without_a_login_cityscapes_is_a_declared_skip(tmp_path, cityscapes, capsys):
    result = get(tmp_path, "cityscapes:1", bases={"cityscapes": cityscapes.url}, access="login")
    assert result["status"] == "needs_login" and cityscapes.requests == []
    printed = capsys.readouterr().out
    assert "set CITYSCAPES_USERNAME and CITYSCAPES_PASSWORD" in printed and f"{tmp_path}/drop/cells/" in printed


# -------------------------------------------------------------------------------------------- a form


def test_a_form_is_never_filled_in_for_you(tmp_path, storage):
    result = get(tmp_path, f"{storage.url}/cells.zip", access="request")
    assert result["status"] == "needs_request" and storage.requests == []
