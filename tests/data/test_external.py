"""Archives only a tool can read. Each test runs with every installed tool, and skips with the reason without it."""

import io
import shutil
import stat
import subprocess
import zipfile

import pytest

from cones.data import external
from cones.data.download import fetch
from cones.data.prepare import prepare
from cones.data.unpack import Limits, unpack
from cones.runtime.errors import ConesError
from tests.data.made_up import cells_entry, voc_files, zipped
from tests.data.rar5 import volumes

FILES = {"top/images/0000.jpg": bytes(range(256)) * 20, "top/images/a b.jpg": b"x" * 7000, "top/z.txt": b"zz"}


@pytest.fixture(params=[tool.program for tool in external.TOOLS])
def tool(request, monkeypatch):
    """Only this tool is there."""
    if not shutil.which(request.param):
        pytest.skip(f"{request.param} is not installed")
    only = tuple(tool for tool in external.TOOLS if tool.program == request.param)
    monkeypatch.setattr(external, "TOOLS", only)
    return request.param


def put(folder, parts, name="x.part{}.rar"):
    folder.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(parts, start=1):
        (folder / name.format(number)).write_bytes(content)
    return folder / name.format(1)


def run(archive, tmp_path, **options):
    target = tmp_path / "outer" / "target"
    target.mkdir(parents=True)
    unpack(archive, target, dataset_id="cells", **options)
    return target


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refuse(archive, tmp_path, words, **options):
    with pytest.raises(ConesError, match=words) as caught:
        run(archive, tmp_path, **options)
    assert str(caught.value).startswith("dataset cells: ") and "next: " in str(caught.value)
    assert list((tmp_path / "outer").rglob("*")) == [tmp_path / "outer" / "target"]
    assert not (tmp_path / "evil.txt").exists()


def readable(tool, archive):
    """Some builds of 7z come without RAR, and bsdtar does not read several parts."""
    if tool == "bsdtar" and ".part" in archive.name:
        pytest.skip("bsdtar does not read several parts")
    if "7z" in tool and subprocess.run([tool, "t", str(archive)], capture_output=True).returncode:
        pytest.skip(f"this {tool} cannot read RAR")


def test_a_rar_is_unpacked_without_its_top_folder(tmp_path, tool):
    archive = put(tmp_path / "in", volumes(FILES, 10**6), "one.rar")
    readable(tool, archive)
    assert tree(run(archive, tmp_path, strip="top")) == {
        name.removeprefix("top/"): content for name, content in FILES.items()
    }


def test_a_rar_in_parts_is_read_from_its_first(tmp_path, tool):
    parts = volumes({name: FILES[name] for name in list(FILES)[:2]}, 4000)
    archive = put(tmp_path / "in", parts)
    readable(tool, archive)
    assert len(parts) == 4
    target = run(archive, tmp_path)
    assert tree(target) == {name: FILES[name] for name in list(FILES)[:2]}
    unpack(tmp_path / "in" / "x.part2.rar", target, dataset_id="cells")  # nothing more to do
    assert len(tree(target)) == 2


@pytest.mark.parametrize("lost, words", [(2, "a part of this archive is missing; found parts 1, 3"), (4, "damaged")])
def test_a_lost_part_is_noticed(tmp_path, tool, lost, words):
    archive = put(tmp_path / "in", volumes({name: FILES[name] for name in list(FILES)[:2]}, 4000))
    (tmp_path / "in" / f"x.part{lost}.rar").unlink()
    refuse(archive, tmp_path, words)


def test_a_damaged_rar_is_refused(tmp_path, tool):
    if tool == "bsdtar":
        pytest.skip("bsdtar does not compare the checksums of stored members")
    content = volumes(FILES, 10**6)[0].replace(b"xxxx", b"yyyy", 1)
    refuse(put(tmp_path / "in", [content], "one.rar"), tmp_path, "damaged")


@pytest.mark.parametrize("name", ["../evil.txt", "/tmp/evil.txt", "a/../../evil.txt"])
def test_members_outside_are_refused_before_the_tool_writes(tmp_path, tool, name, monkeypatch):
    archive = put(tmp_path / "in", volumes({"a.txt": b"a", name: b"evil"}, 10**6), "one.rar")
    readable(tool, archive)
    refuse(archive, tmp_path, "outside the folder")


def test_too_much_is_refused_before_the_tool_writes(tmp_path, tool):
    archive = put(tmp_path / "in", volumes(FILES, 10**6), "one.rar")
    readable(tool, archive)
    refuse(archive, tmp_path, "too many members", limits=Limits(members=2))


def test_a_zip_without_its_directory_is_rescued(tmp_path, tool, caplog):
    content = zipped(FILES)
    archive = put(tmp_path / "in", [content[: content.rindex(b"PK\x05\x06")]], "broken.zip")
    if tool != "bsdtar":
        pytest.skip(f"{tool} needs the directory of a zip")
    assert tree(run(archive, tmp_path)) == FILES
    assert f"broken.zip unpacked by {tool}" in caplog.text


def test_a_zip_packed_with_deflate64_is_unpacked(tmp_path, tool, caplog):
    if not shutil.which("7z") or tool == "bsdtar":
        pytest.skip("Deflate64 is packed here by 7z, and bsdtar does not know it")
    content = "".join(f"{number}\n" for number in range(20000)).encode()
    put(tmp_path / "in" / "top", [content], "numbers.txt")
    subprocess.run(["7z", "a", "-tzip", "-mm=Deflate64", "odd.zip", "top"], cwd=tmp_path / "in", capture_output=True)
    assert tree(run(tmp_path / "in" / "odd.zip", tmp_path, strip="top")) == {"numbers.txt": content}
    assert "compression method 9" in caplog.text


def test_a_link_in_a_broken_zip_is_refused(tmp_path, tool):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.create_system, link.external_attr, link.compress_type = 3, (stat.S_IFLNK | 0o777) << 16, 0
        archive.writestr(link, b"/etc/passwd")
        odd = zipfile.ZipInfo("odd")
        archive.writestr(odd, b"x")
    content = bytearray(buffer.getvalue())
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        position = content.rindex(signature) + offset
        content[position : position + 2] = (9).to_bytes(2, "little")  # Deflate64, which Python cannot read
    refuse(put(tmp_path / "in", [bytes(content)], "odd.zip"), tmp_path, "a link or a device|damaged")


def test_without_a_tool_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda program: None)
    archive = put(tmp_path / "in", volumes(FILES, 10**6), "one.rar")
    refuse(archive, tmp_path, "needs a tool that is not installed; expected one of unar, bsdtar.*apt-get install")


def test_a_dataset_in_rar_parts_from_fetch_to_splits(tmp_path, tool):
    parts = volumes(voc_files(), 3000)
    names = [f"cells.part{number}.rar" for number in range(1, len(parts) + 1)]
    put(tmp_path / "mirror" / "cells", parts, "cells.part{}.rar")
    readable(tool, tmp_path / "mirror" / "cells" / names[0])
    entry = cells_entry(source={"archives": [{"filename": name} for name in names]})
    fetch(entry, "official", tmp_path / "data", mirror=tmp_path / "mirror")
    assert prepare(entry, "official", tmp_path / "data")["splits"]["train"]["images"] == 6
