"""What was dropped, changed, left out or shared in a prepared dataset: its manifest, one finding for each kind."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from cones.data.registry import SPLITS
from cones.data.task_rules import DENSE, LABELLED, MULTI_LABEL

# kind in the manifest's `report` -> what it counts, in the singular and the plural
KINDS = {
    "dropped": (
        "box dropped, which encloses nothing of its picture",
        "boxes dropped, which enclose nothing of their pictures",
    ),
    "clipped": ("box clipped to its picture", "boxes clipped to their pictures"),
    "reordered": ("box drawn backwards, put in order", "boxes drawn backwards, put in order"),
    "turned": ("picture turned with its boxes (EXIF)", "pictures turned with their boxes (EXIF)"),
    "undecided": ("picture with an EXIF turn, taken as shown", "pictures with an EXIF turn, taken as shown"),
    "size_differs": ("picture not of its stated size", "pictures not of their stated size"),
    "excluded": ("item excluded", "items excluded"),
    "missing": ("listed picture missing", "listed pictures missing"),
    "leaks": ("picture in two splits", "pictures in two splits"),
}
TORN, NOTE, SAME_SPLITS = "torn_groups", "note", "same_splits"
LEFT_OUT = re.compile(r"\b(left|leaves) out\b")  # how the note of a converter says that something is not there
MANY_BOXES = 0.01  # share of a dataset's boxes that were dropped or clipped from which on every table says so


@dataclass(frozen=True)
class Finding:
    """One kind of change or fault.

    kind      a key of KINDS, or TORN (groups, such as patients, in two splits), NOTE (of the converter), SAME_SPLITS
    text      what it is, with its count: "2 boxes clipped to their pictures"
    examples  the first pictures or items
    """

    kind: str
    count: int
    text: str
    examples: tuple[str, ...] = ()

    @property
    def is_left_out(self) -> bool:
        """Whether it counts what the files list and the splits do not hold."""
        return self.kind in ("dropped", "excluded", "missing") or (
            self.kind == NOTE and bool(LEFT_OUT.search(self.text))
        )


def findings(manifest: Mapping) -> list[Finding]:
    """The findings of a prepared dataset, none for one that was skipped; `manifest` as `prepare` writes it."""
    report = manifest.get("report", {})
    found = []
    for kind, (singular, plural) in KINDS.items():
        entry = report.get(kind, {"count": 0})
        if count := entry["count"]:
            examples = tuple(_name(example) for example in entry["examples"])
            found.append(Finding(kind, count, f"{count} {singular if count == 1 else plural}", examples))
    groups = report.get("groups")
    if groups and (torn := groups["in_two_splits"]):
        text = f"{torn} of {groups['count']} groups in two splits"
        found.append(Finding(TORN, torn, text, tuple(groups["examples"])))
    for what, note in report.get("notes", {}).items():
        found.append(Finding(NOTE, note["count"], f"{what}: {note['count']}", tuple(map(_name, note["examples"]))))
    for split, other in manifest.get("same_splits", {}).items():
        images = manifest["splits"][split]["images"]
        found.append(Finding(SAME_SPLITS, images, f"{split} and {other} are the same pictures"))
    return found


def _name(example: object) -> str:
    """The picture or item of an example, which the manifest holds as a text, a mapping or the places of a leak."""
    if isinstance(example, Mapping):
        return PurePosixPath(example["file"]).name
    return " = ".join(example) if isinstance(example, list) else str(example)


def counted(manifest: Mapping, *kinds: str) -> int:
    """The sum of the findings of these kinds."""
    return sum(finding.count for finding in findings(manifest) if finding.kind in kinds)


def left_out(manifest: Mapping) -> int:
    """The number of boxes, pictures and other items that were listed and are in no split."""
    return sum(finding.count for finding in findings(manifest) if finding.is_left_out)


def of_every_table(manifest: Mapping) -> list[str]:
    """What every table of the dataset's numbers has to say: missing, excluded and shared pictures, and boxes that were
    dropped or clipped where these are more than MANY_BOXES of all. Where a picture may have several classes, or a pixel
    one, also what the preparation noted: it says which pictures and labels the numbers are of."""
    kinds = ["excluded", "missing", "leaks", TORN, *[NOTE] * (manifest.get("task") in (MULTI_LABEL, DENSE))]
    listed = manifest.get("report", {}).get("boxes_listed", 0)
    if (changed := counted(manifest, "dropped", "clipped")) > MANY_BOXES * listed:
        kinds += ["dropped", "clipped"] * bool(changed)
    texts = {"dropped": "{count} of {listed} boxes dropped", "clipped": "{count} of {listed} boxes clipped"}
    return [
        texts.get(finding.kind, "{text}").format(**vars(finding), listed=listed)
        for finding in findings(manifest)
        if finding.kind in kinds
    ]


def summary(manifest: Mapping) -> list[str]:
    """Lines about a prepared dataset: its counts, then one for each finding with the first examples."""
    splits, groups = manifest["splits"], manifest["report"].get("groups")
    images = ", ".join(f"{split} {splits[split]['images']}" for split in SPLITS)
    if manifest.get("task") in LABELLED:
        what = f"{len(manifest['classes'])} classes"
    else:
        what = f"{sum(splits[split]['boxes'] for split in SPLITS)} boxes"
    grouped = f", {groups['count']} groups" if groups else ""
    found = findings(manifest)
    return [
        f"{images} pictures, {what}{grouped}",
        *(f"{finding.text}{_shown(finding.examples)}" for finding in found),
        *["nothing dropped, changed or left out"] * (not found),
    ]


def _shown(examples: tuple[str, ...], most: int = 3) -> str:
    names = list(dict.fromkeys(examples))
    return f" ({', '.join(names[:most])}{' …' if len(names) > most else ''})" if names else ""
