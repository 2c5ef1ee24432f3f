"""The figure: what its panels hold, and that it says its suite wherever it goes."""

import matplotlib as mpl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from cones.outputs.plotting import COLUMN, PAGE_WIDTH, STYLE
from cones.outputs.reference import GROUPS
from cones.outputs.report.figures import methods_figure
from cones.outputs.report.panels import highest, panels, what_marks_mean
from cones.outputs.report.svg import panel_svg
from cones.steps.report import read_sources
from tests.outputs.report.suites import finished

TOY = "toy datasets drawn by this project and a nano model; not comparable with the paper"


def shown(tmp_path, monkeypatch, **options):
    plan = finished(tmp_path, monkeypatch, **options)
    sources = read_sources(plan, {}, tmp_path / "results" / plan.suite.suite, False)
    return panels([record.row for record in sources.records], sources.table1)


def test_a_panel_per_group_with_its_datasets_in_the_papers_order(tmp_path, monkeypatch):
    found = shown(tmp_path, monkeypatch, datasets=["raccoon", "bccd", "aquarium"], seeds=[0, 1])
    assert [(panel.group, panel.datasets, panel.size) for panel in found] == [
        ("natural", ["aquarium", "raccoon"], "2 datasets, 2 seeds"),
        ("non_radiology", ["bccd"], "1 dataset, 2 seeds"),
    ]
    cones = next(method for method in found[0].methods if method.row["method"] == "cones")
    assert cones.aps == {"aquarium": [58.0, 59.0], "raccoon": [57.0, 58.0]}
    assert highest(found) > 59.0
    assert "2 seeds" in what_marks_mean(found) and "diamond" not in what_marks_mean(found)


@pytest.mark.parametrize(
    ("datasets", "width"), [(["aquarium"], COLUMN), (["aquarium", "bccd"], PAGE_WIDTH), (["luna16"], COLUMN)]
)
def test_the_printed_figure_says_its_suite_and_fits_a_column(tmp_path, monkeypatch, datasets, width):
    found = shown(tmp_path, monkeypatch, datasets=datasets)
    with mpl.rc_context(STYLE):
        figure = methods_figure(found, f"AP by method · suite: toy — {TOY}")
    assert figure.get_size_inches()[0] == width
    assert TOY in " ".join(figure.texts[0].get_text().split())
    renderer = FigureCanvasAgg(figure).get_renderer()
    for text in figure.texts:
        box = text.get_window_extent(renderer)
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 and box.y1 <= figure.bbox.y1


def test_the_papers_mean_is_marked_only_where_the_datasets_are_the_papers(tmp_path, monkeypatch):
    found = shown(tmp_path, monkeypatch, suite="paper", datasets=["aquarium", *GROUPS["non_radiology"].datasets])
    marked = [(panel.group, panel.published(panel.methods[0])) for panel in found if panel.model == "glip_t"]
    assert marked == [("natural", None), ("non_radiology", 6.5)]
    assert "a diamond is the mean in the paper" in what_marks_mean(found)


def test_the_panel_of_the_page_takes_the_pages_colours(tmp_path, monkeypatch):
    (panel,) = shown(tmp_path, monkeypatch, datasets=["aquarium"])
    svg = panel_svg(panel, 100.0, label='natural "quoted"')
    assert svg.startswith("<svg viewBox=") and svg.rstrip().endswith("</svg>")
    assert "var(--ours)" in svg and "var(--theirs)" in svg and "currentColor" in svg
    assert "ConES (stage 1)" in svg  # text, not shapes of letters
    assert "metadata" not in svg and 'aria-label="natural &#34;quoted&#34;"' in svg
