"""What a converter gets and yields: native files in, one record per picture out."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from cones.data.files import PICTURES, files_below, is_hidden, namesakes
from cones.runtime.errors import ConesError, closest

PICTURES_LISTED = "listed pictures"
EXAMPLES = 50  # names of each kind in a report; all are counted
NOT_LISTED = "a picture that no annotation names, left out"


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
    """One picture. `image` is relative to raw/, with /; `split` is the files' own name of its split, or None.

    `label` is the class of the whole picture, for classification; then there are no objects.
    `class_map` is the file of its classes pixel by pixel, relative to raw/, for dense prediction; likewise.
    `group` names what must stay in one split, such as the patient; split rules that order groups need it.
    `frame`: where a picture has an EXIF orientation, whether coordinates are of the picture shown upright or of the
    stored one; None: only `stated_size` can tell (`cones/data/turning.py`).
    """

    item_id: str
    image: str
    objects: tuple[Object, ...]
    split: str | None = None
    stated_size: tuple[int, int] | None = None  # (width, height) according to the annotation; None = not stated
    group: str | None = None
    label: str | None = None
    class_map: str | None = None
    frame: Literal["upright", "stored"] | None = None


@dataclass(frozen=True)
class NativeFiles:
    """The unpacked files of one dataset, the registry's classes, and the error messages about them.

    `pictures` is where a converter that makes its pictures (`RENDERS`) writes them; otherwise they lie in `raw`.
    `own`: the files are a person's own folder, so nothing was fetched and nothing can be fetched again.
    """

    dataset_id: str
    raw: Path
    classes: Sequence[str]
    pictures: Path | None = None
    notes: dict[str, list[str]] = field(default_factory=dict)
    task: str = "detection"
    own: bool = False
    registry: str = "datasets.yaml"  # the file that holds the dataset's entry
    exclude: frozenset[str] = frozenset()  # item ids that the entry leaves out
    allow_missing: int = 0  # pictures that may be listed and not there
    excluded: set[str] = field(default_factory=set)
    missing: list[str] = field(default_factory=list)

    @property
    def picture_root(self) -> Path:
        """The folder that `Record.image` is relative to."""
        return self.pictures or self.raw

    @property
    def wants_masks(self) -> bool:
        return self.task == "instance_segmentation"

    def skips(self, item_id: str) -> bool:
        """Whether the registry's entry excludes this item; a converter need not read it and must not fail at it."""
        if item_id not in self.exclude:
            return False
        self.excluded.add(item_id)
        return True

    def leave_out_missing(
        self,
        absent: Sequence[str],
        listed: int,
        file: Path | str,
        *,
        what: str = PICTURES_LISTED,
        hint: str | None = None,
        key_hint: str | None = None,
        found: str | None = None,
    ) -> None:
        """Count what is listed in `file` and not there; ConesError if that is more than the entry allows.

        `hint` is a further way out of it, `key_hint` one that the entry has; `found` is what is there instead.
        """
        self.missing.extend(absent)
        if len(self.missing) <= self.allow_missing:
            return
        if what == PICTURES_LISTED:
            found, instead, key_instead = self._instead_of(absent[0].split(" (of ")[0])
            hint, key_hint = hint or instead, key_hint or key_instead
        allow = f"set `allow_missing: {len(self.missing)}` beside `format`" if len(absent) < listed else None
        in_entry = ", or ".join(filter(None, (key_hint, allow)))
        steps = ("complete the folder", hint, in_entry and f"{in_entry}, in {self.registry}")
        raise self.fault(
            f"{len(absent)} of {listed} {what} are missing",
            file,
            expected=absent[0],
            found=found,
            next_step=self.mend(", or ".join(filter(None, steps))),
        )

    def _instead_of(self, name: str) -> tuple[str, str | None, str | None]:
        """(what lies below raw/ in place of the picture `name`, advice about that file, advice about the entry)."""
        if near := namesakes(self.raw, name):
            found = self.relative(near[0])
            if near[0].suffix.lower() in PICTURES:
                return found, None, "correct `images`, the folder of the pictures"
            return found, f"save such files as PNG or JPEG ({near[0].suffix or 'no suffix'} is none that is read)", None
        folder = PurePosixPath(name).parent.as_posix()
        others = sorted(
            map(self.relative, files_below(self.raw, PICTURES)),
            key=lambda path: PurePosixPath(path).parent.as_posix() != folder,
        )
        return f"pictures such as {', '.join(others[:2])}" if others else "no picture at all", None, None

    def instead(self, *names: str) -> str | None:
        """The files below raw/ with one of these names or suffixes, for a message about one that is missing."""
        found = [path for path in files_below(self.raw) if path.name in names or path.suffix.lower() in names]
        return ", ".join(map(self.relative, found[:3])) or None

    def size_of(self, picture: Path) -> tuple[int, int]:
        """(width, height) of a picture as it is shown, from its header; ConesError if it is none."""
        from cones.data.images import upright_size

        try:
            return upright_size(picture)
        except ConesError as error:
            cure = f"mend this picture, or leave it out (`exclude`) in {self.registry}"
            raise self.fault(error.what, picture, found=error.found, next_step=self.mend(cure)) from None

    def note(self, what: str, file: Path | str) -> None:
        """Count something for the report, such as a picture that is left out."""
        self.notes.setdefault(what, []).append(self.relative(file))

    def left_out(self) -> dict:
        """What is not there and what the converter noted, in the manifest's form: counts and the first names."""
        notes = {what: _counted(files) for what, files in self.notes.items()}
        return {"excluded": _counted(sorted(self.excluded)), "missing": _counted(self.missing), "notes": notes}

    def fault(self, what: str, file: Path | str, **details: object) -> ConesError:
        """A ConesError that names the dataset and the file (relative to raw/)."""
        return ConesError(what, where=f"dataset {self.dataset_id}: {self.relative(file)}", **details)

    def mend(self, own: str | None = None) -> str:
        """The next step where files are at fault: fetch them again or, in a person's own folder, what `own` says."""
        if self.own:
            return own or "correct the file"
        again = f"fetch the dataset again (delete {self.raw.parent} and run the same command)"
        return f"{again}, or {own}" if own else again

    def relative(self, file: Path | str) -> str:
        path = Path(file)
        return path.relative_to(self.raw).as_posix() if path.is_relative_to(self.raw) else path.as_posix()

    def root(self, folder: str, key: str = "root") -> Path:
        """`raw/<folder>`, which must exist; otherwise the error shows what is there instead."""
        root = self.raw / folder
        if root.is_dir():
            return root
        present = sorted(entry.name for entry in self.raw.glob("*") if not is_hidden(entry.name))
        what = "your folder" if self.own else "the archive or mirror folder"
        raise self.fault(
            "the folder is missing from " + ("your folder" if self.own else "the unpacked files"),
            root,
            found=", ".join(present[:8]) or "nothing",
            next_step=f"check that {what} is this dataset's, or correct `{key}` in {self.registry}",
        )

    def known_class(self, name: object, file: Path | str) -> str:
        """The registry's class of this name, whatever its Unicode form and the spaces around it."""
        word = unicodedata.normalize("NFC", str(name)).strip()
        for known in self.classes:
            if unicodedata.normalize("NFC", known) == word:
                return known
        guess = closest(word, self.classes)
        hint = f"{guess} " if guess.startswith("did you mean") else ""
        raise self.fault(
            f'unknown class "{word}"',
            file,
            expected=f"one of {', '.join(self.classes)}",
            next_step=f"{hint}correct the file, or `classes` in {self.registry}",
        )


def _counted(names: Sequence[str]) -> dict:
    return {"count": len(names), "examples": list(names[:EXAMPLES])}
