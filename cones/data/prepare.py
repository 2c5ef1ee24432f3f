"""Prepare a dataset: unpack, convert, gate and split it into train/val/test.json and, last of all, manifest.json."""

import contextlib
import dataclasses
import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from cones.data import coco, label_sets, labelled, mapped, soundness
from cones.data.checksums import assert_unchanged
from cones.data.download import USABLE, dataset_dir
from cones.data.findings import summary
from cones.data.formats import FORMATS, converter_named
from cones.data.formats.records import NativeFiles, Record
from cones.data.record_splits import kept_records, report, split_records
from cones.data.registry import GENERATION, SPLITS, Dataset, Source
from cones.data.splits import digest
from cones.data.task_rules import CLASSIFICATION, DENSE, LABELLED, MULTI_LABEL
from cones.data.trees import describe
from cones.data.unpack import unpack
from cones.runtime.artifacts import read_json, replacing_directory, sha256, write_json
from cones.runtime.errors import ConesError
from cones.runtime.provenance import plugin_digest
from cones.runtime.sources import PACKAGES
from cones.runtime.strict import parse

UNPACKED = ".unpacked.json"  # inside raw/: the archives it was made of
log = logging.getLogger(__name__)


def prepare(dataset: Dataset, source: str, data_dir: str | Path, *, selects_on_validation: bool = False) -> dict:
    """Turn fetched files into canonical COCO splits; returns the manifest, which is written last.

    For classification the pictures and their labels are `items.json`, and a split's file holds its counts
    (`cones/data/labelled.py`; of several classes a picture `cones/data/label_sets.py`; with
    class maps `cones/data/mapped.py`).

    `selects_on_validation`: the weights that are best on the validation split will be kept, so there must be one.

    Writes `raw/` (or a link to the mirror's tree), `splits.json`, `train.json`, `val.json`, `test.json` and
    `manifest.json` into the dataset's folder; equal input gives equal bytes. A declared skip gives empty splits and a
    manifest of status "skipped". While manifest.json is absent the folder is not to be used; any fault (ConesError)
    leaves it absent.
    """
    folder = dataset_dir(data_dir, source, dataset.id)
    fetched = read_json(folder / "fetch.json")
    with _alone_in(folder):
        (folder / "manifest.json").unlink(missing_ok=True)
        if fetched["status"] not in USABLE:
            manifest = _skipped(dataset, source, folder, fetched)
        else:
            manifest = _prepare(dataset, source, folder, fetched, selects_on_validation)
            for line in summary(manifest):
                log.info("dataset %s: %s", dataset.id, line)
        write_json(folder / "manifest.json", manifest)
    return manifest


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Lock a dataset's folder: a second process that prepares it would remove the pictures that the first reads."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without such locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _prepare(dataset: Dataset, source: str, folder: Path, fetched: dict, selects_on_validation: bool) -> dict:
    spec = dataset.source(source)
    converter = converter_named(spec.format.name, where=f"dataset {dataset.id}")
    parameters = parse(converter.Parameters, spec.format.parameters, where=f"dataset {dataset.id}: format")
    native, records = _convert(dataset, spec, folder, fetched, parameters)
    if dataset.task == CLASSIFICATION:
        names = converter.class_names(native, parameters)
        found = labelled.prepare_labelled(dataset, source, spec, native, records, names, folder)
        return {**_head(dataset, source, fetched), **found, **_how(spec, parameters)}
    if dataset.task == MULTI_LABEL:
        found = label_sets.prepare_label_sets(dataset, source, spec, native, records, folder)
        return {**_head(dataset, source, fetched), **found, **_how(spec, parameters)}
    if dataset.task == DENSE:
        numbers = converter.numbers(native, parameters)
        found = mapped.prepare_mapped(dataset, source, spec, native, records, numbers, folder)
        return {**_head(dataset, source, fetched), **found, **_how(spec, parameters)}
    records = kept_records(records, spec, native)
    splits = split_records(dataset, spec, records)
    chosen = {item for ids in splits.values() for item in ids}
    validated = _validated(dataset, spec, [record for record in records if record.item_id in chosen], native)
    soundness.require_what_is_needed(dataset, splits, validated, native, selects_on_validation=selects_on_validation)
    findings = report(splits, records, validated.contents, spec, native)
    write_json(folder / "splits.json", {"rule": spec.split.rule, "dataset": dataset.id, **splits})
    documents = {split: validated.document(splits[split]) for split in SPLITS}
    written = _write_splits(dataset, source, folder, documents)
    for split in SPLITS:
        written[split]["items_sha256"] = digest(splits[split])
    generation = {"generation": converter.describe(native, parameters)} if dataset.task == GENERATION else {}
    return {
        **_head(dataset, source, fetched),
        **generation,
        "status": "ready",
        "reason": None,
        "splits": written,
        "same_splits": spec.split.aliases,
        "report": {**validated.report.summary(), **findings},
        "pictures_sha256": validated.pictures_sha256,
        **_how(spec, parameters),
    }


