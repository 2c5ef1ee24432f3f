"""The panels of the figure as inline SVG, with the colours and fonts of the page."""

from __future__ import annotations

import io
import re

from cones.outputs.plotting import COLUMN, INK, LINE, OURS, STYLE, THEIRS, UNTUNED
from cones.outputs.report.figures import draw_panel, panel_height, place_panel
from cones.outputs.report.panels import Panel

ON_PAGE = {
    INK: "currentColor",
    LINE: "var(--line)",
    OURS: "var(--ours)",
    THEIRS: "var(--theirs)",
    UNTUNED: "var(--dim)",
}


def panel_svg(panel: Panel, end: float, *, label: str) -> str:
    """One panel as an `<svg>` element with the page's colours and width; `label` is its label for screen readers."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({**STYLE, "svg.hashsalt": f"{panel.model} {panel.group}"}):  # ids differ between panels
        figure = Figure((COLUMN, panel_height(panel)))
        place_panel(figure.add_axes((0, 0, 1, 1)), figure, left=1.12, right=COLUMN - 0.4, top=0, panel=panel)
        draw_panel(figure.axes[0], panel, end, with_names=True)
        written = io.StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _for_page(written.getvalue(), label)


def _for_page(svg: str, label: str) -> str:
    """The SVG without prolog, metadata, sizes and ids, with the page's colours and a label for screen readers."""
    from markupsafe import escape

    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    box = re.search(r'viewBox="[^"]*"', svg).group()
    svg = re.sub(r"<svg[^>]*>", f'<svg {box} role="img" aria-label="{escape(label)}">', svg, count=1)
    for colour, variable in ON_PAGE.items():
        svg = svg.replace(colour, variable)
    return svg
