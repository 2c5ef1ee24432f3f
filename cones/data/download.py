"""Fetch a dataset: verified archives from a mirror folder or the network, recorded in `fetch.json`."""

import logging
import os
from pathlib import Path

from cones.data import manual
from cones.data.checksums import WrongFile, inspect, trust_on_first_use
from cones.data.providers import Providers
from cones.data.registry import DRAWN, Archive, Dataset, Source
from cones.data.transfer import ATTEMPTS, BACKOFF_SECONDS, Unavailable, transfer
from cones.data.trees import describe
from cones.runtime.artifacts import write_json
from cones.runtime.errors import ConesError

USABLE = ("ready", "downloaded_unverified")  # statuses of fetch.json of datasets whose files are here
log = logging.getLogger(__name__)


def dataset_dir(data_dir: str | Path, source: str, dataset_id: str) -> Path:
    """`<data_dir>/<source>/<dataset id>`: everything that belongs to one dataset of one source."""
    return Path(data_dir) / source / dataset_id


def miniature_mirror(data_dir: str | Path) -> Path:
    """The folder of drawn archives: `<data_dir>/miniature/mirror`."""
    return Path(data_dir) / DRAWN / "mirror"


def fetch(
    dataset: Dataset,
    source: str,
    data_dir: str | Path,
    *,
    mirror: str | Path | None = None,
    providers: Providers | None = None,
    attempts: int = ATTEMPTS,
    backoff: float = BACKOFF_SECONDS,
) -> dict:
    """Make the files of one dataset available and write (and return) `<dataset dir>/fetch.json`, last.

    A source's `folder` is used as it is. Otherwise files come from `<mirror>/<dataset id>/`, which holds either the
    registry's archives or the unpacked tree. A mirror given by the user replaces the network; without one,
    `<data_dir>/drop/` is looked at first, then what an earlier run fetched, then the addresses. The miniature's mirror
    is where it is drawn. Archives end as `archives/<filename>` (mirrored ones as links), a tree as the link `tree`.

    A dataset that needs a person (a form, a token or login not given) and has no file yet is a declared skip: its block
    is printed and fetch.json says so. Anything else that is missing, dead or wrong raises ConesError and leaves nothing
    new visible.
    """
    data_dir, spec, providers = Path(data_dir), dataset.source(source), providers or Providers()
    folder = dataset_dir(data_dir, source, dataset.id)
    drop_dir = mirror_root(source, data_dir, mirror) / dataset.original
    jobs = [_Job(dataset, source, archive, data_dir, drop_dir, folder / "archives") for archive in spec.archives]
    if tree := _existing_folder(dataset, own) if (own := own_folder(spec)) else unpacked_tree(drop_dir, spec):
        result = _ready(dataset, source, archives=[], tree=_link_tree(tree, folder, data_dir, spec))
    else:
        records = [job.at_hand() for job in jobs]
        missing = [job.archive for job, record in zip(jobs, records) if record is None]
        if missing and (source == DRAWN or (mirror is not None and not manual.is_manual(dataset))):
            raise _not_in_mirror(dataset, source, drop_dir, [archive.filename for archive in missing])
        wanted = [] if mirror is not None else missing  # a mirror replaces the network
        credentials = next(filter(None, (providers.missing(archive.urls) for archive in wanted)), None)
        if missing and (mirror is not None or credentials or manual.only_by_hand(dataset, missing)):
            names = [archive.filename for archive in missing]
            result = manual.declared_skip(
                dataset=dataset, source=source, drop_dir=drop_dir, missing=names, credentials=credentials
            )
            print(manual.message(result), flush=True)
        else:
            archives = [record or job.download(providers, attempts, backoff) for job, record in zip(jobs, records)]
            (folder / "tree").unlink(missing_ok=True)
            result = _ready(dataset, source, archives=archives, tree=None)
    write_json(folder / "fetch.json", result)
    return result


