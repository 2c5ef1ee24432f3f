"""The files that are this library and its plug-ins: what a digest is made of, and what a warm server has imported."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("cones", "baselines")
ROOT = Path(__file__).resolve().parent.parent
_folders: list[Path] = []  # of plug-in files: whatever Python lies in one belongs to the plug-in


def source_files() -> Iterator[str]:
    """Paths of our Python files, always in the same order. Every step asks before it begins: no Path objects."""
    for package in PACKAGES:
        for folder, subfolders, files in os.walk(ROOT / package):
            subfolders[:] = sorted(name for name in subfolders if name != "__pycache__")
            yield from sorted(os.path.join(folder, name) for name in files if name.endswith(".py"))


def own_path(module: str) -> Path | None:
    """The file of a dotted module of ours or of a plug-in; None for any other. Nothing is imported."""
    parts = module.split(".")
    folders = [ROOT] if parts[0] in PACKAGES else _folders
    return next((file for folder in folders if (file := _file_in(folder, parts))), None)


def source_path(module: str) -> Path | None:
    """The file of a dotted module, installed ones included; None if there is none. Nothing is imported."""
    parts = module.split(".")
    return own_path(module) or ((folder := _installed_in(parts[0])) and _file_in(folder, parts))


def _file_in(folder: Path, parts: list[str]) -> Path | None:
    """The file of a module below a folder: `a/b.py`, or `a/b/__init__.py`."""
    path = folder.joinpath(*parts)
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _installed_in(package: str) -> Path | None:
    """The folder that an installed top-level package lies in."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.origin:
        return None
    return Path(spec.origin).parent.parent if spec.submodule_search_locations else Path(spec.origin).parent
