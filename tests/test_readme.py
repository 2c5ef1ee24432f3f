"""README and docs/running.md promise only what there is: commands, make targets, suites, tables and pages."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from cones.cli.main import app
from cones.experiment.cell import Plan
from cones.experiment.outputs import outputs_of

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "docs/running.md", ROOT / "docs/paper_suite.md"]
YOURS = "my_folder"  # the suite that a reader makes


@pytest.fixture(params=PAGES, ids=lambda page: page.name)
def page(request):
    return request.param


def named(page: Path, pattern: str) -> set[str]:
    found = set(re.findall(pattern, page.read_text(encoding="utf-8")))
    assert found, pattern
    return found


def test_the_readme_stays_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 160


def test_every_link_leads_somewhere(page):
    links = named(page, r"\]\(([^)#]+)") - set(re.findall(r"https?://[^)]+", page.read_text(encoding="utf-8")))
    assert [link for link in sorted(links) if not (page.parent / link).exists()] == []


def test_every_command_is_there(page):
    assert named(page, r"python -m cones ([a-z][a-z-]*)") <= set(get_command(app).commands)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert named(page, r"(?m)(?:^|`|&& )make ([a-z0-9-]+)") <= set(
        re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE)
    )


def test_every_suite_and_every_target_is_there(page):
    suites = named(page, r"suite=([a-z_]+)") - {YOURS}
    assert [name for name in sorted(suites) if not (ROOT / f"config/{name}.yaml").exists()] == []
    made = {file for output in outputs_of(Plan.load("miniature").suite.parts) for file in output.files}
    targets = named(page, r"results/([a-z0-9_]+\.(?:csv|pdf|png|html))")
    assert targets <= made | {"report.html"}
