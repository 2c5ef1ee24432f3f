"""Seconds of an optimiser step and of detecting on an image: recorded by finished cells, else from a shipped table."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from cones.methods.method import METHODS
from cones.methods.settings import CellSettings, Tuning
from cones.runtime.artifacts import read_json
from cones.runtime.errors import ConesError

REFERENCE = Path(__file__).with_name("reference.json")  # made by benchmarks/reference_costs.py
OF_HEADS = ("linear_probing",)  # methods whose gradients end at the heads' projections
TFLOPS = 30.0  # what a GPU is taken to sustain where operations were counted and nothing was measured


@dataclass(frozen=True)
class Rate:
    """Seconds of one unit of work, and the basis of that number.

    step     seconds of an optimiser step; None for a method that is not tuned
    image    seconds of detecting on one image, or of drawing one
    device   "cpu", or what `run.json` or the assumption calls the GPU
    basis    "recorded" (finished cells), "measured" (the shipped table) or "counted" (operations over TFLOP/s)
    epochs   mean of the recorded cells that had the same budget, else None
    """

    step: float | None
    image: float
    device: str
    basis: str
    epochs: float | None = None


@dataclass(frozen=True)
class Record:
    """The record of a finished cell: seconds as in `Rate`, at its batch size and its training sizes."""

    model: str
    dataset: str
    method: str
    step: float | None
    image: float
    batch: int
    area: float
    epochs: int
    budget: tuple
    device: str


def mean_area(tuning: Tuning) -> float:
    """Mean squared short side of the training sizes: what a step's seconds and operations are proportional to."""
    return fmean(side**2 for side in tuning.train_short_sides)


def budget(tuning: Tuning) -> tuple:
    """The settings that decide after how many epochs tuning ends."""
    return tuning.max_epochs, tuning.max_steps, tuning.early_stop, tuning.selection


def read_records(results: Path, models: Iterable[str]) -> Iterator[Record]:
    """The finished cells of these models in any suite; one that an earlier version wrote otherwise is passed over."""
    for model in models:
        for path in sorted(results.glob(f"*/{model}/*/*/seed*/run.json")):
            try:
                yield _record(model, path.parts[-4], read_json(path))
            except (ConesError, KeyError, TypeError, ValueError):
                continue


def _record(model: str, dataset: str, run: dict) -> Record:
    settings, tuned = CellSettings(**run["settings"]), run["tuning"]
    return Record(
        model=model,
        dataset=dataset,
        method=settings.method,
        step=tuned["seconds"] / tuned["steps"] if tuned["steps"] else None,
        image=run["inference"]["seconds_per_image"],
        batch=settings.tuning.batch_size,
        area=mean_area(settings.tuning),
        epochs=len(tuned["history"]),
        budget=budget(settings.tuning),
        device=run["machine"]["accelerator"] or run["device"],
    )


class Rates:
    """The `Rate` of a cell: from finished cells of the dataset, else of the model, else from the shipped table."""

    def __init__(self, records: Iterable[Record], *, tflops: float = TFLOPS, reference: Path = REFERENCE):
        self.records, self.tflops, self.reference = list(records), tflops, read_json(reference)

    def known(self, model: str) -> dict | None:
        """The shipped table's entry of a model, or of the one it is like."""
        return self.reference["models"].get(self.reference["like"].get(model, model))

    def of(self, model: str, dataset: str, settings: CellSettings) -> Rate | None:
        """The rate of a cell; None for a model of which nothing is known."""
        same = [record for record in self.records if (record.model, record.method) == (model, settings.method)]
        nearest = [record for record in same if record.dataset == dataset] or same
        if nearest:
            return _recorded(nearest, settings.tuning)
        known = self.known(model)
        if known is None:
            return None
        return self._counted(known, settings) if "gflop" in known else _measured(known, settings)

    def _counted(self, known: dict, settings: CellSettings) -> Rate:
        """The rate by counted operations over an assumed speed; all but the text's grow with the picture's area."""
        gflop, at = {"back_to_projections": 0.0, **known["gflop"]}, known["counted_at"]["height"] ** 2
        tuning, speed = settings.tuning, 1000 * self.tflops
        step = None
        if METHODS[settings.method].is_tuned:
            image_passes, text_passes = passes(settings.method)
            images = sum(gflop[name] for name in image_passes) * mean_area(tuning) / at
            step = tuning.batch_size * (images + text_passes * gflop["text"]) / speed
        test_side = settings.test_short_side or known["test_short_side"]
        image = (gflop["encode"] + gflop["ground"]) * test_side**2 / at / speed
        return Rate(step, image, f"GPU at {self.tflops:g} TFLOP/s", "counted")


def passes(method: str) -> tuple[tuple[str, ...], int]:
    """(passes of an image through the detector, passes of the text through its encoder) in a step of a tuned method.

    The way back is as far as what trains: through everything, to the language that vectors, residuals or an adapter
    change (then also through a frozen text encoder before it), or to the heads' projections, which is nearly nothing
    and not counted for a model in which these come last.
    """
    entry = METHODS[method]
    reads_text = "text_encoder" in entry.inputs
    if entry.trains_image_encoder:
        return ("encode", "ground", "back_through_everything"), 3 if reads_text else 0
    if method in OF_HEADS or not entry.is_tuned:
        return ("encode", "ground", "back_to_projections"), 0
    return ("encode", "ground", "back_to_language"), 2 if reads_text else 0


def _recorded(records: list[Record], tuning: Tuning) -> Rate:
    """Means over the records, each scaled to the batch size and the training sizes that are asked for."""
    area = mean_area(tuning)
    steps = [r.step * tuning.batch_size / r.batch * area / r.area for r in records if r.step is not None]
    epochs = [r.epochs for r in records if r.budget == budget(tuning)]
    return Rate(
        step=fmean(steps) if steps else None,
        image=fmean(r.image for r in records),
        device=", ".join(dict.fromkeys(r.device for r in records)),
        basis="recorded",
        epochs=fmean(epochs) if epochs else None,
    )


def _measured(known: dict, settings: CellSettings) -> Rate:
    tuning, at = settings.tuning, known["measured_at"]
    step = None
    if METHODS[settings.method].is_tuned:
        seconds = known["step_seconds"]
        step = seconds.get(settings.method) or _of_alike(seconds, settings.method)
        step *= tuning.batch_size / at["batch_size"] * mean_area(tuning) / at["area"]
    return Rate(step, known["image_seconds"], known["device"], "measured")


def _of_alike(seconds: dict[str, float], method: str) -> float:
    """The most that a measured method of the same passes takes; of none alike the most of any."""
    alike = [took for name, took in seconds.items() if name in METHODS and passes(name) == passes(method)]
    return max(alike or seconds.values())
