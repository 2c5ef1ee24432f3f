"""Planning changes nothing but Snakemake's own folder, and still plans what has to be made."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.some_fast import fast
from workflow.missing_files import sentinel

CI = ("--config", "suite=ci")
TABLE = "results/table1.csv"
LOOKS = [
    ("--dry-run",),
    ("--summary",),
    ("--dag",),
    ("--lint",),
    ("--list-rules",),
    ("--dry-run", "--mode", "subprocess", "--nolock"),  # as a process that Snakemake starts for one job
]
SNAKEFILE = """
rule table:
    input: "cell"
    output: "table"
    shell: "touch {output}"

rule cell:
    output: "cell"
    shell: "touch {output}"
"""


def tree(folder: Path) -> dict[str, tuple]:
    """{path: its kind, bytes and time} of everything outside of `.snakemake/`."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if name.parts[0] != ".snakemake":
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
            found[str(name)] = (content, path.stat().st_mtime_ns)
    return found


def look(flow, *arguments: str) -> None:
    """Whatever it says: `--lint` and the plan of one job may end with 1."""
    subprocess.run(
        flow.command(*arguments), cwd=flow.folder, env=flow.environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize("arguments", fast(LOOKS, *LOOKS[:1], *LOOKS[-1:]), ids=" ".join)
def test_in_an_empty_folder_nothing_is_written(workflow, arguments):
    before = tree(workflow.folder)
    look(workflow, TABLE, *arguments, *CI)
    assert tree(workflow.folder) == before
    assert (workflow.folder / ".snakemake").exists()


@pytest.mark.parametrize("looks", fast([tuple(LOOKS[:1]), tuple(LOOKS[1:])], tuple(LOOKS[:1])), ids=len)
def test_with_a_file_missing_nothing_is_written_and_the_plan_is_right_each_time(own_finished, looks):
    path = own_finished.cell("aquarium", "cones") / "metrics.json"
    kept = path.read_bytes()
    path.unlink()
    before = tree(own_finished.folder)
    for arguments in looks:
        look(own_finished, TABLE, *arguments, *CI)
    plan = {"evaluate": 1, "collect_table1": 1, "table1": 1, "publish": 1}
    assert own_finished.planned(TABLE, *CI) == plan
    assert "update pending" in next(
        line
        for line in own_finished.run("--summary", TABLE, *CI).splitlines()
        if line.startswith("results/ci/table1.csv")
    )
    assert tree(own_finished.folder) == before
    own_finished.run(TABLE, *CI)
    assert path.read_bytes() == kept
    if len(looks) > 1:
        assert "Nothing to be done" in own_finished.run(TABLE, *CI)


@pytest.mark.slow
def test_without_snakemakes_folder_a_whole_tree_is_not_outdated(own_finished):
    own_finished.run(TABLE, *CI)
    shutil.rmtree(own_finished.folder / ".snakemake")
    assert "Nothing to be done" in own_finished.run("--dry-run", TABLE, *CI)


def test_a_sentinel_is_renewed_by_the_main_process_alone_and_only_if_a_file_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    there, gone = tmp_path / "there", tmp_path / "gone"
    there.touch()
    assert sentinel("one", [str(gone)], is_main=False) == [] and not Path(".snakemake").exists()
    path = Path(sentinel("one", [str(there), str(gone)], is_main=True))
    first = path.read_text()
    assert sentinel("one", [str(gone)], is_main=False) == sentinel("one", [str(there)], is_main=True) == str(path)
    assert path.read_text() == first
    sentinel("one", [str(gone)], is_main=True)
    assert path.read_text() != first
    second = Path(sentinel("two", [str(there)], is_main=True))
    assert second.stat().st_mtime < there.stat().st_mtime  # outdates nothing
    assert sorted(each.name for each in path.parent.iterdir()) == ["one", "two"]


@pytest.mark.slow
def test_snakemake_itself_leaves_a_deleted_file_alone(tmp_path):
    """Why the sentinels are there (snakemake/snakemake#1978): if this fails, Snakemake has come to see it by itself."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "table"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "cell").unlink()
    again = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "Nothing to be done" in again.stderr and not (tmp_path / "cell").exists()


def test_the_paper_suite_plans_its_variants_starts_and_seeds(workflow):
    targets = ("results/paper/starts.csv", "results/paper/variants.csv")
    plan = workflow.planned(*targets, "--config", "suite=paper")
    starts, variants = 3 * 12 * 3, 7 * (4 + 5 * 3)  # arms of one seed and of three
    shared = 2 * 3 * 3  # textual inversion, prompt tuning and ConES, three seeds each, on aquarium and dfuc2020
    assert plan["tune"] == plan["evaluate"] == starts + variants - shared
    assert plan["text_states"] == 8  # class names, and what the start `output` is measured on
    assert plan["fetch"] == plan["prepare"] == 8 and plan["weights"] == 1
    assert (plan["starts"], plan["variants"]) == (1, 1)
