"""The text of tables (heading, numbers, gaps, notes), the same in Markdown, on a terminal and on a page."""

from __future__ import annotations

from cones.evaluation.seeds import rounded, with_interval
from cones.methods.method import METHODS
from cones.outputs.files import Row
from cones.outputs.reference import stands_beside


class _Blocks(dict):
    """The printed names of the blocks; one that a plug-in named is printed as it is."""

    def __missing__(self, block: str) -> str:
        return block


BLOCKS = _Blocks(
    zero_shot="Zero-shot",
    peft="Parameter-efficient",
    fine_tuning="Fine-tuning",
    other="Other",
    control="Control",
    text_prompts="Text prompts",
    visual_prompts="Visual prompts",
    joint_prompts="Text and visual prompts",
    adapters="Adapters",
    weights="Weights",
    training_free="Without training",
)
NO_NUMBER = "\u2013"  # en dash
INCOMPARABLE = "not comparable with the paper"
UNFINISHED = "unfinished: some cells failed or did not run"
NOTE_SEPARATOR = " | "
AP_MEANS = (
    "AP: COCO box AP at IoU .50:.95 in percent, on the test split, of the weights that were best on validation;"
    " mean over seeds"
)
PARAMETERS_MEAN = "trained, all: parameters in millions, counted as the paper does (256 learnable vectors)."
ON_DATA = "On the data"  # the title of what a table's readers must know of its datasets
DIFFERENCE_MEANS = "difference: ours minus the published number."


def heading(suite: str, title: str | None = None, *, what: str = "Table 1") -> str:
    """The heading of a table, with the name of its suite: `Table 1 · suite: miniature — <title>`."""
    remarks = [title] if title else []
    if not stands_beside(suite) and INCOMPARABLE not in (title or ""):
        remarks.append(INCOMPARABLE)
    return f"{what} · suite: {suite}" + (f" — {', '.join(remarks)}" if remarks else "")


def said_of_suite(title: str | None, partial: bool) -> str:
    """The suite's title and, after a failed run, that not everything is there."""
    return ", ".join([title] * bool(title) + [UNFINISHED] * partial)


def method_label(row: Row) -> str:
    """The method as tables print it, with the images per class where it is few-shot."""
    return few_shot_label(METHODS[row["method"]].label if row["method"] in METHODS else row["method"], row)


def few_shot_label(label: str, row: Row) -> str:
    return f"{label}, {row['shots']} shot{'s' * (row['shots'] != '1')}" if row.get("shots") else label


def number(text: str) -> str:
    return rounded(float(text)) if text else NO_NUMBER


def signed(text: str) -> str:
    if not text:
        return NO_NUMBER
    value = rounded(float(text))
    return value if value.startswith("-") or not value.strip("0.") else f"+{value}"


def p_value(text: str) -> str:
    """A p value with three decimals, or "< 0.001"."""
    return NO_NUMBER if not text else f"{float(text):.3f}" if float(text) >= 0.001 else "< 0.001"


def millions(text: str) -> str:
    """Millions with two decimals as in the paper; two digits for a nano model's few thousands."""
    if not text:
        return NO_NUMBER
    value = float(text)
    if value == 0:
        return "0"
    return rounded(value, 2) if value >= 0.1 else f"{value:.2g}"


def ap(row: Row, name: str) -> str:
    """AP with its spread, `63.8 ± 0.4`, from the columns `<name>_ap` and `<name>_spread`."""
    value, spread = row[f"{name}_ap"], row[f"{name}_spread"]
    return with_interval(float(value), float(spread) if spread else None) if value else NO_NUMBER


def average(row: Row, name: str) -> str:
    """An average as `ap` prints it, with `(2/13)` behind it where datasets are missing."""
    count = row[f"{name}_datasets"]
    return ap(row, name) if not row[f"{name}_ap"] or is_whole(count) else f"{ap(row, name)} ({count})"


def is_whole(count: str) -> bool:
    """Whether "n/N" says that nothing is missing."""
    done, _, expected = count.partition("/")
    return done == expected


def published_lines(row: Row, names: list[str]) -> dict[str, list[str]]:
    """{"paper": the published values, "difference": ours minus theirs} from `<name>_paper` and `<name>_difference`."""
    return {
        "paper": [number(row[f"{name}_paper"]) for name in names],
        "difference": [signed(row[f"{name}_difference"]) for name in names],
    }


def join_notes(notes: list[str]) -> str | None:
    """The notes of a row as one field of a CSV file; None where there are none."""
    return NOTE_SEPARATOR.join(note.replace(NOTE_SEPARATOR, " / ") for note in notes) or None


def notes_of(row: Row) -> list[str]:
    return row["notes"].split(NOTE_SEPARATOR) if row["notes"] else []


def numbered_notes(rows: list[Row]) -> dict[str, int]:
    """{note: number}, numbered as first met; equal notes share a number."""
    notes = dict.fromkeys(note for row in rows for note in notes_of(row))
    return {note: place for place, note in enumerate(notes, start=1)}


def markers(row: Row, numbers: dict[str, int], style: str = "[{}]") -> str:
    return " ".join(style.format(place) for place in sorted(numbers[note] for note in notes_of(row)))


def signs(rows: list[Row], names: list[str]) -> list[str]:
    """Lines of a legend for the signs that occur in the columns `<name>_ap`, `<name>_spread`, `<name>_datasets`."""
    cells = [
        (row[f"{name}_ap"], row[f"{name}_spread"], row.get(f"{name}_datasets", "")) for row in rows for name in names
    ]
    lines = []
    if any(spread for _, spread, _ in cells):
        lines.append("±: half width of the 95 % t interval over seeds; it says nothing about other datasets.")
    if any(value and not is_whole(count) for value, _, count in cells if count):
        lines.append(
            "(n/N): over n of the N datasets only; compare it with rows over the same datasets. The notes say why."
        )
    if any(not value for value, _, _ in cells):
        lines.append(f"{NO_NUMBER}: no number; the notes say why.")
    return lines


# ------------------------------------------------------------------------------------------------------------ Markdown


def md_line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def md_page(title: str, table: str, legend: list[str], numbers: dict[str, int], on_data: tuple[str, ...] = ()) -> str:
    """A page of Markdown: title, table, legend, numbered notes and notes on the data."""
    parts = [f"# {title}", table, "\n".join(f"- {line}" for line in legend)]
    if numbers:
        parts.append("Notes\n\n" + "\n".join(f"{place}. {_md_text(note)}" for note, place in numbers.items()))
    if on_data:
        parts.append(f"{ON_DATA}\n\n" + "\n".join(f"- {_md_text(note)}" for note in on_data))
    return "\n\n".join(parts) + "\n"


def _md_text(text: str) -> str:
    """Escape text for Markdown, where a log line such as `<class 'X'>` would vanish as HTML."""
    return text.replace("<", "\\<")
