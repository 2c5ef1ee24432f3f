"""Steps of personalised generation: find the model, encode class nouns and real pictures; learn, draw and score.

A subject is a dataset: its cell is `<model>/dreambooth-<subject>/<arm>/seed<k>`.
"""

import functools
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from cones.evaluation.generation_metrics import GenerationMetrics, Likeness, TrackMetrics, write_generation_metrics
from cones.evaluation.likeness import SubjectFeatures, likeness
from cones.evaluation.metrics import CellKey
from cones.experiment.cell import Cell, Plan
from cones.experiment.generation import Generation
from cones.methods.method import METHODS
from cones.models.extractors.extractor import FeatureExtractor, ReadsTexts
from cones.models.generator import Subject, SubjectEmbedding
from cones.models.generators import TRACKS, Track
from cones.models.stable_diffusion.prompts import CLASS_PROMPT, editing_prompts, without_identifier
from cones.runtime.artifacts import load_tensors, read_json, replacing_directory, save_tensors, sha256, write_json
from cones.runtime.devices import peak_memory_bytes
from cones.runtime.errors import ConesError
from cones.runtime.progress import log
from cones.runtime.provenance import run_provenance
from cones.runtime.verification import fingerprints, recorded_state
from cones.steps.device import device_for
from cones.training.subjects.loading import (
    base_of,
    find,
    load_generator,
    load_text,
    read_text_states,
    write_text_states,
)
from cones.weights.extractors import extractors_of
from cones.weights.pretrained import Recorded, record_file, write_record

DRAWING = ("unet", "vae")  # the parts without which nothing is learnt or drawn


@dataclass(frozen=True)
class GenerationRun:
    """The plan, manifest and model that all steps of a suite's generation use."""

    plan: Plan

    @functools.cached_property
    def generation(self) -> Generation:
        return self.plan.generation

    @functools.cached_property
    def manifest(self) -> dict:
        return self.plan.manifest(self.generation.dataset)

    @property
    def reason(self) -> str | None:
        """The reason why there is nothing to learn, if the dataset was skipped."""
        return self.manifest["reason"] if self.manifest["status"] == "skipped" else None

    @property
    def described(self) -> dict[str, dict]:
        """{subject: class word, kind of prompts, pictures}."""
        return self.manifest["generation"]["subjects"]

    def subject(self, name: str) -> Subject:
        return Subject.of_manifest(
            self.manifest["generation"], name, self.plan.data_folder(self.generation.dataset) / "raw"
        )

    @functools.cached_property
    def model_record(self) -> Recorded:
        return Recorded.read(self.generation.model, parts=DRAWING)

    @property
    def base(self) -> str:
        return base_of(self.model_record)

    @property
    def text_states(self) -> Path:
        return self.plan.text_states(self.generation.model, self.generation.dataset)

    @property
    def real_pictures(self) -> Path:
        return self.plan.real_pictures(self.generation.model, self.generation.dataset)

    @functools.cached_property
    def device(self) -> torch.device:
        return device_for(self.plan, self.generation.model)

    def generator(self, *, with_text: bool):
        states = read_text_states(self.text_states, self.base)
        return load_generator(self.model_record.directory, states=states, with_text=with_text, device=self.device)


def find_model(name: str, *, path: Path | None = None, allow_download: bool = False) -> None:
    """Writes `checkpoints/pretrained/<name>.json`: where the model is, at which revision, and what its files hold."""
    record = find(name, path=path, allow_download=allow_download)
    write_record(name, record)
    log.info("%s: %s, from %s; recorded in %s", name, record.directory, record.origin, record_file(name))


def encode_nouns(run: GenerationRun) -> None:
    """Writes the text states of the empty prompt and of the class nouns, all that ConES needs of a text encoder."""
    if run.reason:
        save_tensors(run.text_states, {}, {"skipped": run.reason})
        return
    text = load_text(run.model_record.directory, run.device)
    nouns = [subject["class_word"] for subject in run.described.values()]
    write_text_states(text, nouns, run.text_states, run.base)
    log.info("%s: the empty prompt and %d class nouns", run.text_states, len(set(nouns)))


