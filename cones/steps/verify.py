"""Step `verify`: check a finished tree again, without a model, and name every fault and every stale result."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cones.data.classification import read_items
from cones.data.labelled import content_digest, pictures_digest
from cones.data.task_rules import DENSE, LABELLED
from cones.evaluation.classification_metrics import read_classification_metrics
from cones.evaluation.elsewhere import read_elsewhere
from cones.evaluation.generation_metrics import read_generation_metrics
from cones.evaluation.metrics import read_metrics
from cones.evaluation.predictions import read_predictions
from cones.experiment.cell import Cell
from cones.experiment.classification import Setting
from cones.experiment.outputs import GENERATION, OUTPUTS, Output, classification_grids
from cones.outputs import classified
from cones.outputs.analysis.embeddings import Embeddings
from cones.outputs.cells import ALL_LOSSES, ExpectedCell, cells_csv, collect_cells
from cones.outputs.classified import KEYS, ClassifiedCell, cells_table, read_cells_table
from cones.outputs.files import Row, cells_file, read_csv, to_csv
from cones.outputs.reads.scores import read_tables
from cones.runtime.artifacts import check_sha256, read_json, sha256
from cones.runtime.errors import ConesError
from cones.runtime.progress import watched
from cones.runtime.temporary import left_over
from cones.runtime.verification import Digests, faults_of_cell, inputs_of
from cones.steps.stale_cells import StaleCells, stale_cells

GENERATED, CLASSIFIED = "tracks", "targets"  # only the metrics of generation, and of classification, have this key


@dataclass
class Found:
    """The counts of what was checked, and the faults."""

    cells: int = 0
    datasets: int = 0
    tables: int = 0
    absent: set[Path] = field(default_factory=set)  # inputs that are not on this machine: not compared
    left: list[Path] = field(default_factory=list)  # what killed processes were writing; nothing reads it
    faults: list[ConesError] = field(default_factory=list)
    stale: StaleCells = field(default_factory=StaleCells)  # whole, but not what would be made now; no faults

    def __str__(self) -> str:
        counts = ((self.cells, "cell"), (self.datasets, "dataset"), (self.tables, "table"))
        return ", ".join(f"{count} {what}{'s' * (count != 1)}" for count, what in counts)


def verify(root: Path) -> Found:
    """Check everything below `root`: `results`, a suite's folder or a cell's.

    Of each cell: every file against the sha256 in `run.json`, its inputs where they are on this machine, schemas, and
    that the numbers stand in their place. Of each dataset the cells were made of: splits and pictures against its
    manifest. Of each grid: the list of its cells, made again from these, and the tables that are there, made again from
    the list. Cells without a fault are compared with the config as well, where it is. ConesError if there is nothing to
    check.
    """
    result, digest = Found(), Digests(states=True)
    whole = []
    folders = sorted({path.parent for name in ("metrics.json", "run.json") for path in root.rglob(name)})
    for folder in watched(folders, label="cells"):
        result.cells += 1
        faults = [*faults_of_cell(folder, digest), *_faults(_check_content, folder)]
        result.faults += faults
        whole += [] if faults else [folder]
    result.stale = stale_cells(whole)
    for path in sorted(_inputs(folders)):
        if not path.exists():
            result.absent.add(path)
        elif path.name == "manifest.json":
            result.datasets += 1
            result.faults += _faults(_check_dataset, path)
    for folder in sorted({path.parent for path in root.rglob(cells_file("*"))}):
        for cells in filter(_is_of_scores, sorted(folder.glob(cells_file("*")))):
            result.tables += 1
            result.faults += _faults(_check_cells, cells)
        for output in OUTPUTS.values():
            if output.reads == "scores" and (table := folder / f"{output.name}.csv").exists():
                result.tables += 1
                result.faults += _faults(_check_table, table, output)
            if output.reads == "classification" and (table := folder / f"{output.name}.csv").exists():
                result.tables += 1
                result.faults += _faults(_check_survey, table, output)
    result.left = sorted(path for folder, _, _ in os.walk(root) for path in left_over(Path(folder)))
    if not folders and not result.tables:
        raise ConesError("there is no cell and no table", where=root, next_step="name a folder such as results/ci")
    result.faults += [fault for copy in sorted(root.glob("*.csv")) for fault in _faults(_check_copy, copy)]
    return result


def _faults(check, *arguments) -> Iterator[ConesError]:
    try:
        check(*arguments)
    except ConesError as fault:
        yield fault


def _inputs(folders: list[Path]) -> set[Path]:
    paths: set[Path] = set()
    for folder in folders:
        with contextlib.suppress(ConesError):  # already listed as a fault of the cell
            paths |= inputs_of(folder).keys()
    return paths


def _check_content(folder: Path) -> None:
    """Check the schemas of a cell's files, and that the cell lies in its own folder."""
    metrics = folder / "metrics.json"
    content = read_json(metrics)
    is_drawn = isinstance(content, dict) and GENERATED in content
    is_classified = isinstance(content, dict) and CLASSIFIED in content
    read = read_generation_metrics if is_drawn else read_classification_metrics if is_classified else read_metrics
    cell = read(metrics).cell
    here, recorded = folder.parts[-5:], (cell.suite, cell.model, cell.dataset, cell.arm, f"seed{cell.seed}")
    if here != recorded[-len(here) :]:
        raise ConesError(
            "lies in the place of another cell",
            where=metrics,
            expected="/".join(recorded),
            next_step="move the folder where it belongs, or delete it and run again",
        )
    if is_drawn or is_classified:
        return
    read_predictions(folder / "predictions.json")
    state_sha256 = read_json(folder / "run.json")["sha256"]["state.safetensors"]
    if (embeddings := folder / "embeddings.safetensors").exists():
        Embeddings.load(embeddings, state_sha256=state_sha256)
    if (elsewhere := folder / "elsewhere.json").exists():
        read_elsewhere(elsewhere).check_state(state_sha256, elsewhere)


