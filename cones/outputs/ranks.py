"""Comparison of the methods over datasets: mean ranks, wins and significance tests (Demšar 2006)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, sqrt
from typing import TYPE_CHECKING

from cones.outputs.averages import per_dataset
from cones.outputs.reference import GROUPS, paper
from cones.outputs.rows import rows_of, shots_of, with_shots
from cones.outputs.sheet import NOTES, Sheet, blank_repeats
from cones.outputs.wording import (
    BLOCKS,
    NO_NUMBER,
    Row,
    heading,
    join_notes,
    markers,
    method_label,
    numbered_notes,
    p_value,
)

if TYPE_CHECKING:
    import numpy as np
    from pandas import DataFrame

OUTPUT = {
    "name": "ranks",
    "reads": "scores",
    "grids": ["table1"],
    "groups": ["natural", "non_radiology", "radiology"],
    "title": "Ranks over datasets",
    "about": "Is ConES better than another method, or only on average? Datasets are the sample here.",
}
# the ConES method of a block: stage 2 among those that train the detector
CHAMPIONS = {"zero_shot": "cones", "peft": "cones", "fine_tuning": "cones_finetuned"}
COLUMNS = (
    *("suite", "block", "model", "method", "datasets", "mean_rank", "critical_difference", "friedman_p"),
    *("champion", "wins", "ties", "losses", "median_difference", "wilcoxon_p", "holm_p", "notes"),
)
TIE = 0.05  # AP closer than this print alike
LEVEL = 0.05


def frame(cells: DataFrame, *, suite: str) -> DataFrame:
    """One row (COLUMNS) per model and method of Table 1; `cells` as `collect_cells` makes them.

    mean_rank    over the datasets on which every method of the model has an AP (mean over seeds); 1 is best, equal APs
                 share a rank. `critical_difference`: Nemenyi, mean ranks further apart differ at 5 %; `friedman_p`: of
                 the hypothesis that all methods are equal
    wins, ties, losses   of the block's champion (ConES, or its stage 2) against the row, by dataset; a tie is closer
                 than TIE. `median_difference`: AP of the champion minus the row's. `wilcoxon_p`: signed ranks,
                 two-sided; `holm_p`: corrected for all comparisons of that champion
    """
    import pandas as pd

    by_model: dict[str, dict[str, tuple[str, dict[str, float]]]] = {}
    shots: dict[tuple[str, str], str | None] = {}
    for block, model, method, mine in rows_of(cells, GROUPS, paper()):
        means = {dataset: aps.mean for dataset, aps in per_dataset(mine).items()}
        by_model.setdefault(model, {})[method] = (block, means)
        shots[model, method] = shots_of(mine)
    rows = [row for model, methods in by_model.items() for row in model_rows(suite, model, methods)]
    rows = [row | {"shots": shots[row["model"], row["method"]]} for row in rows]
    return pd.DataFrame(rows, columns=with_shots(COLUMNS, rows)).astype(
        dict.fromkeys(("wins", "ties", "losses"), "Int64")
    )


def model_rows(
    suite: str,
    model: str,
    methods: dict[str, tuple[str, dict[str, float]]],
    champion_of: Callable[[str, str], str | None] = lambda block, method: CHAMPIONS.get(block),
) -> list[dict]:
    """The rows of one model; `methods` {name: (block, {dataset: AP})}, `champion_of` (block, name) its opponent."""
    import numpy as np

    every = {dataset for _, means in methods.values() for dataset in means}
    shared = sorted(dataset for dataset in every if all(dataset in means for _, means in methods.values()))
    table = np.array([[means[dataset] for dataset in shared] for _, means in methods.values()])  # (methods, datasets)
    ranks, p = friedman(table)
    difference = critical_difference(len(methods), len(shared))
    left_out = f"ranks leave out {', '.join(sorted(every - set(shared)))}: some method has no AP there"
    rows = []
    for n, (method, (block, means)) in enumerate(methods.items()):
        row = {"suite": suite, "block": block, "model": model, "method": method, "datasets": len(shared)}
        row |= {"mean_rank": ranks[n], "critical_difference": difference, "friedman_p": p}
        champion = champion_of(block, method)
        if champion in methods and champion != method:
            row |= {"champion": champion, **_duel(methods[champion][1], means)}
        rows.append({**row, "notes": join_notes([left_out] * (len(shared) < len(every)))})
    for champion in {row["champion"] for row in rows if row.get("champion")}:
        mine = [row for row in rows if row.get("champion") == champion and row["wilcoxon_p"] is not None]
        for row, corrected in zip(mine, holm([row["wilcoxon_p"] for row in mine])):
            row["holm_p"] = corrected
    return rows


def _duel(champion: dict[str, float], other: dict[str, float]) -> dict:
    """Compare the champion with another method over the datasets that both have."""
    import numpy as np

    differences = np.array([champion[name] - other[name] for name in champion if name in other])
    wins, losses = int((differences > TIE).sum()), int((differences < -TIE).sum())
    return {
        "wins": wins,
        "ties": len(differences) - wins - losses,
        "losses": losses,
        "median_difference": float(np.median(differences)) if len(differences) else None,
        "wilcoxon_p": wilcoxon_p(differences),
    }


def friedman(table: np.ndarray) -> tuple[list[float | None], float | None]:
    """AP (methods, datasets) -> mean rank of each method, and Friedman's p, corrected for ties; None if undefined."""
    from scipy.stats import friedmanchisquare, rankdata

    methods, datasets = table.shape if table.ndim == 2 else (len(table), 0)
    if not datasets:
        return [None] * methods, None
    ranks = rankdata(-table, axis=0).mean(axis=1).tolist()
    if methods < 3 or datasets < 2 or (table == table[0]).all():
        return ranks, None
    return ranks, float(friedmanchisquare(*table).pvalue)


