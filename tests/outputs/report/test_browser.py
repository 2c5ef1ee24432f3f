"""The page in a real browser without scripts: nothing sticks out at either width, and a phone shows all of Table 1."""

from pathlib import Path

import pytest

from tests.outputs.report.browser import CHROMIUM, chromium
from tests.outputs.report.pictured import with_pictures
from tests.outputs.report.suites import finished, page_of
from tests.outputs.worlds import published

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")

WIDE, NARROW = 1280, 400
LONG = "a-name-without-any-room-for-a-line-break-" * 4
OPEN_ALL = "document.querySelectorAll('details').forEach(fold => fold.open = true)"
# what reaches beyond the page, unless a box around it scrolls (tables, code) or cuts it off (names of files)
STICKS_OUT = """(() => {
  const inside = node => node && node !== document.body
    && (getComputedStyle(node).overflowX !== 'visible' || inside(node.parentElement));
  return [...document.body.querySelectorAll('*')]
    .filter(node => node.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
    .filter(node => !inside(node.parentElement))
    .map(node => `${node.tagName} ${node.className}: ${node.textContent.slice(0, 60)}`);
})()"""
SCROLLS = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
# of each number of Table 1: its head, whether it is in sight, and the size of its letters
TABLE1 = """[...document.querySelectorAll('#table1 tbody td')].map(cell => {
  const box = cell.getBoundingClientRect(), head = getComputedStyle(cell, '::before');
  return [head.content, head.display !== 'none' && box.left >= 0 && box.right <= innerWidth && box.height > 0,
          parseFloat(getComputedStyle(cell).fontSize)];
})"""
TABLE1_SCROLLS = "[...document.querySelectorAll('#table1 .scroll')].some(box => box.scrollWidth > box.clientWidth)"
OVERLAPS = """[...document.querySelectorAll('#table1 tbody tr')].some(row => {
  const boxes = [...row.querySelectorAll('small, a')].map(node => node.getBoundingClientRect());
  return boxes.some((one, n) => boxes.slice(n + 1).some(other =>
    one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom));
})"""
PICTURES = "[...document.querySelectorAll('#pictures img')].map(image => image.naturalWidth * image.clientWidth)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """The page of a suite with pictures, long names of classes, files and a dataset's hole, and no spaces in them."""
    with pytest.MonkeyPatch.context() as patch:
        datasets = ["aquarium", "bccd", "tn3k", "luna16"]
        plan = finished(
            tmp_path_factory.mktemp("toy"),
            patch,
            suite="ci",
            datasets=datasets,
            title=f"toy {LONG}",
            outcomes=lambda cell: LONG if cell.dataset == "luna16" else 40.0 + (cell.method == "cones"),
        )
        with_pictures(plan, datasets[:3], classes=(LONG, "white"), file="{}" + LONG + ".png")
        return _written(page_of(plan, title=LONG))


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    """The page with the most in its tables: published numbers below ours, two seeds, two models."""
    with pytest.MonkeyPatch.context() as patch:
        plan = finished(
            tmp_path_factory.mktemp("paper"),
            patch,
            suite="paper",
            seeds=[0, 1],
            datasets=["aquarium", "bccd", "tn3k"],
            outcomes=lambda cell: (published(cell) or 0) + cell.seed,
        )
        return _written(page_of(plan))


def _written(page: str) -> Path:
    path = Path("report.html").resolve()
    path.write_text(page, encoding="utf-8")
    return path


@pytest.fixture(params=["toy", "paper"])
def page(request) -> Path:
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_nothing_sticks_out_of_the_page(browser, page, width):
    browser.open(page, width)
    browser.value(OPEN_ALL)
    assert browser.value("innerWidth") == width
    assert browser.value(STICKS_OUT) == []
    assert not browser.value(SCROLLS)


def test_what_sticks_out_is_seen(browser, paper):
    browser.open(paper, NARROW)
    browser.value("document.querySelector('h1').style.width = '500px'")
    assert [found.partition(" ")[0] for found in browser.value(STICKS_OUT)] == ["H1"] and browser.value(SCROLLS)
    browser.open(paper, NARROW)
    browser.value("document.querySelector('#table1 table').classList.remove('stacked')")
    assert browser.value(TABLE1_SCROLLS)


def test_table_1_is_read_on_a_phone_without_scrolling(browser, page):
    browser.open(page, NARROW)
    assert not browser.value(TABLE1_SCROLLS) and not browser.value(OVERLAPS)
    cells = browser.value(TABLE1)
    heads = {head.strip('"') for head, _, _ in cells} - {"notes", "none"}
    assert {"trained (M)", "all (M)", "natural AP", "non-radiology AP", "radiology AP"} == heads
    assert len(cells) >= 7 * 5 and all(is_seen and size >= 12 for _, is_seen, size in cells)
    browser.open(page, WIDE)
    assert {head for head, _, _ in browser.value(TABLE1)} == {"none"}  # a table with its heads above


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_pictures_are_seen_without_scripts(browser, toy, width):
    browser.open(toy, width)
    browser.value(OPEN_ALL)
    sizes = browser.value(PICTURES)
    assert len(sizes) == 12 and min(sizes) > 0