def _check_dataset(manifest: Path) -> None:
    """Check the splits of a prepared dataset and all their pictures against its manifest."""
    content, images = read_json(manifest), {}
    if content.get("task") in LABELLED:
        _check_labelled(manifest.parent, content)
        return
    for split in content["splits"].values():
        check_sha256(manifest.parent / split["file"], split["sha256"])
        images |= {image["id"]: image["file_name"] for image in read_json(manifest.parent / split["file"])["images"]}
    if "pictures_sha256" not in content:  # a dataset that was skipped
        return
    pictures = hashlib.sha256()
    for _, name in sorted(images.items()):
        path = manifest.parent / "raw" / name
        if not path.exists():
            raise ConesError("the picture is missing", where=path, next_step="prepare the dataset again")
        pictures.update(f"{name} {sha256(path)}\n".encode())
    if pictures.hexdigest() != content["pictures_sha256"]:
        raise ConesError(
            "a picture is not the one that was prepared",
            where=manifest.parent / "raw",
            expected=f"sha256 {content['pictures_sha256']} over all pictures",
            found=pictures.hexdigest(),
            next_step="delete raw/ and manifest.json and run again",
        )


def _check_labelled(folder: Path, manifest: dict) -> None:
    """Check the items of a dataset of labelled pictures, and every picture."""
    if manifest["status"] != "ready":
        return
    check_sha256(folder / manifest["items"]["file"], manifest["items"]["sha256"])
    if "pictures_sha256" not in manifest:  # a shifted copy, whose pictures are those of another
        return
    is_mapped = manifest["task"] == DENSE
    listed = [item for items in read_items(folder).values() for item in items]
    paths = {path for item in listed for path in (item if is_mapped else item[:1])}
    if missing := sorted(path for path in paths if not (folder / path).exists()):
        raise ConesError("the picture is missing", where=folder / missing[0], next_step="prepare the dataset again")
    found = pictures_digest({path.removeprefix("raw/"): content_digest((folder / path).read_bytes()) for path in paths})
    if found != manifest["pictures_sha256"]:
        raise ConesError(
            "a picture is not the one that was prepared",
            where=folder / "raw",
            expected=f"sha256 {manifest['pictures_sha256']} over all pictures",
            found=found,
            next_step="delete manifest.json and run again",
        )