def look_at_real_pictures(run: GenerationRun) -> None:
    """Writes the features of every subject's pictures, `<extractor>:<subject>` (P, D)."""
    if run.reason:
        save_tensors(run.real_pictures, {}, {"skipped": run.reason})
        return
    rows = {}
    for name, extractor in extractors_of(run.generation.model, run.device).items():
        for subject in run.described:
            rows[f"{name}:{subject}"] = extractor.pictures(_opened(run.subject(subject).pictures))
    save_tensors(run.real_pictures, rows)
    log.info("%s: the pictures of %d subjects", run.real_pictures, len(run.described))


def learn_subject(run: GenerationRun, cell: Cell, *, identity: str = "") -> None:
    """Writes `state.safetensors` (the embedding) and `tuning.json` (how it went, settings, what it was made of).

    An interrupted run of the same `identity`, a digest of settings, code and inputs, is gone on with.
    """
    state = cell.folder / "state.safetensors"
    if run.reason:
        log.info("skipped: %s", run.reason)
        sha = save_tensors(state, {}, {"skipped": run.reason})
        write_json(cell.folder / "tuning.json", {"skipped": run.reason, "sha256": {"state.safetensors": sha}})
        return
    subject = run.subject(run.plan.subject_of(cell))
    method, tuning = run.generation.method(cell.arm), run.generation.settings(cell.arm)
    stage1, inputs = _stage1(run, cell)
    generator = run.generator(with_text="text_encoder" in METHODS[method].inputs)
    learnt = generator.learn(
        subject,
        method,
        tuning=tuning,
        seed=cell.seed,
        folder=cell.folder,
        grids=cell.logs,
        base=run.base,
        identity=identity,
        stage1=stage1,
    )
    record = {
        "method": method,
        "settings": tuning.model_dump(mode="json"),
        "weights": run.model_record.lock,
        "inputs_sha256": {str(picture): sha256(picture) for picture in subject.pictures} | inputs,
        "sha256": {"state.safetensors": learnt.save(state, run.base)},
        "learning": {**learnt.record, "resident_parameters": generator.parameters, "device": str(generator.device)},
    }
    write_json(cell.folder / "tuning.json", record)
    log.info("%s: %s after %d passes", cell, method, learnt.record["passes"])


def _stage1(run: GenerationRun, cell: Cell) -> tuple[SubjectEmbedding | None, dict[str, str]]:
    """The embedding that the cell's arm fixes and {its file: sha256}; (None, {}) for an arm that fixes none."""
    if not run.generation.has_stage1(cell.arm):
        return None, {}
    arm = run.generation.arms[cell.arm].stage1
    folder = run.plan.subject_cell(run.plan.subject_of(cell), arm, cell.seed).folder
    state, recorded = folder / "state.safetensors", recorded_state(folder)
    return SubjectEmbedding.load(state, run.base, recorded), {str(state): recorded}


def draw_subject(run: GenerationRun, cell: Cell) -> None:
    """Writes `images/<track>/<prompt>_<number>.png` and `prompts.json` beside them, for each track of the suite.

    Equal numbers start every method and prompt from equal noise. `drawing.json` says how long it took, per track.
    """
    folder = cell.folder / "images"
    tuning = read_json(cell.folder / "tuning.json")
    if "skipped" in tuning:
        for track in run.generation.pictures:
            write_json(folder / track / "prompts.json", [])
        write_json(cell.folder / "drawing.json", {})
        return
    recorded = tuning["sha256"]["state.safetensors"]
    embedding = SubjectEmbedding.load(cell.folder / "state.safetensors", run.base, recorded)
    reads = bool(set(METHODS[embedding.method].inputs) - {"stage1"}) or "editing" in run.generation.pictures
    generator = run.generator(with_text=reads)
    drawing = {
        track: _draw_track(run, cell, folder / track, generator, embedding, track, count)
        for track, count in run.generation.pictures.items()
    }
    write_json(cell.folder / "drawing.json", drawing)