def critical_difference(methods: int, datasets: int) -> float | None:
    """Nemenyi's critical difference at 5 %, in mean ranks: q * sqrt(k (k + 1) / (6 N))."""
    from scipy.stats import studentized_range

    if methods < 2 or not datasets:
        return None
    q = float(studentized_range.ppf(1 - LEVEL, methods, inf)) / sqrt(2)
    return q * sqrt(methods * (methods + 1) / (6 * datasets))


def wilcoxon_p(differences: np.ndarray) -> float | None:
    """The p value of Wilcoxon's two-sided signed-rank test; None where nothing differs."""
    from scipy.stats import wilcoxon

    return float(wilcoxon(differences).pvalue) if differences.any() else None


def holm(values: Sequence[float]) -> list[float]:
    """Correct p values for their number by Holm's step-down method (Holm 1979)."""
    corrected, least = [0.0] * len(values), 0.0
    for place, index in enumerate(sorted(range(len(values)), key=lambda n: values[n])):
        least = max(least, min(1.0, (len(values) - place) * values[index]))
        corrected[index] = least
    return corrected


def sheet(
    columns: list[str],
    rows: list[Row],
    *,
    suite: str,
    title: str | None = None,
    what: str = "Ranks over datasets",
) -> Sheet:
    """The table for people, made of the rows of the CSV file alone."""
    numbers = numbered_notes(rows)
    body = []
    for row in rows:
        duel = [NO_NUMBER] * 4
        if row["champion"]:
            against = f"{row['wins']} / {row['ties']} / {row['losses']}"
            duel = [against, _signed(row["median_difference"]), p_value(row["wilcoxon_p"]), p_value(row["holm_p"])]
        rank = f"{float(row['mean_rank']):.2f}" if row["mean_rank"] else NO_NUMBER
        body.append([row["model"], BLOCKS[row["block"]], method_label(row), rank, *duel, markers(row, numbers)])
    legend = ["mean rank: 1 is best; over the datasets on which every method has an AP (mean over seeds)."]
    for model in dict.fromkeys(row["model"] for row in rows):
        first_row = next(row for row in rows if row["model"] == model)
        if first_row["critical_difference"]:
            legend.append(
                f"{model}, {first_row['datasets']} datasets: mean ranks further apart than"
                f" {float(first_row['critical_difference']):.2f} differ at 5 % (Nemenyi); all equal: p"
                f" {p_value(first_row['friedman_p'])} (Friedman)."
            )
    legend += [
        "ConES: wins / ties / losses by dataset against the row's method, its stage 2 among the fine-tuning methods; a"
        f" tie is closer than {TIE} AP. median: AP of ConES minus the row's.",
        "p: Wilcoxon's signed ranks, two-sided; p (Holm): corrected for all comparisons of that ConES row.",
    ]
    heads = ["model", "block", "method", "mean rank", "ConES w / t / l", "median", "p", "p (Holm)", NOTES]
    return Sheet(
        heading(suite, title, what=what),
        heads,
        blank_repeats(body, 2),
        legend,
        names=3,
        notes=numbers,
    )


def _signed(text: str) -> str:
    return f"{float(text):+.1f}" if text else NO_NUMBER
