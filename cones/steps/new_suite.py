"""Step `new-suite`: look into a folder that somebody has, and write the dataset's entry and a suite for it."""

import dataclasses
import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yaml

from cones.data.formats import converter_named
from cones.data.formats.records import NativeFiles, Record
from cones.data.labelled import Division, divided
from cones.data.patients import with_patients
from cones.data.recognise import Recognised, recognise
from cones.data.recognise.layout import split_rule
from cones.data.registry import SPLITS, Dataset, Expected, ImageCounts, load_registry
from cones.data.splits import split_items
from cones.data.task_rules import CLASSIFICATION
from cones.experiment.cell import Plan
from cones.experiment.suite import CONFIG_FOLDER
from cones.runtime.artifacts import write_text
from cones.runtime.errors import ConesError
from cones.runtime.strict import parse
from cones.steps import labelled_suite

DATASETS = CONFIG_FOLDER / "datasets"
MODELS = {
    "detection": ("table1", "glip_nano", "glip_t"),
    "instance_segmentation": ("table2", "uninext_nano", "uninext_r50"),
}
ARMS = ("zero_shot", "linear_probing", "cones", "full_finetuning")
PATIENTS = "whether several pictures are of one patient or scene: `split.patients` keeps these together"
SUITE = """\
# {paper_name}, as `python -m cones new-suite` found it. The dataset: {entry}
#   snakemake --cores all results/{name}/{table}.csv results/{name}/{nano}/{name}/predictions.png --config suite={name}
like: miniature  # a nano model pretrained on painted scenes, with its learning rates and its schedule: a first look
suite: {name}
title: {title}
source: official  # the files themselves; `miniature` are drawn ones
registry: [{entry}]
datasets: [{name}]
arms: [{arms}]  # any method of docs/methods.md that the model above has a rate for
grids: {{{table}: {{models: [{nano}]}}}}
learning_rate_studies: []

# A real model instead: its checkpoint is fetched (`python -m cones plan` says how large it is), and it wants a GPU.
# {real}, with the paper's schedule: two lines above become
#   like: paper
#   grids: {{{table}: {{models: [{real}]}}}}
{grounding_dino}"""
GROUNDING_DINO = """\
# Grounding DINO: as above with gdino_t in place of {real}, and its rates, which nobody has published for these methods:
#   models: {{gdino_t: {{learning_rate: {{linear_probing: 1.0e-4, cones: 1.0e-3, full_finetuning: 1.0e-4}}}}}}
"""
ENTRY = """\
# {paper_name}: what `python -m cones new-suite` took {folder} for.
{why}
# What its files do not say, and what is written here for it; docs/datasets.md says what each key means:
{unknown}
"""


@dataclass(frozen=True)
class NewSuite:
    """What was written and why. `images` and `boxes` per split where they could be counted; `fault` stops `prepare`."""

    name: str
    entry: Path
    suite: Path
    table: str
    model: str
    recognised: Recognised
    split: str
    unknown: tuple[str, ...]
    images: dict[str, int] | None
    boxes: dict[str, int] | None
    fault: ConesError | None

    def plan(self) -> Plan:
        """The plan of the suite; what was counted stands in its registry as what is expected."""
        plan = Plan.load(self.name)
        if self.images is None:
            return plan
        dataset = plan.registry[self.name]
        expected = Expected(images=ImageCounts(**self.images))
        source = dataset.source("official").model_copy(update={"expected": expected})
        counted = dataset.model_copy(update={"sources": {"official": source}})
        return dataclasses.replace(plan, registry={**plan.registry, self.name: counted})


