"""The registry of datasets: `datasets.yaml` as typed entries, checked key by key. Imports nothing heavy."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    PrivateAttr,
    field_validator,
    model_validator,
)

from cones.data.archive import Archive, inside
from cones.data.formats import converter_named
from cones.data.task_rules import MISSING_COUNTS, require_format_of_task, task_fault
from cones.data.variants import laid_over_original
from cones.runtime.errors import ConesError, closest, kind_of
from cones.runtime.strict import Strict, Written, parse, read_yaml

REGISTRY = "datasets.yaml"
DRAWN = "miniature"  # the source whose archives this project draws; no URL and no checksum belongs to it
SPLITS = ("train", "val", "test")
GENERATION = "personalised_generation"  # the task without boxes: pictures of subjects, class words and prompts

SplitName = Literal["train", "val", "test"]
SourceName = Literal["official", "miniature", "sample"]
ID_PATTERN = re.compile(r"[a-z0-9_]+(-[a-z0-9_]+)?")


def _not_blank(name: str) -> str:
    if not name.strip():
        raise ValueError("a class name is empty: give every class a name that says what it is")
    return name


ClassName = Annotated[str, AfterValidator(_not_blank)]


class Phrase(Strict):
    """How a class is said in a caption: `prefix + name + suffix`, of which only `name` stands for the class."""

    name: str = Field(min_length=1)
    prefix: str = ""
    suffix: str = ""


class Format(BaseModel):
    """The native format's name and its parameters, which the converter of that name checks."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str

    @model_validator(mode="after")
    def _readsinside(self):
        """ValueError if a parameter is a path that leads out of the unpacked files."""
        todo: list[Any] = list(self.parameters.items())
        while todo:
            key, value = todo.pop()
            if isinstance(value, str) and (value.startswith(("/", "~")) or ".." in re.split(r"[/\\]", value)):
                raise ValueError(f"{key} must not lead out of the dataset's folder: {value!r}")
            if isinstance(value, dict):
                todo += [(key, part) for part in (*value, *value.values())]
            elif isinstance(value, list | tuple):
                todo += [(key, part) for part in value]
        return self

    @property
    def parameters(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class PatientColumn(Strict):
    """A CSV file below the dataset's folder that says whose each item is, and its two columns."""

    file: str
    item: str  # the item's id, or the name of its picture
    patient: str

    _path = field_validator("file")(inside)


class SplitRule(Strict):
    """How items become splits (`cones/data/splits.py`).

    `shipped` maps our split names to those of the files. With `as_shipped` it says all there is to say; with another
    rule it names splits that are kept as they come, and the rule divides the remaining items. Two of our splits may be
    the same files: {train: train, val: valid, test: valid} reports on the validation pictures where no test exists.
    `lists` does the same by item ids: {test: kvasir_test_ids.txt} is a file in `cones/data/lists/`, one id a line.
    `leave_rest`: what `stable_cut` does not need stays unused, instead of being an error.
    `scale`: `group_cut` keeps the ratio of the expected counts if fewer items are there, instead of being an error.
    `per_class_50_20_30` cuts each class by itself: half train, a fifth val, the rest test, each number rounded.
    `patients` says what must stay in one split: a regular expression on the item id (its first group, else all that it
    matches), or a column of a CSV file. `holdout80` and `test20_then_holdout80` then divide patients, not pictures.
    """

    rule: Literal[
        "as_shipped",
        "stable_cut",
        "holdout80",
        "test20_then_holdout80",
        "per_class_50_20_30",
        "group_cut",
        "group_fill",
    ]
    shipped: dict[SplitName, str] = Field(default_factory=dict)
    lists: dict[SplitName, str] = Field(default_factory=dict)
    leave_rest: bool = False
    scale: bool = False
    patients: PatientColumn | str | None = None

    _paths = field_validator("lists")(lambda lists: {split: inside(name) for split, name in lists.items()})

    @model_validator(mode="after")
    def _complete(self):
        if self.rule == "as_shipped" and not self.shipped:
            raise ValueError("as_shipped needs `shipped`, such as {train: train, val: valid, test: test}")
        if self.patients is not None and self.rule in ("stable_cut", "group_cut"):
            raise ValueError(
                f"{self.rule} may tear a patient: with `patients` take group_fill or test20_then_holdout80"
            )
        return self

    @field_validator("patients")
    @classmethod
    def _is_an_expression(cls, value: Any) -> Any:
        if isinstance(value, str):
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"not a regular expression ({error})") from None
        return value

    @property
    def aliases(self) -> dict[str, str]:
        """`{our split: the earlier split of ours that is the same files}`, such as {test: val}."""
        first: dict[str, str] = {}
        for split in SPLITS:
            first.setdefault(self.shipped.get(split, f"({split})"), split)
        return {split: first[word] for split, word in self.shipped.items() if first[word] != split}


