"""docs/survey.md is what the files of the methods say of themselves."""

from pathlib import Path

from cones.cli.methods import page
from cones.methods.method import METHODS

ROOT = Path(__file__).resolve().parents[1]


def test_the_page_is_what_the_methods_say():
    written = (ROOT / "docs/survey.md").read_text(encoding="utf-8")
    assert written == page(), "make it again: python -m cones methods > docs/survey.md"


def test_each_line_links_to_its_file():
    for entry in METHODS.values():
        if entry.survey:
            file = ROOT / f"{entry.module.replace('.', '/')}.py"
            assert file.exists()
            assert f"(../{file.relative_to(ROOT)}) | `{entry.name}` |" in page()