def new_suite(
    folder: Path, *, name: str | None = None, format_name: str | None = None, task: str | None = None
) -> NewSuite:
    """Writes `config/datasets/<name>.yaml` and `config/<name>.yaml`.

    ConesError, and nothing written, if either is there, or if the folder is of no known format or of several.

    `format_name` and `task` choose where files leave it open. The folder is read and never written to.
    """
    recognised = recognise(folder, format_name)
    if not recognised.classes:
        raise ConesError(
            f"this folder looks like {recognised.format['name']}, and no object in it has a class",
            where=folder,
            found="; ".join(recognised.why),
            next_step="annotate some objects first",
        )
    if task is not None:
        recognised = _with_task(recognised, task)
    name = _free_name(name or re.sub(r"[^a-z0-9]+", "_", folder.resolve().name.lower()).strip("_") or "my_data")
    entry_file, suite_file = DATASETS / f"{name}.yaml", CONFIG_FOLDER / f"{name}.yaml"
    labelled = recognised.task == CLASSIFICATION
    rule, split = split_rule(recognised.splits, slices=recognised.slices, labelled=labelled)
    unknown = _unknown(recognised, rule)
    entry = _entry_text(folder, name, recognised, rule, unknown)
    dataset = _checked(entry, name, entry_file)
    counts = _counts(dataset, folder, entry_file)
    write_text(entry_file, entry)
    if labelled:
        table, nano = labelled_suite.TABLE, labelled_suite.NANO
        suite = _labelled_suite_text(folder, name, entry_file, counts.smallest)
    else:
        table, nano, _ = MODELS[recognised.task]
        suite = _suite_text(folder, name, entry_file, recognised.task)
    write_text(suite_file, suite)
    found = (counts.images, counts.boxes, counts.fault)
    return NewSuite(name, entry_file, suite_file, table, nano, recognised, split, unknown, *found)


def _with_task(recognised: Recognised, task: str) -> Recognised:
    if task == recognised.task:
        return recognised
    if task not in MODELS:
        raise ConesError("no such task", where="--task", found=task, next_step=f"choose one of: {', '.join(MODELS)}")
    if recognised.task == CLASSIFICATION:
        raise ConesError(
            "these pictures have one class each, and no boxes or masks",
            where="--task",
            found=task,
            next_step="leave --task out, or point to a folder with annotations",
        )
    kept = {key: value for key, value in recognised.format.items() if key != "keep_masks"}
    return dataclasses.replace(recognised, task=task, format=recognised.format if task != "detection" else kept)


def _free_name(name: str) -> str:
    """The name, if it can be a dataset's id and a suite's and nothing has it; else a ConesError."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", name):
        raise ConesError(
            "a name is lower-case letters, digits and _", where="--name", found=name, next_step="give another --name"
        )
    taken = next((path for path in (DATASETS / f"{name}.yaml", CONFIG_FOLDER / f"{name}.yaml") if path.exists()), None)
    if taken or name in load_registry():
        raise ConesError(
            "this name is taken, and nothing is written over",
            where=taken or f"datasets.yaml: {name}",
            next_step="give another one with --name, or move that file away",
        )
    return name


def _unknown(recognised: Recognised, rule: dict) -> tuple[str, ...]:
    """What the files do not say, each with its key and what is written for it."""
    lines = [*recognised.unknown]
    if rule["rule"] != "as_shipped" and not recognised.slices:
        lines.append(PATIENTS)
    if recognised.task == "detection":
        lines.append(f"which average of Table 1 it joins: `group` is written {_group(recognised)}")
    return (*lines, "where it is from and under which licence: `home`, `licence`")


def _group(recognised: Recognised) -> str:
    if recognised.task == "instance_segmentation":
        return "segmentation"
    return "radiology" if recognised.slices else "natural"


def _entry_text(folder: Path, name: str, recognised: Recognised, rule: dict, unknown: tuple[str, ...]) -> str:
    entry = {
        "paper_name": folder.resolve().name,
        "group": _group(recognised),
        "task": recognised.task,
        "classes": recognised.classes,
        "home": "a folder of your own",
        "licence": "not stated",
        "access": "open",
        "sources": {
            "official": {"folder": str(folder.resolve()), "format": recognised.format, "split": rule},
        },
    }
    head = ENTRY.format(
        paper_name=_in_a_line(folder.resolve().name),
        folder=_in_a_line(folder.resolve()),
        why="\n".join(f"#   {_in_a_line(line)}" for line in recognised.why),
        unknown="\n".join(f"#   {_in_a_line(line)}" for line in unknown),
    )
    return head + yaml.safe_dump({name: entry}, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)


def _suite_text(folder: Path, name: str, entry: Path, task: str) -> str:
    table, nano, real = MODELS[task]
    return SUITE.format(
        paper_name=_in_a_line(folder.resolve().name),
        name=name,
        entry=entry.as_posix(),
        table=table,
        nano=nano,
        real=real,
        arms=", ".join(ARMS),
        title=_title(folder, "with a nano model pretrained on painted scenes; not comparable with the paper"),
        grounding_dino=GROUNDING_DINO.format(real=real) if task == "detection" else "",
    )


def _labelled_suite_text(folder: Path, name: str, entry: Path, smallest: int | None) -> str:
    return labelled_suite.labelled_suite(
        name=name,
        paper_name=_in_a_line(folder.resolve().name),
        title=_title(folder, "with a nano model trained on drawn pictures, no CLIP; not comparable with the paper"),
        entry=entry,
        smallest=smallest,
    )


def _title(folder: Path, what: str) -> str:
    """The suite's title as YAML writes it, in one line."""
    return yaml.safe_dump(f"{folder.resolve().name}, {what}", allow_unicode=True, width=1000).splitlines()[0]


