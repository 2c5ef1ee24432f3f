"""The state of a tuned cell: what was trained and what the detector hears; enough to predict with no text encoder."""

from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from cones.artifacts import load_tensors, save_tensors
from cones.errors import ConesError
from cones.language import LanguageFeatures


@dataclass
class State:
    """trained: {"model.…" or "prompt.…": values}; language: the final features of the prompt, one row for all images.

    A cell that could not be run has only `skipped`, the reason.
    """

    trained: dict[str, Tensor] = field(default_factory=dict)
    language: LanguageFeatures | None = None
    base_sha256: str = ""
    skipped: str = ""

    def save(self, path: Path) -> str:
        """Returns the sha256 of the file."""
        tensors = dict(self.trained)
        if self.language is not None:
            tensors |= {f"language.{name}": tensor for name, tensor in self.language.tensors().items()}
        return save_tensors(path, tensors, {"base_sha256": self.base_sha256, "skipped": self.skipped})

    @classmethod
    def load(cls, path: Path, expected_sha256: str | None = None) -> "State":
        tensors, metadata = load_tensors(path, expected_sha256=expected_sha256)
        heard = {name.removeprefix("language."): t for name, t in tensors.items() if name.startswith("language.")}
        return cls(
            trained={name: tensor for name, tensor in tensors.items() if not name.startswith("language.")},
            language=LanguageFeatures(**heard) if heard else None,
            base_sha256=metadata["base_sha256"],
            skipped=metadata["skipped"],
        )

    def apply_to(self, model: nn.Module, *, where: Path, base_sha256: str) -> None:
        """Put the trained values of the detector in; other base weights than those it was tuned on are refused."""
        refuse_other_weights(self.base_sha256, base_sha256, where=where)
        values = {n.removeprefix("model."): t for n, t in self.trained.items() if n.startswith("model.")}
        unknown = model.load_state_dict(values, strict=False).unexpected_keys
        if unknown:
            raise ConesError(
                "holds values the model does not have", where=where, found=unknown[0], next_step="tune this cell again"
            )


def refuse_other_weights(made_of: str, found: str, *, where: Path) -> None:
    """ConesError unless a file was `made_of` the base weights that were `found`, both by their sha256."""
    if made_of != found:
        raise ConesError(
            "was made of other base weights",
            where=where,
            expected=f"sha256 {made_of}",
            found=found,
            next_step="delete it and run again",
        )
