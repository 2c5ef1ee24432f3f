"""Registries of methods, models, formats and outputs by name; reading an entry does not import its file."""

import ast
import contextlib
import functools
import importlib
import importlib.metadata
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from pydantic import ConfigDict, Field

from cones.runtime.errors import ConesError, closest
from cones.runtime.sources import add_plugin_package, source_path
from cones.runtime.strict import Name, Strict, parse


class Entry(Strict):
    """The declaration of a registry entry in its own file; each registry adds the fields it needs.

    It is a literal at its top level, such as `METHOD = {"name": "mine", "class": "Mine"}`, so
    that it can be read without importing the file, which may import PyTorch.
    """

    model_config = ConfigDict(populate_by_name=True)

    name: Name  # may become part of a path and of a command line
    module: str  # dotted, such as "baselines.zero_shot"
    class_name: str | None = Field(None, alias="class")  # None: the module itself is what the entry stands for

    @property
    def target(self) -> str:
        """ "module:Class", or "module"."""
        return f"{self.module}:{self.class_name}" if self.class_name else self.module

    @property
    def class_names(self) -> tuple[str, ...]:
        """Every class of its file that the entry names."""
        return (self.class_name,) if self.class_name else ()

    def load(self) -> Any:
        """The class (or module)."""
        loaded = self.import_module()
        return getattr(loaded, self.class_name) if self.class_name else loaded

    def import_module(self) -> ModuleType:
        """The entry's file, imported: the only place where it is."""
        try:
            return importlib.import_module(self.module)
        except ImportError as error:
            raise ConesError(
                "cannot be imported",
                where=source_path(self.module),
                found=error,
                next_step="install what it needs, or correct the import",
            ) from error


E = TypeVar("E", bound=Entry)
T = TypeVar("T")


class Registry(Mapping[str, E], Generic[E]):
    """A mapping name -> entry for one kind of plug-in.

    kind      what an entry is, in messages, such as "method"
    entry     the class of its entries
    literal   the name of the literal in an entry's file, such as "METHOD"
    built_in  "module:NAME" of {name: module} of what ships with the project. A string, so that the list of all names is
              in no step's code digest: a step counts the files of the entries it uses
    group     entry points of this group, `name = "module"`, add what an installed package offers
    """

    def __init__(self, kind: str, entry: type[E], *, literal: str, built_in: str, group: str):
        self.kind, self.entry_class, self.literal, self.group = kind, entry, literal, group
        self._built_in = built_in
        self._added: dict[str, str] = {}  # by plug-ins of the suite
        self._entries: dict[str, E] = {}  # those that were read

    def __getitem__(self, name: str) -> E:
        """The entry of a name; KeyError for an unknown one, as in any mapping (`find` explains a mistyped name)."""
        if name not in self._entries:
            self._entries[name] = self._read(name, self.module(name))
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._permanent
        yield from self._added

    def __len__(self) -> int:
        return len(self._permanent) + len(self._added)

    def __contains__(self, name: object) -> bool:
        return name in self._permanent or name in self._added

    def find(self, name: str, *, where: object = None) -> E:
        """The entry of a name that a person wrote; ConesError with the nearest known name if there is none."""
        if name not in self:
            raise ConesError(f'there is no {self.kind} "{name}"', where=where, next_step=closest(name, self))
        return self[name]

    def module(self, name: str) -> str:
        """The module of an entry's file, from which its code digest starts."""
        return self._added[name] if name in self._added else self._permanent[name]

    def load(self, name: str, *, where: object = None) -> Any:
        """The class (or module) of an entry, imported now."""
        return self.find(name, where=where).load()

    def make(self, name: str, base: type[T]) -> T:
        """An instance of an entry's class, a `base` with all its abstract methods defined; else ConesError."""
        entry = self.find(name)
        loaded, where = entry.load(), f"{source_path(entry.module)}: {entry.class_name}"
        if not (isinstance(loaded, type) and issubclass(loaded, base)):
            raise ConesError(f"not a {base.__name__}", where=where, next_step=f"derive the class from {base.__name__}")
        if missing := sorted(getattr(loaded, "__abstractmethods__", ())):
            raise ConesError(f"a {base.__name__} needs {' and '.join(missing)}", where=where, next_step="write it")
        return loaded()

    def add(self, name: str, module: str) -> None:
        """Add an entry of a plug-in, whose file is read at once; ConesError if the name is taken or the file does not
        declare it."""
        if name in self:
            raise ConesError(
                f'the {self.kind} "{name}" is there already',
                where=source_path(module),
                found=f"also in {source_path(self.module(name))}",
                next_step=f"choose another name in its {self.literal}",
            )
        self._entries[name] = self._read(name, module)
        self._added[name] = module

    def remove_added(self) -> None:
        """Remove the entries of plug-ins; those that are built in or installed stay."""
        self._added.clear()
        self.forget()

    def forget(self) -> None:
        """Clear the cache of entries that were read: their files may have changed."""
        self._entries.clear()

    @cached_property
    def _permanent(self) -> dict[str, str]:
        """{name: module} of the entries that are built in or offered by installed packages."""
        module, _, attribute = self._built_in.partition(":")
        modules = dict(getattr(importlib.import_module(module), attribute))
        for point in _entry_points().select(group=self.group):
            if point.name in modules:
                raise ConesError(
                    f'the {self.kind} "{point.name}" is there already',
                    where=f"entry point of {point.dist.name if point.dist else point.value}",
                    found=f"also in {modules[point.name]}",
                    next_step="rename it in that package, or uninstall the package",
                )
            modules[point.name] = point.value
            add_plugin_package(point.value)
        return modules

    def _read(self, name: str, module: str) -> E:
        path = source_path(module)
        if path is None:
            raise ConesError("there is no such module", where=f"{self.kind} {name}", found=module)
        for declaration in literals(path, self.literal):
            if declaration.get("name") == name:
                entry = parse(self.entry_class, {**declaration, "module": module}, where=f"{path}: {self.literal}")
                _refuse_missing_class(entry, path)
                return entry
        raise ConesError(
            f'the file says nothing of the {self.kind} "{name}"',
            where=path,
            expected=f'{self.literal} = {{"name": "{name}", …}} at its top level',
            next_step="add it; docs/extending.md shows a whole file",
        )


