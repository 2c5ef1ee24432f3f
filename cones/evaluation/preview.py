"""A preview of finished cells: pictures of the test split, annotations beside the detections of each cell."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cones.data.drawing import class_colours, side_by_side, tile, write_sheet
from cones.data.few_pictures import read_split, scored_on
from cones.data.preview import Candidate, annotated, choose
from cones.evaluation.predictions import read_predictions
from cones.runtime.errors import ConesError


@dataclass(frozen=True)
class _Shown:
    """The detections of one cell that are drawn: {image id: those of score `least` or more}; `count` is of all."""

    of_image: Mapping[int, list[dict]]
    least: float
    count: int


@dataclass(frozen=True)
class Pair:
    """A test picture, what is annotated in it and what was predicted: COCO annotations and results."""

    file: Path
    annotated: Sequence[dict]
    predicted: Sequence[dict]


def preview_predictions(
    data: str | Path,
    predictions: str | Path | Mapping[str, str | Path],
    out: str | Path,
    *,
    title: str,
    about: Sequence[str],
    pictures: int = 6,
    of_split: int | None = None,
) -> Path:
    """Draw `pictures` rows of a prepared dataset's folder and a `predictions.json` into the PNG `out`.

    Several of these stand side by side, `{what is written below: file}`. The pictures are chosen by the annotations, so
    that all cells of a dataset show the same. Drawn are the best detections of the split, as many as it has objects:
    one threshold for all pictures of a file, which the sheet states, because scores of different models and methods do
    not compare. `of_split`: so many pictures of the split were looked at at most (`Suite.pictures`).
    ConesError if the detections are not of this split.
    """
    data = Path(data)
    files = predictions if isinstance(predictions, Mapping) else {"predicted": predictions}
    document = read_split(data / "test.json", of_split)
    shown = {word: _shown(document, file) for word, file in files.items()}
    colours = class_colours([category["name"] for category in document["categories"]])
    return write_sheet(
        out,
        [_row(data / "raw", chosen, shown, colours) for chosen in _chosen(data / "test.json", document, pictures)],
        columns=2 if len(shown) == 1 else 1,
        title=title,
        about=[*about, *_rules(shown, of_split)],
        colours=colours,
    )


def pairs_of(
    data: str | Path, predictions: str | Path, pictures: int, of_split: int | None = None
) -> tuple[list[Pair], list[str], str]:
    """(pairs, names of the classes, which detections are shown): what `preview_predictions` draws of one file."""
    data = Path(data)
    document = read_split(data / "test.json", of_split)
    shown = _shown(document, predictions)
    pairs = [
        Pair(data / "raw" / chosen.image["file_name"], chosen.objects, shown.of_image.get(chosen.image["id"], []))
        for chosen in _chosen(data / "test.json", document, pictures)
    ]
    return pairs, [category["name"] for category in document["categories"]], _rule(shown)


def _chosen(where: Path, document: dict, pictures: int) -> list[Candidate]:
    """The pictures of a test split that are shown; ConesError if it has none."""
    candidates = [Candidate(image, objects) for image, objects in annotated(document)]
    if not candidates:
        raise ConesError(
            "the test split has no pictures", where=where, next_step="prepare the dataset again, or choose another"
        )
    return choose(candidates, pictures)


def _shown(document: dict, file: str | Path) -> _Shown:
    results = read_predictions(file)
    _check_ids(document, results, file)
    least = threshold(results, sum(not annotation.get("iscrowd") for annotation in document["annotations"]))
    of_image = defaultdict(list)
    for result in results:
        if result["score"] >= least:
            of_image[result["image_id"]].append(result)
    return _Shown(of_image, least, len(results))


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


def _rules(shown: Mapping[str, _Shown], of_split: int | None) -> list[str]:
    """What is drawn of the detections: a line each."""
    if len(shown) == 1:
        (word,) = shown
        return [f"left annotated, right {word}: {_rule(shown[word])}"]
    lines = [f"{word}: {_rule(detections)}" for word, detections in shown.items()]
    return [f"left annotated, then predicted by each arm, with its AP on {scored_on(of_split)}", *lines]


def _rule(shown: _Shown) -> str:
    if not (drawn := sum(map(len, shown.of_image.values()))):
        return f"nothing is drawn of {shown.count} detections"
    chosen = f"{drawn} of {shown.count} detections, those of score {shown.least:.3g} or more"
    return f"{chosen}, about as many as the test split has objects"


def _row(raw: Path, candidate: Candidate, shown: Mapping[str, _Shown], colours: dict):
    file = raw / candidate.image["file_name"]
    columns = [(candidate.objects, "annotated")]
    columns += [(detections.of_image.get(candidate.image["id"], []), word) for word, detections in shown.items()]
    return side_by_side(
        [tile(file, objects, colours, f"{word}: {len(objects)} · {file.name}") for objects, word in columns]
    )
