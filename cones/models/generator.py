"""The `Generator` seam: a model that learns a subject from a few pictures and draws it again."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from cones.runtime.artifacts import load_tensors, save_tensors
from cones.runtime.errors import ConesError

if TYPE_CHECKING:
    from PIL import Image

UNET = "unet."  # before the names of a tuned UNet's weights in a file


@dataclass(frozen=True)
class Subject:
    """One thing to learn: its name, the noun of its class, its pictures."""

    name: str
    class_word: str
    pictures: tuple[Path, ...]

    @classmethod
    def of_manifest(cls, generation: dict, name: str, raw: Path) -> "Subject":
        """A subject of a prepared dataset; `generation` is that entry of its manifest."""
        if name not in (subjects := generation["subjects"]):
            raise ConesError(
                f'subject "{name}" was not there when the dataset was prepared',
                where=raw.parent / "manifest.json",
                expected=", ".join(sorted(subjects)),
                next_step="prepare the dataset again: delete this file and run again",
            )
        described = subjects[name]
        return cls(name, described["class_word"], tuple(raw / file for file in described["images"]))


@dataclass
class SubjectEmbedding:
    """What was learnt of a subject: vectors (N, D), or None where the class name says it all.

    `method` is the registry's key; `mode` says how ConES places its vectors in the context (else ""); `unet` holds the
    weights of the UNet where it was tuned for the subject, in half precision.
    """

    method: str
    class_word: str
    vectors: Tensor | None = None
    mode: str = ""
    record: dict = field(default_factory=dict)
    unet: dict[str, Tensor] = field(default_factory=dict)

    def save(self, path: Path, base: str) -> str:
        """Returns the sha256 of the file, which holds no record; `base` identifies the weights it was learnt on."""
        tensors = {} if self.vectors is None else {"vectors": self.vectors}
        tensors |= {f"{UNET}{name}": value for name, value in self.unet.items()}
        metadata = {"method": self.method, "class_word": self.class_word, "mode": self.mode, "base": base}
        return save_tensors(path, tensors, metadata)

    @classmethod
    def load(cls, path: Path, base: str, recorded_sha256: str | None = None) -> "SubjectEmbedding":
        """An embedding of other weights than `base`, or another file than was recorded, is refused."""
        tensors, metadata = load_tensors(path, expected_sha256=recorded_sha256)
        refuse_other_base(path, metadata["base"], base)
        unet = {name.removeprefix(UNET): value for name, value in tensors.items() if name.startswith(UNET)}
        vectors = tensors.get("vectors")
        return cls(metadata["method"], metadata["class_word"], vectors, metadata["mode"], unet=unet)


def refuse_other_base(file: Path, found: str, base: str) -> None:
    if found != base:
        raise ConesError(
            "was made with other base weights",
            where=file,
            expected=base,
            found=found,
            next_step="delete it and run its step again",
        )


class Generator(ABC):
    """Frozen but for what a method learns; every method sees the same pictures, flips, noise and timesteps."""

    @abstractmethod
    def learn(self, subject: Subject, method: str, **how) -> SubjectEmbedding:
        """Learn the subject as the method of the registry says. An interrupted run is taken up again."""

    @abstractmethod
    def sample(
        self, embedding: SubjectEmbedding, prompts: Sequence[str | None], seed: int, *, count: int = 1
    ) -> "list[list[Image.Image]]":
        """`count` pictures for each prompt; equal seeds start every method and every prompt from the same noise.

        prompts  texts with `{}` where the subject is said, or [None] for what the method says by itself
        """
