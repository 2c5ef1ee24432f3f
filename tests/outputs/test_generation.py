"""Means over subjects, the exchange of embeddings that must fail, and arms that draw nothing."""

from dataclasses import replace

import pytest

from cones.evaluation.generation_metrics import GenerationMetrics, Likeness, TrackMetrics
from cones.evaluation.metrics import CellKey
from cones.experiment.generation import Generation
from cones.outputs.files import read_csv, to_csv
from cones.outputs.generation import HEADS, sheet
from cones.outputs.subject_numbers import SubjectCell, cells_table, generation_table, own_nearest, pairs_table

SAID = Generation(
    model="sd_nano",
    arms={"zero_shot": {}, "cones": {}, "linear_probing": {}},
    tuning={"tokens": 1},
    pictures={"reconstruction": 2},
)
NOUNS = {"rex": "dog", "max": "dog", "ming": "vase"}


def cell(subject, arm, fidelity, to_others, seed=0):
    same = [value for other, value in to_others.items() if NOUNS[other] == NOUNS[subject]]
    numbers = Likeness(
        fidelity=fidelity,
        text=None,
        real_real=0.9,
        other_subject=sum(same) / len(same) if same else None,
        margin=fidelity - sum(same) / len(same) if same else None,
        diversity=0.1,
        nearest_real=fidelity,
        copies=0.0,
        to_others=to_others,
    )
    key = CellKey(suite="s", model="sd_nano", dataset=f"d-{subject}", arm=arm, method=arm, seed=seed)
    track = TrackMetrics(prompts=1, pictures=2, by_extractor={"eye": numbers})
    metrics = GenerationMetrics(
        cell=key, status="done", subject=subject, class_word=NOUNS[subject], base="b", tracks={"reconstruction": track}
    )
    learning = {"passes": 10, "seconds": 2.0, "trained_values": 8, "device": "cpu", "probe_curve": [{"loss": 0.5}]}
    return SubjectCell(subject, arm, seed, metrics, learning)


def world(arm, own=0.9, other=0.4):
    return [cell(one, arm, own, {two: other for two in NOUNS if two != one}) for one in NOUNS]


def test_exchanged_embeddings_draw_another_subject():
    numbers = {one: {"to": {two: 0.9 if one == two else 0.4 for two in NOUNS}} for one in NOUNS}
    found = own_nearest(numbers, NOUNS)
    assert list(found.values()) == ["3/3", "0/3", "2/2", "0/2"]
    equal = {one: {"to": dict.fromkeys(NOUNS, 0.5)} for one in NOUNS}  # pictures that show nobody
    assert own_nearest(equal, NOUNS)["own_nearest"] == "0/3"


def test_a_row_is_the_mean_over_subjects_and_one_that_draws_nothing_says_why():
    found = world("zero_shot", own=0.5) + world("cones")
    table = generation_table(found, SAID, {"linear_probing": "no head to probe"}, suite="s").set_index("arm")
    assert table.loc["cones", "fidelity"] == pytest.approx(0.9) and table.loc["cones", "subjects"] == "3/3"
    assert table.loc["cones", "fidelity_low"] == pytest.approx(0.9)
    assert table.loc["cones", "margin"] == pytest.approx(0.5)  # of the two dogs alone
    assert table.loc["cones", "passes"] == 10 and table.loc["cones", "device"] == "cpu"
    assert "softmax over one key" in table.loc["cones", "notes"]
    assert table.loc["linear_probing", ["status", "notes"]].tolist() == ["unsupported", "no head to probe"]


def test_seeds_of_a_subject_are_averaged_first():
    found = [*world("cones"), cell("ming", "cones", 0.3, {"rex": 0.4, "max": 0.4}, seed=1)]
    table = generation_table(found, SAID, {}, suite="s").set_index("arm")
    assert table.loc["cones", "fidelity"] == pytest.approx((0.9 + 0.9 + 0.6) / 3)


def test_arms_are_compared_subject_by_subject():
    table = pairs_table(world("zero_shot", own=0.5) + world("cones"), SAID, suite="s")
    fidelity = table[table["number"] == "fidelity"].iloc[0]
    assert (fidelity["arm"], fidelity["minus"], fidelity["higher"], fidelity["count"]) == ("cones", "zero_shot", 3, 3)
    assert fidelity["mean"] == pytest.approx(0.4)


def test_what_has_no_result_is_a_row_too():
    missing = SubjectCell("rex", "cones", 0, None, {})
    cells = cells_table([missing, *world("zero_shot")], SAID, suite="s")
    assert cells.loc[0, ["status", "reason"]].tolist() == ["missing", "no result yet"]
    row = generation_table([missing], SAID, {}, suite="s").set_index("arm").loc["cones"]
    assert (row["status"], row["subjects"]) == ("missing", "0/1") and "rex, seed 0: no result yet" in row["notes"]


def learnt(arm, subject, losses, every=10, per_pass=0.5, accumulation=2):
    """A cell whose probe loss fell so, every so many optimiser steps."""
    made = cell(subject, arm, 0.9, {two: 0.4 for two in NOUNS if two != subject})
    steps = every * (len(losses) - 1)
    curve = [{"step": every * place, "loss": loss} for place, loss in enumerate(losses)]
    cost = {"optimiser_steps": steps, "passes": steps * accumulation, "seconds_per_pass": per_pass}
    return replace(made, learning={**made.learning, **cost, "probe_curve": curve})


def test_time_to_equal_probe_loss_is_until_textual_inversions_last_loss_is_reached(tmp_path):
    said = Generation(**{**SAID.model_dump(), "arms": ["zero_shot", "textual_inversion", "cones"]})
    cells = [
        *(learnt("textual_inversion", one, (0.9, 0.6, 0.4, 0.5)) for one in NOUNS),
        learnt("cones", "rex", (0.9, 0.5, 0.3)),  # after 10 steps of 2 passes of half a second
        learnt("cones", "max", (0.9, 0.8, 0.7, 0.4)),  # after 30
        learnt("cones", "ming", (0.9, 0.8)),  # never
        *(replace(one, learning={"passes": 0}) for one in world("zero_shot")),
    ]
    table = generation_table(cells, said, {}, suite="s").set_index("arm")
    assert table.loc["cones", "equal_probe"] == "2/3"
    assert table.loc["cones", "seconds_to_equal_probe"] == pytest.approx((10 + 30) / 2)
    assert table.loc["textual_inversion", "equal_probe"] == "3/3"
    assert table.loc["textual_inversion", "seconds_to_equal_probe"] == pytest.approx(20)
    (tmp_path / "generation.csv").write_text(to_csv(table.reset_index()))
    shown = {row[1]: row for row in sheet(*read_csv(tmp_path / "generation.csv"), suite="s").rows}
    column = HEADS.index("to equal loss")
    assert [row[column] for name, row in shown.items() if name.startswith("ConES")] == ["20 s (2/3)"]
    assert next(row for name, row in shown.items() if name == "Class name")[column] == "\u2013"
