"""Pretrained model directories, found without guessing: a path, an environment variable, the hub's cache, a download.

`HF_HUB_OFFLINE` is read when huggingface_hub is imported; here every look-up but an allowed download is local anyway.
"""

import functools
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from cones.runtime.artifacts import read_json, sha256, write_json
from cones.runtime.errors import ConesError, closest
from cones.runtime.progress import log
from cones.runtime.strict import Strict, parse, read_yaml

LIST = Path(__file__).with_suffix(".yaml")
RECORDS = Path("checkpoints/pretrained")
WEIGHTS = (".safetensors", ".bin", ".pth", ".ckpt")
DESCRIPTIONS = {  # what shows that a part is there; "." is a model that is the directory itself
    "scheduler": "scheduler_config.json",
    "tokenizer": "tokenizer_config.json",
}


class Entry(Strict):
    """One model of the list: parts are sub-directories with their size in GB. `pickled`: `pytorch_model.bin` will do
    too (transformers opens it with `weights_only`), for a repository that has no safetensors at the pinned commit."""

    repo: str
    revision: str | None = None
    env: str
    parts: dict[str, float]
    parts_text: dict[str, float] = Field(default_factory=dict)
    licence: str
    pickled: bool = False

    @property
    def weights(self) -> tuple[str, ...]:
        return ("*.safetensors", "pytorch_model.bin") if self.pickled else ("*.safetensors",)


@dataclass(frozen=True)
class Resolved:
    """A directory that holds all parts asked for; `origin` is "path", the variable's name, "cache" or "download"."""

    directory: Path
    origin: str
    revision: str | None

    @functools.cached_property
    def lock(self) -> dict:
        """What a result cites: how the directory was found, and size and sha256 of each file of weights."""
        return {
            "origin": self.origin,
            "revision": self.revision,
            "files": {
                path.relative_to(self.directory).as_posix(): {"size": path.stat().st_size, "sha256": sha256(path)}
                for path in weight_files(self.directory)
            },
        }


@dataclass(frozen=True)
class Recorded:
    """A directory that was found, as its record says: what every later step reads, without looking or hashing again."""

    directory: Path
    lock: dict

    @classmethod
    def read(cls, name: str, *, parts: Iterable[str] = ()) -> "Recorded":
        """Of a model found before. A file of `parts` that is gone, or of another size than recorded, is refused."""
        content = read_json(record_file(name))
        directory = Path(content.pop("directory"))
        for file, known in content["files"].items():
            path = directory / file
            if file.startswith(tuple(f"{part}/" for part in parts)) and (
                not path.is_file() or path.stat().st_size != known["size"]
            ):
                raise ConesError(
                    "the file is gone or has changed since the model was found",
                    where=path,
                    expected=f"{known['size']} bytes",
                    found=f"{path.stat().st_size} bytes" if path.is_file() else "no file",
                    next_step=f"python -m cones generation find {name}",
                )
        return cls(directory, content)


def weight_files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.suffix in WEIGHTS)


def record_file(name: str) -> Path:
    return RECORDS / f"{name}.json"


def write_record(name: str, found: Resolved) -> None:
    write_json(record_file(name), {"directory": os.path.relpath(found.directory), **found.lock})


def pretrained_models() -> dict[str, Entry]:
    return {name: parse(Entry, value, where=f"{LIST.name}: {name}") for name, value in read_yaml(LIST).items()}


def resolve(
    name: str,
    *,
    text: bool = False,
    path: str | Path | None = None,
    allow_download: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> Resolved:
    """The directory of a listed model with its parts, and with `text` its text encoder and tokenizer too.

    In this order: `path`, the entry's environment variable, the hub's cache at the pinned revision, a download if it is
    allowed (docs/spec/generation.md E). A path that lacks a part is a fault, never a reason to look on.
    """
    entries = pretrained_models()
    if name not in entries:
        raise ConesError(f'there is no pretrained model "{name}"', where=LIST.name, next_step=closest(name, entries))
    entry = entries[name]
    wanted = {**entry.parts, **(entry.parts_text if text else {})}
    for given, origin in ((path, "path"), (environment.get(entry.env), entry.env)):
        if given:
            return Resolved(_complete(Path(given), entry, wanted, f"{name}, from {origin}"), origin, None)
    if cached := _snapshot(entry, wanted, local=True):
        return Resolved(_complete(cached, entry, wanted, f"{name}, from the cache"), "cache", cached.name)
    if allow_download:
        log.info("%s: downloading %s at %s", name, entry.repo, entry.revision or "its newest revision")
        loaded = _snapshot(entry, wanted, local=False)
        return Resolved(_complete(loaded, entry, wanted, f"{name}, downloaded"), "download", loaded.name)
    sizes = ", ".join(f"{part} ({size:.2f} GB)" if size else part for part, size in wanted.items())
    raise ConesError(
        "the pretrained model is not here",
        where=name,
        expected=f"{entry.repo} at {entry.revision or 'any revision'} with {sizes}",
        next_step=f"set {entry.env} to a directory with these parts, or fill the hub's cache, or allow the download",
    )


def _complete(directory: Path, entry: Entry, wanted: Mapping[str, float], where: str) -> Path:
    missing = []
    for part in wanted:
        folder, description = directory / part, DESCRIPTIONS.get(part, "config.json")
        if not (folder / description).is_file():
            missing.append((Path(part) / description).as_posix())
        elif part not in DESCRIPTIONS and not any(any(folder.glob(pattern)) for pattern in entry.weights):
            missing.append((Path(part) / entry.weights[0]).as_posix())
    if missing:
        raise ConesError(
            f"{where}: the directory lacks {', '.join(missing)}",
            where=directory,
            next_step="complete it; pickled weights are not read, convert them to safetensors",
        )
    return directory


def _snapshot(entry: Entry, wanted: Mapping[str, float], *, local: bool) -> Path | None:
    """The hub's directory of this revision, or None when it is to be local and is not."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    kinds = ("*.json", "*.txt", *entry.weights)
    inside = [kind if part == "." else f"{part}/{kind}" for part in wanted for kind in kinds]
    try:
        found = snapshot_download(
            entry.repo,
            revision=entry.revision,
            local_files_only=local,
            allow_patterns=inside,
            ignore_patterns=["*.fp16.*", "*non_ema*"],
        )
        return Path(found)
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError) as error:
        if local:
            return None
        raise ConesError(
            "the download failed",
            where=entry.repo,
            found=str(error).splitlines()[0],
            next_step=f"try again, or set {entry.env} to a local directory",
        ) from error
