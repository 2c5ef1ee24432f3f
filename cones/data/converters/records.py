"""What a converter gets and yields: native files in, one record per picture out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cones.errors import ConesError, closest


@dataclass(frozen=True)
class Object:
    """One annotated object. `box` is (x, y, width, height) in pixels as the files have it, not yet checked."""

    class_name: str
    box: tuple[float, float, float, float]
    area: float | None = None  # of the mask; None = width * height
    segmentation: Any = None  # COCO polygons or RLE, for instance segmentation
    crowd: bool = False
    difficult: bool = False  # counted in the report, otherwise an object like any other


@dataclass(frozen=True)
class Record:
    """One picture. `image` is relative to raw/, with /; `split` is the files' own word, or None.

    `group` is what must not be torn apart or mixed, such as the patient; split rules that order groups need it.
    """

    item_id: str
    image: str
    objects: tuple[Object, ...]
    split: str | None = None
    stated_size: tuple[int, int] | None = None  # (width, height) according to the annotation; None = not stated
    group: str | None = None


@dataclass(frozen=True)
class NativeFiles:
    """The unpacked files of one dataset, the registry's classes, and how to complain about them.

    `pictures` is where a converter that makes its pictures (`RENDERS`) writes them; otherwise they lie in `raw`.
    """

    dataset_id: str
    raw: Path
    classes: Sequence[str]
    pictures: Path | None = None
    notes: dict[str, list[str]] = field(default_factory=dict)

    @property
    def picture_root(self) -> Path:
        """The folder that `Record.image` is relative to."""
        return self.pictures or self.raw

    def note(self, what: str, file: Path | str) -> None:
        """Count something a reader of the report should know, such as a picture that a rule leaves out."""
        self.notes.setdefault(what, []).append(self.relative(file))

    def fault(self, what: str, file: Path | str, **details: object) -> ConesError:
        """A ConesError that names the dataset and the file (relative to raw/), and how to fetch."""
        if "fetch" in (next_step := str(details.get("next_step", ""))):
            details["next_step"] = f"{next_step} (to fetch again: delete {self.raw.parent} and run the same command)"
        return ConesError(what, where=f"dataset {self.dataset_id}: {self.relative(file)}", **details)

    def relative(self, file: Path | str) -> str:
        path = Path(file)
        return path.relative_to(self.raw).as_posix() if path.is_relative_to(self.raw) else path.as_posix()

    def root(self, folder: str) -> Path:
        """`raw/<folder>`, which must exist; otherwise the error shows what is there instead."""
        root = self.raw / folder
        if root.is_dir():
            return root
        present = sorted(entry.name for entry in self.raw.glob("[!.]*"))
        raise self.fault(
            "the folder is missing from the unpacked files",
            root,
            found=", ".join(present[:8]) or "nothing",
            next_step="check that the archive or mirror folder is this dataset's, or correct `root` in datasets.yaml",
        )

    def known_class(self, name: str, file: Path) -> str:
        if name in self.classes:
            return name
        guess = closest(name, self.classes)
        hint = f"{guess} " if guess.startswith("did you mean") else ""
        raise self.fault(
            f'unknown class "{name}"',
            file,
            expected=f"one of {', '.join(self.classes)}",
            next_step=f"{hint}correct the file, or `classes` in datasets.yaml",
        )
