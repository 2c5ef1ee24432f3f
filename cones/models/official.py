"""Official checkpoints: fetched or found where a person put them, verified, and never believed without it."""

from collections.abc import Iterable
from pathlib import Path

from cones.artifacts import write_json
from cones.config import Suite
from cones.data.checksums import WrongFile, inspect, trust_on_first_use
from cones.data.providers import Providers
from cones.data.registry import Archive
from cones.data.transfer import Unavailable, transfer
from cones.errors import ConesError, closest
from cones.miniature.pretrained import shipped
from cones.models.family import FAMILIES, family_of
from cones.progress import log
from cones.strict import parse, read_yaml

LIST = Path(__file__).with_suffix(".yaml")


def official_lists() -> list[Path]:
    """The files that list official files: what several families share, and each family's own."""
    return [LIST, *(entry.official_list for entry in FAMILIES.values() if entry.official_list)]


def official_files() -> dict[str, Archive]:
    """{model or vocabulary: its file}."""
    listed = ((path, name, value) for path in official_lists() for name, value in read_yaml(path).items())
    return {name: parse(Archive, value, where=f"{path}: {name}") for path, name, value in listed}


def needed(suite: Suite, models: Iterable[str]) -> list[str]:
    """Official files behind models of a suite: those that neither start at random nor ship, and their vocabularies."""
    files = [name for name in models if suite.models[name].initial_seed is None and not shipped(name)]
    vocabularies = dict.fromkeys(family_of(name).vocabulary for name in files)
    return [*files, *filter(None, vocabularies)]


def fetch_official(
    name: str, folder: Path, *, mirror: Path | None = None, providers: Providers | None = None, attempts: int = 3
) -> dict:
    """Make `<folder>/<file>` be there and verified, and say so in `<folder>/<name>.json`, written last.

    A file that a person put there, or into `<mirror>/checkpoints/`, is taken if it passes; otherwise it is downloaded.
    Returns the record `{file, size, sha256, url}`. Raises ConesError with what was expected, found and can be done.
    """
    files = official_files()
    if name not in files:
        raise ConesError(
            f'no official checkpoint "{name}" is known', where="checkpoint", next_step=closest(name, files)
        )
    archive, target = files[name], folder / files[name].filename
    folder.mkdir(parents=True, exist_ok=True)
    given = mirror / "checkpoints" / archive.filename if mirror else None
    if given and given.exists() and not target.exists():
        target.symlink_to(given.resolve())

    def verify(path: Path, published: dict | None = None) -> dict:
        found = inspect(path, archive, published)
        trust_on_first_use(data_dir=folder, source="official", dataset_id=name, archive=archive, found=found)
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
            next_step=f"get it from {archive.urls[0]} and place it there, then run the same command again",
        ) from None
    result = {"file": archive.filename, "size": record["size"], "sha256": record["sha256"], "url": url}
    write_json(folder / f"{name}.json", result)
    log.info("%s: verified, sha256 %s", target, record["sha256"])
    return result
