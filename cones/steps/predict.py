"""Step `predict`: detect with a tuned cell on a person's own pictures, and write drawn pictures and one JSON file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cones.data.drawing import class_colours, write_picture
from cones.data.few_pictures import read_split
from cones.data.loose import LoosePictures, drawn_names, pictures_of, readable
from cones.data.pyramids import LivePyramids
from cones.evaluation.prediction import predict
from cones.evaluation.predictions import read_predictions, write_predictions
from cones.evaluation.preview import threshold as threshold_of
from cones.experiment.cell import Cell, Plan
from cones.experiment.made_of import difference, read_record
from cones.experiment.pipeline import Pipeline
from cones.models.optimisations import disable_optimisations
from cones.runtime.artifacts import read_json, sha256
from cones.runtime.errors import ConesError
from cones.runtime.progress import log
from cones.runtime.verification import recorded_state
from cones.steps.device import device_for
from cones.steps.tune import state_file
from cones.steps.tuned import load_tuned
from cones.training.state import State

OUT, RESULTS_FILE = Path("predicted"), "predictions.json"
# the settings that loading a tuned cell reads
DECIDES = ("method", "tokens_per_class", "stage1", "tuned_arm", "options", "prompts")


@dataclass(frozen=True)
class Prediction:
    """What a cell found in one picture: COCO results with `file_name` and `category_name`, the best first."""

    picture: Path
    drawn: Path  # the PNG with boxes, masks, class names and scores
    results: list[dict]


@dataclass(frozen=True)
class Predictions:
    """Predictions for several pictures. `file` holds all results; `faults` are of pictures that were not read."""

    pictures: list[Prediction]
    threshold: float
    file: Path
    others: int  # files in the folders that are no pictures
    faults: list[ConesError]


def named_cell(plan: Plan, model: str | None, dataset: str | None, arm: str | None, seed: int) -> Cell:
    """The cell of a plan by its names; ConesError without one of them, and for a cell of personalised generation, which
    makes pictures and finds nothing in them."""
    if None in (model, dataset, arm):
        raise ConesError(
            "which cell?",
            where=f"suite {plan.suite.suite}",
            expected="its folder, results/<suite>/<model>/<dataset>/<arm>/seed<k>, or model, dataset and arm",
            next_step="name one",
        )
    generation = plan.suite.generation
    if generation and model == generation.model:
        subject = dataset.removeprefix(f"{generation.dataset}-")
        raise ConesError(
            "this cell draws pictures of a subject; it does not look at pictures",
            where=f"{model} · {dataset} · {arm}",
            next_step=f"python -m cones generation draw --suite {plan.suite.suite} --subject {subject} --arm {arm}"
            f" --seed {seed}",
        )
    return plan.cell(model, dataset, arm, seed)


def predict_pictures(
    plan: Plan, cell: Cell, places: Sequence[Path], *, out: Path = OUT, threshold: float | None = None
) -> Predictions:
    """Writes a PNG for each picture and `predictions.json` into `out`: the detections of score `threshold` or more.

    `places` are pictures and folders of pictures, read as the pictures of datasets are: upright by EXIF, any mode. The
    default threshold is the cell's own, because scores of different models and methods do not compare: the score that
    as many detections reach on its test split as this has objects. A picture that cannot be decoded is left out, with a
    fault. ConesError if the cell is not tuned, or is not of the weights and data that are here.
    """
    manifest, state = _usable(plan, cell)
    least = _own_threshold(plan, cell) if threshold is None else threshold
    named, others = pictures_of(places)
    sizes, faults = readable(named)
    if not sizes:
        raise faults[0]
    names = {file: name for name, file in named.items() if file in sizes}
    drawn = {name: out / png for name, png in drawn_names(list(names.values())).items()}
    _refuse_overwriting(sizes, [*drawn.values(), out / RESULTS_FILE])
    results = _detect(plan, cell, state, sizes, manifest)
    pictures, colours = [], class_colours(manifest["classes"])
    for number, file in enumerate(sizes, start=1):
        found = [
            {
                **result,
                "file_name": names[file],
                "category_name": manifest["classes"][result["category_id"] - 1],
            }
            for result in results
            if result["image_id"] == number and result["score"] >= least
        ]
        caption = f"{names[file]} · {len(found)} of score {least:.3g} or more · {cell}"
        png = write_picture(drawn[names[file]], file, found, colours, caption)
        pictures.append(Prediction(file, png, found))
    file = out / RESULTS_FILE
    write_predictions(file, [result for picture in pictures for result in picture.results])
    return Predictions(pictures, least, file, others, faults)


def _usable(plan: Plan, cell: Cell) -> tuple[dict, State]:
    """The manifest and state of a tuned cell; ConesError unless it is tuned, with the settings and data of the plan."""
    if not (cell.folder / "tuning.json").is_file():
        raise ConesError(
            "this cell is not tuned",
            where=cell.folder,
            next_step=f"snakemake --cores all {cell.folder / 'metrics.json'} --config suite={cell.suite}",
        )
    state = State.load(state_file(cell), recorded_state(cell.folder))
    if state.skipped:
        raise ConesError(
            "this cell was skipped: there is nothing to predict with",
            where=cell.folder,
            found=state.skipped,
            next_step="mend that reason and run again, or choose another cell",
        )
    _refuse_other_settings(plan, cell)
    manifest = plan.data_folder(cell.dataset) / "manifest.json"
    recorded = read_json(cell.folder / "tuning.json")["inputs_sha256"].get(str(manifest))
    content = plan.manifest(cell.dataset)
    if recorded != sha256(manifest):
        raise ConesError(
            "the dataset is not the one that the cell was tuned on, and its classes may be others",
            where=manifest,
            expected=f"sha256 {recorded}",
            next_step=f"tune this cell again: snakemake --cores all {cell.folder / 'metrics.json'}"
            f" --config suite={cell.suite}",
        )
    return content, state


def _refuse_other_settings(plan: Plan, cell: Cell) -> None:
    """ConesError if the plan would load the cell as another method; a line in the log if the code has changed."""
    pipeline = Pipeline(plan)
    job, recorded = pipeline.job_of("tune", cell), read_record(cell.folder / "tuning.json")
    if recorded is None:
        log.info("%s: it is not recorded with which settings this cell was tuned", cell)
        return
    before, now = (
        {**recorded, "settings": {key: settings.get(key) for key in DECIDES}}
        for settings in (recorded["settings"], pipeline.settings(job))
    )
    if change := difference(before, now):
        raise ConesError(
            f"the cell was tuned with other settings: {change}",
            where=cell.folder,
            next_step="give those settings (--set), or tune this cell again",
        )
    if recorded["code"] != pipeline.code(job):
        log.info("%s: the code has changed since this cell was tuned", cell)


def _own_threshold(plan: Plan, cell: Cell) -> float:
    """The threshold of the cell's detections on its test split; ConesError unless these are of the state it has."""
    file = cell.folder / "predictions.json"
    if not _is_scored(cell):
        raise ConesError(
            "this cell, as it is tuned now, has not been scored, so it has no threshold of its own",
            where=cell.folder,
            next_step="give one, such as --threshold 0.3, or run the evaluation step of this cell",
        )
    objects = read_split(plan.data_folder(cell.dataset) / "test.json", plan.suite.pictures)["annotations"]
    least = threshold_of(read_predictions(file), sum(not annotation.get("iscrowd") for annotation in objects))
    if least == float("inf"):
        raise ConesError(
            "the cell found nothing on its test split, so it has no threshold of its own",
            where=file,
            next_step="give one, such as --threshold 0.3",
        )
    return least


