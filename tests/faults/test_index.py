"""The index names tests that exist and misses none of this folder; what is printed at the end is counted right."""

import ast
from pathlib import Path
from types import SimpleNamespace

from tests.faults.index import FAULTS, OTHERS
from tests.faults.tally import pytest_terminal_summary

LISTED = [*(test for tests in FAULTS.values() for test in tests), *OTHERS]


def names_in(file: str) -> set[str]:
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {f"{file}::{name}" for name in names if name.startswith("test_")}


def test_every_listed_test_is_there():
    there = set().union(*map(names_in, {test.partition("::")[0] for test in LISTED}))
    assert set(LISTED) - there == set() and len(set(LISTED)) == len(LISTED)


def test_every_test_of_this_folder_is_listed():
    folder = Path("tests/faults")
    assert set().union(*(names_in(path.as_posix()) for path in folder.glob("test_*.py"))) - set(LISTED) == set()


def test_the_count_at_the_end():
    def report(when, fault="a full disk", **properties):
        return SimpleNamespace(when=when, user_properties=[("fault", fault), *properties.items()])

    plain = SimpleNamespace(when="call", user_properties=[])
    killed = report("call", "killed at any moment", faults=7, lost=2)
    stats = {"passed": [report("setup"), report("call"), plain], "failed": [report("call"), killed], "skipped": [plain]}
    lines = []
    pytest_terminal_summary(
        SimpleNamespace(stats=stats, section=lines.append, line=lambda text, **options: lines.append(text))
    )
    assert [line.split() for line in lines[1:3]] == [
        ["killed", "at", "any", "moment", "tried", "7,", "survived", "0"],
        ["a", "full", "disk", "tried", "2,", "survived", "1"],
    ]
    assert lines[-1] == "faults tried: 9, survived: 1, data lost: 2"