class ImageCounts(Strict):
    train: int = Field(ge=0)
    val: int = Field(ge=0)
    test: int = Field(0, ge=0)


class Expected(Strict):
    """What must come out: images per split, and usable boxes over all splits where the number is known."""

    images: ImageCounts
    boxes: int | None = Field(None, ge=0)


RULES_WITHOUT_COUNTS = ("as_shipped", "holdout80", "test20_then_holdout80", "per_class_50_20_30")


class Source(Strict):
    """One place the dataset can come from, and what its files look like.

    Either `archives`, or `folder`: files of your own that are already unpacked, whose counts need not be stated.
    `exclude` leaves out items by their ids, such as a picture that is known to be bad; `allow_missing` says how many
    listed pictures may be absent; `allow_leaks` takes the same picture in two splits, or a patient in two.
    `captions` is a file below the dataset's folder with sentences about any pictures, for methods that learn of texts:
    COCO's captions, or a text a line (`cones/data/captions.py`).
    """

    archives: list[Archive] = Field(default_factory=list)
    folder: str | None = Field(None, min_length=1)
    format: Format
    split: SplitRule
    expected: Expected | None = None
    exclude: list[str] = Field(default_factory=list)
    allow_missing: NonNegativeInt = 0
    allow_leaks: bool = False
    captions: str | None = None

    _captions = field_validator("captions")(lambda path: path if path is None else inside(path))

    @model_validator(mode="after")
    def _has_one_origin(self):
        if bool(self.archives) == bool(self.folder):
            raise ValueError("give either `archives` or `folder`")
        if self.expected is None and self.split.rule not in RULES_WITHOUT_COUNTS:
            raise ValueError(MISSING_COUNTS)
        return self

    @model_validator(mode="after")
    def _distinct(self):
        names = [archive.filename for archive in self.archives]
        if len(set(names)) != len(names):
            raise ValueError(f"an archive name is listed twice in {names}")
        return self


class Dataset(Strict):
    """One entry of the registry. `id` is its key; `classes` in this order get the category ids 1..K.

    For classification `classes` may be left out: they are those of the files, in the files' order. `texts` says how a
    text names a class, where that is not its name with spaces for underscores; `template` is the sentence around it;
    `tree` puts classes below wider ones (`cones/data/class_trees.py`). With `task: multi_label` a picture has the
    classes of its boxes; `synonyms` are further words by which a caption names a class.

    An entry with `variant_of: <id>` holds what differs from another one (`cones/data/variants.py`): files are looked
    for where the original's lie.
    """

    id: str
    variant_of: str | None = None
    paper_name: str
    group: Literal["natural", "non_radiology", "radiology", "segmentation", "generation"]
    task: Literal[
        "detection", "instance_segmentation", "personalised_generation", "classification", "multi_label", "dense"
    ]
    classes: list[ClassName] = Field(default_factory=list)
    template: str | None = None
    texts: dict[str, ClassName] = Field(default_factory=dict)
    tree: dict[str, Any] | None = None
    synonyms: dict[str, list[ClassName]] = Field(default_factory=dict)
    prompts: list[Phrase] | None = None
    manual_prompts: list[Phrase] | None = None
    home: str
    licence: str
    access: Literal["open", "gdrive", "kaggle", "login", "request", "gone"]
    detections_per_image: PositiveInt = 100
    notes: list[str] = Field(default_factory=list)
    sources: dict[SourceName, Source] = Field(min_length=1)
    _registry: str = PrivateAttr(REGISTRY)

    @field_validator("id")
    @classmethod
    def _id_is_a_path_part(cls, value: str) -> str:
        if not ID_PATTERN.fullmatch(value):
            raise ValueError('an id is lower-case letters, digits and "_", with at most one "-suffix"')
        return value

    @model_validator(mode="after")
    def _says_what_its_task_needs(self):
        if fault := task_fault(self):
            raise ValueError(fault)
        return self

    @model_validator(mode="after")
    def _classes_and_prompts_agree(self):
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("a class name is listed twice")
        for key in ("prompts", "manual_prompts"):
            phrases = getattr(self, key)
            if phrases is not None and len(phrases) != len(self.classes):
                raise ValueError(f"{key} must have one phrase for each of the {len(self.classes)} classes, in order")
        return self

    @property
    def sentence(self) -> str:
        """The template of its texts, by default CLIP's "a photo of a {}."."""
        return self.template or "a photo of a {}."

    def text_of(self, name: str) -> str:
        """How a text names a class: as `texts` says, else its name with spaces for underscores."""
        return self.texts.get(name, " ".join(name.replace("_", " ").split()))

    @property
    def original(self) -> str:
        """The id by which files are placed and items ordered: that of the entry it is a variant of, or its own."""
        return self.variant_of or self.id

    @property
    def registry(self) -> str:
        """The registry file that holds this entry, as messages name it."""
        return self._registry

    @property
    def phrases(self) -> list[Phrase]:
        """The phrase of each class in captions, in class order; by default the bare class name."""
        return self.prompts or [Phrase(name=name) for name in self.classes]

    def source(self, name: str) -> Source:
        if name not in self.sources:
            raise ConesError(
                f'no source "{name}"', where=f"dataset {self.id}", next_step=closest(name, list(self.sources))
            )
        return self.sources[name]


