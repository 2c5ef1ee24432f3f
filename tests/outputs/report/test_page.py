"""The report: what it says, that it says it again to the byte, and that nothing in a name can break it."""

import html
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cones.methods.method import METHODS
from cones.outputs.report.files import REPORT_FILES
from cones.runtime.errors import ConesError
from cones.steps.finish import finish_run
from cones.steps.report import write_report
from tests.outputs.report.suites import ROOT, finished, page_of
from tests.outputs.worlds import METHODS as SEVEN
from tests.outputs.worlds import published

MEDICAL = ("isic2016", "bccd", "luna16", "tn3k")
VOID = {"meta", "br", "link", "img", "hr", "use", "path"}


class Balanced(HTMLParser):
    """Every element that is opened is closed, in order."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def text_of(plan, **overrides) -> str:
    return balanced(page_of(plan, **overrides))


def balanced(page: str) -> str:
    Balanced(page)
    return page


def test_every_method_dataset_and_number_is_there(tmp_path, monkeypatch):
    page = text_of(finished(tmp_path, monkeypatch, datasets=["aquarium", *MEDICAL], seeds=[0, 1]))
    for method in SEVEN:
        assert METHODS[method].label in page
    for dataset in ("aquarium", *MEDICAL):
        assert dataset in page
    for label in ("Aquarium", "ISIC2016", "BCCD", "Luna16", "TN3k"):
        assert f">{label}</th>" in page
    assert "58.5" in page  # ConES on aquarium, the mean over seeds
    assert "luna16: skipped (needs a login: see docs/datasets.md)" in page
    assert "tn3k" in page.partition('id="missing"')[2].partition("</section>")[0]
    assert "3 of 10" in page and "240 steps, 12 s" in page
    assert "16 of the paper's 21 detection datasets are not in this suite" in page
    assert "c13398831e6f" in page and "a processor, 2 cores, 16.0 GiB memory" in page
    assert "2026-11-22 21:20:00 UTC to 2026-11-22 21:20:01 UTC" in page
    assert "python 3.11.7, torch 2.13.0+cpu" in page
    assert page.count("<svg") == 3


@pytest.mark.parametrize("suite", ["ci", "bccd"])
def test_a_toy_suite_says_so_everywhere(tmp_path, monkeypatch, suite):
    plan = finished(tmp_path, monkeypatch, suite=suite)
    page = text_of(plan)
    title = html.escape(plan.suite.title)
    assert page.count(title) >= 3 and "not comparable with the paper" in plan.suite.title
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page, re.DOTALL)
    assert len(captions) >= 5
    assert all(f"uite: {suite}" in " ".join(caption.split()) for caption in captions)
    labels = re.findall(r'aria-label="([^"]*)"', page)
    assert labels and all(f"suite {suite}" in label for label in labels)


def test_the_paper_suite_has_the_published_numbers(tmp_path, monkeypatch):
    plan = finished(tmp_path, monkeypatch, suite="paper", outcomes=lambda cell: (published(cell) or 0) + 0.5)
    page = text_of(plan)
    cones = page.partition('id="table8"')[2].partition("glip_t")[2]
    assert "<small>69.3</small><small>(+0.5)</small>" in cones
    assert "slip in the paper" in page and "a diamond is the mean in the paper" in page
    assert "not comparable with the paper" not in page
    assert page.count("<svg") == 6


def test_equal_inputs_give_equal_bytes(tmp_path, monkeypatch):
    plan = finished(tmp_path, monkeypatch, datasets=["aquarium", "bccd"], seeds=[0, 1])
    first = [path.read_bytes() for path in write_report(plan)]
    paths = write_report(plan)
    assert [path.name for path in paths] == list(REPORT_FILES)
    assert [path.read_bytes() for path in paths] == first
    assert all(len(content) > 1000 for content in first)


def test_the_page_needs_nothing_else(tmp_path, monkeypatch):
    page = text_of(finished(tmp_path, monkeypatch))
    assert not re.findall(r"""(?:src|href)=["'](?!#)[^"']+""", page.replace("xlink:href", "href"))
    assert not re.search(r"@import|url\((?!#)", page)
    assert "script" not in Balanced(page).tags


def test_hostile_names_stay_text(tmp_path, monkeypatch):
    evil = "<script>alert('x')</script> & $x_1$ \"q\""
    plan = finished(
        tmp_path,
        monkeypatch,
        title=evil,
        datasets=["bccd", "tn3k"],
        outcomes=lambda cell: f"reason {evil}" if cell.dataset == "tn3k" else 1.0,
    )
    page = balanced(write_report(plan, overrides={"title": evil})[0].read_text())
    assert "<script" not in page and evil not in page
    assert page.count("&lt;script&gt;") > 3


def test_no_model_is_loaded_and_nothing_heavy_is_imported(tmp_path, monkeypatch):
    plan = finished(tmp_path, monkeypatch)
    code = (
        "import sys; from cones.experiment.cell import Plan; import cones.steps.report as report;"
        "early = [m for m in ('matplotlib', 'jinja2', 'pandas', 'scipy') if m in sys.modules];"
        f"report.write_report(Plan.load({plan.suite.suite!r}, {{}}));"
        "print(early, [m for m in ('torch', 'transformers', 'pycocotools') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    assert done.stdout.strip() == "[] []", done.stderr


def test_an_unfinished_suite_has_a_report_of_its_own(tmp_path, monkeypatch, capsys):
    plan = finished(tmp_path, monkeypatch, datasets=["aquarium", "tn3k"])
    damaged = Path("results/miniature/glip_nano/tn3k/cones/seed0/run.json")
    damaged.write_text("{")
    with pytest.raises(ConesError, match="not valid JSON"):
        write_report(plan)
    finish_run(plan, overrides={}, failed=True)
    page = Path("results/miniature/report.partial.html").read_text()
    assert "unfinished: some cells failed or did not run" in page
    assert "the report: results/miniature/report.partial.html" in capsys.readouterr().out
    assert not Path("results/miniature/report.html").exists()
    finish_run(plan, overrides={}, failed=False)
    assert not list(Path("results/miniature").glob("*partial*"))


def test_a_suite_without_any_number_yet(tmp_path, monkeypatch):
    plan = finished(tmp_path, monkeypatch, outcomes=lambda cell: None)
    page = balanced(write_report(plan)[0].read_text())
    assert "No cell has a number yet." in page and "No cell is done yet." in page
    assert all(Path("results/miniature", name).stat().st_size > 1000 for name in REPORT_FILES)


def test_a_run_json_of_an_earlier_version_is_read(tmp_path, monkeypatch):
    plan = finished(tmp_path, monkeypatch, datasets=["bccd"])
    for path in Path("results").rglob("run.json"):
        path.write_text(json.dumps({"revision": None}))
    page = text_of(plan)
    assert "not recorded" in page and "No cell has been tuned yet." in page


def test_the_command_repeats_the_run(tmp_path, monkeypatch):
    plan = finished(tmp_path, monkeypatch, suite="ci", seeds=[0, 1])
    page = html.unescape(text_of(plan, seeds=[0, 1], mirror="some folder"))
    assert "results/report.html --config suite=ci 'seeds=[0, 1]' 'mirror=some folder'" in page
