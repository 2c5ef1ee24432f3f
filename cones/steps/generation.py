"""Steps of personalised generation: say the nouns once, learn a subject, draw it, score it, join all subjects.

A subject is a dataset: its cell is `<model>/dreambooth-<subject>/<arm>/seed<k>`.
"""

from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from cones.artifacts import read_json, replacing_directory, sha256, write_json
from cones.cell import RESULTS, Cell, Plan
from cones.determinism import make_deterministic
from cones.devices import best_device
from cones.errors import ConesError, closest
from cones.evaluation.generation_metrics import (
    GenerationMetrics,
    Likeness,
    Track,
    TrackMetrics,
    read_generation_metrics,
    write_generation_metrics,
)
from cones.evaluation.likeness import SubjectFeatures, likeness
from cones.evaluation.metrics import CellKey
from cones.evaluation.subjects import over_subjects, paired_difference
from cones.methods import METHODS
from cones.models.features.extractor import FeatureExtractor
from cones.models.features.loading import extractors_of
from cones.models.generator import Subject, SubjectEmbedding
from cones.models.pretrained import Resolved
from cones.models.stable_diffusion.loading import (
    base_of,
    find,
    load_generator,
    load_text,
    read_text_states,
    write_text_states,
)
from cones.models.stable_diffusion.prompts import CLASS_PROMPT, editing_prompts, without_identifier
from cones.models.stable_diffusion.settings import SubjectTuning
from cones.progress import log
from cones.provenance import how
from cones.strict import parse
from cones.verification import fingerprints

DATASET = "dreambooth"
TRACKS: tuple[Track, ...] = ("reconstruction", "editing")
PICTURES = {"reconstruction": 16, "editing": 4}  # per prompt


@dataclass(frozen=True)
class World:
    """A suite's subjects and a model's directory, for all steps of its cells."""

    plan: Plan
    model: str
    found: Resolved
    generation: dict = field(repr=False)  # that entry of the dataset's manifest
    allow_download: bool = False

    @classmethod
    def open(cls, plan: Plan, model: str, *, path: Path | None = None, text: bool, allow_download: bool) -> "World":
        manifest = plan.manifest(DATASET)
        if manifest["status"] == "skipped":
            raise ConesError("the dataset is not here", where=DATASET, found=manifest["reason"])
        found = find(model, text=text, path=path, allow_download=allow_download)
        return cls(plan, model, found, manifest["generation"], allow_download)

    def cell(self, subject: str, arm: str, seed: int) -> Cell:
        self.subject(subject)
        return Cell(self.plan.suite.suite, self.model, f"{DATASET}-{subject}", arm, seed)

    def subject(self, name: str) -> Subject:
        if name not in self.generation["subjects"]:
            raise ConesError("no such subject", found=name, next_step=closest(name, self.generation["subjects"]))
        return Subject.of_manifest(self.generation, name, self.plan.data_folder(DATASET) / "raw")

    @property
    def base(self) -> str:
        return base_of(self.found)

    @property
    def text_states(self) -> Path:
        return self.plan.text_states(self.model, DATASET)

    def generator(self, *, with_text: bool):
        states = read_text_states(self.text_states, self.base)
        return load_generator(self.found.directory, states=states, with_text=with_text, device=best_device())


def encode_nouns(world: World) -> None:
    """Writes the states of the empty prompt and of the class nouns, all that ConES hears of a text encoder."""
    text = load_text(world.found.directory, best_device())
    nouns = [one["class_word"] for one in world.generation["subjects"].values()]
    write_text_states(text, nouns, world.text_states, world.base)
    log.info("%s: the empty prompt and %d class nouns", world.text_states, len(set(nouns)))


def learn_subject(world: World, cell: Cell, subject: Subject, method: str, tuning: SubjectTuning) -> None:
    """Writes `state.safetensors` (the embedding) and `tuning.json` (how it went, settings, what it was made of)."""
    make_deterministic()
    base = world.base
    generator = world.generator(with_text="text_encoder" in METHODS[method].inputs)
    learnt = generator.learn(subject, method, tuning=tuning, seed=cell.seed, folder=cell.folder, base=base)
    digest = learnt.save(cell.folder / "state.safetensors", base)
    record = {
        "method": method,
        "settings": tuning.model_dump(mode="json"),
        "weights": world.found.lock,
        "inputs_sha256": {picture.name: sha256(picture) for picture in subject.pictures},
        "state_sha256": digest,
        "learning": learnt.record,
    }
    write_json(cell.folder / "tuning.json", record)
    log.info("%s: %s after %d passes", cell, method, learnt.record["passes"])


