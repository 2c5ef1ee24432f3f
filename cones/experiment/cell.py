"""The cells of a suite (model, dataset, arm, seed) and the paths of their files."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

from cones.data.registry import Dataset, load_registries
from cones.experiment.classification import Classification
from cones.experiment.few_shot import OF_CELL
from cones.experiment.generation import Generation
from cones.experiment.matched import CAPTION_POSITIONS, matched_vectors
from cones.experiment.outputs import Output, grids_read_by
from cones.experiment.plugins import plugin_digests
from cones.experiment.suite import CONFIG_FOLDER, Suite, cell_settings, load_suite
from cones.experiment.tasks import check_tasks, with_datasets_of_tasks
from cones.methods.method import METHODS, Input, MethodEntry
from cones.methods.settings import CellSettings
from cones.models.family import family_of, is_nano
from cones.runtime.artifacts import read_json
from cones.runtime.errors import ConesError, closest
from cones.runtime.provenance import settings_digest
from cones.runtime.strict import IDENTIFIER

RESULTS = Path("results")
FEATURES = Path("features")  # what is large in it, the .bin files, may be deleted at any time
CHECKPOINTS = Path("checkpoints")
LOGS = Path("logs")


@dataclass(frozen=True)
class Cell:
    """(suite, model, dataset, arm, seed): the smallest thing that is tuned, scored and shown in a table."""

    suite: str
    model: str
    dataset: str
    arm: str
    seed: int

    @classmethod
    def of_folder(cls, folder: Path) -> "Cell":
        """The cell that owns a folder, `results/<suite>/<model>/<dataset>/<arm>/seed<k>`, of the working directory."""
        place = folder.parent if folder.is_file() else folder
        try:
            names = place.resolve().relative_to(RESULTS.resolve()).parts
        except ValueError:
            names = ()
        if len(names) != 5 or not re.fullmatch(r"seed\d+", names[-1]):
            raise ConesError(
                "not the folder of a cell",
                where=folder,
                expected=f"{RESULTS}/<suite>/<model>/<dataset>/<arm>/seed<k>, below {Path.cwd()}",
                next_step="correct it, or run this command where config/ and results/ are",
            )
        return cls(*names[:4], int(names[-1].removeprefix("seed")))

    @property
    def folder(self) -> Path:
        return RESULTS / self.suite / self.model / self.dataset / self.arm / f"seed{self.seed}"

    @property
    def logs(self) -> Path:
        return LOGS / self.folder.relative_to(RESULTS)

    def __str__(self) -> str:
        return f"{self.model} · {self.dataset} · {self.arm} · seed {self.seed}"


@dataclass(frozen=True)
class Plan:
    """A suite with its dataset registry: the cells, settings and paths that the steps and the workflow ask for."""

    suite: Suite
    registry: dict[str, Dataset]

    @classmethod
    def load(cls, suite: str, overrides: dict | None = None, *, of: str | None = None) -> "Plan":
        """`of` is a dataset with which alone something is done: others of the suite may lack its source."""
        loaded = load_suite(suite, overrides)
        registry = load_registries(loaded.registry)
        plan = cls(loaded, registry)
        file = CONFIG_FOLDER / f"{suite}.yaml"
        for key, dataset in loaded.named_datasets:
            plan.check(dataset=dataset, where=f"{file}: {key}")
        loaded = with_datasets_of_tasks(loaded, registry)
        plan = cls(loaded, registry)
        if loaded.generation:
            _check_subjects(registry[loaded.generation.dataset])
            _check_named_subjects(loaded.generation, registry[loaded.generation.dataset], file)
        for dataset in loaded.all_datasets if of is None else {of} & registry.keys():
            registry[dataset].source(loaded.source)  # refuses a source that the entry does not have
        check_tasks(loaded, registry, file)
        for cell in plan.all_cells():
            _check_caption(plan, cell, file)
            _check_rows(plan, cell, file)
        return plan

    def check(self, *, model: str | None = None, dataset: str | None = None, where: str | None = None) -> None:
        """ConesError if the suite has no such model, or the registry no such dataset; `where` the name stands."""
        if model is not None:
            _refuse_unknown("model", model, self.suite.all_models, f"{CONFIG_FOLDER / self.suite.suite}.yaml: models")
        if dataset is not None:
            _refuse_unknown(
                "dataset", dataset, self.registry, where, " or ".join(["datasets.yaml", *self.suite.registry])
            )

    @property
    def digest(self) -> str:
        """Digest of the suite, of the registry entries of its datasets, and of its plug-ins."""
        datasets = (self.registry[name] for name in self.suite.all_datasets)
        entries = [self.suite.model_dump(mode="json"), *map(settings_digest, datasets)]
        return settings_digest([*entries, plugin_digests()] if self.suite.plugins else entries)

    def cells(self, grid: str) -> Iterator[Cell]:
        """The cells of one grid, in the order of the suite: models, datasets, arms, seeds."""
        models, datasets, arms = self.suite.grid(grid)
        for model, dataset, arm in product(models, datasets, arms):
            for seed in self.suite.seeds_of(grid, arm):
                yield Cell(self.suite.suite, model, dataset, arm, seed)

    def all_cells(self, *, on_request: bool = True) -> list[Cell]:
        """The cells of every grid, with or without those on request; one that several tables show is there once."""
        left_out = () if on_request else self.suite.on_request
        wanted = [grid for grid in self.suite.grids if grid not in left_out]
        return list(dict.fromkeys(cell for grid in wanted for cell in self.cells(grid)))

    def parts_of(self, output: Output) -> tuple[str, ...]:
        """The parts of the suite (its grids, and "generation") that an output reads."""
        return output.parts_in(self.suite.parts, self.suite.on_request)

    def scored_elsewhere(self, cell: Cell) -> tuple[str, ...]:
        """The other datasets that grids name for a cell to be scored on (`targets`)."""
        asked = (name for name, grid in self.suite.grids.items() if cell.dataset in grid.targets)
        grids = [name for name in asked if cell in self.cells(name)]
        return tuple(dict.fromkeys(other for name in grids for other in self.suite.grids[name].targets[cell.dataset]))

    @property
    def generation(self) -> Generation:
        """The suite's section `generation`; ConesError if it has none."""
        if self.suite.generation is None:
            raise ConesError(
                "the suite draws no pictures",
                where=f"{CONFIG_FOLDER / self.suite.suite}.yaml",
                next_step="choose one that does, such as --suite miniature, or add a section `generation`",
            )
        return self.suite.generation

    @property
    def classification(self) -> Classification:
        """The suite's section `classification`; ConesError if it has none."""
        if self.suite.classification is None:
            raise ConesError(
                "the suite classifies no images",
                where=f"{CONFIG_FOLDER / self.suite.suite}.yaml",
                next_step="choose one that does, such as --suite miniature, or add a section `classification`",
            )
        return self.suite.classification

    def subject_cells(self) -> list[Cell]:
        """The cells of the suite's generation, arm by arm: a subject is a dataset, `dreambooth-dog6`."""
        if (generation := self.suite.generation) is None:
            return []
        subjects = generation.subjects or self.registry[generation.dataset].classes
        places = product(generation.drawing_arms, subjects, generation.seeds)
        return [self.subject_cell(subject, arm, seed) for arm, subject, seed in places]

    def subject_cell(self, subject: str, arm: str, seed: int) -> Cell:
        """A cell of the suite's generation; ConesError for a name that is not in it."""
        generation, where = self.generation, f"{CONFIG_FOLDER / self.suite.suite}.yaml: generation"
        _refuse_unknown("subject", subject, self.registry[generation.dataset].classes, where)
        _refuse_unknown("arm that draws", arm, generation.drawing_arms, where)
        _refuse_unknown("seed", seed, generation.seeds, where)
        return Cell(self.suite.suite, generation.model, f"{generation.dataset}-{subject}", arm, seed)

    def subject_of(self, cell: Cell) -> str:
        """The subject of a cell of the suite's generation: the inverse of `subject_cell`."""
        return cell.dataset.removeprefix(f"{self.suite.generation.dataset}-")

    def cell(self, model: str, dataset: str, arm: str, seed: int) -> Cell:
        """A detector's cell of this suite; ConesError for a name that is not in it, and for a classifier's cell."""
        if self.suite.classification and model in self.suite.classification.models:
            raise ConesError(
                "this cell gives whole pictures a class; it finds no objects",
                where=f"{model} · {dataset} · {arm}",
                next_step="its answers for the test pictures are in predictions.json, its numbers in survey.csv",
            )
        for kind, name, known in (
            ("model", model, self.suite.models),
            ("dataset", dataset, self.suite.all_datasets),
            ("arm", arm, self.suite.arms),
            ("seed", seed, self.suite.all_seeds),
        ):
            _refuse_unknown(kind, name, known, f"{CONFIG_FOLDER / self.suite.suite}.yaml: {kind}s")
        return Cell(self.suite.suite, model, dataset, arm, int(seed))

    def settings(self, cell: Cell) -> CellSettings:
        """The settings of a cell, with the numbers that its dataset's classes or its seed decide."""
        settings, arm = cell_settings(self.suite, cell.model, cell.arm, cell.dataset), self.suite.arms[cell.arm]
        if arm.matched_to is not None:
            tokens = self.suite.arms[arm.matched_to].tokens_per_class or self.suite.models[cell.model].tokens_per_class
            classes = len(self.registry[cell.dataset].classes)
            vectors = matched_vectors(tokens, classes, METHODS[settings.method])
            settings = settings.model_copy(update={"tokens_per_class": vectors})
        if settings.tuning.shot_seed == OF_CELL:
            drawn = settings.tuning.model_copy(update={"shot_seed": cell.seed})
            settings = settings.model_copy(update={"tuning": drawn})
        return settings

    def place_of_settings(self, cell: Cell) -> tuple[str, str, str | None, int | None]:
        """What the settings of a cell depend on, found without making them: equal places have equal settings."""
        suite, arm = self.suite, self.suite.arms[cell.arm]
        overrides = (suite.models[cell.model].tuning, suite.dataset_tuning.get(cell.dataset, {}), arm.tuning)
        seeds = (suite.tuning.shot_seed, *(each.get("shot_seed") for each in overrides))
        of_dataset = cell.dataset in suite.dataset_tuning or arm.matched_to is not None
        return cell.model, cell.arm, cell.dataset if of_dataset else None, cell.seed if OF_CELL in seeds else None

    def tokens_per_class(self, cell: Cell) -> int | None:
        """N of the vectors a cell learns or, in stage 2, fixes; None for a method without vectors."""
        settings = self.settings(cell)
        return settings.tokens_per_class if METHODS[settings.method].has_vectors else None

    def method(self, arm: str) -> MethodEntry:
        return METHODS[self.suite.arms[arm].method or arm]

    def inputs_of(self, cell: Cell) -> tuple[Input, ...]:
        """The files of other steps that tuning a cell reads: its method's, and what its random start is measured on."""
        inputs = self.method(cell.arm).inputs
        is_measured = self.settings(cell).start_std == "output" and "text_states" not in inputs
        return (*inputs, "text_states") if is_measured else inputs

    def data_folder(self, dataset: str) -> Path:
        return Path(self.suite.data_dir) / self.suite.source / dataset

    def manifest(self, dataset: str) -> dict:
        """The manifest that the `prepare` step wrote of a dataset: status, classes, phrases, counts, digests."""
        return read_json(self.data_folder(dataset) / "manifest.json")

    def weights(self, model: str) -> Path:
        """File of the base weights; random weights have one per seed, apart from that of the official weights."""
        seed = self.suite.all_models[model].initial_seed
        return CHECKPOINTS / f"{model}{'' if seed is None else f'-seed{seed}'}.safetensors"

    def text_states(self, model: str, dataset: str) -> Path:
        return RESULTS / self.suite.suite / model / dataset / "text.safetensors"

    def picture(self, model: str, dataset: str) -> Path:
        """File of the picture that shows the predictions of several cells side by side."""
        return self.text_states(model, dataset).with_name("predictions.png")

    def features(self, model: str, dataset: str) -> Path | None:
        """The index of the image features that the cells of a model and dataset share; None if they share none."""
        is_shared = self.suite.feature_cache_gb and (model, dataset) in self.sharing
        return FEATURES / self.suite.suite / model / f"{dataset}.json" if is_shared else None

    def features_of(self, cell: Cell) -> Path | None:
        """The index that a cell may read; None where its image encoder trains, or nothing is shared."""
        is_frozen = not self.method(cell.arm).trains_image_encoder
        return self.features(cell.model, cell.dataset) if is_frozen else None

    def real_pictures(self, model: str, dataset: str) -> Path:
        """File of the image features of all subjects' real pictures."""
        return self.text_states(model, dataset).with_name("real.safetensors")

    def feature_budget(self) -> int:
        """Bytes for the image features of one model and dataset: an equal share of the suite's `feature_cache_gb`."""
        return int(self.suite.feature_cache_gb * 1e9) // len(self.sharing)

    @cached_property
    def sharing(self) -> dict[tuple[str, str], list[Cell]]:
        """{(model, dataset): its cells with a frozen image encoder}, where there is more than one."""
        cells: dict[tuple[str, str], list[Cell]] = defaultdict(list)
        for cell in self.all_cells():
            if not self.method(cell.arm).trains_image_encoder:
                cells[cell.model, cell.dataset].append(cell)
        return {pair: sharing for pair, sharing in cells.items() if len(sharing) > 1}

    def wants_gpu(self, model: str) -> bool:
        """Whether a model computes on a GPU, where there is one."""
        return not is_nano(model) if self.suite.device == "auto" else self.suite.device == "gpu"

    def compares_boxes(self, cell: Cell) -> bool:
        """Whether an output (Table 3) compares this cell's class vectors with the features of its boxes."""
        return any(cell in self.cells(grid) for grid in grids_read_by(self.suite.parts, "boxes"))

    def stage1(self, cell: Cell) -> Cell:
        """The cell whose concept embeddings this one fixes."""
        return Cell(cell.suite, cell.model, cell.dataset, self.suite.arms[cell.arm].stage1, cell.seed)

    def tuned(self, cell: Cell) -> Cell:
        """The cell whose tuned values this one reads."""
        return Cell(cell.suite, cell.model, cell.dataset, self.settings(cell).tuned_arm, cell.seed)

    def cells_before(self, cell: Cell) -> dict[str, Cell]:
        """{input of its method: the cell whose tuned state that is}."""
        of = {"stage1": self.stage1, "tuned": self.tuned}
        return {name: before(cell) for name, before in of.items() if name in self.method(cell.arm).inputs}