def _draw_track(run: GenerationRun, cell: Cell, folder: Path, generator, embedding, track: Track, count: int) -> dict:
    """Draw the pictures of one track; returns their number and the seconds it took."""
    subject, settings = run.subject(run.plan.subject_of(cell)), run.generation.settings(cell.arm)
    prompts: list[str | None] = [None]
    if track == "editing":
        prompts = [without_identifier(prompt) for prompt in editing_prompts(run.manifest["generation"], subject.name)]
    started = time.monotonic()
    with replacing_directory(folder) as temporary:
        index = []
        drawn = generator.sample(
            embedding,
            prompts,
            seed=0,
            count=count,
            guidance=settings.guidance,
            steps=settings.sampling_steps,
            precision=settings.precision,
        )
        for number, (prompt, pictures) in enumerate(zip(prompts, drawn)):
            files = [f"{number:02}_{place:02}.png" for place in range(len(pictures))]
            for file, picture in zip(files, pictures):
                picture.save(temporary / file)
            index.append({"text": (prompt or CLASS_PROMPT).format(subject.class_word), "files": files})
        write_json(temporary / "prompts.json", index)
    took, pictures = time.monotonic() - started, len(prompts) * count
    log.info("%s: %s, %d prompts x %d pictures, %.2f s each", cell, track, len(prompts), count, took / pictures)
    return {"pictures": pictures, "seconds": took}


def score_subject(run: GenerationRun, cell: Cell) -> None:
    """Writes `metrics.json` of the tracks that were drawn, then `run.json`: how everything of the cell was made.

    `run.json` comes last: it seals the cell with the sha256 of its other files, pictures included.
    """
    tuning, drawing = (read_json(cell.folder / file) for file in ("tuning.json", "drawing.json"))
    device, name = run.device, run.plan.subject_of(cell)
    common = {"cell": CellKey(**vars(cell), method=run.generation.method(cell.arm)), "subject": name}
    if "skipped" in tuning:
        metrics = GenerationMetrics(**common, status="skipped", reason=tuning["skipped"])
    else:
        extractors = extractors_of(run.generation.model, device)
        real, _ = load_tensors(run.real_pictures)
        tracks = {}
        for track in (track for track in TRACKS if track in run.generation.pictures):
            tracks[track] = _track_metrics(run, cell.folder / "images" / track, name, extractors, real)
        word = run.described[name]["class_word"]
        metrics = GenerationMetrics(**common, status="done", class_word=word, base=run.base, tracks=tracks)
    write_generation_metrics(cell.folder / "metrics.json", metrics)
    drawn = [path for path in (cell.folder / "images").rglob("*") if path.suffix in (".png", ".json")]
    pictures = sorted(path.relative_to(cell.folder).as_posix() for path in drawn)
    files = fingerprints(cell.folder, ("metrics.json", "state.safetensors", "tuning.json", "drawing.json", *pictures))
    inputs = {str(path): sha256(path) for path in (run.text_states, run.real_pictures)}
    inputs |= tuning.get("inputs_sha256", {})
    provenance = run_provenance(inputs=inputs, settings=tuning.get("settings", {}), device=str(device))
    scoring = {"peak_memory_bytes": peak_memory_bytes(device)}
    record = {**provenance, "sha256": files, "tuning": tuning, "drawing": drawing, "scoring": scoring}
    write_json(cell.folder / "run.json", record)


def _track_metrics(
    run: GenerationRun, folder: Path, name: str, extractors: dict[str, FeatureExtractor], real: dict[str, Tensor]
) -> TrackMetrics:
    prompts = read_json(folder / "prompts.json")
    drawn = {entry["text"]: _opened([folder / file for file in entry["files"]]) for entry in prompts}
    noun = run.described[name]["class_word"]
    others = [other for other in run.described if other != name]
    scores = {}
    for by, extractor in extractors.items():
        features = SubjectFeatures(
            generated={text: extractor.pictures(pictures) for text, pictures in drawn.items()},
            real=real[f"{by}:{name}"],
            others={other: real[f"{by}:{other}"] for other in others},
            same_noun=[other for other in others if run.described[other]["class_word"] == noun],
            texts=dict(zip(drawn, extractor.texts(list(drawn)))) if isinstance(extractor, ReadsTexts) else None,
        )
        scores[by] = Likeness(**likeness(features))
    return TrackMetrics(prompts=len(drawn), pictures=sum(map(len, drawn.values())), by_extractor=scores)


def _opened(files) -> list[Image.Image]:
    pictures = []
    for file in files:
        try:
            with Image.open(file) as picture:
                pictures.append(picture.convert("RGB"))
        except OSError as error:
            raise ConesError(
                "the picture cannot be read", where=file, found=error, next_step="delete its folder and run again"
            ) from error
    return pictures
