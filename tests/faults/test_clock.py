"""A machine whose clock is ahead: what it wrote comes from the future."""

import os
import time

from tests.faults.kill_anywhere import PARTS, TABLES, WORLD
from tests.flow import Workflow

FETCHED = f"{PARTS[1]}/miniature/bccd/fetch.json"


def test_an_input_from_the_future_is_refused_by_name_and_nothing_is_believed(tree):
    flow, archive = Workflow(tree), tree / PARTS[1] / "miniature/mirror/bccd/BCCD_Dataset.zip"
    before = (tree / FETCHED).read_bytes()
    os.utime(archive, (time.time() + 3600,) * 2)
    said = flow.run(FETCHED, "--forcerun", "fetch", *WORLD[len(TABLES) :], check=False)
    assert "clock skew" in said and archive.name in said and not (tree / FETCHED).exists()
    os.utime(archive)
    flow.run(FETCHED, *WORLD[len(TABLES) :])
    assert (tree / FETCHED).read_bytes() == before
