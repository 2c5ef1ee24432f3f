"""A preview of a finished cell: pictures of the test split, annotations beside detections."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from cones.data.drawing import class_colours, side_by_side, tile, write_sheet
from cones.data.preview import Candidate, annotated, choose
from cones.evaluation.predictions import read_predictions
from cones.runtime.artifacts import read_json
from cones.runtime.errors import ConesError


def preview_predictions(
    data: str | Path, predictions: str | Path, out: str | Path, *, title: str, about: Sequence[str], pictures: int = 6
) -> Path:
    """Draw `pictures` pairs of a prepared dataset's folder and a `predictions.json` into the PNG `out`.

    The pictures are chosen by the annotations, so that all cells of a dataset show the same. Drawn are the best
    detections of the split, as many as it has objects: one threshold for all pictures, which the sheet states, because
    scores of different models and methods do not compare. ConesError if the detections are not of this split.
    """
    data, results = Path(data), read_predictions(predictions)
    document = read_json(data / "test.json")
    _check_ids(document, results, predictions)
    least = threshold(results, sum(not annotation.get("iscrowd") for annotation in document["annotations"]))
    detected = defaultdict(list)
    for result in results:
        if result["score"] >= least:
            detected[result["image_id"]].append(result)
    candidates = [Candidate(image, objects) for image, objects in annotated(document)]
    if not candidates:
        raise ConesError(
            "the test split has no pictures",
            where=data / "test.json",
            next_step="prepare the dataset again, or choose another",
        )
    colours = class_colours([category["name"] for category in document["categories"]])
    return write_sheet(
        out,
        [
            _pair(data / "raw", candidate, detected[candidate.image["id"]], colours)
            for candidate in choose(candidates, pictures)
        ],
        columns=2,
        title=title,
        about=[*about, _rule(least, sum(map(len, detected.values())), len(results))],
        colours=colours,
    )


def threshold(results: Sequence[dict], objects: int) -> float:
    """The score that as many of the results reach as there are objects (more if scores are equal); inf if none may."""
    scores = sorted((result["score"] for result in results), reverse=True)[:objects]
    return scores[-1] if scores else float("inf")


def _check_ids(document: dict, results: Sequence[dict], where: object) -> None:
    """ConesError unless every detection is of a picture and a class of the split."""
    for key, listed in (("image_id", "images"), ("category_id", "categories")):
        unknown = {result[key] for result in results} - {entry["id"] for entry in document[listed]}
        if unknown:
            raise ConesError(
                f"detections of {listed} that the test split does not have",
                where=where,
                found=f"{key} {min(unknown)}",
                next_step="the dataset has changed since: run the evaluation step of this cell again",
            )


def _rule(least: float, drawn: int, detections: int) -> str:
    if not drawn:
        return f"left annotated, right predicted: nothing is drawn of {detections} detections"
    shown = f"{drawn} of {detections} detections, those of score {least:.3g} or more"
    return f"left annotated, right predicted: {shown}, about as many as the test split has objects"


def _pair(raw: Path, candidate: Candidate, detected: Sequence[dict], colours: dict):
    file = raw / candidate.image["file_name"]
    halves = [(candidate.objects, "annotated"), (detected, "predicted")]
    return side_by_side(
        [tile(file, objects, colours, f"{word}: {len(objects)} · {file.name}") for objects, word in halves]
    )
