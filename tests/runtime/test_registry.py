"""Registries: entries are read without importing them, and every mistake ends in one line."""

import sys

import pytest

from cones.runtime.errors import ConesError
from cones.runtime.registry import Entry, Registry


class Tool(Entry):
    label: str
    reads: tuple[str, ...] = ()


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A registry of two tools, whose files raise when they are imported before they may be."""
    write(
        tmp_path, "hammer", 'TOOL = {"name": "hammer", "class": "Hammer", "label": "Hammer"}\nclass Hammer:\n    pass\n'
    )
    write(tmp_path, "broken", 'TOOL = {"name": "broken", "label": "Broken"}\nraise RuntimeError("imported")\n')
    write(tmp_path, "known_tools", 'TOOLS = {"hammer": "hammer", "broken": "broken"}\n')
    monkeypatch.syspath_prepend(tmp_path)
    yield Registry("tool", Tool, literal="TOOL", built_in="known_tools:TOOLS", group="cones.no_such_group")
    for name in ("hammer", "broken", "known_tools", "saw", "other"):
        sys.modules.pop(name, None)


def write(folder, module, text):
    (folder / f"{module}.py").write_text(text)


def test_an_entry_is_read_without_importing_its_file(tools):
    assert tools["broken"].label == "Broken" and "broken" not in sys.modules
    assert list(tools) == ["hammer", "broken"] and tools.module("hammer") == "hammer"
    with pytest.raises(RuntimeError, match="imported"):
        tools.load("broken")
    assert tools.load("hammer").__name__ == "Hammer"


def test_an_unknown_name_is_a_key_error_in_code_and_one_line_for_a_person(tools):
    assert "hamer" not in tools and tools.get("hamer") is None
    with pytest.raises(ConesError, match=r'arms: there is no tool "hamer"; next: did you mean "hammer"'):
        tools.find("hamer", where="arms")


def test_what_is_added_is_there_until_it_is_removed(tools, tmp_path):
    write(
        tmp_path, "saw", 'TOOL = [{"name": "saw", "label": "Saw", "reads": ["wood"]}, {"name": "axe", "label": "Axe"}]'
    )
    tools.add("saw", "saw")
    tools.add("axe", "saw")
    assert tools["saw"].reads == ("wood",) and tools["axe"].target == "saw" and len(tools) == 4
    tools.remove_added()
    assert list(tools) == ["hammer", "broken"] and "saw" not in tools


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'the file says nothing of the tool "other"; expected TOOL = '),
        ("TOOL = {'name': 'other'}", "TOOL: label: a required key is missing"),
        ("TOOL = {'name': 'other', 'label': 'O', 'raeds': []}", 'raeds: unknown key; next: did you mean "reads"'),
        ("NAME = 'other'\nTOOL = {'name': NAME, 'label': 'O'}", "line 2: TOOL is not a literal"),
        ("TOOL = {", "not valid Python"),
    ],
)
def test_a_file_that_cannot_be_an_entry_is_refused(tools, tmp_path, text, message):
    write(tmp_path, "other", text)
    with pytest.raises(ConesError, match=message):
        tools.add("other", "other")
    assert "other" not in tools


def test_a_name_that_is_taken_is_refused_with_both_files(tools, tmp_path):
    write(tmp_path, "other", "TOOL = {'name': 'hammer', 'label': 'Another'}")
    with pytest.raises(ConesError, match=r'other.py: the tool "hammer" is there already; found also in .*hammer.py'):
        tools.add("hammer", "other")


def test_a_class_that_is_not_there_is_refused(tools, tmp_path):
    write(tmp_path, "other", "TOOL = {'name': 'other', 'label': 'O', 'class': 'Othr'}\nclass Other:\n    pass\n")
    with pytest.raises(ConesError, match=r'other.py: there is no class "Othr"; next: did you mean "Other"'):
        tools.add("other", "other")


def test_every_class_that_an_entry_names_has_to_be_there(tools, tmp_path):
    class TwoClasses(Tool):
        @property
        def class_names(self):
            return ("Saw", "Blade")

    tools.entry_class = TwoClasses
    write(tmp_path, "saw", "TOOL = {'name': 'saw', 'label': 'S'}\nclass Saw:\n    pass\n")
    with pytest.raises(ConesError, match=r'saw.py: there is no class "Blade"'):
        tools.add("saw", "saw")
