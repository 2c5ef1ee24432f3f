"""Model names -> modules: fresh, or with the weights of a file; official checkpoints -> the project's own form."""

import contextlib
import pickle
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from cones.models.detector import GroundedDetector
from cones.models.dual_encoder import DualEncoder, Tokenizer
from cones.models.family import (
    any_family_named,
    dual_encoder_family_named,
    family_named,
    is_dual_encoder,
    model_names,
)
from cones.models.text_encoder import CaptionTokenizer, load_tokenizer
from cones.runtime.artifacts import load_tensors
from cones.runtime.errors import ConesError

State = dict[str, Tensor]


def build_detector(name: str) -> GroundedDetector:
    """The named detector with fresh parameters, without a text encoder."""
    return family_named(name).detector(name)


def build_text_encoder(name: str) -> nn.Module:
    """The text encoder that belongs to the named detector, with fresh parameters."""
    return family_named(name).text_encoder(name)


def build_dual_encoder(name: str) -> DualEncoder:
    """The named model with two encoders, with fresh parameters."""
    return dual_encoder_family_named(name).dual_encoder(name)


def tokenizer_for(name: str, vocabulary: str | Path | None = None) -> CaptionTokenizer | Tokenizer:
    """The tokenizer of the named model's text encoder: of captions for a detector, of texts for two encoders.

    `vocabulary` replaces the model's own file.
    """
    if is_dual_encoder(name):
        return dual_encoder_family_named(name).tokenizer(name, vocabulary)
    family = family_named(name)
    return CaptionTokenizer(load_tokenizer(vocabulary or family.vocabulary(name)), family.captions)


def load_detector(name: str, path: str | Path, *, expected_sha256: str | None = None) -> GroundedDetector:
    """The named detector with the weights of a safetensors file, in eval mode. The file's text encoder is not read."""
    prefix = family_named(name).text_prefix
    state, _ = load_tensors(path, expected_sha256=expected_sha256, wanted=lambda key: not key.startswith(prefix))
    return _fill(lambda: build_detector(name), "", state, name, path)


def load_text_encoder(name: str, path: str | Path, *, expected_sha256: str | None = None) -> nn.Module:
    """The text encoder of the named detector with the weights of the same file, in eval mode. Nothing else is read."""
    prefix = family_named(name).text_prefix
    state, _ = load_tensors(path, expected_sha256=expected_sha256, wanted=lambda key: key.startswith(prefix))
    return _fill(lambda: build_text_encoder(name), prefix, state, name, path)


def load_dual_encoder(name: str, path: str | Path, *, expected_sha256: str | None = None) -> DualEncoder:
    """The named model with two encoders, with the weights of a safetensors file, in eval mode."""
    state, _ = load_tensors(path, expected_sha256=expected_sha256)
    return _fill(lambda: build_dual_encoder(name), "", state, name, path)


def initial_state(name: str, seed: int) -> State:
    """All of a model freshly drawn from `seed`, in the form `load_detector` or `load_dual_encoder` reads."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if is_dual_encoder(name):
            return build_dual_encoder(name).state_dict()
        detector, text_encoder = build_detector(name), build_text_encoder(name)
    return joined_state(name, detector, text_encoder)


def joined_state(name: str, detector: nn.Module, text_encoder: nn.Module) -> State:
    """Both modules' tensors under the names of a checkpoint; what `save_tensors` is given after pretraining."""
    prefix = family_named(name).text_prefix
    return {**detector.state_dict(), **{prefix + key: value for key, value in text_encoder.state_dict().items()}}


def convert_official(name: str, path: str | Path) -> State:
    """An official file as the state of the named model: safetensors, or a pickled file. Of a detector that is a .pth
    file with an entry `model` (never the averaged copy); with two encoders the tensors may also stand at its top.

    A `module.` that stands before *all* names is dropped. Every name must be accounted for, in its shape; what the
    family calls `unused` is dropped. Files that would run code, are damaged or are no checkpoints are refused.
    """
    read = _pickled_state if is_dual_encoder(name) else _model_entry
    state = load_tensors(path)[0] if Path(path).suffix == ".safetensors" else read(path)
    if state and all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return _accounted(any_family_named(name).converted(name, state, where=path), expected_state(name), name, path)


def _model_entry(path: str | Path) -> State:
    """The tensors of a .pth file under "model"."""
    content = _read_pickle(path)
    state = content.get("model") if isinstance(content, dict) else None
    if not isinstance(state, dict):
        found = f"entries {sorted(map(str, content))[:5]}" if isinstance(content, dict) else type(content).__name__
        raise ConesError(
            "not a detector checkpoint",
            where=path,
            expected='an entry "model"',
            found=found,
            next_step="fetch it again",
        )
    return _only_tensors(state, path)


def _pickled_state(path: str | Path) -> State:
    """The tensors of a pickled file: at its top, or under "state_dict" (open_clip) or "model"."""
    content = _read_pickle(path)
    for entry in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(entry), dict):
            return _only_tensors(content[entry], path)
    if not isinstance(content, dict) or not content:
        raise ConesError(
            "not a checkpoint",
            where=path,
            expected="tensors by name",
            found=type(content).__name__ if not isinstance(content, dict) else "nothing",
            next_step="fetch it again",
        )
    return _only_tensors(content, path)