def draw_subject(world: World, cell: Cell, subject: Subject, track: Track, pictures: int | None = None) -> None:
    """Writes `images/<track>/<prompt>_<number>.png` and its `prompts.json`; guidance and steps as in learning.

    Equal numbers start every method and prompt from equal noise.
    """
    make_deterministic()
    tuning = read_json(cell.folder / "tuning.json")
    settings = parse(SubjectTuning, tuning["settings"], where=cell.folder / "tuning.json")
    embedding = SubjectEmbedding.load(cell.folder / "state.safetensors", world.base)
    generator = world.generator(with_text=bool(METHODS[tuning["method"]].inputs) or track == "editing")
    said: list[str | None] = [None]
    if track == "editing":
        said = [without_identifier(prompt) for prompt in editing_prompts(world.generation, subject.name)]
    with replacing_directory(cell.folder / "images" / track) as folder:
        index = []
        for number, prompt in enumerate(said):
            drawn = generator.sample(
                embedding,
                prompt,
                seed=0,
                count=pictures or PICTURES[track],
                guidance=settings.guidance,
                steps=settings.sampling_steps,
            )
            files = [f"{number:02}_{place:02}.png" for place in range(len(drawn))]
            for file, picture in zip(files, drawn):
                picture.save(folder / file)
            index.append({"text": (prompt or CLASS_PROMPT).format(subject.class_word), "files": files})
        write_json(folder / "prompts.json", index)
    log.info("%s: %s, %d prompts", cell, track, len(said))


def score_subject(world: World, cell: Cell, subject: Subject) -> None:
    """Writes `metrics.json` of the tracks that were drawn, and `run.json`: how they were made."""
    make_deterministic()
    device = best_device()
    extractors = extractors_of(world.model, world.found.directory, device, allow_download=world.allow_download)
    drawn = [track for track in TRACKS if (cell.folder / "images" / track / "prompts.json").exists()]
    if not drawn:
        raise ConesError("nothing has been drawn", where=cell.folder / "images", next_step="draw the subject first")
    tuning = read_json(cell.folder / "tuning.json")
    metrics = GenerationMetrics(
        cell=CellKey(**vars(cell), method=tuning["method"]),
        base=world.base,
        tracks={track: _track_metrics(world, cell.folder / "images" / track, subject, extractors) for track in drawn},
    )
    provenance = how(inputs=tuning["inputs_sha256"], settings=tuning["settings"], device=str(device))
    write_generation_metrics(cell.folder / "metrics.json", metrics)
    files = fingerprints(cell.folder, ("metrics.json", "state.safetensors", "tuning.json"))
    write_json(cell.folder / "run.json", {**provenance, "sha256": files, "tuning": tuning})


def _track_metrics(
    world: World, folder: Path, subject: Subject, extractors: dict[str, FeatureExtractor]
) -> TrackMetrics:
    prompts = read_json(folder / "prompts.json")
    drawn = {one["text"]: _opened([folder / file for file in one["files"]]) for one in prompts}
    subjects = (world.subject(name) for name in world.generation["subjects"])
    others = [one for one in subjects if one.class_word == subject.class_word and one.name != subject.name]
    scores = {}
    for name, extractor in extractors.items():
        features = SubjectFeatures(
            generated={text: extractor.pictures(pictures) for text, pictures in drawn.items()},
            real=extractor.pictures(_opened(subject.pictures)),
            others=[extractor.pictures(_opened(other.pictures)) for other in others],
            texts=dict(zip(drawn, extractor.texts(list(drawn)))) if extractor.reads_texts else None,
        )
        scores[name] = Likeness(**likeness(features))
    return TrackMetrics(prompts=len(drawn), pictures=sum(map(len, drawn.values())), by_extractor=scores)


def _opened(files) -> list[Image.Image]:
    pictures = []
    for file in files:
        with Image.open(file) as picture:
            pictures.append(picture.convert("RGB"))
    return pictures


def join_subjects(suite: str, model: str, seed: int) -> Path:
    """Writes `generation_seed<k>.json`: per track, extractor and number a mean over subjects with its interval for each
    arm, and the paired difference of each two arms."""
    files = sorted((RESULTS / suite / model).glob(f"{DATASET}-*/*/seed{seed}/metrics.json"))
    values: dict[
        tuple, dict[str, dict[str, float | None]]
    ] = {}  # (track, extractor, number) -> arm -> subject -> value
    for metrics in map(read_generation_metrics, files):
        for track, scored in metrics.tracks.items():
            for extractor, numbers in scored.by_extractor.items():
                for number, value in numbers.model_dump().items():
                    arms = values.setdefault((track, extractor, number), {})
                    arms.setdefault(metrics.cell.arm, {})[metrics.cell.dataset] = value
    if not values:
        raise ConesError("no scored subject", where=RESULTS / suite / model, next_step="score the subjects first")
    rows = []
    for (track, extractor, number), arms in sorted(values.items()):
        key = {"track": track, "extractor": extractor, "number": number}
        for arm, one in arms.items():
            if over := over_subjects(one):
                rows.append({**key, "arm": arm, **over._asdict()})
            for against in arms:
                if against < arm and (difference := paired_difference(arms[against], one)):
                    signs = difference._asdict() | difference.over._asdict()
                    rows.append(
                        {**key, "arm": arm, "minus": against, **{k: v for k, v in signs.items() if k != "over"}}
                    )
    path = RESULTS / suite / model / f"generation_seed{seed}.json"
    write_json(path, rows)
    return path