def literals(path: Path, name: str) -> list[dict]:
    """The dicts that a source file assigns to `name` at its top level, one or a list of them; [] if it does not.

    Nothing is imported; ConesError if the file is no Python or the value is not a literal.
    """
    try:
        tree = _tree_of(name, path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError) as error:
        raise ConesError("not valid Python", where=path, found=error, next_step="correct it") from None
    for node in tree.body:
        if isinstance(node, ast.Assign) and [getattr(target, "id", None) for target in node.targets] == [name]:
            try:
                value = ast.literal_eval(node.value)
            except ValueError:
                value = None
            listed = value if isinstance(value, list) else [value]
            if not all(isinstance(entry, dict) for entry in listed):
                raise ConesError(
                    f"{name} is not a literal",
                    where=f"{path}, line {node.lineno}",
                    expected="a dict of constants (or a list of such): it is read without running the file",
                    next_step="write names and values out",
                )
            return listed
    return []


def _tree_of(name: str, source: str) -> ast.Module:
    """The syntax tree of the assignment to `name` alone, if it can be cut out; else of the whole source.

    Every step reads some thirty entries, and parsing their whole files took it 40 ms.
    """
    if cut := re.search(rf"^{name} = (\{{.*?^\}}|\[.*?^\]|.*?$)", source, re.MULTILINE | re.DOTALL):
        with contextlib.suppress(SyntaxError):
            tree = ast.parse(cut[0])
            ast.increment_lineno(tree, source.count("\n", 0, cut.start()))
            return tree
    return ast.parse(source)


def _refuse_missing_class(entry: Entry, path: Path) -> None:
    """ConesError, before anything is run, if a class that an entry names is not defined or imported in its file."""
    source = path.read_text(encoding="utf-8")
    missing = [name for name in entry.class_names if not re.search(rf"^class {name}\b", source, re.MULTILINE)]
    if not missing:
        return
    nodes = list(ast.walk(ast.parse(source)))
    classes = {node.name for node in nodes if isinstance(node, ast.ClassDef)}
    imported = {
        alias.asname or alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    for name in missing:
        if name not in classes | imported and "*" not in imported:
            raise ConesError(
                f'there is no class "{name}"',
                where=path,
                next_step=closest(name, classes) if classes else "write it",
            )


@functools.cache
def _entry_points() -> importlib.metadata.EntryPoints:
    """The entry points of all installed packages, read once: the search takes milliseconds."""
    return importlib.metadata.entry_points()
