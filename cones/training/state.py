"""The state of a tuned cell: trained values, and the language features or how to make the prompt again."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from torch import Tensor, nn

from cones.models.language import LanguageFeatures
from cones.runtime.artifacts import load_tensors, save_tensors
from cones.runtime.errors import ConesError


@dataclass(frozen=True)
class Remake:
    """How scoring makes a prompt again: by `method`, from the same files as in tuning ({path: sha256}), and then with
    the trained values put in."""

    method: str
    inputs_sha256: dict[str, str]


@dataclass
class State:
    """The tuned state of a cell, stored as safetensors.

    trained   {"model.…" or "prompt.…": values}, of parameters and, if the prompt is made again, persistent buffers
    language  the final features of a static prompt, one row for all images: enough to predict with no text encoder
    remake    for a prompt that looks at the image, or a method with a rule of its own for test time

    A cell that could not be run has only `skipped`, the reason.
    """

    trained: dict[str, Tensor] = field(default_factory=dict)
    language: LanguageFeatures | None = None
    remake: Remake | None = None
    base_sha256: str = ""
    skipped: str = ""

    def save(self, path: Path) -> str:
        """Write the file; returns its sha256."""
        tensors = dict(self.trained)
        if self.language is not None:
            tensors |= {f"language.{name}": tensor for name, tensor in self.language.tensors().items()}
        metadata = {"base_sha256": self.base_sha256, "skipped": self.skipped}
        if self.remake is not None:
            metadata["remake"] = json.dumps(asdict(self.remake), sort_keys=True)
        return save_tensors(path, tensors, metadata)

    @classmethod
    def load(cls, path: Path, expected_sha256: str | None = None) -> "State":
        tensors, metadata = load_tensors(path, expected_sha256=expected_sha256)
        language = {name.removeprefix("language."): t for name, t in tensors.items() if name.startswith("language.")}
        return cls(
            trained={name: tensor for name, tensor in tensors.items() if not name.startswith("language.")},
            language=LanguageFeatures(**language) if language else None,
            remake=Remake(**json.loads(metadata["remake"])) if "remake" in metadata else None,
            base_sha256=metadata["base_sha256"],
            skipped=metadata["skipped"],
        )

    def apply_to(self, model: nn.Module, *, where: Path, base_sha256: str) -> None:
        """Load the trained values into the detector; ConesError for other base weights than those it was tuned on."""
        refuse_other_weights(self.base_sha256, base_sha256, where=where)
        self._load_into(model, "model", where)

    def apply_to_prompt(self, prompt: nn.Module, *, where: Path) -> None:
        """Load the trained values and the persistent buffers into a prompt that was made again."""
        self._load_into(prompt, "prompt", where)

    def _load_into(self, module: nn.Module, part: str, where: Path) -> None:
        values = {n.removeprefix(f"{part}."): t for n, t in self.trained.items() if n.startswith(f"{part}.")}
        unknown = module.load_state_dict(values, strict=False).unexpected_keys
        if unknown:
            raise ConesError(
                f"holds values the {part} does not have",
                where=where,
                found=unknown[0],
                next_step="tune this cell again",
            )


def refuse_other_weights(made_of: str, base_sha256: str, *, where: Path) -> None:
    """ConesError unless the base weights that a file was `made_of` are those in use; both are sha256."""
    if made_of != base_sha256:
        raise ConesError(
            "was made of other base weights",
            where=where,
            expected=f"sha256 {made_of}",
            found=base_sha256,
            next_step="delete it and run again",
        )