def _refuse_unknown(kind: str, name: object, known: Collection, where: str | None, place: str = "the suite") -> None:
    if name not in known:
        raise ConesError(
            f'{kind} "{name}" is not in {place}', where=where, next_step=closest(str(name), map(str, known))
        )


def _check_caption(plan: Plan, cell: Cell, file: Path) -> None:
    """ConesError if the vectors of all classes do not fit into one caption of the text encoder."""
    entry, classes = plan.method(cell.arm), len(plan.registry[cell.dataset].classes)
    if not (entry.has_vectors and "text_encoder" in entry.inputs):
        return
    tokens = plan.settings(cell).tokens_per_class
    positions = classes * (tokens + 1) + 1  # [CLS], the vectors with a full stop between classes, [SEP]
    if positions > CAPTION_POSITIONS:
        raise ConesError(
            "the vectors of all classes are too many for one caption of the text encoder",
            where=f"{file}: {cell.model}, {cell.dataset}, {cell.arm}",
            expected=f"at most {CAPTION_POSITIONS} positions",
            found=f"{classes} classes with {tokens} vectors each: {positions}",
            next_step=f"set `tokens_per_class: {max(1, (CAPTION_POSITIONS - 1) // classes - 1)}` for this arm"
            if 2 * classes < CAPTION_POSITIONS
            else "leave this arm out, or take fewer classes",
        )


