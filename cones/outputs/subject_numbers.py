"""The tables of personalised generation: every subject's numbers, means over subjects, and arms against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from cones.evaluation.generation_metrics import GenerationMetrics, Likeness
from cones.evaluation.subjects import over_subjects, paired_difference
from cones.experiment.generation import Generation
from cones.models.generators import TRACKS
from cones.outputs.equal_probe import EQUAL_PROBE, to_equal_probe
from cones.outputs.wording import join_notes

if TYPE_CHECKING:
    from pandas import DataFrame

NUMBERS = ("fidelity", "real_real", "other_subject", "margin", "text", "diversity", "nearest_real", "copies")
SPREAD = ("fidelity", "margin", "text")  # those with an interval beside them
COUNTS = ("own_nearest", "own_nearest_swapped", "own_nearest_of_noun", "own_nearest_of_noun_swapped")
COST = (
    *("optimiser_steps", "passes", "seconds_per_pass", "seconds", "plateau_step", "trained_values", "stored_bytes"),
    *("resident_parameters", "peak_memory_bytes"),
)
PROBES = ("probe_loss_before", "probe_loss")  # denoising error on the fixed probe set, before and after learning
KEYS = ("suite", "model", "track", "arm", "method", "mode", "tokens", "extractor")
CELLS = ("suite", "model", "subject", "class_word", "arm", "method", "seed", "status", "reason", "track", "extractor")
DEGENERATE = (
    "one bare vector: a softmax over one key is 1, so every cross-attention layer adds the same vector at all places"
)
SPLICED = "the vectors replace the noun's rows of the encoded prompt: this project's extension, not in the paper"
FEWEST = 2  # subjects without which nothing can be exchanged


@dataclass(frozen=True)
class SubjectCell:
    """A cell of the suite's generation with its metrics, None where it has no result yet."""

    subject: str
    arm: str
    seed: int
    metrics: GenerationMetrics | None
    learning: Mapping[str, float | None]  # tuning.json: how learning went
    failure: str | None = None  # why it has none, if a step failed or its files are not believed

    @property
    def status(self) -> str:
        return self.metrics.status if self.metrics else "failed" if self.failure else "missing"

    @property
    def reason(self) -> str | None:
        """Why there are no numbers; None where there are some."""
        return self.metrics.reason if self.metrics else self.failure or "no result yet"


def cells_table(cells: Sequence[SubjectCell], generation: Generation, *, suite: str) -> DataFrame:
    """A row per subject, arm, seed, track and extractor, or one with the reason why there are no numbers."""
    import pandas as pd

    rows = []
    for cell in cells:
        key = {"suite": suite, "model": generation.model, "subject": cell.subject, "arm": cell.arm}
        key |= {"method": generation.method(cell.arm), "seed": cell.seed}
        if cell.metrics is None or cell.metrics.status == "skipped":
            rows.append({**key, "status": cell.status, "reason": cell.reason})
            continue
        key |= {"status": "done", "class_word": cell.metrics.class_word}
        for track, scored in cell.metrics.tracks.items():
            for extractor, numbers in scored.by_extractor.items():
                values = {name: getattr(numbers, name) for name in NUMBERS}
                cost = {name: cell.learning.get(name) for name in COST}
                probes = [probe["loss"] for probe in cell.learning.get("probe_curve") or ()]
                cost |= dict(zip(PROBES, probes[:1] + probes[-1:]))
                rows.append({**key, "track": track, "extractor": extractor, **values, **cost})
    return pd.DataFrame(rows, columns=[*CELLS, *NUMBERS, *PROBES, *COST])


def generation_table(cells: Sequence[SubjectCell], generation: Generation, reasons: Mapping[str, str], *, suite: str):
    """A row per track, arm and extractor; an arm that draws nothing has one row with its reason (`reasons`).

    A number is the mean over subjects (each the mean over its seeds), `<…>_low` and `<…>_high` the ends of its 95 %
    bootstrap interval. `subjects` counts "done/asked". `own_nearest` counts the subjects whose pictures are more like
    their own real ones than like those of any other subject, `own_nearest_of_noun` those for whom this holds among the
    subjects of their noun, of all that share it with another; `…_swapped`: the same when the next subject's embedding
    draws instead, which must fail. Of the cost, means over subjects; of memory and sizes the largest; `equal_probe` and
    `seconds_to_equal_probe` as in `to_equal_probe`.
    """
    import pandas as pd

    asked = len({(cell.subject, cell.seed) for cell in cells})
    rows: list[dict] = []
    for track in (track for track in TRACKS if track in generation.pictures):
        for arm in generation.arms:
            key = {
                "suite": suite,
                "model": generation.model,
                "track": track,
                "arm": arm,
                "method": generation.method(arm),
            }
            if arm in reasons:
                rows.append({**key, "status": "unsupported", "notes": reasons[arm]})
                continue
            concept = generation.concept_settings(arm)
            if concept is not None:
                key |= {"mode": concept.mode}
            if key["method"] != "zero_shot":
                key |= {"tokens": (concept or generation.settings(arm)).tokens}
            mine = [cell for cell in cells if cell.arm == arm]
            equal = to_equal_probe(mine, cells, track)
            rows += _arm_rows(key | equal, mine, track, asked, is_degenerate=generation.is_degenerate(arm))
    spread = [f"{name}{end}" for name in NUMBERS for end in (("", "_low", "_high") if name in SPREAD else ("",))]
    columns = [*KEYS, "status", "subjects", *spread, *COUNTS, *COST, *EQUAL_PROBE, "device", "notes"]
    whole = ("tokens", "trained_values", "stored_bytes", "resident_parameters", "peak_memory_bytes")
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(whole, "Int64"))


