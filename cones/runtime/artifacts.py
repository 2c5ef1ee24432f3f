"""Atomic files, either whole or absent: each is written under a temporary name beside its place and renamed."""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from cones.runtime.errors import ConesError
from cones.runtime.temporary import temporary_beside

DIGESTS = "tensor_sha256"  # of a safetensors file's metadata: {name: sha256 of type, shape and values}

MAKE_IT = "let the workflow make it (snakemake --cores all), or run the step that does (python -m cones --help)"

# why a file cannot be written, and what a person can do
SPACE, RIGHTS = "free some space and run again", "make this folder writable, or work in another one"
CURES = {
    errno.ENOSPC: SPACE,
    errno.EDQUOT: SPACE,
    errno.EFBIG: "raise the limit on file sizes (ulimit -f) and run again",
    errno.EACCES: RIGHTS,
    errno.EPERM: RIGHTS,
    errno.EROFS: RIGHTS,
}


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary file beside `path`: on success fsynced and renamed to `path`, on error removed."""
    path = Path(path)
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_beside(path, directory=False) as temporary:
            yield temporary
            with open(temporary, "rb") as written:
                os.fsync(written.fileno())
            temporary.chmod(0o644)  # mkstemp gives 0600, which would shut out the group of a shared results folder
            os.replace(temporary, path)


@contextlib.contextmanager
def replacing_directory(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it takes the place of `path`, on error it is removed."""
    path = Path(path)
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_beside(path, directory=True) as temporary:
            temporary.chmod(0o755)
            yield temporary
            if path.is_symlink() or path.is_file():
                path.unlink()
            elif path.exists():
                shutil.rmtree(path)
            os.replace(temporary, path)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """A full disk or a folder without write permission becomes a ConesError; other errors pass."""
    try:
        yield
    except Exception as error:
        if (number := _errno(error)) not in CURES:
            raise
        raise ConesError("cannot be written", where=path, found=os.strerror(number), next_step=CURES[number]) from error


def _errno(error: BaseException | None) -> int | None:
    """The system's error number behind an exception: PyTorch hides it in the context, safetensors in the message."""
    while error is not None:
        if isinstance(error, OSError):
            return error.errno
        if match := re.search(r"\(os error (\d+)\)", str(error)):
            return int(match[1])
        error = error.__cause__ or error.__context__
    return None


def write_text(path: str | Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: object, *, indent: int | None = 2) -> None:
    """Deterministic JSON: sorted keys, no NaN or infinity (a broken number fails here, at its writer)."""
    try:
        text = json.dumps(value, indent=indent, sort_keys=True, allow_nan=False, ensure_ascii=False)
    except ValueError as error:
        raise ConesError(
            "a number that is not finite was about to be written",
            where=path,
            found=error,
            next_step="look at what the step logged; the file was left as it was",
        ) from error
    write_text(path, text + "\n")


def read_json(path: str | Path) -> object:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConesError("file is missing", where=path, next_step=MAKE_IT) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConesError(
            "not valid JSON", where=path, found=error, next_step="delete the file and run again"
        ) from error


def sha256(path: str | Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: str | Path, expected: str) -> None:
    """ConesError unless the file is there and is the one whose sha256 was recorded."""
    if not Path(path).exists():
        raise ConesError("file is missing", where=path, next_step=MAKE_IT)
    if (digest := sha256(path)) != expected:
        raise ConesError(
            "content changed since it was recorded",
            where=path,
            expected=f"sha256 {expected}",
            found=digest,
            next_step="delete it and run again",
        )


def save_tensors(path: str | Path, tensors: dict, metadata: dict[str, str] | None = None) -> str:
    """Write `{name: tensor}` as safetensors, sorted so that equal content gives equal bytes; returns the sha256.

    The file holds a digest of each tensor, which `load_tensors` checks: safetensors itself loads flipped bits.
    """
    from safetensors.torch import save_file

    ordered = {name: tensors[name].detach().cpu().contiguous().clone() for name in sorted(tensors)}
    content = {**(metadata or {}), DIGESTS: {name: _digest(tensor) for name, tensor in ordered.items()}}
    with replacing(path) as temporary:
        # one entry: safetensors writes several in an order of its own, different every time
        save_file(ordered, temporary, metadata={"cones": json.dumps(content, sort_keys=True)})
    return sha256(path)


def _digest(tensor) -> str:
    """sha256 of a tensor's type, shape and values."""
    digest = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
    digest.update(bytes_of(tensor))
    return digest.hexdigest()


def bytes_of(tensor):
    """The values of a tensor as they lie in memory, a NumPy array of bytes."""
    import torch

    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()


def load_tensors(
    path: str | Path, *, expected_sha256: str | None = None, wanted: Callable[[str], bool] = lambda name: True
) -> tuple[dict, dict[str, str]]:
    """Tensors and metadata of a safetensors file; ConesError if it is damaged or not the recorded one.

    Only tensors whose name is `wanted` are read; they are compared with the digests in the file, where it has them.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).exists():
        raise ConesError("file is missing", where=path, next_step=MAKE_IT)
    if expected_sha256:
        check_sha256(path, expected_sha256)
    try:
        with safe_open(path, framework="pt") as file:
            # copies: where a tensor begins in the file depends on its header, and the last bits of a
            # product depend on where its factors begin in memory
            tensors = {name: file.get_tensor(name).clone() for name in file.keys() if wanted(name)}  # noqa: SIM118
            metadata = json.loads((file.metadata() or {}).get("cones", "{}"))
    except (SafetensorError, ValueError) as error:
        raise ConesError(
            "not a whole safetensors file", where=path, found=error, next_step="delete it and run again"
        ) from error
    digests = metadata.pop(DIGESTS, {})
    for name, tensor in () if expected_sha256 else tensors.items():  # the whole file has been compared
        if digests and _digest(tensor) != digests.get(name):
            raise ConesError(
                f'the values of "{name}" are not those that were written',
                where=path,
                next_step="the file is damaged: delete it and run again",
            )
    return tensors, metadata
