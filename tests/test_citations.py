"""Every citation opens: a section of docs/spec exists under its number, pages link to files that are there."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import cones

ROOT = Path(__file__).resolve().parents[1]
SPEC = ROOT / "docs" / "spec"
NUMBER = r"(?:\d+(?:\.\d+)?|[A-E](?:\.\d+)?)(?![\w])"
CITATION = re.compile(rf"docs/spec/(\w+)\.md(?:,? sections?)?((?: |, | and | to ){NUMBER})*")
# "spec 6.3", "GLIP spec, section 10", "(eq. 3)": a section of something that is not named
BARE = re.compile(
    rf"\b[Ss]pec(?:ification)?s?(?:,| \(|:)? (?:sections? )?{NUMBER}|\b(?:GLIP|UNINEXT|analysis) spec\b|\(eq\. \d"
)
SUFFIXES = {".py", ".smk", ".yaml", ".json", ".md", ".toml", ".j2"}


def tracked() -> list[Path]:
    """Files of the project that are read by people: tracked by git, or in a copy without git all there are."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    names = listed.stdout.split() if listed.returncode == 0 else [str(one.relative_to(ROOT)) for one in everything()]
    return [ROOT / name for name in names if Path(name).suffix in SUFFIXES or name in ("Snakefile", "Makefile")]


def everything() -> list[Path]:
    folders = ("cones", "baselines", "tests", "docs", "workflow", "config", "benchmarks")
    return [*ROOT.glob("*.*"), *(one for folder in folders for one in (ROOT / folder).rglob("*") if one.is_file())]


def texts() -> list[tuple[Path, str]]:
    found = [(one, one.read_text()) for one in tracked() if one.is_file() and one != Path(__file__)]
    return [(one, text) for one, text in found if len(text) < 400_000]


def sections(page: Path) -> set[str]:
    """The numbers of a page's headings; a heading has a title behind its number."""
    return set(re.findall(rf"^#+ ({NUMBER})\.? +\S", page.read_text(), re.MULTILINE))


def faults_of(text: str) -> list[str]:
    """What does not open in a text: missing pages, missing sections, sections of nothing."""
    found = [f'"{bare.group()}" names no file' for bare in BARE.finditer(text)]
    for citation in CITATION.finditer(text):
        page = SPEC / f"{citation.group(1)}.md"
        if not page.is_file():
            found.append(f"docs/spec/{page.name} does not exist")
            continue
        numbers = re.findall(NUMBER, citation.group()[len(f"docs/spec/{page.name}") :])
        found += [f"docs/spec/{page.name} has no section {one}" for one in numbers if one not in sections(page)]
    return found


def test_every_citation_opens():
    faults = [f"{path.relative_to(ROOT)}: {fault}" for path, text in texts() for fault in faults_of(text)]
    assert not faults, "\n".join(faults)


def test_the_code_does_cite_its_sources():
    cited = {citation.group(1) for _, text in texts() for citation in CITATION.finditer(text)}
    assert {"glip", "uninext", "generation"} <= cited
    assert {"6.3", "12.17"} <= sections(SPEC / "glip.md")


@pytest.mark.parametrize(
    "text, fault",
    [
        ("(spec 6.3)", "names no file"),
        ("GLIP spec, section 10", "names no file"),
        ("Spec, section 1; the paper", "names no file"),
        ("(generation and\nanalysis spec, section A.6)", "names no file"),
        ("its own context per class (eq. 3)", "names no file"),
        ("(docs/spec/glip.md 6.9)", "has no section 6.9"),
        ("(docs/spec/glip.md 6, 7 and 99)", "has no section 99"),
        ("(docs/spec/uninext.md 6 to 40)", "has no section 40"),
        ("(docs/spec/glipp.md 6)", "does not exist"),
    ],
)
def test_a_citation_that_does_not_open_is_noticed(text, fault):
    assert any(fault in one for one in faults_of(text)), faults_of(text)


@pytest.mark.parametrize(
    "text", ["docs/spec/glip.md 6.1, docs/spec/uninext.md 6.", "own_folder(spec)", "(paper, eq. 3)"]
)
def test_what_opens_is_no_fault(text):
    assert not faults_of(text)


def test_links_between_pages_open():
    """Relative links and pictures of every Markdown page: the file is there."""
    missing = []
    for path, text in texts():
        if path.suffix == ".md":
            targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
            local = [one for one in targets if not re.match(r"[a-z]+:", one)]
            missing += [f"{path.relative_to(ROOT)}: {one}" for one in local if not (path.parent / one).exists()]
    assert not missing, "\n".join(missing)


def test_the_software_is_cited_as_it_is():
    """The version and licence of CITATION.cff are the package's, and the paper is among its references."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (cited["version"], cited["license"]) == (cones.__version__, project["license"])
    assert "https://arxiv.org/abs/2305.18993" in [one["url"] for one in cited["references"]]
    assert [(ROOT / name).read_text().split()[0] for name in project["license-files"]] == [project["license"]]