def _how(spec: Source, parameters: BaseModel) -> dict:
    """How files became splits: the converter with its parameters, and the rule."""
    return {
        "converter": {
            "name": spec.format.name,
            "version": converter_named(spec.format.name, where="format").VERSION,
            "parameters": parameters.model_dump(mode="json"),
            **_digest_of_plugin(spec.format.name),
        },
        "split_rule": spec.split.model_dump(mode="json"),
    }


def _validated(dataset: Dataset, spec: Source, records: list[Record], native: NativeFiles) -> coco.ValidatedDataset:
    """The records in canonical form; ConesError if their boxes are implausible or not as many as expected."""
    soundness.refuse_fractions(records, native)
    validated = coco.gate(records, native)
    soundness.refuse_corners(validated, native)
    soundness.refuse_widths(validated, native)
    soundness.note_oddities(validated, native)
    _assert_boxes(dataset, spec, validated)
    return validated


def _digest_of_plugin(format_name: str) -> dict:
    """The code digest of a converter from outside of the project, which has no version that is kept here."""
    module = FORMATS.module(format_name)
    return {} if module.partition(".")[0] in PACKAGES else {"digest": plugin_digest(module)}


def _convert(
    dataset: Dataset, spec: Source, folder: Path, fetched: dict, parameters: object
) -> tuple[NativeFiles, list[Record]]:
    """Unpack and convert. `raw/` holds the pictures; where they are made from volumes, those lie in `volumes/`."""
    converter = converter_named(spec.format.name, where=f"dataset {dataset.id}")
    renders = getattr(converter, "RENDERS", False)
    raw = folder / ("volumes" if renders else "raw")
    _make_raw(dataset, spec, raw, fetched)
    native = NativeFiles(
        dataset_id=dataset.id,
        raw=raw,
        classes=dataset.classes,
        task=dataset.task,
        own=spec.folder is not None,
        registry=dataset.registry,
        exclude=frozenset(spec.exclude),
        allow_missing=spec.allow_missing,
    )
    if not renders:
        return native, list(converter.convert(native, parameters))
    with replacing_directory(folder / "raw") as temporary:
        records = list(converter.convert(dataclasses.replace(native, pictures=temporary), parameters))
    return dataclasses.replace(native, pictures=folder / "raw"), records


def _skipped(dataset: Dataset, source: str, folder: Path, fetched: dict) -> dict:
    if dataset.task in LABELLED:
        written = labelled.write_items(dataset, source, folder, dataset.classes, {split: [] for split in SPLITS})
    else:
        empty = {"images": [], "annotations": [], "categories": coco.categories(dataset.classes)}
        written = {"splits": _write_splits(dataset, source, folder, dict.fromkeys(SPLITS, empty))}
    return {
        **_head(dataset, source, fetched),
        **written,
        "status": "skipped",
        "reason": f"{fetched['status']}: {fetched['reason']}",
    }


