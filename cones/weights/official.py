"""Official checkpoints: fetched or found where a person put them, verified, and never believed without it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cones.data.checksums import WrongFile, inspect, trust_on_first_use
from cones.data.providers import Providers
from cones.data.registry import Archive
from cones.data.transfer import Unavailable, transfer
from cones.models.family import FAMILIES, family_of
from cones.runtime.artifacts import write_json
from cones.runtime.errors import ConesError, closest
from cones.runtime.progress import log
from cones.runtime.strict import parse, read_yaml
from cones.weights.shipped import shipped

if TYPE_CHECKING:
    from cones.experiment.suite import Suite

LIST = Path(__file__).with_suffix(".yaml")
HUB = re.compile(r"https://huggingface\.co/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
SHARED_FOLDER = re.compile(r"https://[\w-]+\.sharepoint\.com/:f:/.+")
HUB_WEIGHTS = "model.safetensors"  # the file of weights in a directory of the hub's layout


def official_lists() -> list[Path]:
    """The files that list official files: what several families share, and each family's own."""
    return [LIST, *(entry.official_list for entry in FAMILIES.values() if entry.official_list)]


def official_files() -> dict[str, Archive]:
    """{model or vocabulary: its file}."""
    listed = ((path, name, value) for path in official_lists() for name, value in read_yaml(path).items())
    return {name: parse(Archive, value, where=f"{path}: {name}") for path, name, value in listed}


def needed(suite: Suite, models: Iterable[str]) -> list[str]:
    """Official files behind models of a suite: those that neither start at random nor ship, and their vocabularies.

    ConesError for a model that has no weights at all.
    """
    files = [name for name in models if suite.all_models[name].initial_seed is None and not shipped(name)]
    published = official_files() if files else {}  # read for those alone that need it
    if unknown := [name for name in files if name not in published]:
        raise ConesError(
            "no weights of this model ship with the project, and none are published",
            where=f"{suite.suite}: models.{unknown[0]}",
            next_step=f"set `initial_seed: 0` there to start at random, or take {unknown[0]} out of the grids",
        )
    vocabularies = dict.fromkeys(family_of(name).vocabulary for name in files)
    return [*files, *filter(None, vocabularies)]


def fetch_official(
    name: str,
    folder: Path,
    *,
    mirror: Path | None = None,
    providers: Providers | None = None,
    attempts: int = 3,
    environment: Mapping[str, str] = os.environ,
) -> dict:
    """Make `<folder>/<file>` be there and verified, and say so in `<folder>/<name>.json`, written last.

    A file that a person put there or into `<mirror>/checkpoints/`, or that the hub's cache holds at the listed
    revision, is taken if it passes; otherwise it is downloaded. What the environment variable `CONES_<NAME>` names
    comes before all of these and need not be the published file (see `given_weights`).
    Returns the record `{file, size, sha256, url}`. Raises ConesError with what was expected, found and can be done.
    """
    files = official_files()
    if name not in files:
        raise ConesError(
            f'no official checkpoint "{name}" is known', where="checkpoint", next_step=closest(name, files)
        )
    archive, source = files[name], "official"
    folder.mkdir(parents=True, exist_ok=True)
    if given := given_weights(name, environment):
        archive, source = Archive(filename=f"{name}.own{given.suffix}"), variable_of(name)
        (folder / archive.filename).unlink(missing_ok=True)
    target = folder / archive.filename
    if not target.exists() and (found := given or _placed_file(archive, mirror) or cached_on_this_machine(archive)):
        target.unlink(missing_ok=True)  # a link whose file is gone
        target.symlink_to(found.resolve())

    def verify(path: Path, published: dict | None = None) -> dict:
        found = inspect(path, archive, published)
        trust_on_first_use(data_dir=folder, source=source, dataset_id=name, archive=archive, found=found)
        return found

    url = None
    try:
        if target.exists():
            record = verify(target)
        else:
            record = {}
            url = transfer(
                archive.urls,
                target,
                check=lambda path, published: record.update(verify(path, published)),
                providers=providers or Providers(),
                is_pinned=archive.is_pinned,
                attempts=attempts,
            )
    except (WrongFile, Unavailable) as error:
        raise ConesError(
            f"{archive.filename} {'is not the official file' if target.exists() else 'cannot be had'}",
            where=f"checkpoint {name}: {target}",
            found=error,
            next_step=f"give {source} another file" if given else _how_to_place(name, archive),
        ) from None
    result = {"file": archive.filename, "size": record["size"], "sha256": record["sha256"], "url": url}
    write_json(folder / f"{name}.json", result)
    log.info("%s: verified, sha256 %s", target, record["sha256"])
    return result


def why_by_hand(name: str, archive: Archive) -> str | None:
    """Why only a person can get a file, and what to do; None if it can be downloaded."""
    if archive.urls and not all(map(SHARED_FOLDER.fullmatch, archive.urls)):
        return None
    where = f"in a shared folder that only a browser opens: {archive.urls[0]}" if archive.urls else "at no address"
    return f"{where}; save it as checkpoints/official/{archive.filename}, or set {variable_of(name)} to it"


def variable_of(name: str) -> str:
    """The environment variable that names a person's own weights of a model: "gdino_t" -> "CONES_GDINO_T"."""
    return "CONES_" + re.sub(r"\W", "_", name).upper()


def given_weights(name: str, environment: Mapping[str, str] = os.environ) -> Path | None:
    """What the model's environment variable names: a file, or a directory as the hub and `save_pretrained` have it.

    It may be a fine-tune of one's own: it is not held against the published checksum, but remembered when first seen.
    None if the variable is not set.
    """
    variable = variable_of(name)
    if not (value := environment.get(variable)):
        return None
    path = Path(value)
    if path.is_dir() and (path / HUB_WEIGHTS).is_file():
        return path / HUB_WEIGHTS
    if path.is_file():
        return path
    there = sorted(each.name for each in path.iterdir())[:5] if path.is_dir() else "nothing there"
    raise ConesError(
        f"{variable} names no weights of {name}",
        where=path,
        expected=f"a file, or a directory with {HUB_WEIGHTS}",
        found=there,
        next_step=f"save it as one safetensors file, or unset {variable}",
    )


def cached_on_this_machine(archive: Archive) -> Path | None:
    """A file of the hub that its cache holds at the revision of the archive's address, or None."""
    for address in filter(None, map(HUB.fullmatch, archive.urls)):
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(address["repo"], address["file"], revision=address["revision"])
        if isinstance(found, str):
            log.info("%s: from the hub's cache", archive.filename)
            return Path(found)
    return None


def _how_to_place(name: str, archive: Archive) -> str:
    get = f"get it from {archive.urls[0]} and" if archive.urls else "get it from its authors and"
    return f"{get} place it there, or set {variable_of(name)} to it, then run the same command again"


def _placed_file(archive: Archive, mirror: Path | None) -> Path | None:
    """The file in the checkpoints of a mirror, or None."""
    path = mirror / "checkpoints" / archive.filename if mirror else None
    return path if path and path.exists() else None
