"""After a failed run the figures of class vectors, the distances and the costs show what there is, with reasons."""

import os
from pathlib import Path

import torch

from cones.outputs.analysis.embeddings import BoxVectors, Embeddings
from cones.outputs.analysis.names import ISOLATED, TOGETHER
from cones.outputs.files import read_csv
from cones.runtime.artifacts import write_json
from cones.steps.finish import finish_run
from tests.made import made_by
from tests.outputs.report.suites import finished

GRIDS = {
    "table1": {"models": ["glip_nano"], "arms": ["zero_shot", "cones"]},
    "figure4": {"models": ["glip_nano"], "arms": ["zero_shot", "cones"]},
    "table3": {"models": ["glip_nano"], "arms": ["zero_shot", "cones"]},
}


def embed(plan, cell):
    """The file that `embed` leaves of a cell, of made-up vectors, and the record of the state it was made of."""
    count = len(plan.registry[cell.dataset].classes)
    labels = torch.arange(2 * count) % count
    boxes = BoxVectors(torch.randn(len(labels), 8), torch.randn(len(labels), 8), torch.zeros(len(labels), count))
    forms = [TOGETHER, ISOLATED] if cell.arm == "zero_shot" else [TOGETHER]
    found = Embeddings({form: torch.randn(count, 8) for form in forms}, labels, {"fused": boxes, "fpn": boxes})
    found.state_sha256 = "0" * 64
    found.save(cell.folder / "embeddings.safetensors")
    write_json(cell.folder / "tuning.json", {"sha256": {"state.safetensors": found.state_sha256}})


def test_a_failed_run_leaves_figures_and_costs_of_what_there_is(tmp_path, monkeypatch, capsys):
    plan = finished(tmp_path, monkeypatch, suite="ci", grids=GRIDS, partial=True)
    lost, damaged = [cell for cell in plan.all_cells() if cell.arm == "cones"]
    for cell in plan.all_cells():
        if cell != lost:
            embed(plan, cell)
    (damaged.folder / "embeddings.safetensors").write_bytes(b"half")
    log = Path("logs") / lost.folder.relative_to("results") / "tune.log"
    log.parent.mkdir(parents=True)
    log.write_text("error: the loss is not finite at step 3\n")
    made_by(plan)
    finish_run(plan, overrides={}, failed=True)
    folder = Path("results/ci")
    for name in ("figure4", "figure5", "figure4_supplement"):
        assert (folder / f"{name}.partial.pdf").stat().st_size > 1000
    vectors = {row["vectors"]: row for row in read_csv(folder / "figure4.partial.csv")[1]}
    assert vectors["zero_shot"]["datasets"] == "2/2" and vectors["cones"]["datasets"] == "0/2"
    assert f"{lost.dataset}: failed (error: the loss is not finite at step 3)" in vectors["cones"]["notes"]
    assert "not a whole safetensors file" in vectors["cones"]["notes"]
    rows = [row for row in read_csv(folder / "table3.partial.csv")[1] if row["method"] == "cones"]
    assert [(row["dataset"], row["datasets"]) for row in rows] == [("all", "0/2")]
    assert len(read_csv(folder / "efficiency.partial.csv")[1]) == 2
    page = (folder / "report.partial.html").read_text()
    assert page.count("data:image/png;base64,") == 3 and "Not made yet" not in page
    assert "unfinished" in (folder / "figure4.partial.md").read_text().splitlines()[0]
    assert "figure4.partial.md" in capsys.readouterr().out
    finish_run(plan, overrides={}, failed=False)
    assert not list(folder.glob("*partial*"))


def test_numbers_from_before_the_data_broke_are_in_no_table_and_the_reason_is_said_once(tmp_path, monkeypatch, capsys):
    plan = finished(tmp_path, monkeypatch, suite="ci", outcomes=lambda cell: 40.0)
    cells = list(plan.all_cells())
    broken, changed = cells[0].dataset, next(cell for cell in cells if cell.dataset != cells[0].dataset)
    log = Path(f"logs/data/miniature/{broken}/prepare.log")
    log.parent.mkdir(parents=True)
    log.write_text('error: labels/3.txt: unknown class "cel"\n')
    (changed.folder / "metrics.json").write_text("{}")
    run = cells[0].folder / "run.json"
    os.utime(log, (run.stat().st_mtime + 60,) * 2)  # the data were prepared again after the cells had been scored
    finish_run(plan, overrides={}, failed=True)
    rows = read_csv("results/ci/table1_cells.partial.csv")[1]
    without = {(row["dataset"], row["arm"]) for row in rows if not row["ap"]}
    lost = [cell for cell in cells if cell.dataset == broken]
    assert without == {(cell.dataset, cell.arm) for cell in [*lost, changed]}
    assert {row["reason"] for row in rows if row["dataset"] == broken} == {log.read_text().strip()}
    said = capsys.readouterr().out
    assert f"Not complete. {len(without)} of {len(cells)} cells have no numbers:" in said
    assert said.count(f"{log.read_text()}    {cells[0]} and {len(lost) - 1} more; log: {log}") == 1
    os.utime(log, (run.stat().st_mtime - 60,) * 2)  # the data were deleted after a good run: the numbers stand
    finish_run(plan, overrides={}, failed=True)
    assert all(row["ap"] for row in read_csv("results/ci/table1_cells.partial.csv")[1] if row["dataset"] == broken)