def _is_of_scores(cells: Path) -> bool:
    """Whether a list of cells holds scores of detectors; those of generation and classification have other columns."""
    return cells.name not in map(cells_file, (GENERATION, *classification_grids()))


def _check_cells(cells: Path) -> None:
    """Compare a `<grid>_cells.csv` with one made again from the metrics of the cells that it lists."""
    suite = cells.parent
    expected = [_expected(row) for row in read_csv(cells)[1]]
    paths = {
        cell: suite / cell.model / cell.dataset / cell.arm / f"seed{cell.seed}" / "metrics.json" for cell in expected
    }
    _compare(cells, cells_csv(collect_cells(expected, paths, suite=suite.name)))


def _check_table(table: Path, output: Output) -> None:
    """Compare a table of scores with one made again from the `_cells.csv` of its grids."""
    paths = [table.with_name(cells_file(grid)) for grid in (*output.grids, *output.also)]
    cells = read_tables([path for path in paths if path.exists()])
    _compare(table, to_csv(output.load().frame(cells, suite=table.parent.name)))


def _check_survey(table: Path, output: Output) -> None:
    """Compare a table of classification, and the list of its grid's cells, with what the cells say."""
    suite = table.parent
    for grid in output.grids:
        cells, known = suite / cells_file(grid), {}
        listed = read_cells_table(cells)
        keys = listed[list(KEYS)].drop_duplicates().itertuples(index=False)
        for key in keys:
            setting = str(Setting(key.dataset, key.setting, int(key.shots)))
            cell = Cell(key.suite, key.model, setting, key.arm, int(key.seed))
            folder = suite / cell.model / cell.dataset / cell.arm / f"seed{cell.seed}"
            is_there = (folder / "metrics.json").exists() and (folder / "run.json").exists()
            metrics = read_classification_metrics(folder / "metrics.json") if is_there else None
            run = read_json(folder / "run.json") if is_there else {}
            known[cell] = ClassifiedCell(cell, key.method, metrics, run)
        _compare(cells, to_csv(cells_table(list(known.values())), classified.DECIMALS))
        _compare(table, to_csv(output.load().frame(listed, suite=suite.name), output.decimals))


def _compare(path: Path, text: str) -> None:
    if path.read_bytes() != text.encode():
        raise ConesError(
            "is not what its cells say", where=path, next_step="delete it and run again: tables are made anew"
        )


def _expected(row: Row) -> ExpectedCell:
    """The cell that a row of a `_cells.csv` stands for."""
    losses = tuple(row["losses"].split("+"))
    return ExpectedCell(
        **{key: row[key] for key in ("model", "dataset", "group", "arm", "method")},
        seed=int(row["seed"]),
        tokens_per_class=int(row["tokens_per_class"]) if row["tokens_per_class"] else None,
        losses=None if losses == ALL_LOSSES else losses,
        initial_seed=int(row["initial_seed"]) if row["initial_seed"] else None,
        block=row.get("block") or None,
        shots=int(row["shots"]) if row.get("shots") else None,
    )


def _check_copy(copy: Path) -> None:
    """Compare a table in `results/` with that of its suite, which a column names."""
    suites = {row.get("suite") for row in read_csv(copy)[1]}
    original = copy.parent / next(iter(suites), "") / copy.name if len(suites) == 1 and None not in suites else None
    if original and original.is_file() and original.read_bytes() != copy.read_bytes():
        raise ConesError(f"is not a copy of {original}", where=copy, next_step="delete it and run again")
