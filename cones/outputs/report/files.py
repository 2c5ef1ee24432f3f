"""The files of the report: what it leaves in the folder of a suite, and the templates it is made with."""

from pathlib import Path

PAGE, FIGURE = "report.html", "figure_methods.png"
OF_TABLE1 = (FIGURE, "figure_methods.pdf")  # where the suite has Table 1
REPORT_FILES = (PAGE, *OF_TABLE1)
TEMPLATES = (Path(__file__).parent / "report.html.j2", Path(__file__).parent / "style.css")
