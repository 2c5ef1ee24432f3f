import io
import stat
import tarfile
import zipfile

import pytest

from cones.data.unpack import Limits, unpack
from cones.runtime.errors import ConesError
from tests.data.made_up import zipped


def refuse(tmp_path, content, name, words, limits=None):
    """Unpacking must raise naming dataset and archive, with nothing written anywhere."""
    archive, target = tmp_path / "in" / name, tmp_path / "outer" / "target"
    archive.parent.mkdir()
    target.mkdir(parents=True)
    archive.write_bytes(content)
    with pytest.raises(ConesError, match=words) as caught:
        unpack(archive, target, dataset_id="cells", **({"limits": limits} if limits else {}))
    assert f"dataset cells: {name}" in str(caught.value) and "next:" in str(caught.value)
    assert list((tmp_path / "outer").rglob("*")) == [target]


def zip_with(name, mode=0o100644, content=b"x"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("first.txt", b"harmless")
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        archive.writestr(member, content)
    return buffer.getvalue()


def tar_with(name, mode="w", **attributes):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        first = tarfile.TarInfo("first.txt")
        first.size = 8
        archive.addfile(first, io.BytesIO(b"harmless"))
        member = tarfile.TarInfo(name)
        for key, value in attributes.items():
            setattr(member, key, value)
        archive.addfile(member)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "C:\\x", "..\\x", "a\\..\\..\\x"])
def test_zip_members_outside_are_refused(tmp_path, name):
    refuse(tmp_path, zip_with(name), "a.zip", "outside the folder")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_zip_links_and_devices_are_refused(tmp_path, kind):
    refuse(tmp_path, zip_with("a", kind | 0o777, b"/etc/passwd"), "a.zip", "a link or a device")


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x"])
def test_tar_members_outside_are_refused(tmp_path, name):
    refuse(tmp_path, tar_with(name), "a.tar", "outside the folder")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize("target", ["/etc/passwd", "../../x", "a/../../x"])
def test_tar_links_that_leave_are_refused(tmp_path, kind, target):
    refuse(tmp_path, tar_with("a", type=kind, linkname=target), "a.tar", "a link leaves")


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_tar_devices_are_refused(tmp_path, kind):
    refuse(tmp_path, tar_with("a", mode="w:gz", type=kind), "a.tar.gz", "device or pipe")


def test_a_bomb_is_refused_by_what_it_declares(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(80_000_000))
    assert len(buffer.getvalue()) < 100_000
    refuse(tmp_path, buffer.getvalue(), "a.zip", "bomb")


def test_a_compressed_tar_bomb_is_refused(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        member = tarfile.TarInfo("zeros")
        member.size = 2_000_000
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    limits = Limits(ratio=20, ratio_applies_above=1_000_000)
    refuse(tmp_path, buffer.getvalue(), "a.tgz", "bomb", limits)


def test_too_many_members_and_an_absurd_size_are_refused(tmp_path):
    many = zipped({f"{number}": b"" for number in range(50)})
    refuse(tmp_path, many, "a.zip", "too many members", Limits(members=40))


def test_an_absurd_size_is_refused(tmp_path):
    refuse(tmp_path, zipped({"a": bytes(2000)}), "a.zip", "absurd size", Limits(total_bytes=1000))


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_a_damaged_archive_is_refused(tmp_path, name):
    refuse(tmp_path, b"PK\x03\x04 and then nothing of use", name, "damaged or locked")


def test_a_corrupt_member_is_noticed(tmp_path):
    content = zipped({"a.txt": b"the original text"}).replace(b"original", b"0riginal", 1)
    archive = tmp_path / "a.zip"
    archive.write_bytes(content)
    (tmp_path / "t").mkdir()
    with pytest.raises(ConesError, match="damaged"):
        unpack(archive, tmp_path / "t", dataset_id="cells")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz", "tar.bz2"])
def test_good_archives_unpack_without_their_top_folder(tmp_path, kind):
    files = {"top-1/a/b.txt": b"b", "top-1/c.txt": b"c"}
    archive = tmp_path / f"good.{kind}"
    if kind == "zip":
        archive.write_bytes(zipped({**files, "top-1/__MACOSX/x": b"", "top-1/": b""}))
    else:
        with tarfile.open(archive, f"w:{kind[4:]}") as tar:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
            link = tarfile.TarInfo("top-1/a/link.txt")
            link.type, link.linkname = tarfile.SYMTYPE, "../c.txt"
            tar.addfile(link)
    target = tmp_path / "target"
    target.mkdir()
    unpack(archive, target, dataset_id="cells", strip="top-1")
    assert (target / "a/b.txt").read_bytes() == b"b" and (target / "c.txt").read_bytes() == b"c"
    assert not (target / "__MACOSX").exists()
    assert kind == "zip" or (target / "a/link.txt").read_bytes() == b"c"


def test_an_archive_of_another_version_is_told_by_its_top_folder(tmp_path):
    refuse_content = zipped({"top-2/a": b""})
    archive = tmp_path / "a.zip"
    archive.write_bytes(refuse_content)
    (tmp_path / "t").mkdir()
    with pytest.raises(ConesError, match='expected "top-1/…"'):
        unpack(archive, tmp_path / "t", dataset_id="cells", strip="top-1")


def test_a_plain_file_is_copied(tmp_path):
    (tmp_path / "labels.csv").write_text("a,1\n")
    (tmp_path / "t").mkdir()
    unpack(tmp_path / "labels.csv", tmp_path / "t", dataset_id="cells")
    assert (tmp_path / "t/labels.csv").read_text() == "a,1\n"