def _is_scored(cell: Cell) -> bool:
    """Whether `predictions.json` is the one that was made of the cell's state, as `run.json` records."""
    run, file = cell.folder / "run.json", cell.folder / "predictions.json"
    if not (run.is_file() and file.is_file()):
        return False
    recorded = read_json(run).get("sha256", {})
    return (recorded.get(state_file(cell).name), recorded.get(file.name)) == (recorded_state(cell.folder), sha256(file))


def _refuse_overwriting(pictures: Sequence[Path], written: Sequence[Path]) -> None:
    """ConesError if a file that is about to be written is one of the pictures."""
    own = {picture.resolve() for picture in pictures}
    for path in written:
        if path.resolve() in own:
            raise ConesError(
                "this would be written over your picture", where=path, next_step="name another folder with --out"
            )


def _detect(plan: Plan, cell: Cell, state: State, sizes: dict[Path, tuple[int, int]], manifest: dict) -> list[dict]:
    """COCO results of the pictures, whose ids are their places from 1."""
    device, settings = device_for(plan, cell.model), plan.settings(cell)
    tuned = load_tuned(plan, cell, state, device)
    tuned.model.detections_per_image = manifest["detections_per_image"]
    if not settings.tuning.exact_savings:
        disable_optimisations(tuned.model)
    pictures = LoosePictures(sizes, tuned.model.preprocessing)
    pyramids = LivePyramids(tuned.model, device)
    return predict(
        tuned.model,
        tuned.prompt,
        pictures,
        pyramids,
        label="predict",
        detect=tuned.detect,
        precision=settings.scoring_precision,
    )
