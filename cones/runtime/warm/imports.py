"""What a server imports before it forks: read from the sources of the steps, so that there is no list to keep.

The function of a command imports its step when it is called, and a step imports what is heavy when it needs it. A kind
of step that comes once in a run does so in its own process; when it comes again, the server has imported all that is
behind it.
"""

import ast
import contextlib
import gc
import importlib
import inspect
import os
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

from cones.runtime.sources import PACKAGES, ROOT

# Every step needs the command line, most need PyTorch, which itself imports the second of these (1 s) when the first
# optimiser or the first module on "meta" is made.
COMMANDS = "cones.cli.main"  # by name: what everything stands on imports nothing of it
ALWAYS = (COMMANDS, "torch._dynamo")
NVML_CHECK = "PYTORCH_NVML_BASED_CUDA_CHECK"  # 1: torch.cuda.is_available() does not initialise CUDA
NAME_OF_OURS = re.compile(rf"({'|'.join(PACKAGES)})(\.\w+)+")  # of a module that is found by name


def import_always() -> str | None:
    """Why this process must not be forked, or None.

    A step on a GPU must be a process whose parents never touched its driver: where PyTorch sees one, no step is forked.
    """
    _keep_the_driver_untouched()
    import torch

    if torch.cuda.device_count():
        return "a GPU is visible"
    for name in ALWAYS:
        importlib.import_module(name)
    return unfit()


def unfit() -> str | None:
    """Why this process must not be forked as it is, or None; what it has imported is then shared with its copies."""
    import torch

    if (threads := len(os.listdir("/proc/self/task"))) > 1:
        return f"{threads} threads run; OMP_NUM_THREADS=1 keeps imports from starting them"
    if torch.cuda.is_initialized():
        return "CUDA is initialised"
    gc.collect()
    gc.freeze()  # a step's garbage collection then leaves the imported objects alone, and so shared
    return None


class StepImports:
    """The kinds of steps that came, and what was read for those that came again."""

    def __init__(self):
        self._came: set[Callable] = set()
        self._read: set[tuple[str, bool]] = set()

    def for_step(self, words: list[str]) -> bool:
        """Import what is behind the step of this command line, the second time it comes; whether anything was new."""
        function = command_of(words)
        if function is None or function not in self._came:
            self._came.add(function)
            return False
        known = len(self._read)
        _keep_the_driver_untouched()
        for module, names in statements_behind(function, self._read):
            with contextlib.suppress(Exception):  # whatever it is, the step says it better
                carry_out(module, names)
        return len(self._read) > known


def command_of(words: list[str]) -> Callable | None:
    """The function behind the words of a command line, such as ["generation", "learn", "--subject", …]."""
    import typer

    command = typer.main.get_command(importlib.import_module(COMMANDS).app)
    for word in words:
        if not (commands := getattr(command, "commands", {})):
            break
        if (command := commands.get(word)) is None:
            return None
    return inspect.unwrap(command.callback) if command.callback else None


def carry_out(module: str, names: tuple[str, ...]) -> None:
    """Import as `from module import names` does: a package may load a name when it is asked for it, and a name that it
    does not have is that of a module in it."""
    found = importlib.import_module(module)
    for name in names:
        if not hasattr(found, name):
            importlib.import_module(f"{module}.{name}")


def statements_behind(
    function: Callable, seen: set[tuple[str, bool]] | None = None
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every import statement of a function and of each module of ours that one leads to, inside functions too: the
    module, and the names taken from it.

    A module that is only named in a string, as registries do, is imported, but what it imports inside functions is left
    to the steps that choose it. `seen` holds what was read before, (module, whether it was imported by a statement).
    """
    todo, seen = [(textwrap.dedent(inspect.getsource(function)), True)], set() if seen is None else seen
    while todo:
        source, is_imported = todo.pop()
        for node in ast.walk(ast.parse(source)):
            if is_imported and isinstance(node, ast.Import | ast.ImportFrom):
                yield from _statements(node)
                imported = {(name, True) for name in _imported_by(node)}
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _is_ours(_module_in(node.value)):
                yield _module_in(node.value), ()
                imported = {(_module_in(node.value), False)}
            else:
                continue
            new = {module for module in imported if _is_ours(module[0])} - seen
            seen |= new
            todo += [(_path(name).read_text(encoding="utf-8"), by_statement) for name, by_statement in new]


def _statements(node: ast.Import | ast.ImportFrom) -> list[tuple[str, tuple[str, ...]]]:
    if isinstance(node, ast.Import):
        return [(each.name, ()) for each in node.names]
    return [(node.module or "", tuple(each.name for each in node.names))]


def _imported_by(node: ast.Import | ast.ImportFrom) -> list[str]:
    """The names in an import statement that may be those of modules."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]


def _module_in(text: str) -> str:
    return text.partition(":")[0]  # "module:Class", or a module alone


def _is_ours(name: str) -> bool:
    return NAME_OF_OURS.fullmatch(name) is not None and _path(name).is_file()


def _path(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _keep_the_driver_untouched() -> None:
    """diffusers looks for a GPU when it is imported; what it would initialise is of no use to a forked process."""
    os.environ[NVML_CHECK] = "1"  # steps have the environment of their clients