def _only_tensors(state: dict, path: str | Path) -> State:
    if strange := [key for key, value in state.items() if not isinstance(value, Tensor)]:
        raise ConesError("a weight is not a tensor", where=path, found=strange[0], next_step="fetch it again")
    return dict(state)


def expected_state(name: str) -> State:
    """Names, shapes and types of the named model's checkpoint, without storage (tensors on the meta device)."""
    with torch.device("meta"), without_start_values():
        if is_dual_encoder(name):
            return build_dual_encoder(name).state_dict()
        return joined_state(name, build_detector(name), build_text_encoder(name))


def _fill(builder: Callable[[], nn.Module], prefix: str, state: State, name: str, path: str | Path) -> nn.Module:
    """A module built without start values takes over the tensors of `state`, all of them and no others."""
    with without_start_values():
        module = builder()
    expected = {prefix + key: value for key, value in module.state_dict().items()}
    state = _accounted(state, expected, name, path)
    state = {key.removeprefix(prefix): value.to(expected[key].dtype) for key, value in state.items()}
    module.load_state_dict(state, strict=True, assign=True)
    return module.eval()


@contextlib.contextmanager
def without_start_values() -> Iterator[None]:
    """Modules built inside hold whatever was in memory: their weights are about to be replaced.

    PyTorch's meta device would do as well, but its first use in a process imports 800 modules (a second or two).
    """
    names = [name for name in dir(nn.init) if name.endswith("_") and not name.startswith("_")]
    kept = {name: getattr(nn.init, name) for name in names}
    try:
        for name in names:
            setattr(nn.init, name, lambda tensor, *_, **__: tensor)
        yield
    finally:
        for name, function in kept.items():
            setattr(nn.init, name, function)


def _accounted(state: State, expected: State, name: str, path: str | Path) -> State:
    """`state` without unused names; a missing, unknown or misshapen one raises with its name."""
    unused = any_family_named(name).unused
    state = {key: value for key, value in state.items() if not unused.fullmatch(key)}
    faults = (
        [("a weight is missing", key) for key in expected if key not in state],
        [("a weight is unknown", key) for key in state if key not in expected],
        [
            ("a weight has another shape", key)
            for key in expected
            if key in state and _differ(expected[key], state[key])
        ],
    )
    faults = [fault for group in faults for fault in group]
    if not faults:
        return state
    hint = looks_like(state, exclude=name)
    what, key = faults[0]
    others = f" (and {len(faults) - 1} more differences)" if len(faults) > 1 else ""
    raise ConesError(
        f"{what}: {key}{others}",
        where=path,
        expected=f"{name}, {_describe(expected.get(key))}",
        found=_describe(state.get(key)),
        next_step=f"this looks like {hint}: use it as that model" if hint else "fetch the checkpoint again",
    )


def _differ(expected: Tensor, found: Tensor) -> bool:
    return expected.shape != found.shape or expected.is_floating_point() != found.is_floating_point()


def _describe(tensor: Tensor | None) -> str:
    if tensor is None:
        return "nothing"
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"


def looks_like(state: State, exclude: str) -> str | None:
    """The other model whose names and shapes are those of `state` (with or without the text encoder), or None."""
    found = {key: tuple(value.shape) for key, value in state.items()}
    for name in (each for each in model_names() if each != exclude):
        expected = {key: tuple(value.shape) for key, value in expected_state(name).items()}
        if found and _parts(found, name) <= _parts(expected, name) and len(found) >= len(expected) // 4:
            return name
    return None


def _parts(shapes: dict[str, tuple[int, ...]], name: str) -> set:
    unused = any_family_named(name).unused
    return {item for item in shapes.items() if not unused.fullmatch(item[0])}


def _read_pickle(path: str | Path) -> object:
    """What a .pth file holds, read without running any code in it."""
    if not Path(path).exists():
        raise ConesError("file is missing", where=path, next_step="download it, or put it there")
    with open(path, "rb") as file:
        start = file.read(512).lstrip().lower()
    if start.startswith(_NOT_A_CHECKPOINT):
        kind = "a web page" if start.startswith(b"<") else "a Git LFS pointer"
        raise ConesError(f"{kind} was saved in place of a checkpoint", where=path, next_step="download it again")
    if _is_program(path):
        raise ConesError(
            "a TorchScript archive, a program that was not run",
            where=path,
            expected="tensors only",
            next_step="take the same weights as safetensors, from where `official.yaml` of the family has them",
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if foreign := _first_match(r"GLOBAL ([\w.]+)", str(error)):
            raise ConesError(
                "the file asks for more than tensors and was not opened",
                where=path,
                found=foreign,
                next_step="use a checkpoint from the official source",
            ) from error
        raise _damaged(path) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError, TypeError, IndexError) as error:
        raise _damaged(path) from error


def _is_program(path: str | Path) -> bool:
    """Whether a file is what `torch.jit.save` writes, as OpenAI publishes CLIP."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


_NOT_A_CHECKPOINT = (b"<!doctype", b"<html", b"<?xml", b"version https://git-lfs")


def _damaged(path: str | Path) -> ConesError:
    return ConesError("damaged, or not a torch checkpoint", where=path, next_step="delete it and download it again")


def _first_match(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    return match.group(1) if match else None