def _head(dataset: Dataset, source: str, fetched: dict) -> dict:
    """The part of the manifest that does not depend on the dataset's status."""
    return {
        "version": 2,
        "dataset": dataset.id,
        "paper_name": dataset.paper_name,
        "source": source,
        "group": dataset.group,
        "task": dataset.task,
        "classes": dataset.classes,
        "phrases": [phrase.model_dump() for phrase in dataset.phrases],
        "manual_phrases": dataset.manual_prompts and [phrase.model_dump() for phrase in dataset.manual_prompts],
        "detections_per_image": dataset.detections_per_image,
        "archives": [{key: archive[key] for key in ("filename", "size", "sha256")} for archive in fetched["archives"]],
        "tree": fetched["tree"],
    }


def _write_splits(dataset: Dataset, source: str, folder: Path, documents: dict[str, dict]) -> dict[str, dict]:
    """Write `<split>.json` for each document; returns the manifest's entry of each."""
    written = {}
    for split, document in documents.items():
        path = folder / f"{split}.json"
        info = {"dataset": dataset.id, "source": source, "split": split}
        write_json(path, {"info": info, **document}, indent=None)
        written[split] = {"file": path.name, "sha256": sha256(path), **coco.counts(document)}
    return written


def _make_raw(dataset: Dataset, spec: Source, raw: Path, fetched: dict) -> None:
    """Make `raw`: a link to the mirror's tree, or the archives unpacked (again only if they changed)."""
    folder = raw.parent
    if fetched["tree"]:
        _link_raw(raw, dataset, fetched["tree"])
        return
    recipe = {"archives": fetched["archives"], "layout": [[archive.strip, archive.into] for archive in spec.archives]}
    if not raw.is_symlink() and (raw / UNPACKED).is_file() and read_json(raw / UNPACKED) == recipe:
        return
    for record in fetched["archives"]:
        assert_unchanged(folder / "archives" / record["filename"], dataset_id=dataset.id, found=record)
    with replacing_directory(raw) as temporary:
        for archive in spec.archives:
            target = temporary / (archive.into or ".")
            target.mkdir(parents=True, exist_ok=True)
            unpack(folder / "archives" / archive.filename, target, dataset_id=dataset.id, strip=archive.strip)
        write_json(temporary / UNPACKED, recipe)


def _link_raw(raw: Path, dataset: Dataset, fetched: dict) -> None:
    """Link `raw` to the tree that was `fetched`; ConesError if its files have changed since."""
    folder, tree = raw.parent, raw.parent / "tree"
    if not tree.is_dir():
        raise ConesError(
            "the mirror's tree is gone",
            where=f"dataset {dataset.id}: {tree}",
            next_step=f"mount the mirror, or delete {folder} and run again: it is fetched anew",
        )
    if (description := describe(tree)) != {key: fetched[key] for key in description}:
        raise ConesError(
            "files changed after they were fetched",
            where=f"dataset {dataset.id}: {tree.resolve()}",
            expected=f"{fetched['files']} files, listing {fetched['listing_sha256']}",
            found=f"{description['files']} files, listing {description['listing_sha256']}",
            next_step=f"fetch them again: run the same command again, or python -m cones fetch --dataset {dataset.id}",
        )
    if raw.is_dir() and not raw.is_symlink():
        shutil.rmtree(raw)  # unpacked from an earlier fetch
    temporary = folder / f".raw.link-{os.getpid()}"
    temporary.unlink(missing_ok=True)
    os.symlink("tree", temporary)
    os.replace(temporary, raw)


def _assert_boxes(dataset: Dataset, spec: Source, validated: coco.ValidatedDataset) -> None:
    boxes = sum(map(len, validated.annotations.values()))
    if spec.expected and spec.expected.boxes is not None and boxes != spec.expected.boxes:
        raise ConesError(
            "the number of usable boxes is wrong",
            where=f"dataset {dataset.id}",
            expected=spec.expected.boxes,
            found=f"{boxes} of {validated.report.listed} listed",
            next_step="the files are incomplete or of another version: complete them, or correct `expected.boxes` of "
            f"this source in {dataset.registry}",
        )