def load_registry(path: str | Path = REGISTRY) -> dict[str, Dataset]:
    """`{dataset id: entry}` in file order; the first fault ends in one line with file, entry and key."""
    content = _contents(path)
    return {str(key): _entry(str(key), value, path, content) for key, value in content.items()}


def _contents(path: str | Path) -> dict:
    content = read_yaml(path)
    if not isinstance(content, dict) or not content:
        raise ConesError(
            "the registry must map dataset ids to entries",
            where=path,
            found=kind_of(content),
            next_step="write it as docs/datasets.md shows",
        )
    return content


def load_registries(extra: Iterable[str | Path] = (), path: str | Path = REGISTRY) -> dict[str, Dataset]:
    """The shipped registry and files of the user's own beside it; an id that two of them hold is an error."""
    known = _contents(path)
    registry = {str(key): _entry(str(key), value, path, known) for key, value in known.items()}
    origin = dict.fromkeys(registry, path)
    for file in extra:
        content = _contents(file)
        known = {**content, **known}
        for dataset_id, value in content.items():
            if dataset_id in registry:
                raise ConesError(
                    f'the id "{dataset_id}" is taken',
                    where=file,
                    found=f"also in {origin[dataset_id]}",
                    next_step="choose another id: it names the dataset's folders",
                )
            registry[dataset_id], origin[dataset_id] = _entry(str(dataset_id), value, file, known), file
    return registry


def dataset_named(dataset_id: str, path: str | Path = REGISTRY) -> Dataset:
    """The entry of an id; ConesError with the nearest known id for a mistyped one."""
    registry = load_registry(path)
    if dataset_id not in registry:
        raise ConesError(f'no dataset "{dataset_id}"', where=path, next_step=closest(dataset_id, registry))
    return registry[dataset_id]


def _entry(dataset_id: str, value: Any, path: str | Path, known: Mapping[str, Any]) -> Dataset:
    """The entry of an id; `known` holds those that it may be a variant of, as they are written."""
    where = f"{path}: {dataset_id}"
    if not isinstance(value, dict):
        raise ConesError(
            "an entry must be a mapping of keys",
            where=where,
            found=kind_of(value),
            next_step="write it as docs/datasets.md shows",
        )
    if "id" in value:
        raise ConesError("the id is the entry's key", where=f"{where}: id", next_step="remove this line")
    value = laid_over_original(value, known, where)
    content = {**value, "id": dataset_id, "sources": _inherit(value.get("sources"))}
    entry = parse(Dataset, content, where=where, written=Written(path, (dataset_id,)))
    entry._registry = str(path)
    for name, source in entry.sources.items():
        location = f"{where}: sources.{name}.format"
        written = Written(path, (dataset_id, "sources", name, "format"))
        converter = converter_named(source.format.name, where=location)
        require_format_of_task(entry.task, converter, location)
        schema = converter.Parameters
        parse(schema, source.format.parameters, where=location, written=written)
    return entry


def _inherit(sources: Any) -> Any:
    """Fill `miniature` and `sample` from `official`; what only official files have (URLs, checksums) is left out."""
    if not isinstance(sources, dict) or not isinstance(official := sources.get("official"), dict):
        return sources
    shared = {key: official[key] for key in ("format", "split") if key in official}
    if isinstance(archives := official.get("archives"), list):
        shared["archives"] = [
            {key: archive[key] for key in ("filename", "strip", "into") if key in archive}
            for archive in archives
            if isinstance(archive, dict)
        ]
    return {
        name: {**shared, **source} if name != "official" and isinstance(source, dict) else source
        for name, source in sources.items()
    }
