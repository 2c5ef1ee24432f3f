"""The best numbers of each block and model, among averages over complete sets of datasets."""

from __future__ import annotations

from cones.outputs.files import Row
from cones.outputs.wording import is_whole, number


def best_in_section(rows: list[Row], names: list[str]) -> set[tuple[int, str]]:
    """{(number of a row, column name)} with the highest `<name>_ap`, as it is printed, of its block and model; nothing
    where all are alike."""
    sections: dict[tuple[str, str], list[int]] = {}
    for place, row in enumerate(rows):
        sections.setdefault((row["block"], row["model"]), []).append(place)
    best = set()
    for places in sections.values():
        for name in names:
            texts = {place: text for place in places if (text := _comparable(rows[place], name))}
            if len(set(texts.values())) > 1:
                highest = max(texts.values(), key=float)
                best |= {(place, name) for place, text in texts.items() if text == highest}
    return best


def _comparable(row: Row, name: str) -> str | None:
    is_comparable = row[f"{name}_ap"] and is_whole(row.get(f"{name}_datasets", ""))
    return number(row[f"{name}_ap"]) if is_comparable else None