def _arm_rows(key: dict, cells: list[SubjectCell], track: str, asked: int, *, is_degenerate: bool) -> list[dict]:
    done = [cell for cell in cells if cell.metrics and track in cell.metrics.tracks]
    count = f"{len(done)}/{asked}"
    holes = sorted({_reason(cell) for cell in cells if cell not in done})
    notes = [DEGENERATE] * (is_degenerate and track == "reconstruction")
    notes += [SPLICED] * (key.get("mode") is not None and track == "editing")
    if not done:
        return [{**key, "status": "missing", "subjects": count, "notes": join_notes([*notes, *holes])}]
    cost = _cost([cell.learning for cell in done])
    rows = []
    for extractor in done[0].metrics.tracks[track].by_extractor:
        numbers = per_subject(done, track, extractor)
        row = {**key, "extractor": extractor, "status": "done", "subjects": count}
        for name in NUMBERS:
            if over := over_subjects({subject: value[name] for subject, value in numbers.items()}):
                row[name] = over.mean
                if name in SPREAD:
                    row |= {f"{name}_low": over.low, f"{name}_high": over.high}
        nouns = {cell.subject: cell.metrics.class_word for cell in done}
        rows.append({**row, **own_nearest(numbers, nouns), **cost, "notes": join_notes([*notes, *holes])})
    return rows


def _reason(cell: SubjectCell) -> str:
    return f"skipped: {cell.reason}" if cell.metrics else f"{cell.subject}, seed {cell.seed}: {cell.reason}"


def per_subject(done: Sequence[SubjectCell], track: str, extractor: str) -> dict[str, dict]:
    """{subject: {number: mean over seeds}}; `to` holds the likeness to every subject, its own included."""
    seeds: dict[str, list[Likeness]] = {}
    for cell in done:
        seeds.setdefault(cell.subject, []).append(cell.metrics.tracks[track].by_extractor[extractor])
    means = {}
    for subject, mine in seeds.items():
        means[subject] = {name: _mean([getattr(seed_likeness, name) for seed_likeness in mine]) for name in NUMBERS}
        to = {other: _mean([seed_likeness.to_others[other] for seed_likeness in mine]) for other in mine[0].to_others}
        means[subject]["to"] = {**to, subject: means[subject]["fidelity"]}
    return means


def own_nearest(numbers: Mapping[str, dict], nouns: Mapping[str, str]) -> dict[str, str]:
    """The COUNTS as "n/N": among all subjects, and among those of one noun; with the subjects' own embeddings and with
    those of the next subject in the list (of the noun)."""
    groups: dict[str, list[str]] = {}
    for subject in numbers:
        groups.setdefault(nouns[subject], []).append(subject)
    shown = [_nearest(numbers, among, shift) for among in ([list(numbers)], list(groups.values())) for shift in (0, 1)]
    return dict(zip(COUNTS, shown))


def _nearest(numbers: Mapping[str, dict], groups: Sequence[Sequence[str]], shift: int) -> str | None:
    """The number of subjects whose pictures, drawn with the embedding `shift` places on, are most like the subject."""
    right = total = 0
    for members in (group for group in groups if len(group) >= FEWEST):
        for place, subject in enumerate(members):
            to = numbers[members[(place + shift) % len(members)]]["to"]
            right += to[subject] > max(to[other] for other in members if other != subject)
            total += 1
    return f"{right}/{total}" if total else None


def _cost(learning: Sequence[Mapping]) -> dict:
    largest = ("trained_values", "stored_bytes", "resident_parameters", "peak_memory_bytes")
    row: dict = {"device": ", ".join(sorted({str(record.get("device", "not recorded")) for record in learning}))}
    for name in COST:
        values = [record[name] for record in learning if record.get(name) is not None]
        row[name] = (max(values) if name in largest else fmean(values)) if values else None
    return row


def pairs_table(cells: Sequence[SubjectCell], generation: Generation, *, suite: str) -> DataFrame:
    """Paired differences between arms over subjects: mean, interval, and the number of subjects of each sign."""
    import pandas as pd

    rows = []
    for track in (track for track in TRACKS if track in generation.pictures):
        values = {}
        for arm in generation.drawing_arms:
            done = [cell for cell in cells if cell.arm == arm and cell.metrics and track in cell.metrics.tracks]
            for extractor in done[0].metrics.tracks[track].by_extractor if done else ():
                values.setdefault(extractor, {})[arm] = per_subject(done, track, extractor)
        for extractor, arms in values.items():
            for place, arm in enumerate(arms):
                for against in list(arms)[:place]:
                    for name in NUMBERS:
                        base, compared = ({s: v[name] for s, v in arms[key].items()} for key in (against, arm))
                        if name != "real_real" and (difference := paired_difference(base, compared)):
                            key = {"suite": suite, "model": generation.model, "track": track, "extractor": extractor}
                            key |= {"number": name, "arm": arm, "minus": against}
                            signs = {"higher": difference.higher, "lower": difference.lower, "equal": difference.equal}
                            rows.append({**key, **difference.over._asdict(), **signs})
    columns = ["suite", "model", "track", "extractor", "number", "arm", "minus"]
    return pd.DataFrame(rows, columns=[*columns, "mean", "low", "high", "count", "higher", "lower", "equal"])


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
