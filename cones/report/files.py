"""The files of the report: what it leaves in the folder of a suite, and the templates it is made with."""

from pathlib import Path

PAGE, FIGURE = "report.html", "figure_methods.png"
REPORT_FILES = (PAGE, FIGURE, "figure_methods.pdf")
TEMPLATES = (Path(__file__).parent / "report.html.j2", Path(__file__).parent / "style.css")
