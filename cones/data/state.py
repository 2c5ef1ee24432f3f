"""The state of a dataset in one or two words, from the files on disk, without network access."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cones.data import manual
from cones.data.download import USABLE, dataset_dir, mirror_root, own_folder, unpacked_tree
from cones.data.providers import Providers
from cones.data.registry import DRAWN, Dataset
from cones.runtime.artifacts import read_json
from cones.runtime.errors import ConesError

WORDS = {
    "needs_kaggle_token": "needs token",
    "needs_login": "needs login",
    "needs_request": "needs form",
    "needs_a_copy": "needs a copy",
}


class State(NamedTuple):
    """The state of a dataset.

    word    ready, fetched, placed, to fetch, to draw, needs token …
    reason  more about it, or None
    """

    word: str
    reason: str | None = None


def state(
    dataset: Dataset,
    source: str,
    data_dir: str | Path,
    *,
    mirror: str | Path | None = None,
    providers: Providers | None = None,
) -> State:
    """`ready` once prepared, `fetched` once its files are verified; before that what the next fetch would do."""
    if source not in dataset.sources:
        return State("no files", f"the registry has no source {source}")
    spec, folder = dataset.source(source), dataset_dir(data_dir, source, dataset.id)
    if (_status(folder / "manifest.json")) == "ready":
        return State("ready")
    if _status(folder / "fetch.json") in USABLE:
        return State("fetched")
    if own := own_folder(spec):
        return State("placed") if own.is_dir() else State("no folder", f"{spec.folder} is not there")
    drop = mirror_root(source, Path(data_dir), mirror) / dataset.original
    missing = [archive for archive in spec.archives if not (drop / archive.filename).is_file()]
    if not missing or unpacked_tree(drop, spec):
        return State("drawn" if source == DRAWN else "placed")
    if source == DRAWN:
        return State("to draw")
    names = ", ".join(archive.filename for archive in missing)
    if mirror is not None:
        return State("not there", f"the mirror has no {names}")
    providers = providers or Providers()
    needed = next(filter(None, (providers.missing(archive.urls) for archive in missing)), None)
    if manual.only_by_hand(dataset, missing):
        return State(WORDS[manual.STATUS[dataset.access]], f"{manual.WHY[dataset.access]}: {names}")
    return State(WORDS[needed.status], needed.how) if needed else State("to fetch")


def stored_bytes(dataset: Dataset, source: str, data_dir: str | Path) -> int | None:
    """The size of its archives: as fetched, else as the registry knows them; None if one is unknown."""
    if source not in dataset.sources:
        return None
    fetched = _content(dataset_dir(data_dir, source, dataset.id) / "fetch.json")
    if fetched.get("status") in USABLE:
        return fetched["tree"]["bytes"] if fetched["tree"] else sum(archive["size"] for archive in fetched["archives"])
    sizes = [archive.size for archive in dataset.source(source).archives]
    return sum(sizes) if sizes and all(sizes) else None


class Waiting(NamedTuple):
    """A dataset whose files did not come: `status` of the skip, or "failed"; what to do, in one line."""

    dataset: str
    status: str
    what: str


def waiting(registry: dict[str, Dataset], datasets: Sequence[str], source: str, data_dir: str | Path) -> list[Waiting]:
    """The datasets that still need a person after a run of `fetch`, in the suite's order."""
    result = []
    for name in datasets:
        fetched = _content(dataset_dir(data_dir, source, name) / "fetch.json")
        if fetched.get("status") in USABLE:
            continue
        if todo := fetched.get("manual"):
            automatic = f"; or {todo['or_automatic']}" if todo.get("or_automatic") else ""
            what = f"get {', '.join(todo['what_to_get'])} from {todo['where']} into {todo['put_it_here']}/{automatic}"
            result.append(Waiting(name, fetched["status"], what))
        elif error := _last_error(Path("logs") / "data" / source / name / "fetch.log"):
            result.append(Waiting(name, "failed", error))
    return result


def _last_error(log: Path) -> str | None:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return next((line.removeprefix("error: ") for line in reversed(lines) if line.startswith("error: ")), None)


def _status(path: Path) -> str | None:
    return _content(path).get("status")


def _content(path: Path) -> dict:
    try:
        return read_json(path)
    except ConesError:
        return {}
