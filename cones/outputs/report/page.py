"""The HTML page of the report, from its sources to the filled template."""

from __future__ import annotations

from dataclasses import dataclass

from cones.outputs.files import Row
from cones.outputs.records import Record
from cones.outputs.reference import GROUPS, stands_beside
from cones.outputs.report.files import TEMPLATES
from cones.outputs.report.gaps import gap_rows, not_in_suite
from cones.outputs.report.origin import command, origin
from cones.outputs.report.panels import highest, panels, what_marks_mean
from cones.outputs.report.pictures import OPEN, OfDataset
from cones.outputs.report.rates import rates_used, study_views
from cones.outputs.report.sections import Section
from cones.outputs.report.svg import panel_svg
from cones.outputs.report.tables import table_view
from cones.outputs.report.tuned import tuned_views
from cones.outputs.wording import INCOMPARABLE


@dataclass(frozen=True)
class Sources:
    """Everything that a page is made of, already read from its files."""

    suite: str
    title: str
    records: list[Record]  # the cells of Table 1
    of_methods: list[Record]  # of all tables whose rows are methods
    of_all: list[Record]  # of all tables, those of classification among them
    table1: list[Row] | None  # None: the suite has no Table 1
    config: str  # text of the suite's file
    overrides: dict  # what was laid over it
    study: list[Row]  # of the learning-rate studies
    missing_studies: tuple[str, ...] = ()  # path and what is wrong, of those that cannot be shown
    sections: tuple[Section, ...] = ()  # one for each table or figure of the suite
    pictures: tuple[OfDataset, ...] | None = None  # None: the suite leaves them out
    left_out: tuple[tuple[str, list[str]], ...] = ()  # datasets of which something was, and what
    waiting: tuple[tuple[str, str, str], ...] = ()  # datasets that need a person: name, status, what to do
    unfinished: bool = False
    has_detectors: bool = True  # False: nothing is said of how detectors were tuned


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
    """The values of the template's names."""
    names = {"suite": sources.suite, "title": sources.title}
    records = sources.records
    tested = {r.row["dataset"]: r.row for r in reversed(records) if r.is_done and r.row["images"]}
    return {
        **names,
        "incomparable": "" if stands_beside(sources.suite) else INCOMPARABLE,
        "unfinished": sources.unfinished,
        "has_detectors": sources.has_detectors,
        "facts": _facts(sources.of_all),
        "sections": [
            (section, [table_view(sheet, tested) for sheet in section.sheets]) for section in sources.sections
        ],
        "figures": None if sources.table1 is None else _figures(sources),
        "pictures": sources.pictures,
        "open_pictures": OPEN,
        "tuned": tuned_views(sources.of_methods),
        "rates": rates_used(sources.of_methods),
        "study": study_views(sources.study),
        "missing_studies": sources.missing_studies,
        "gaps": gap_rows(sources.of_all),
        "left_out": sources.left_out,
        "waiting": sources.waiting,
        "not_in_suite": None if sources.table1 is None else not_in_suite(records),
        "command": command(sources.suite, sources.overrides),
        "config": sources.config,
        "origin": origin(sources.of_all),
    }


def _facts(records: list[Record]) -> dict:
    """The size of the experiment, and how much of it is done."""
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
        label = f"AP by method, suite {sources.suite}, {place}; the numbers are in the tables"
        by_model.setdefault(panel.model, []).append(Markup(panel_svg(panel, end, label=label)))
    return {"models": by_model, "caption": what_marks_mean(shown) if shown else ""}
