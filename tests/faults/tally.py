"""pytest plug-in: marks the tests that `index.py` lists with `fault`; says at the end how many faults were survived.

A test that tries several says so: `record_property("faults", 7)`, and `record_property("lost", files)` if any were;
what it `said` stands below the counts.
"""

from collections import defaultdict

import pytest

from tests.faults.index import FAULTS

TESTS = {test: fault for fault, tests in FAULTS.items() for test in tests}


@pytest.hookimpl(tryfirst=True)  # before `-m fault` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if what := TESTS.get(item.nodeid.partition("[")[0]):
            item.add_marker(pytest.mark.fault(what))
            item.user_properties.append(("fault", what))


def pytest_terminal_summary(terminalreporter) -> None:
    tried, survived, lost, words = defaultdict(int), defaultdict(int), 0, []
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, ()):
            said = dict(getattr(report, "user_properties", ()))
            if "fault" not in said or (outcome == "passed" and report.when != "call"):
                continue
            tried[said["fault"]] += (count := said.get("faults", 1))
            survived[said["fault"]] += count * (outcome == "passed")
            lost += said.get("lost", 0)
            if "said" in said:
                words.append(said["said"])
    if not tried:
        return
    terminalreporter.section("faults")
    for what in filter(tried.get, FAULTS):
        terminalreporter.line(f"{what:<50} tried {tried[what]:>4}, survived {survived[what]:>4}")
    for each in words:
        terminalreporter.line(each)
    total = f"faults tried: {sum(tried.values())}, survived: {sum(survived.values())}, data lost: {lost}"
    terminalreporter.line(total, bold=True)
