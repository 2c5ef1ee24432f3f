"""Plug-ins of a suite: files outside of the project that add a method, a model family, a format or a table.

Each declares itself in a literal at the top level of the file (`METHOD`, `MODEL`, `FORMAT`, `OUTPUT`; see
`docs/extending.md`), so that a suite is read, and the workflow parsed, without importing them.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable
from pathlib import Path

from cones.data.formats import FORMATS
from cones.experiment.outputs import OUTPUTS
from cones.methods.method import METHODS
from cones.models.family import FAMILIES
from cones.runtime import provenance, sources
from cones.runtime.errors import ConesError
from cones.runtime.registry import Registry, literals

REGISTRIES: tuple[Registry, ...] = (METHODS, FAMILIES, FORMATS, OUTPUTS)
_loaded: list[str] = []  # modules of the suite that was read last


def load_plugins(paths: Iterable[str], *, suite_file: Path) -> None:
    """Add the entries of these files to the registries, and remove those of the suite that was read before.

    A path is a `.py` file, or a folder that is a package, relative to the suite's file. ConesError, one line, for a
    path that is not there, a name that is taken, and a file that does not say what it adds.
    """
    _unload()
    where = f"{suite_file}: plugins"
    for path in paths:
        file = _file_of(path, suite_file.parent, where)
        module = (file.parent if file.name == "__init__.py" else file).stem
        _loaded.append(module)
        _make_importable(module, file, where)
        _register(module, file)


def plugin_digests() -> dict[str, str]:
    """{module: digest of its code and literals and those of its neighbours} for the plug-ins of the suite."""
    return {module: provenance.plugin_digest(module) for module in _loaded}


def plugins_used(*modules: str) -> dict[str, str]:
    """{module: its digest} of the modules that are not part of the project, for the record of a cell."""
    outside = (module for module in modules if module.partition(".")[0] not in sources.PACKAGES)
    return {module: provenance.plugin_digest(module) for module in outside}


def _unload() -> None:
    if not _loaded:
        return
    for registry in REGISTRIES:
        registry.remove_added()
    with contextlib.suppress(ConesError, OSError, SyntaxError):  # a file that is gone; it is not imported again either
        for name in provenance.modules_behind(*_loaded):
            if name.partition(".")[0] not in sources.PACKAGES:
                sys.modules.pop(name, None)
    sources.forget_plugin_folders()
    provenance.forget_sources()
    _loaded.clear()


def _file_of(path: str, folder: Path, where: str) -> Path:
    file = (folder / Path(path).expanduser()).resolve()
    if file.is_dir():
        file /= "__init__.py"
    if not file.is_file() or file.suffix != ".py":
        raise ConesError(
            "there is no such plug-in",
            where=where,
            expected="a .py file, or a folder with an __init__.py, relative to the suite's file",
            found=file,
            next_step="correct the path",
        )
    return file


def _make_importable(module: str, file: Path, where: str) -> None:
    """Make the file and its neighbours importable; ConesError if an installed module has its name."""
    if not module.isidentifier():
        raise ConesError(
            "a plug-in must have a name that Python can import",
            where=where,
            expected="letters, digits and _",
            found=f'"{module}"',
            next_step="rename it",
        )
    sources.add_plugin_folder((file.parent if file.name == "__init__.py" else file).parent)
    if sources.own_path(module) != file:
        raise ConesError(
            "its name is that of an installed module, which would be imported in its place",
            where=where,
            found=file,
            next_step="rename the plug-in",
        )


def _register(module: str, file: Path) -> None:
    """Add every entry that the file declares to its registry."""
    entries = [(registry, entry) for registry in REGISTRIES for entry in literals(file, registry.literal)]
    if not entries:
        raise ConesError(
            "the plug-in does not say what it adds",
            where=file,
            expected=" or ".join(f'{registry.literal} = {{"name": …}}' for registry in REGISTRIES),
            next_step="add it at the top level of the file; docs/extending.md shows whole files",
        )
    for registry, entry in entries:
        if not isinstance(entry.get("name"), str):
            raise ConesError(
                f"{registry.literal} has no name", where=file, next_step='add it: "name": "…", as suites will call it'
            )
        registry.add(entry["name"], module)
