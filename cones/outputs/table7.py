"""Table 7: images, boxes and classes of each dataset beside the counts the paper prints, what was left out or changed,
and reasons for differences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cones.data.findings import SAME_SPLITS, counted, findings, left_out
from cones.data.registry import LISTED, SPLITS, Dataset
from cones.outputs.reference import GROUPS, Reference, paper
from cones.outputs.sheet import NOTES, Sheet, blank_repeats
from cones.outputs.wording import (
    NO_NUMBER,
    NOTE_SEPARATOR,
    Row,
    heading,
    join_notes,
    markers,
    notes_of,
    numbered_notes,
)
from cones.runtime.artifacts import read_json
from cones.runtime.errors import ConesError

if TYPE_CHECKING:
    from pandas import DataFrame

    from cones.outputs.reads.manifests import Datasets

OUTPUT = {
    "name": "table7",
    "reads": "manifests",
    "title": "Table 7: datasets",
    "about": "What the datasets came to in this suite.",
}
COLUMNS = (
    *("suite", "source", "dataset", "paper_name", "group", "own", "status"),
    *("classes", "train", "val", "test", "boxes", "left_out", "clipped", "shared", "groups", "torn_groups"),
    *("paper_row", "paper_classes", "paper_train", "paper_val", "paper_test", "agrees", "findings", "notes"),
)
SHARED_ROWS = {"natural": "ODinW13"}  # the paper counts this group as one dataset
COMPARED = ("classes", *SPLITS)
COUNTED = (*COMPARED, "boxes")
CHANGED = {"left_out": "left out", "clipped": "clipped", "shared": "shared pictures"}  # columns -> their heads
SUMMED = (*SPLITS, "boxes", *CHANGED)
WHOLE_NUMBERS = (*COUNTED, *CHANGED, "groups", "torn_groups", *(f"paper_{key}" for key in COMPARED))
NAMES_OF_GROUPS = {
    **{name: group.title for name, group in GROUPS.items()},
    "segmentation": "segmentation",
    "generation": "generation",
}
ALL_OF = "all of "  # a row that the paper counts as one dataset
EMPTY = "This suite has no datasets."


def frame(datasets: Datasets, *, suite: str, reference: Reference | None = None) -> DataFrame:
    """A row (COLUMNS) per dataset in the suite's order, and a total for each group that the paper counts as one.

    Counts come from the manifests; a dataset that was skipped, or has none yet, has its reason in `status`. `left_out`
    counts boxes, pictures and other items that the files list and no split holds; `clipped` boxes; `shared` pictures
    that are in two splits; `groups` such as patients, and those of them in two splits. `findings` says each in words.
    `agrees` ("yes" or what differs) is only given for the official files of the registry: other sources, and folders
    of one's `own`, have counts of their own.
    """
    import pandas as pd

    reference = reference or paper()
    rows = [_row(entry, suite, datasets.source, manifest, reference) for entry, manifest in datasets.manifests]
    for group, row_name in SHARED_ROWS.items():
        members = [row for row in rows if row["paper_row"] == row_name]
        if len(members) > 1:
            rows.insert(rows.index(members[-1]) + 1, _total(members, group, row_name, reference))
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(WHOLE_NUMBERS, "Int64"))


def paper_row(entry: Dataset, reference: Reference) -> dict | None:
    """The paper's row for a dataset: by its name in the paper, or that of its group for ODinW-13."""
    wanted = SHARED_ROWS.get(entry.group, entry.paper_name)
    names = {_plain(row["dataset"]): row for row in reference.rows("table7")}
    return names.get(_plain(wanted)) or names.get(_plain(entry.id))


def _row(entry: Dataset, suite: str, source: str, manifest: Path, reference: Reference) -> dict:
    is_own = source in entry.sources and entry.source(source).folder is not None
    is_of_paper = not is_own and entry.task not in LISTED
    published, counts = paper_row(entry, reference) if is_of_paper else None, _counts(manifest)
    row = {
        "suite": suite,
        "source": source,
        "dataset": entry.id,
        "paper_name": entry.paper_name,
        "group": entry.group,
        "own": "yes" if is_own else None,
        "classes": len(entry.classes) or None,
        "paper_row": published["dataset"] if published else "",
        **counts,
    }
    shared = entry.group in SHARED_ROWS
    if published and not shared:
        row |= {f"paper_{key}": published.get(key) for key in COMPARED}
    if source == "official" and published and not shared and counts["status"] == "ready":
        row["agrees"] = _difference(row)
    row["notes"] = NOTE_SEPARATOR.join(entry.notes)
    return row


