"""The page: everything that the template shows, and the template filled in."""

from __future__ import annotations

from dataclasses import dataclass

from cones.report.analyses import Shown
from cones.report.files import TEMPLATES
from cones.report.gaps import gap_rows, not_in_suite
from cones.report.origin import command, origin
from cones.report.panels import highest, panels, what_marks_mean
from cones.report.rates import rates_used, study_views
from cones.report.records import Record
from cones.report.scores import detail_view, table1_view
from cones.report.svg import panel_svg
from cones.report.tuned import tuned_views
from cones.tables.reference import GROUPS
from cones.tables.wording import INCOMPARABLE, Row


@dataclass(frozen=True)
class Sources:
    """What a page is made of, read already: nothing in here knows where it came from."""

    suite: str
    title: str
    records: list[Record]  # the cells of Table 1
    of_methods: list[Record]  # of all tables whose rows are methods
    of_all: list[Record]  # of all tables
    table1: list[Row]
    details: dict[str, tuple[list[str], list[Row]]]  # {"table8": (columns, rows)}
    config: str  # text of the suite's file
    overrides: dict  # what was laid over it
    study: list[Row]  # of the learning-rate studies
    missing_studies: tuple[str, ...] = ()  # path and what is wrong, of those that cannot be shown
    analyses: tuple[Shown, ...] = ()  # sections beside Table 1 and its details
    waiting: tuple[tuple[str, str, str], ...] = ()  # datasets that need a person: name, status, what to do
    unfinished: bool = False


def page(sources: Sources) -> str:
    """The whole HTML page; equal sources give equal text. Needs no network, no script and no other file."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    template = TEMPLATES[0]
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template.name).render(contents(sources))


def contents(sources: Sources) -> dict:
    """What the template's names stand for."""
    said = {"suite": sources.suite, "title": sources.title}
    records = sources.records
    tested = {r.row["dataset"]: r.row for r in reversed(records) if r.is_done and r.row["images"]}
    return {
        **said,
        "incomparable": INCOMPARABLE if sources.suite != "paper" else "",
        "unfinished": sources.unfinished,
        "facts": _facts(sources.of_all),
        "table1": table1_view(sources.table1, **said),
        "details": {
            name: detail_view(name, columns, rows, tested, **said) for name, (columns, rows) in sources.details.items()
        },
        "figures": _figures(sources),
        "tuned": tuned_views(sources.of_methods),
        "rates": rates_used(sources.of_methods),
        "study": study_views(sources.study),
        "missing_studies": sources.missing_studies,
        "analyses": sources.analyses,
        "gaps": gap_rows(sources.of_all),
        "waiting": sources.waiting,
        "not_in_suite": not_in_suite(records),
        "command": command(sources.suite, sources.overrides),
        "config": sources.config,
        "origin": origin(sources.of_all),
    }


def _facts(records: list[Record]) -> dict:
    """How large the experiment is, and how much of it is done."""
    return {
        "methods": len({record.row["method"] for record in records}),
        "models": list(dict.fromkeys(record.row["model"] for record in records)),
        "datasets": len({record.row["dataset"] for record in records}),
        "seeds": len({record.row["seed"] for record in records}),
        "cells": len(records),
        "done": sum(record.is_done for record in records),
    }


def _figures(sources: Sources) -> dict:
    from markupsafe import Markup

    shown = panels([record.row for record in sources.records], sources.table1)
    end = highest(shown)
    by_model: dict[str, list[Markup]] = {}
    for panel in shown:
        place = f"{panel.model}, {GROUPS[panel.group].title} ({panel.size})"
        said = f"AP by method, suite {sources.suite}, {place}; the numbers are in the tables"
        by_model.setdefault(panel.model, []).append(Markup(panel_svg(panel, end, said=said)))
    return {"models": by_model, "caption": what_marks_mean(shown) if shown else ""}
