"""The last line of a step is why it ended and what to do; the end of a failed run lists what is missing and why."""

import json
import os
import signal
from pathlib import Path

import pytest

from cones.cli import main as cli
from cones.experiment.cell import Plan
from cones.outputs.cells import NO_ERROR_LINE
from cones.runtime import provenance, sources
from cones.runtime.errors import ConesError
from cones.steps.finish import finish_run


@pytest.fixture
def step(monkeypatch, capfd):
    """`step(what)` is a step that does `what`: (exit code, the last line it says)."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run(what) -> tuple[int, str]:
        monkeypatch.setattr(cli, "app", what)
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code, capfd.readouterr().err.splitlines()[-1]

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_step_says_so_and_leaves_no_temporary_file(step, tmp_path, number):
    from cones.runtime.artifacts import replacing

    def write() -> None:
        with replacing(tmp_path / "file"):
            os.kill(os.getpid(), number)

    code, said = step(write)
    assert code == 128 + number
    assert said == f"error: stopped by {number.name}; next: run the same command again: what is finished is kept"
    assert os.listdir(tmp_path) == []


def test_a_signal_that_is_ignored_stays_so(step):
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        raise ConesError("came this far")

    assert step(work) == (1, "error: came this far")


def test_what_nobody_foresaw_keeps_its_traceback_and_still_ends_in_a_line(step, capfd):
    def fail() -> None:
        raise ZeroDivisionError("in a\nbad place")

    code, said = step(fail)
    assert code == 1
    assert (
        said == "error: ZeroDivisionError: in a bad place; next: this is not foreseen: report it with the lines above"
    )


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A folder with the config of the ci suite, where nothing has run."""
    root = Path.cwd()
    monkeypatch.chdir(tmp_path)
    for name in ("config", "datasets.yaml"):
        Path(name).symlink_to(root / name)
    return tmp_path


def test_a_failed_run_lists_its_holes_with_reason_and_log(world, capsys):
    plan = Plan.load("ci", {"arms": ["zero_shot", "cones"]})
    logs = {
        "ci/glip_nano/bccd/cones/seed0/tune.log": "epoch 1\nerror: the loss is not finite; next: lower the rate\n",
        "ci/glip_nano/bccd/zero_shot/seed0/evaluate.log": "12:00:00 begun\n",
        "data/miniature/aquarium/prepare.log": "error: dataset aquarium: a picture is damaged; next: fetch again\n",
    }
    for name, text in logs.items():
        path = "logs" / Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    finish_run(plan, overrides={}, failed=True)
    said = capsys.readouterr().out.splitlines()
    place = said.index("Not complete. 4 of 4 cells have no numbers:")
    assert said[place + 1 : place + 7] == [
        "  error: dataset aquarium: a picture is damaged; next: fetch again",
        "    glip_nano · aquarium · zero_shot · seed 0 and 1 more; log: logs/data/miniature/aquarium/prepare.log",
        f"  {NO_ERROR_LINE}; its last line: 12:00:00 begun",
        "    glip_nano · bccd · zero_shot · seed 0; log: logs/ci/glip_nano/bccd/zero_shot/seed0/evaluate.log",
        "  error: the loss is not finite; next: lower the rate",
        "    glip_nano · bccd · cones · seed 0; log: logs/ci/glip_nano/bccd/cones/seed0/tune.log",
    ]
    partial = Path("results/ci/table1_cells.partial.csv").read_text()
    assert "a picture is damaged" in partial and "the loss is not finite" in partial


def test_config_edited_while_a_run_goes_on_is_refused_until_the_run_is_planned_anew(world, monkeypatch):
    overrides = json.dumps({"arms": ["zero_shot", "cones"]})
    planned = Plan.load("ci", json.loads(overrides))
    monkeypatch.setenv("CONES_PLAN", planned.digest)
    assert cli.load_plan("ci", overrides).digest == planned.digest
    config, text = Path("config"), Path("config/ci.yaml").read_text()
    config.unlink()
    config.mkdir()
    (config / "ci.yaml").write_text(f"# a word more changes nothing\n{text}")
    assert cli.load_plan("ci", overrides).digest == planned.digest
    (config / "ci.yaml").write_text(text.replace("cones: 1.0e-1", "cones: 2.0e-1"))
    with pytest.raises(ConesError, match=r"config/ci.yaml.*edited while this run was going on; next: run the same"):
        cli.load_plan("ci", overrides)
    monkeypatch.delenv("CONES_PLAN")
    cli.load_plan("ci", overrides)


def test_code_edited_while_a_run_goes_on_is_refused_unless_it_means_the_same(world, monkeypatch):
    source, overrides = world / "cones/part.py", json.dumps({"arms": ["zero_shot"]})
    source.parent.mkdir()
    source.write_text("A = 1\n")
    monkeypatch.setattr(provenance, "ROOT", world)
    monkeypatch.setattr(sources, "ROOT", world)
    monkeypatch.setattr(provenance, "_source", provenance._source.__wrapped__)  # each call stands for a process
    monkeypatch.setenv("CONES_LIBRARY", provenance.digest_of_library())
    for same in ("A = 1\n", "# a comment\nA = 1\n"):
        source.write_text(same)
        cli.load_plan("ci", overrides)
    for other in ("A = 2\n", "A ="):
        source.write_text(other)
        with pytest.raises(ConesError, match=r"cones/, baselines/: the library was edited .*; next: run the same"):
            cli.load_plan("ci", overrides)
    monkeypatch.delenv("CONES_LIBRARY")
    cli.load_plan("ci", overrides)


@pytest.mark.parametrize("text", ["{", "[1]", "3"])
def test_overrides_that_are_no_json_are_one_line(world, text):
    with pytest.raises(ConesError, match=r"--set: not a JSON object; .*next: such as"):
        cli.load_plan("ci", text)
