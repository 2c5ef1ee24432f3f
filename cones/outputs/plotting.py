"""The style of all figures (colours, fonts, widths of a paper's columns), and their PNG and PDF files."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cones.runtime.artifacts import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, LINE = "#1b1c1e", "#d9d9d6"
OURS, THEIRS, UNTUNED = "#d55e00", "#0072b2", "#6e6e6e"  # vermillion and blue of Okabe and Ito: colour-blind safe
COLUMN, PAGE_WIDTH = 3.5, 7.0  # inches: one and two columns of a paper
STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters everywhere
    "font.size": 7.5,
    "text.parse_math": False,  # a name with dollar signs is a name
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "svg.fonttype": "none",  # text stays text
    "pdf.fonttype": 42,
}


@contextmanager
def printing() -> Iterator[None]:
    """Apply the style of figures for print; figures are drawn and saved inside this context."""
    import matplotlib as mpl

    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it logs every glyph that it embeds in the PDF
    with mpl.rc_context({**STYLE, "savefig.dpi": 300}):
        yield


def save_figure(figure: Figure, png: Path) -> list[Path]:
    """Write `png` (300 dpi) and a `.pdf` beside it; the same figure gives the same bytes."""
    pdf = png.with_suffix(".pdf")
    for path, metadata in ((png, {"Software": None}), (pdf, {"CreationDate": None, "Producer": None})):
        with replacing(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:], metadata=metadata)
    return [png, pdf]
