"""The source files of the library and its plug-ins, for code digests and for the check of a warm server's code."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("cones", "baselines")
ROOT = Path(__file__).resolve().parents[2]
_plugin_folders: list[Path] = []  # whatever can be imported from these belongs to a plug-in of the suite
_plugin_packages: set[str] = set()  # top-level names of installed packages that offer entries to a registry


def source_files() -> Iterator[str]:
    """Paths of the project's Python files, always in the same order; strings, as every step lists them first."""
    for package in PACKAGES:
        for folder, subfolders, files in os.walk(ROOT / package):
            subfolders[:] = sorted(name for name in subfolders if name != "__pycache__")
            yield from sorted(os.path.join(folder, name) for name in files if name.endswith(".py"))


def own_path(module: str) -> Path | None:
    """The file of a module of the project or of a plug-in, by its dotted name; None for any other. Imports nothing."""
    top = module.partition(".")[0]
    if top in PACKAGES:
        return _file_in(ROOT, module)
    if not (_plugin_folders or _plugin_packages):
        return None
    folder = _folder_of(top)
    return _file_in(folder, module) if folder in _plugin_folders or top in _plugin_packages else None


def source_path(module: str) -> Path | None:
    """The file of a module by its dotted name, installed ones included; None if there is none. Imports nothing."""
    top = module.partition(".")[0]
    folder = ROOT if top in PACKAGES else _folder_of(top)
    return _file_in(folder, module)


def add_plugin_folder(folder: Path) -> None:
    """Make the modules in this folder importable, after everything that is installed."""
    if folder not in _plugin_folders:
        _plugin_folders.append(folder)
        sys.path.append(str(folder))
        importlib.invalidate_caches()


def forget_plugin_folders() -> None:
    for folder in _plugin_folders:
        sys.path.remove(str(folder))
    _plugin_folders.clear()


def add_plugin_package(module: str) -> None:
    """Count the sources of the installed package that offers this module like those of a plug-in."""
    _plugin_packages.add(module.partition(".")[0])


def _file_in(folder: Path | None, module: str) -> Path | None:
    """The file of a module below a folder: `a/b.py`, or `a/b/__init__.py`."""
    if folder is None:
        return None
    path = folder.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _folder_of(top: str) -> Path | None:
    """The folder that Python would import a top-level module from."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # such as `__main__`
        return None
    if spec is None or not spec.has_location or not spec.origin:
        return None
    file = Path(spec.origin)
    return file.parent.parent if spec.submodule_search_locations else file.parent
