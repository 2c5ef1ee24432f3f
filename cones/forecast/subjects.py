"""The cost of personalised generation: passes of learning and drawing, seconds of a pass, bytes of the results.

A training pass is `batch` samples through the UNet and back to what is learnt; a sampling pass is one picture through
the UNet and no way back, as in drawing and in the probe set of learning.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import fmean

from cones.experiment.cell import Cell, Plan
from cones.experiment.generation import Generation
from cones.forecast.rates import Rate
from cones.forecast.work import Pictures, Share, Work
from cones.methods.method import METHODS
from cones.models.stable_diffusion.prompts import editing_prompts
from cones.models.stable_diffusion.settings import PROBES, SubjectTuning
from cones.runtime.artifacts import read_json
from cones.runtime.errors import ConesError

EDITING_PROMPTS = 25  # of a DreamBooth subject, as long as its prompt file is not here
RECORD_BYTES, BYTES_PER_STEP, BYTES_PER_RECORDED_PICTURE = 11_000, 20, 130  # of the JSON files of a cell


@dataclass(frozen=True)
class SubjectRecord:
    """The record of a finished cell: seconds of a sample of its training passes (None: it learnt nothing) and of a
    sampling pass, what else drawing does included."""

    method: str
    sample: float | None
    sampling: float
    device: str


@dataclass(frozen=True)
class Drawn:
    """The work that remains, over all cells; ranges are (least, most) where learning may stop at a plateau."""

    cells: int = 0
    passes: tuple[int, int] = (0, 0)
    pictures: int = 0
    sampling_passes: int = 0

    def with_cell(self, tuning: SubjectTuning, work: Work) -> "Drawn":
        pictures = work.images[0]
        return Drawn(
            cells=self.cells + 1,
            passes=tuple(sum(both) for both in zip(self.passes, (tuning.accumulation * steps for steps in work.steps))),
            pictures=self.pictures + pictures,
            sampling_passes=self.sampling_passes + pictures * passes_of_a_picture(tuning),
        )


def read_subject_records(results: Path, model: str) -> Iterator[SubjectRecord]:
    """The finished cells of this model in any suite; one that an earlier version wrote otherwise is passed over."""
    for path in sorted(results.glob(f"*/{model}/*/*/seed*/run.json")):
        try:
            yield _record(read_json(path))
        except (ConesError, KeyError, TypeError, ValueError, ZeroDivisionError):
            continue


def _record(run: dict) -> SubjectRecord:
    tuning, learning = SubjectTuning(**run["tuning"]["settings"]), run["tuning"]["learning"]
    drawn = run["drawing"].values()
    passes = sum(track["pictures"] for track in drawn) * passes_of_a_picture(tuning)
    return SubjectRecord(
        method=run["tuning"]["method"],
        sample=learning["seconds_per_pass"] / tuning.batch if learning["passes"] else None,
        sampling=sum(track["seconds"] for track in drawn) / passes,
        device=run["machine"]["accelerator"] or run["device"],
    )


class Subjects:
    """The cost of the cells of a suite's generation: from finished cells of the method, else from the shipped table."""

    def __init__(self, plan: Plan, records: Iterable[SubjectRecord], known: dict, *, tflops: float):
        """known  the table's entry of the model that draws"""
        self.plan, self.records, self.known, self.tflops = plan, list(records), known, tflops

    @property
    def generation(self) -> Generation:
        return self.plan.suite.generation

    def share(self, cell: Cell, jobs: int) -> Share:
        method, tuning = self.generation.method(cell.arm), self.generation.settings(cell.arm)
        work = Work(steps(method, tuning), (self.pictures(cell),) * 2)
        job_seconds, left = jobs * self.known["job_seconds"], self._bytes_left(method, tuning, work)
        return Share(work, self.rate(method, tuning), job_seconds, left)

    def pictures(self, cell: Cell) -> int:
        """The pictures to draw: of one prompt for reconstruction, of the subject's prompt file for editing."""
        tracks = self.generation.pictures
        prompts = self._prompts(self.plan.subject_of(cell)) if "editing" in tracks else 0
        return tracks.get("reconstruction", 0) + prompts * tracks.get("editing", 0)

    def rate(self, method: str, tuning: SubjectTuning) -> Rate:
        """Seconds of an optimiser step, its share of the probe set included, and of a picture."""
        sample, sampling, device, basis = self._passes(method, tuning)
        step = None
        if sample is not None and tuning.steps:
            probed = probes(tuning) * PROBES * sampling / tuning.steps
            step = tuning.accumulation * tuning.batch * sample + probed
        return Rate(step, sampling * passes_of_a_picture(tuning), device, basis)

    def _passes(self, method: str, tuning: SubjectTuning) -> tuple[float | None, float, str, str]:
        """Seconds of a sample of a training pass and of a sampling pass, the device, and the basis (see `Rate`)."""
        same = [record for record in self.records if record.method == method]
        if same:
            samples = [record.sample for record in same if record.sample is not None]
            device = ", ".join(dict.fromkeys(record.device for record in same))
            mean = fmean(samples) if samples else None
            return mean, fmean(record.sampling for record in same), device, "recorded"
        if "gflop" in self.known:
            sample, sampling = _operations(self.known["gflop"], method, tuning)
            speed = 1000 * self.tflops
            return sample / speed, sampling / speed, f"GPU at {self.tflops:g} TFLOP/s", "counted"
        seconds = self.known["sample_seconds"].get(method)
        return seconds, self.known["sampling_seconds"], self.known["device"], "measured"

    def shared_bytes(self, seen: Pictures | None) -> int:
        """Bytes of the text states of the empty prompt and of the features of the real pictures; float32."""
        states = self.known["text_positions"] * self.known["text_width"]
        return 4 * (states + (seen.train if seen else 0) * self.known["feature_width"])

    def _prompts(self, subject: str) -> int:
        try:
            return len(editing_prompts(self.plan.manifest(self.generation.dataset)["generation"], subject))
        except (ConesError, KeyError, TypeError):
            return EDITING_PROMPTS

    def _bytes_left(self, method: str, tuning: SubjectTuning, work: Work) -> int:
        """Bytes a cell leaves: float32 vectors, pictures, and records (a loss per step, two sha256 per picture)."""
        vectors = 4 * tuning.tokens * self.known["text_width"] if learns(method) else 0
        vectors += 2 * self.known["unet_parameters"] if trains_unet(method) else 0
        pictures = work.images[1] * (self.known["picture_bytes"] + BYTES_PER_RECORDED_PICTURE)
        return vectors + pictures + RECORD_BYTES + work.steps[1] * BYTES_PER_STEP


