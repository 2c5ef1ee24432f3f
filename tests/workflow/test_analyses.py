"""Figures 4 and 5, Tables 3, 5 and 9 on a small grid: made from cells, and made again from files without a model."""

import csv
import json

import pytest

from cones.experiment.outputs import OUTPUTS

ARMS = ["zero_shot", "cones", "cones_step0", {"cones-n1": {"method": "cones", "tokens_per_class": 1}}]
GRIDS = {
    "table1": {"models": ["glip_nano"], "arms": ["zero_shot", "cones"]},
    "table5": {"models": ["glip_nano"], "datasets": ["bccd"], "arms": ["cones-n1", "cones"]},
    "table9": {"datasets": ["bccd"], "arms": ["zero_shot", "cones"]},
    "figure4": {"models": ["glip_nano"], "arms": ["zero_shot", "cones", "cones_step0"]},
    "stability": {"models": ["glip_nano"], "arms": ["cones_step0"], "seeds": [0, 1]},
    "table3": {"models": ["glip_nano"], "arms": ["zero_shot", "cones"]},
}
MODELS = {"glip_nano_a": {"initial_seed": 0, "learning_rate": {"cones": 0.1}}}
WORLD = (
    *("--config", "suite=ci", f"arms={json.dumps(ARMS)}", f"grids={json.dumps(GRIDS)}"),
    f"models={json.dumps(MODELS)}",
)


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_from_cells_to_every_analysis_and_again_without_a_model(workflow):
    results = workflow.folder / "results"
    workflow.run(*WORLD)
    for name in ("table5", "table7", "table9", "table3", "figure4", "ranks", "efficiency"):
        assert rows(results / f"{name}.csv") and "suite: ci" in (results / f"{name}.md").read_text()
    for name in ("figure4", "figure5"):
        assert (results / f"{name}.pdf").stat().st_size > 1000 and (results / f"{name}.png").exists()

    vectors = {row["vectors"]: row for row in rows(results / "figure4.csv")}
    assert list(vectors) == ["zero_shot", "zero_shot_isolated", "cones", "cones_step0"]
    assert {(row["natural"], row["medical"], row["datasets"]) for row in vectors.values()} == {("7", "3", "2/2")}
    assert abs(float(vectors["cones_step0"]["stability"])) < 0.5 and not vectors["cones"]["stability"]
    distances = [row for row in rows(results / "table3.csv") if row["dataset"] == "all"]
    assert len(distances) == 4 and all(float(row["d_l2"]) > 0 for row in distances)
    assert [row["tokens_per_class"] for row in rows(results / "table5.csv")] == ["1", "2"]
    fusion = rows(results / "table9.csv")
    assert [row["deep_fusion"] for row in fusion] == ["yes", "no"]
    assert {row["pretraining"] for row in fusion} == {"nothing: random weights of seed 0"}
    page = (results / "report.html").read_text()
    for section in ("table5", "table7", "table9", "figure4", "table3", "ranks", "efficiency"):
        assert f'id="{section}"' in page
    assert page.count("data:image/png;base64,") == 3 and "Not made yet" not in page
    assert "Nothing to be done" in workflow.run(*WORLD)

    (results / "ci/figure5.pdf").unlink()
    (results / "ci/figure4_supplement.png").unlink()
    redrawn = {"table3": 1, "figure4": 1, "render_report": 1, "report": 1, "publish": 2, "publish_figure": 2}
    assert workflow.planned(*WORLD) == {**redrawn, "all": 1}
    (results / "ci/glip_nano/bccd/cones_step0/seed0/embeddings.safetensors").unlink()
    assert workflow.planned("results/figure4.pdf", *WORLD) == {"embed": 1, "figure4": 1, "publish_figure": 1}


def test_files_are_named_once():
    names = [name for output in OUTPUTS.values() for name in output.files]
    assert len(names) == len(set(names))
