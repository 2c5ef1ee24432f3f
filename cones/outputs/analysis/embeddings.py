"""`embeddings.safetensors` of a cell: its class vectors, and its boxes in the space where they meet the classes."""

from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from cones.models.language import LanguageFeatures
from cones.runtime.artifacts import load_tensors, save_tensors
from cones.runtime.errors import ConesError


@dataclass
class BoxVectors:
    """G boxes of the test split and the classes they belong to, in one space of C channels.

    visual (G, C); own_class (G, C) the vector of the box's class in the same image; logits (G, K) of the box's vector.
    """

    visual: Tensor
    own_class: Tensor
    logits: Tensor


@dataclass
class Embeddings:
    """The class vectors and box vectors of a cell.

    classes: {TOGETHER or ISOLATED: (K, D)}, the input of the first fusion layer; labels (G,) class of each box.
    boxes: {source: `BoxVectors`}, empty where Table 3 does not ask for the cell. A skipped cell has only the reason.
    missing: why a cell of an unfinished run has no such file; not written.
    """

    classes: dict[str, Tensor] = field(default_factory=dict)
    labels: Tensor | None = None
    boxes: dict[str, BoxVectors] = field(default_factory=dict)
    skipped: str = ""
    state_sha256: str = ""  # of the cell's state that they were made of
    missing: str = ""

    @property
    def hole(self) -> str:
        """The reason why there are no embeddings, as tables print it; empty where there are some."""
        return f"skipped ({self.skipped})" if self.skipped else self.missing

    def save(self, path: Path) -> str:
        """Write the file and return its sha256."""
        tensors = {f"classes.{name}": tensor for name, tensor in self.classes.items()}
        for source, vectors in self.boxes.items():
            tensors |= {f"boxes.{source}.{name}": tensor for name, tensor in vars(vectors).items()}
        if self.labels is not None:
            tensors["labels"] = self.labels
        return save_tensors(path, tensors, {"skipped": self.skipped, "state_sha256": self.state_sha256})

    @classmethod
    def load(cls, path: Path, *, state_sha256: str | None = None) -> "Embeddings":
        """Read the file; ConesError if it was made of another state than that of `state_sha256`."""
        tensors, metadata = load_tensors(path)
        if state_sha256 and metadata["state_sha256"] != state_sha256:
            raise ConesError(
                "were made of another state than the cell has now",
                where=path,
                expected=f"state.safetensors of sha256 {state_sha256}",
                found=metadata["state_sha256"],
                next_step="delete it and run again",
            )
        parts = {tuple(name.split(".")): tensor for name, tensor in tensors.items()}
        sources = dict.fromkeys(name[1] for name in parts if name[0] == "boxes")
        return cls(
            classes={name[1]: tensor for name, tensor in parts.items() if name[0] == "classes"},
            labels=tensors.get("labels"),
            boxes={
                source: BoxVectors(**{name[2]: t for name, t in parts.items() if name[:2] == ("boxes", source)})
                for source in sources
            },
            skipped=metadata["skipped"],
            state_sha256=metadata["state_sha256"],
        )


def class_vectors(language: LanguageFeatures) -> Tensor:
    """The mean of the rows that stand for each class (K, D), of features that are the same for every image."""
    return language.class_means()[0]