def _in_a_line(text: object) -> str:
    return " ".join(str(text).split())


def _checked(entry: str, name: str, file: Path) -> Dataset:
    """The entry as the registry reads it, before it is written."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file.name
        path.write_text(entry, encoding="utf-8")
        try:
            return load_registry(path)[name]
        except ConesError as error:
            raise ConesError(
                error.what,
                where=str(error.where).replace(str(path), "the entry that would be written"),
                expected=error.expected,
                found=error.found,
                next_step="correct this in the folder's files, or write the entry by hand (docs/datasets.md)",
            ) from None


@dataclass(frozen=True)
class _Counts:
    """What the files hold, as far as it could be counted, and the first thing that `prepare` will refuse.

    images, boxes  per split
    smallest       of labelled pictures: how many training pictures the class has that has fewest
    """

    images: dict[str, int] | None = None
    boxes: dict[str, int] | None = None
    smallest: int | None = None
    fault: ConesError | None = None


def _counts(dataset: Dataset, folder: Path, file: Path) -> _Counts:
    """The files are read as `prepare` reads them, but no picture is decoded. Volumes are not cut into slices here, and
    are not counted."""
    spec = dataset.source("official")
    converter = converter_named(spec.format.name, where=file)
    if getattr(converter, "RENDERS", False):
        return _Counts()
    native = NativeFiles(dataset.id, folder, dataset.classes, task=dataset.task, own=True, registry=str(file))
    try:
        parameters = parse(converter.Parameters, spec.format.parameters, where=file)
        records: list[Record] = list(converter.convert(native, parameters))
        if dataset.task == CLASSIFICATION:
            division = divided(dataset, spec, native, records, converter.class_names(native, parameters))
            return _labelled_counts(dataset, division, file)
        records = with_patients(records, spec.split.patients, native)
        splits = split_items(
            dataset_id=dataset.id,
            items=[(record.item_id, record.split) for record in records],
            groups={record.item_id: record.group for record in records},
            rule=spec.split,
            expected=None,
            registry=str(file),
        )
    except ConesError as error:
        return _Counts(fault=error)
    boxes = Counter({record.item_id: len(record.objects) for record in records})
    images = {split: len(splits[split]) for split in SPLITS}
    empty = [split for split, count in images.items() if not count]
    fault = _no_picture(empty, len(records), file) if empty else None
    return _Counts(images, {split: sum(boxes[item] for item in splits[split]) for split in SPLITS}, fault=fault)


def _labelled_counts(dataset: Dataset, division: Division, file: Path) -> _Counts:
    images = {split: len(division.splits[split]) for split in SPLITS}
    train = division.per_class("train")
    smallest = min(train[name] for name in dataset.classes)
    fault = None if images["train"] else _no_picture(["train"], sum(images.values()), file)
    if not (fault or images["val"]) and max(train.values()) <= labelled_suite.most_shots(smallest):
        fault = ConesError(
            "no picture is left to validate on, and linear_probing chooses by validation",
            where=f"{file}: split",
            found=", ".join(f"{split} {count}" for split, count in images.items()),
            next_step="put more pictures into the folder, or take that arm out of the suite",
        )
    return _Counts(images, smallest=smallest, fault=fault)


def _no_picture(empty: list[str], count: int, file: Path) -> ConesError:
    return ConesError(
        f"no picture falls into {' and '.join(empty)}",
        where=f"{file}: split",
        found=f"{count} pictures in all",
        next_step="put more pictures into the folder, or set `split`",
    )
