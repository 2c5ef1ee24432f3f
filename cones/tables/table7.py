"""Table 7: what each dataset came to here, beside the counts the paper prints, with the reasons where they differ."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from cones.artifacts import read_json, write_text
from cones.data.registry import SPLITS, Dataset
from cones.errors import ConesError
from cones.tables.reference import Reference, paper

COLUMNS = (
    *("suite", "source", "dataset", "paper_name", "group", "status", "classes", "train", "val", "test", "boxes"),
    *("paper_row", "paper_classes", "paper_train", "paper_val", "paper_test", "agrees", "notes"),
)
SHARED_ROWS = {"natural": "ODinW13"}  # the paper counts this group as one dataset
COMPARED = ("classes", *SPLITS)
NOTE_SEPARATOR = " | "


def write_table7(
    path: str | Path,
    *,
    suite: str,
    source: str,
    registry: Mapping[str, Dataset],
    datasets: Sequence[str],
    manifests: Mapping[str, Path],
    reference: Reference | None = None,
) -> Path:
    """Write `table7.csv`: a row per dataset in the suite's order, and a total for each row the paper shares out.

    Counts come from the manifests; a dataset that was skipped, or has none yet, has its reason in `status`. `agrees`
    ("yes" or what differs) is only said for the official files: other sources have counts of their own.
    """
    reference = reference or paper()
    rows = [_row(registry[name], suite, source, manifests[name], reference) for name in datasets]
    for group, row_name in SHARED_ROWS.items():
        members = [row for row in rows if row["paper_row"] == row_name]
        if len(members) > 1:
            rows.insert(rows.index(members[-1]) + 1, _total(members, group, row_name, reference))
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
    return Path(path)


def paper_row(entry: Dataset, reference: Reference) -> dict | None:
    """The paper's row for a dataset: by its name in the paper, or that of its group for ODinW-13."""
    wanted = SHARED_ROWS.get(entry.group, entry.paper_name)
    names = {_plain(row["dataset"]): row for row in reference.rows("table7")}
    return names.get(_plain(wanted)) or names.get(_plain(entry.id))


def _row(entry: Dataset, suite: str, source: str, manifest: Path, reference: Reference) -> dict:
    published, found = paper_row(entry, reference), _counts(manifest)
    row = {
        "suite": suite,
        "source": source,
        "dataset": entry.id,
        "paper_name": entry.paper_name,
        "group": entry.group,
        "classes": len(entry.classes),
        "paper_row": published["dataset"] if published else "",
        **found,
    }
    shared = entry.group in SHARED_ROWS
    if published and not shared:
        row |= {f"paper_{key}": published.get(key) for key in COMPARED}
    if source == "official" and published and not shared and found["status"] == "ready":
        row["agrees"] = _difference(row)
    row["notes"] = NOTE_SEPARATOR.join(entry.notes)
    return row


def _counts(manifest: Path) -> dict:
    """Status, images per split and boxes, as `prepare` wrote them."""
    try:
        content = read_json(manifest)
    except ConesError:
        return {"status": "not prepared yet"}
    if content["status"] != "ready":
        return {"status": f"{content['status']}: {content['reason']}"}
    images = {split: content["splits"][split]["images"] for split in SPLITS}
    return {"status": "ready", **images, "boxes": sum(content["splits"][split]["boxes"] for split in SPLITS)}


def _difference(row: dict) -> str:
    """ "yes", or what is not as published; places the paper leaves empty are not compared."""
    pairs = [(key, row[key], row[f"paper_{key}"]) for key in COMPARED if row[f"paper_{key}"] is not None]
    differences = [f"{key} {ours} instead of {theirs}" for key, ours, theirs in pairs if ours != theirs]
    return "; ".join(differences) or "yes"


def _total(members: list[dict], group: str, name: str, reference: Reference) -> dict:
    """The sum over a shared row; counts only if every member is there."""
    published = next(row for row in reference.rows("table7") if row["dataset"] == name)
    ready = [row for row in members if row["status"] == "ready"]
    complete = len(ready) == len(members)
    total = {key: sum(row[key] for row in ready) if complete else None for key in (*SPLITS, "boxes")}
    return {
        "suite": members[0]["suite"],
        "source": members[0]["source"],
        "dataset": f"all of {name}",
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
