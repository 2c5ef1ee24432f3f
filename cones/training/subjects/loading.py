"""Loading a generator from a pipeline directory, part by part, so that ConES never builds a text encoder."""

from collections.abc import Iterable
from pathlib import Path

import torch

from cones.methods.contexts import TextParts
from cones.models.generator import refuse_other_base
from cones.models.generators import SHIPPED
from cones.runtime.artifacts import load_tensors, save_tensors
from cones.runtime.errors import ConesError
from cones.runtime.provenance import settings_digest
from cones.training.subjects.generator import StableDiffusion, TextStates
from cones.weights.pretrained import Recorded, Resolved, resolve
from cones.weights.shipped import FOLDER


def find(model: str, *, path: str | Path | None = None, allow_download: bool = False) -> Resolved:
    """The directory of a model with all its parts, text encoder included."""
    if model == SHIPPED:
        return Resolved(Path(path or FOLDER / SHIPPED), "path" if path else "shipped", None)
    return resolve(model, text=True, path=path, allow_download=allow_download)


def base_of(found: Recorded) -> str:
    """The identity of a generator's weights: digest over the sha256 of UNet and autoencoder, text parts or not."""
    files = found.lock["files"]
    return settings_digest({name: file for name, file in files.items() if name.startswith(("unet/", "vae/"))})


def load_generator(
    directory: Path, *, states: TextStates, with_text: bool, device: torch.device, dtype: torch.dtype = torch.float32
) -> StableDiffusion:
    """UNet, autoencoder and scheduler, and with `with_text` the text encoder and tokenizer too."""
    import diffusers

    index = _index(directory)
    scheduler_class = getattr(diffusers, index["scheduler"][1])
    return StableDiffusion(
        unet=_part(diffusers.UNet2DConditionModel, directory, "unet", dtype),
        autoencoder=_part(diffusers.AutoencoderKL, directory, "vae", dtype),
        scheduler=scheduler_class.from_pretrained(directory, subfolder="scheduler"),
        states=states,
        text=load_text(directory, device, dtype) if with_text else None,
        device=device,
    )


def load_text(directory: Path, device: torch.device, dtype: torch.dtype = torch.float32) -> TextParts:
    from transformers import CLIPTextModel, CLIPTokenizer

    encoder = _part(CLIPTextModel, directory, "text_encoder", dtype)
    tokenizer = CLIPTokenizer.from_pretrained(directory / "tokenizer")
    return TextParts(encoder.to(device).eval().requires_grad_(False), tokenizer)


def write_text_states(text: TextParts, class_words: Iterable[str], file: Path, base: str) -> None:
    """The states of the empty prompt and of each class noun's word pieces: all that ConES uses of the encoder."""
    tensors = {"null": text.states([""])}
    for word in sorted(set(class_words)):
        pieces = len(text.words(word))
        tensors[f"class.{word}"] = text.states([word])[0, 1 : 1 + pieces]  # (P, D)
    save_tensors(file, tensors, {"base": base})


def read_text_states(file: Path, base: str) -> TextStates:
    """States of another checkpoint than `base` are refused."""
    tensors, metadata = load_tensors(file)
    refuse_other_base(file, metadata["base"], base)
    rows = {name.removeprefix("class."): tensor for name, tensor in tensors.items() if name.startswith("class.")}
    return TextStates(tensors["null"], rows)


def _index(directory: Path) -> dict:
    from cones.runtime.artifacts import read_json

    file = directory / "model_index.json"
    if not file.is_file():  # single parts without an index: the scheduler says its class itself
        return {"scheduler": [None, read_json(directory / "scheduler" / "scheduler_config.json")["_class_name"]]}
    return read_json(file)


def _part(kind, directory: Path, name: str, dtype: torch.dtype):
    # diffusers asks for accelerate, at length, unless it is told that it need not save memory while loading
    options = {"low_cpu_mem_usage": False} if kind.__module__.startswith("diffusers.") else {}
    try:
        return kind.from_pretrained(directory, subfolder=name, torch_dtype=dtype, local_files_only=True, **options)
    except (OSError, ValueError) as error:
        raise ConesError(
            f"the {name} cannot be loaded",
            where=directory / name,
            found=str(error).splitlines()[0],
            next_step="check the directory against the layout of `save_pretrained`",
        ) from error