def _check_rows(plan: Plan, cell: Cell, file: Path) -> None:
    """ConesError if vectors that stand for the text encoder's output are more rows than the model takes, or than the
    published way pads a text to (`exact_savings: false`)."""
    entry = plan.method(cell.arm)
    if not entry.has_vectors or "text_encoder" in entry.inputs:
        return
    classes = len(plan.registry[cell.dataset].classes)
    tokens = plan.suite.arms[cell.arm].tokens_per_class or plan.suite.models[cell.model].tokens_per_class
    limit = family_of(cell.model).text_rows or CAPTION_POSITIONS
    if classes * tokens <= limit:  # nearly always; settings of all cells would take a step half a second
        return
    if family_of(cell.model).text_rows is None and plan.settings(cell).tuning.exact_savings:
        return
    raise ConesError(
        "the vectors of all classes are more rows than the model takes",
        where=f"{file}: {cell.model}, {cell.dataset}, {cell.arm}",
        expected=f"at most {limit} rows",
        found=f"{classes} classes with {tokens} vectors each: {classes * tokens}",
        next_step=f"set `tokens_per_class: {limit // classes}` for this arm"
        if classes <= limit
        else "leave this arm out, or take fewer classes",
    )


def _check_subjects(dataset: Dataset) -> None:
    """ConesError if a subject's name cannot be that of a folder, which it becomes; other class names are free."""
    for name in dataset.classes:
        if not re.fullmatch(IDENTIFIER, name):
            raise ConesError(
                "a class that is a subject must have a name that can be a folder's",
                where=f"dataset {dataset.id}: classes",
                expected="letters, digits, _, + and -",
                found=f'"{name}"',
                next_step="rename it in the registry, or choose another generation.dataset",
            )


def _check_named_subjects(generation: Generation, dataset: Dataset, file: Path) -> None:
    """ConesError if the suite names an unknown subject, which Figure 3 would leave out without a message."""
    for key, names in (("subjects", generation.subjects or ()), ("figure3", generation.figure3)):
        for name in names:
            if name not in dataset.classes:
                raise ConesError(
                    f'"{name}" is no subject of dataset {dataset.id}',
                    where=f"{file}: generation.{key}",
                    next_step=closest(name, dataset.classes),
                )