class _Job:
    """The fetching of one archive to `target`."""

    def __init__(
        self, dataset: Dataset, source: str, archive: Archive, data_dir: Path, drop_dir: Path, folder: Path
    ) -> None:
        self.dataset, self.source, self.archive = dataset, source, archive
        self.data_dir, self.drop_dir, self.target = data_dir, drop_dir, folder / archive.filename

    def at_hand(self) -> dict | None:
        """The archive's record if it lies in the mirror (then verified and linked) or was fetched before; else None."""
        if (self.drop_dir / self.archive.filename).is_file():
            return self._link()
        if self.target.is_file() and not self.target.is_symlink():
            try:
                return self._record(self._verify(self.target), next(iter(self.archive.urls), None))
            except WrongFile:
                log.warning("%s does not verify and is fetched again", self.target)
        return None

    def _link(self) -> dict:
        """Verify the mirror's archive and link it; nothing is copied."""
        path = self.drop_dir / self.archive.filename
        try:
            checked = self._verify(path)
        except WrongFile as error:
            raise ConesError(
                error.what,
                where=f"dataset {self.dataset.id}: {path}",
                expected=error.expected,
                found=error.found,
                next_step="replace this file by the genuine one, or correct its checksum in datasets.yaml",
            ) from None
        _symlink(path, self.target, self.data_dir)
        return self._record(checked, f"mirror:{self.archive.filename}")

    def download(self, providers: Providers, attempts: int, backoff: float) -> dict:
        if not self.archive.urls:
            raise self._fault("no address is known for this file", expected=self.archive.filename)
        log.info("dataset %s: fetching %s", self.dataset.id, self.archive.filename)
        verified = {}
        try:
            url = transfer(
                self.archive.urls,
                self.target,
                check=lambda path, published: verified.update(self._verify(path, published)),
                providers=providers,
                is_pinned=self.archive.is_pinned,
                attempts=attempts,
                backoff=backoff,
            )
        except Unavailable as error:
            what = "cannot be reached (offline?)" if error.offline else "cannot be downloaded"
            raise self._fault(f"{self.archive.filename} {what}", found=error) from None
        return self._record(verified, url)

    def _verify(self, path: Path, published: dict | None = None) -> dict:
        checked = inspect(path, self.archive, published)
        trust_on_first_use(
            data_dir=self.data_dir,
            source=self.source,
            dataset_id=self.dataset.id,
            archive=self.archive,
            found=checked,
        )
        return checked

    def _record(self, checked: dict, url: str | None) -> dict:
        return {**checked, "url": url, "pinned": self.archive.is_pinned}

    def _fault(self, what: str, **details: object) -> ConesError:
        return ConesError(
            what,
            where=f"dataset {self.dataset.id}",
            next_step=f"try again later, or get the file from {self.dataset.home} and place it at "
            f"{self.drop_dir / self.archive.filename}",
            **details,
        )


def mirror_root(source: str, data_dir: Path, mirror: str | Path | None) -> Path:
    if source == DRAWN:
        return Path(mirror) if mirror is not None else miniature_mirror(data_dir)
    return Path(mirror) if mirror is not None else data_dir / "drop"


def _ready(dataset: Dataset, source: str, *, archives: list[dict], tree: dict | None) -> dict:
    unverified = source != DRAWN and not all(archive["pinned"] for archive in archives)
    return {
        "version": 2,
        "dataset": dataset.id,
        "source": source,
        "status": "downloaded_unverified" if unverified else "ready",
        "reason": "no checksum is published; trusted on first use" if unverified else None,
        "archives": archives,
        "tree": tree,
        "manual": None,
    }


def _not_in_mirror(dataset: Dataset, source: str, drop_dir: Path, missing: list[str]) -> ConesError:
    present = sorted(entry.name for entry in drop_dir.iterdir()) if drop_dir.is_dir() else None
    drawn = f"draw it first: python -m cones draw --dataset {dataset.id}"
    placed = f"place {', '.join(missing)} there, or the unpacked files, or configure no mirror to download"
    return ConesError(
        f"the mirror has no {', '.join(missing)}",
        where=f"dataset {dataset.id}: {drop_dir}",
        expected="the archives of datasets.yaml, or the unpacked tree",
        found="no such folder" if present is None else ", ".join(present[:8]) or "an empty folder",
        next_step=drawn if source == DRAWN else placed,
    )


def own_folder(spec: Source) -> Path | None:
    """The `folder` of a source, `~` and environment variables filled in."""
    return Path(os.path.expandvars(spec.folder)).expanduser() if spec.folder else None


def _existing_folder(dataset: Dataset, folder: Path) -> Path:
    if folder.is_dir():
        return folder
    raise ConesError(
        "the folder is not there",
        where=f"dataset {dataset.id}: {folder}",
        found="a file" if folder.exists() else "nothing",
        next_step="correct `folder` in the registry, or set the variable it names; a relative path starts where you "
        "run the command",
    )


def unpacked_tree(drop_dir: Path, spec: Source) -> Path | None:
    """The unpacked tree in a drop folder, or the folder in it that `strip` names; None if archives lie there.

    A loose file of the registry, such as a CSV, is part of the tree.
    """
    packed = [archive for archive in spec.archives if archive.is_packed]
    if not drop_dir.is_dir() or any((drop_dir / archive.filename).is_file() for archive in packed):
        return None
    entries = [entry for entry in drop_dir.iterdir() if not entry.name.startswith(".")]
    if not any(entry.is_dir() for entry in entries):
        return None  # loose files, for instance an archive under another name
    for archive in spec.archives:
        if archive.strip and (drop_dir / archive.strip).is_dir():
            return drop_dir / archive.strip
    return drop_dir


def _link_tree(tree: Path, folder: Path, data_dir: Path, spec: Source) -> dict:
    """Link `<dataset dir>/tree` and describe what is in it."""
    _symlink(tree, folder / "tree", data_dir)
    return {"kind": "folder" if spec.folder else "mirror", **describe(tree)}


def _symlink(path: Path, link: Path, data_dir: Path) -> None:
    """Point `link` at `path`, relatively if both lie in the data folder, so that the folder can be moved."""
    path, inside = path.resolve(), data_dir.resolve()
    link.parent.mkdir(parents=True, exist_ok=True)
    target = os.path.relpath(path, link.parent.resolve()) if path.is_relative_to(inside) else path
    temporary = link.with_name(f".{link.name}.link-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    os.symlink(target, temporary)
    os.replace(temporary, link)
