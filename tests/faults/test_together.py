"""Two processes that do the same in one folder at the same time."""

import json
import os
import time

from cones.data.download import fetch
from cones.data.prepare import prepare
from cones.runtime.artifacts import write_json
from cones.runtime.errors import ConesError
from tests.data.made_up import cells_entry, voc_files, zipped


def both(work, tmp_path) -> list[str]:
    """What each of two processes that begin together says: "" or its one line."""
    start = time.monotonic() + 0.3
    children = []
    for number in range(2):
        if (child := os.fork()) == 0:
            said = "died"
            try:
                time.sleep(max(0.0, start - time.monotonic()))  # a busy machine may be late
                work(number)
                said = ""
            except ConesError as error:
                said = str(error)
            finally:
                (tmp_path / f"said{number}").write_text(said)
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    return [(tmp_path / f"said{number}").read_text() for number in range(2)]


def test_two_that_prepare_one_dataset_at_once_leave_it_whole(tmp_path):
    mirror = tmp_path / "mirror"
    (mirror / "cells").mkdir(parents=True)
    (mirror / "cells/cells.zip").write_bytes(zipped(voc_files(count=10)))

    def work(number: int) -> None:
        fetch(cells_entry(), "official", tmp_path / "data", mirror=mirror)
        prepare(cells_entry(), "official", tmp_path / "data")

    for _ in range(3):
        said = both(work, tmp_path)
        assert all(line == "" or (line.startswith("dataset cells: ") and "next: " in line) for line in said), said
    work(0)
    alone = tmp_path / "alone"
    fetch(cells_entry(), "official", alone, mirror=mirror)
    prepare(cells_entry(), "official", alone)
    for name in ("train.json", "val.json", "test.json", "manifest.json"):
        assert (tmp_path / "data/official/cells" / name).read_bytes() == (alone / "official/cells" / name).read_bytes()


def test_two_that_write_one_file_at_once_leave_one_of_both(tmp_path):
    def work(number: int) -> None:
        for _ in range(50):
            write_json(tmp_path / "file.json", [number] * 2000)

    assert both(work, tmp_path) == ["", ""]
    assert json.loads((tmp_path / "file.json").read_text()) in ([0] * 2000, [1] * 2000)
    assert sorted(os.listdir(tmp_path)) == ["file.json", "said0", "said1"]
