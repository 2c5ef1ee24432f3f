"""Made-up suites for the tests of the report: a plan and the files that its cells, tables and steps leave."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cones.experiment.cell import Plan
from cones.experiment.outputs import outputs_of
from cones.outputs.make import make_output
from cones.outputs.report.page import page
from cones.steps.collect import collect_grid
from cones.steps.report import read_sources
from tests.made import made_by
from tests.outputs.worlds import grid, metrics_path, write_run, write_world

ROOT = Path(__file__).resolve().parents[3]


def ap_of(cell):
    """Numbers for all but a dataset that was skipped and a cell that left nothing."""
    if cell.dataset == "luna16":
        return "needs a login: see docs/datasets.md"
    if (cell.dataset, cell.method) == ("tn3k", "full_finetuning"):
        return None
    return 40.0 + len(cell.dataset) + cell.seed + (10 if cell.method == "cones" else 0)


MADE: dict[str, TemporaryDirectory] = {}  # what suites with the usual numbers left, made once in a process


def finished(folder: Path, monkeypatch, *, suite="miniature", outcomes=ap_of, partial=False, **overrides) -> Plan:
    """The plan of a suite whose cells and tables lie in `folder`, which becomes the working directory."""
    if outcomes is not ap_of:
        return _made(folder, monkeypatch, suite, outcomes, partial, overrides)
    if (key := repr((suite, partial, overrides))) not in MADE:
        MADE[key] = TemporaryDirectory()
        with pytest.MonkeyPatch.context() as patch:
            _made(Path(MADE[key].name), patch, suite, outcomes, partial, overrides)
    shutil.copytree(MADE[key].name, folder, symlinks=True, dirs_exist_ok=True)
    monkeypatch.chdir(folder)
    return Plan.load(suite, overrides)


def _made(folder: Path, monkeypatch, suite, outcomes, partial, overrides) -> Plan:
    monkeypatch.chdir(folder)
    for name in ("config", "datasets.yaml"):
        Path(name).symlink_to(ROOT / name)
    plan = Plan.load(suite, overrides)
    cells = grid(models=tuple(plan.suite.models), seeds=plan.suite.seeds, datasets=plan.suite.datasets)
    for cell in write_world(Path("results"), plan.suite.suite, cells, outcomes):
        path = metrics_path(Path("results"), plan.suite.suite, cell)
        if path.exists():
            write_run(path, cell)
    made_by(plan)
    collect_grid(plan, "table1", partial=partial)
    for output in outputs_of(["table1"]):
        if output.name != "table7":
            make_output(plan, output.name, partial=partial)
    return plan


def page_of(plan: Plan, **overrides) -> str:
    """The page that the report would write, without the figure for print, which takes seconds."""
    return page(read_sources(plan, overrides, Path("results") / plan.suite.suite, False))