def learns(method: str) -> bool:
    return METHODS[method].is_tuned and METHODS[method].context is not None


def trains_unet(method: str) -> bool:
    """Whether it is stage 2, whose UNet trains with the embedding of stage 1 fixed."""
    return learns(method) and "stage1" in METHODS[method].inputs


def steps(method: str, tuning: SubjectTuning) -> tuple[int, int]:
    """(least, most) optimiser steps; the budget, unless learning may stop at a plateau."""
    if not learns(method):
        return 0, 0
    first = -(-tuning.plateau_steps // tuning.probe_every) * tuning.probe_every
    return min(first, tuning.steps) if tuning.stop_at_plateau else tuning.steps, tuning.steps


def probes(tuning: SubjectTuning) -> int:
    """How often the probe set is evaluated: before the first step, then every `probe_every` and after the last."""
    return 1 + ceil(tuning.steps / tuning.probe_every)


def passes_of_a_picture(tuning: SubjectTuning) -> int:
    """Passes of drawing one picture; with guidance two per step, for the prompt and for the empty one."""
    return tuning.sampling_steps * (1 if tuning.guidance == 1 else 2)


def _operations(gflop: dict, method: str, tuning: SubjectTuning) -> tuple[float, float]:
    """GFLOP of a sample of a training pass, and of a sampling pass with its share of decoding the picture.

    Guided drawing repeats a short context to the length of the empty prompt, so it is never short.
    """
    is_short = set(METHODS[method].inputs) <= {"stage1"} and tuning.mode != "slot"
    sample = gflop["unet_and_back_short" if is_short else "unet_and_back"]
    sample += gflop["unet"] if trains_unet(method) else 0  # gradients of weights cost about a pass more
    sample += gflop["text_and_back"] if "text_encoder" in METHODS[method].inputs else 0
    sample += 0 if tuning.cache_posteriors else gflop["encode"]
    return sample, gflop["unet"] + gflop["decode"] / passes_of_a_picture(tuning)
