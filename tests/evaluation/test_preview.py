"""A finished cell as a picture: what is drawn of its detections, and what is refused."""

import io
import json
import math

import numpy as np
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from cones.cli.main import app
from cones.data.drawing import MARGIN, TILE, _label, class_colour
from cones.data.masks import encoded
from cones.evaluation.coco_ap import evaluate_detections
from cones.evaluation.metrics import CellKey, CellMetrics, Parameters, Scores, write_metrics
from cones.evaluation.predictions import write_predictions
from cones.evaluation.preview import preview_predictions, threshold
from cones.experiment.cell import Cell
from cones.runtime.artifacts import read_json
from cones.runtime.errors import ConesError
from tests.outputs.report.suites import ROOT

SIZE = (60, 40)
HEAD = 111  # a title, two lines about it and one of colours, pixels
RED, WHITE = (class_colour(number, 2) for number in range(2))  # of the classes of these names


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", SIZE, (20, 20, 20)).save(buffer, "PNG")
    return buffer.getvalue()


def mask(left, top, width, height):
    whole = np.zeros(SIZE[::-1], bool)
    whole[top : top + height, left : left + width] = True
    return encoded(whole)


def data(folder, count=3):
    """A prepared test split: `count` pictures, one red object each."""
    (folder / "raw").mkdir(parents=True)
    images = [{"id": n, "file_name": f"{n}.png", "width": 60, "height": 40} for n in range(1, count + 1)]
    for image in images:
        (folder / "raw" / image["file_name"]).write_bytes(picture())
    objects = [
        {"id": n, "image_id": n, "category_id": 1, "bbox": [5, 5, 20, 20], "area": 400, "iscrowd": 0}
        for n in range(1, count + 1)
    ]
    document = {"images": images, "annotations": objects}
    document["categories"] = [{"id": 1, "name": "red"}, {"id": 2, "name": "white"}]
    (folder / "test.json").write_text(json.dumps(document))
    manifest = {"paper_name": "Cells", "status": "ready"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def found(image, score, category=2, box=(30, 10, 12, 12), **more):
    return {"image_id": image, "category_id": category, "bbox": list(box), "score": score, **more}


def sheet(folder, results, **options):
    write_predictions(folder / "predictions.json", results)
    out = folder / "sheet.png"
    options = {"title": "Cells", "about": ["a test"], **options}
    with Image.open(preview_predictions(folder, folder / "predictions.json", out, **options)) as drawn:
        return np.asarray(drawn.convert("RGB"))


def pairs(pixels):
    """The sheet without its head, whose legend shows every colour."""
    return pixels[HEAD:]


def halves(pixels):
    """(annotated, predicted) of the first pair."""
    middle = MARGIN + TILE[0]
    return pairs(pixels)[:, :middle], pairs(pixels)[:, middle : middle + TILE[0]]


def shows(pixels, colour, least=50) -> bool:
    return (pixels == colour).all(axis=-1).sum() >= least


def test_annotated_is_left_and_predicted_right_and_the_bytes_repeat(tmp_path):
    folder = data(tmp_path / "cells")
    left, right = halves(sheet(folder, [found(n, 0.9) for n in (1, 2, 3)], pictures=1))
    assert shows(left, RED) and not shows(left, WHITE)
    assert shows(right, WHITE) and not shows(right, RED)
    first = (folder / "sheet.png").read_bytes()
    sheet(folder, [found(n, 0.9) for n in (1, 2, 3)], pictures=1)
    assert (folder / "sheet.png").read_bytes() == first


def test_only_as_many_detections_as_objects_are_drawn_over_the_split(tmp_path):
    folder = data(tmp_path / "cells")
    best = [found(n, 0.9, category=1, box=(5, 5, 20, 20)) for n in (1, 2, 3)]
    drawn = sheet(folder, [*best, found(1, 0.1), found(2, 0.2)], pictures=3)
    assert np.array_equal(pairs(drawn), pairs(sheet(folder, best, pictures=3)))
    assert not shows(pairs(drawn), WHITE)


@pytest.mark.parametrize(
    "scores, objects, expected",
    [([0.1, 0.9, 0.5], 2, 0.5), ([0.1], 5, 0.1), ([0.4, 0.4], 1, 0.4), ([], 3, math.inf), ([0.9], 0, math.inf)],
)
def test_one_threshold_for_all_pictures(scores, objects, expected):
    assert threshold([{"score": score} for score in scores], objects) == expected


def test_a_mask_is_a_tint_with_an_outline_and_a_box_alone_has_none(tmp_path):
    folder = data(tmp_path / "cells", count=1)
    region = (10, 8, 40, 26)
    _, plain = halves(sheet(folder, [found(1, 0.9, box=region)]))
    _, masked = halves(sheet(folder, [found(1, 0.9, box=region, segmentation=mask(*region))]))
    _, half = halves(sheet(folder, [found(1, 0.9, box=region, segmentation=mask(10, 8, 20, 26))]))
    ground = np.array((20, 20, 20))

    def tinted(pixels):
        return ((pixels > ground).any(-1) & ~(pixels == WHITE).all(-1) & (pixels < 255).all(-1)).sum()

    assert tinted(masked) > tinted(half) + 10_000 > tinted(plain) + 20_000
    edge = (half == WHITE).all(-1).sum() - (plain == WHITE).all(-1).sum()
    assert 26 * TILE[0] / 60 * 0.8 < edge < 3000  # the right side of the half mask lies inside the box


def test_a_cell_without_detections_still_has_its_sheet(tmp_path):
    left, right = halves(sheet(data(tmp_path / "cells"), [], pictures=1))
    assert shows(left, RED) and not shows(right, RED) and not shows(right, WHITE)


def test_cells_stand_side_by_side_each_with_its_own_threshold(tmp_path):
    folder = data(tmp_path / "cells")
    files = {
        "first": [found(n, 0.9) for n in (1, 2, 3)],
        "second": [found(1, 0.2, category=1), found(2, 0.01), found(3, 0.1)],
    }
    files["third"] = []
    for name, results in files.items():
        write_predictions(folder / f"{name}.json", results)
    paths = {name: folder / f"{name}.json" for name in files}
    out = preview_predictions(folder, paths, folder / "sheet.png", title="Cells", about=["a test"], pictures=1)
    with Image.open(out) as drawn:
        pixels = np.asarray(drawn.convert("RGB"))[HEAD + 3 * 19 :]  # a line for each file, below one for all
    step = TILE[0] + MARGIN // 3
    annotated, first, second, third = (pixels[:, MARGIN + n * step :][:, : TILE[0]] for n in range(4))
    assert shows(annotated, RED) and not shows(annotated, WHITE)
    assert shows(first, WHITE) and not shows(first, RED)
    assert shows(second, RED) and not shows(second, WHITE)
    assert not shows(third, RED) and not shows(third, WHITE)


@pytest.mark.parametrize("wrong, words", [(found(9, 0.5), "image_id 9"), (found(1, 0.5, category=3), "category_id 3")])
def test_detections_of_another_split_are_refused(tmp_path, wrong, words):
    with pytest.raises(ConesError, match=f"the test split does not have; found {words}; next: the dataset has changed"):
        sheet(data(tmp_path / "cells"), [wrong])


# ------------------------------------------------------------------------------------------------ on the command line


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """An empty working directory with the project's config, where `data/official/bccd` is the made-up split."""
    monkeypatch.chdir(tmp_path)
    for name in ("config", "datasets.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    data(tmp_path / "data/official/bccd")
    return Cell("bccd", "glip_nano", "bccd", "cones", 0)


def metrics_of(cell, **outcome):
    key = CellKey(**vars(cell), method="cones")
    return CellMetrics(cell=key, group="non_radiology", task="detection", **outcome)


def run(*words, arm=("--arm", "cones")):
    cell = ("--suite", "bccd", "--model", "glip_nano", "--dataset", "bccd", *arm)
    result = CliRunner().invoke(app, ["preview-predictions", *cell, *map(str, words)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_a_finished_cell_gets_its_picture(tmp_path, suite):
    with pytest.raises(ConesError, match="this cell is not finished"):
        run()
    count = {"trained": 9, "total": 99, "text_encoder": 0}
    scores = evaluate_detections(read_json("data/official/bccd/test.json"), [found(1, 0.5)], 100)
    outcome = {"scores": {"bbox": Scores(**scores)}, "parameters": Parameters(used=count, paper=count)}
    write_metrics(suite.folder / "metrics.json", metrics_of(suite, status="done", **outcome))
    write_predictions(suite.folder / "predictions.json", [found(1, 0.5)])
    assert run() == f"written: {suite.folder}/preview.png\n"
    assert "sheet.png" in run("--out", "sheet.png", "--images", 1)
    with Image.open("sheet.png") as small, Image.open(suite.folder / "preview.png") as large:
        assert small.width < large.width and small.height < large.height


def test_a_skipped_cell_says_why(suite):
    write_metrics(suite.folder / "metrics.json", metrics_of(suite, status="skipped", reason="no text encoder"))
    write_predictions(suite.folder / "predictions.json", [])
    with pytest.raises(ConesError, match=r"this cell was skipped.*no text encoder"):
        run()


def test_all_arms_of_a_dataset_stand_side_by_side_and_a_skipped_one_says_why(tmp_path, suite):
    arms = ("zero_shot", "cones")
    only = ("--set", json.dumps({"arms": arms, "grids": {"table1": {"arms": arms}}}))
    with pytest.raises(ConesError, match="this cell is not finished"):
        run(*only, arm=())
    for arm in arms:
        cell = Cell("bccd", "glip_nano", "bccd", arm, 0)
        write_metrics(cell.folder / "metrics.json", metrics_of(cell, status="skipped", reason="no text encoder"))
        write_predictions(cell.folder / "predictions.json", [])
    with pytest.raises(ConesError, match=r"no cell of this model and dataset has detections; found no text encoder"):
        run(*only, arm=())
    count = {"trained": 9, "total": 99, "text_encoder": 0}
    scores = {"bbox": Scores(**evaluate_detections(read_json("data/official/bccd/test.json"), [found(1, 0.5)], 100))}
    done = metrics_of(suite, status="done", scores=scores, parameters=Parameters(used=count, paper=count))
    write_metrics(suite.folder / "metrics.json", done)
    write_predictions(suite.folder / "predictions.json", [found(1, 0.5)])
    picture = suite.folder.parents[1] / "predictions.png"
    assert run(*only, arm=()) == f"written: {picture}\n" and picture.with_suffix(".made_of.json").exists()


def test_labels_of_one_box_cover_each_other_only_where_there_is_no_room():
    places, draw = [], ImageDraw.Draw(Image.new("RGB", (300, 200)))
    for text in ("Lymphocyte 0.56", "nucleus 0.55", "platelet 0.53", "red cell 0.52", "one more 0.5"):
        places.append(_label(draw, text, (100, 80, 90, 60), (0, 0, 0), (300, 200), places))
    assert [top for _, top, _, _ in places] == [80 - 16, 80, 140, 140 - 16, 80 - 16]
    assert _label(draw, "word", (-5, 0, 10, 300), (0, 0, 0), (300, 200), [])[:2] == (0, 0)
