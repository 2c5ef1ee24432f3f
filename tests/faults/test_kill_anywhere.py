"""Struck at random moments and begun again, a run ends with the bytes of one that was left in peace."""

import os
import random

import pytest

from cones.steps.verify import verify
from tests.faults.kill_anywhere import SECRET, differences, disturb, signals_of

KILLS = int(os.environ.get("KILLS", "5"))  # `make faults` asks for more
SEED = int(os.environ.get("SEED", "0"))


@pytest.mark.slow
def test_killed_anywhere_it_ends_with_the_same_bytes(peaceful, tmp_path, record_property):
    outcome = disturb(peaceful, tmp_path, signals_of(KILLS), random.Random(SEED))
    record_property("faults", outcome.struck.total())
    record_property("lost", len(outcome.different))
    record_property("said", f"kill anywhere, seed {SEED}: {outcome}")
    assert outcome.different == {}
    assert outcome.struck.total() == KILLS + 2
    last = max(tmp_path.glob("run *"), key=lambda folder: folder.stat().st_mtime)
    assert verify(last / "results").faults == []
    assert not list(last.rglob("resume.pt"))


def test_a_difference_of_one_byte_would_be_seen(peaceful):
    spoilt = dict(peaceful.files)
    name = next(name for name in spoilt if name.endswith("cones/seed0/state.safetensors"))
    spoilt[name] = spoilt[name][:-1] + bytes([spoilt[name][-1] ^ 1])
    del spoilt["results/table1.csv"]
    assert differences(peaceful.files, spoilt) == {name: "different", "results/table1.csv": "lost"}


def test_no_token_of_the_environment_is_written_anywhere(peaceful):
    """Neither by a step, nor by Snakemake in the commands it prints, nor by the warm server."""
    files = [path for path in peaceful.flow.folder.rglob("*") if path.is_file()]
    assert any(".snakemake/log" in str(path) for path in files) and any(path.name == "warm.log" for path in files)
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