def _counts(manifest: Path) -> dict:
    """Status, images per split, boxes, and what was left out, changed or shared, as `prepare` wrote them."""
    try:
        content = read_json(manifest)
    except ConesError:
        return {"status": "not prepared yet"}
    if content["status"] != "ready":
        return {"status": f"{content['status']}: {content['reason']}"}
    images = {split: content["splits"][split]["images"] for split in SPLITS}
    is_labelled = content.get("task") in LISTED
    groups = content.get("report", {}).get("groups") or {}
    return {
        "status": "ready",
        **images,
        "boxes": None if is_labelled else sum(content["splits"][split]["boxes"] for split in SPLITS),
        **({"classes": len(content["classes"])} if is_labelled else {}),
        "left_out": left_out(content),
        "clipped": counted(content, "clipped"),
        "shared": counted(content, "leaks", SAME_SPLITS),
        "groups": groups.get("count"),
        "torn_groups": groups.get("in_two_splits"),
        "findings": join_notes([finding.text for finding in findings(content)]),
    }


def _difference(row: dict) -> str:
    """The text "yes", or what is not as published; places the paper leaves empty are not compared."""
    pairs = [(key, row[key], row[f"paper_{key}"]) for key in COMPARED if row[f"paper_{key}"] is not None]
    differences = [f"{key} {ours} instead of {theirs}" for key, ours, theirs in pairs if ours != theirs]
    return "; ".join(differences) or "yes"


def _total(members: list[dict], group: str, name: str, reference: Reference) -> dict:
    """The sums over the datasets that the paper counts as one; None unless every one of them is ready."""
    published = next(row for row in reference.rows("table7") if row["dataset"] == name)
    ready = [row for row in members if row["status"] == "ready"]
    complete = len(ready) == len(members)
    total = {key: sum(row[key] for row in ready) if complete else None for key in SUMMED}
    return {
        "suite": members[0]["suite"],
        "source": members[0]["source"],
        "dataset": f"{ALL_OF}{name}",
        "paper_name": name,
        "group": group,
        "status": "ready" if complete else f"{len(ready)} of {len(members)} ready",
        "classes": sum(row["classes"] for row in members),
        **total,
        "paper_row": name,
        **{f"paper_{key}": published.get(key) for key in COMPARED},
        "notes": f"{len(members)} datasets, which the paper counts as one",
    }


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    """The table for people, made of the rows of the CSV file alone.

    Of the official files the paper's counts stand below ours, and the registry's notes below the table.
    """
    official = any(row["source"] == "official" for row in rows)
    shown = [row | {"notes": join_notes(_remarks(row, official)) or ""} for row in rows]
    numbers, body = numbered_notes(shown), []
    for row in shown:
        group = ("own data, " if row["own"] else "") + NAMES_OF_GROUPS.get(row["group"], row["group"])
        name = row["dataset"] if row["dataset"].startswith(ALL_OF) else row["paper_name"]
        changed = [*(_counted(row[key]) for key in CHANGED), _groups(row)]
        body.append([group, name, *(_counted(row[key]) for key in COUNTED), *changed, markers(row, numbers)])
        if official and any(row[f"paper_{key}"] for key in COMPARED):
            theirs = (_counted(row.get(f"paper_{key}", "")) for key in COUNTED)
            body.append([group, "paper", *theirs, *[""] * len(changed), ""])
    legend = [
        "train, val, test: images, as this project splits them. boxes: of all three.",
        "left out: boxes, pictures and others that the files list and no split holds. clipped: boxes that reached out"
        " of their pictures. shared pictures: in two splits. groups: what must not be torn, such as a patient; in"
        " brackets those that are in two splits.",
        f"{NO_NUMBER}: not counted, no boxes where a picture has one class, or not printed in the paper; the notes say"
        " why ours is missing.",
    ]
    heads = ["group", "dataset", *COUNTED, *CHANGED.values(), "groups", NOTES]
    return Sheet(
        heading(suite, title, what="Table 7"),
        heads,
        blank_repeats(body, 1),
        legend,
        names=2,
        notes=numbers,
        empty=EMPTY,
    )


def _remarks(row: Row, official: bool) -> list[str]:
    """Notes on what is missing, was left out or changed, differs from the paper and, for official files, those of the
    registry."""
    remarks = [] if row["status"] == "ready" else [row["status"]]
    remarks += row["findings"].split(NOTE_SEPARATOR) if row["findings"] else []
    remarks += [row["agrees"]] if row["agrees"] not in ("", "yes") else []
    remarks += notes_of(row) if official else []
    return remarks


def _counted(text: str) -> str:
    return f"{int(text):,}" if text else NO_NUMBER


def _groups(row: Row) -> str:
    torn = f" ({row['torn_groups']})" if row["torn_groups"] not in ("", "0") else ""
    return f"{_counted(row['groups'])}{torn}"
