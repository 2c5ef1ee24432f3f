"""The provenance of a result: digests of a step's sources, versions, device, revision."""

import ast
import datetime
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from cones.runtime.errors import ConesError
from cones.runtime.machine import machine
from cones.runtime.sources import PACKAGES, ROOT, own_path, source_files

LITERALS = ("METHOD", "MODEL", "FORMAT", "OUTPUT")  # the literals by which a file registers itself


@functools.cache
def code_digest(*modules: str) -> str:
    """Twelve hex digits over the sources of modules, of everything of ours they import, directly or not, and of the
    files beside them that they name (templates, vocabularies, lists).

    Snakemake does not see edits in an imported package; as a `params` value this digest re-runs exactly the steps that
    depend on the edited file. Comments, docstrings and layout do not count, nor the literals by which
    a file registers itself. What is imported by name when a step runs (its method, model family, dataset format) is not
    found here: the caller adds it.
    """
    return _digest_of({module: _source(module).meaning for module in modules_behind(*modules)})


def modules_behind(*modules: str) -> set[str]:
    """The modules, all modules of the project that they import, directly or not, and the packages these lie in."""
    seen: set[str] = set()
    todo = list(modules)
    while todo:
        module = todo.pop()
        if module not in seen:
            seen.add(module)
            todo += _source(module).imports
    return seen


def plugin_digest(module: str) -> str:
    """Digest of a plug-in alone: of the code and literals of its own files, without those of the library."""
    own = {name: _source(name) for name in modules_behind(module) if name.partition(".")[0] not in PACKAGES}
    return _digest_of({name: f"{source.meaning} {source.literals}" for name, source in own.items()})


def forget_sources() -> None:
    """Clear the caches of sources and digests: files may have changed since this process read them."""
    code_digest.cache_clear()
    _source.cache_clear()


def data_behind(*modules: str) -> set[Path]:
    """The files other than Python that `code_digest` counts."""
    return {path for module in modules_behind(*modules) for path in _source(module).data}


class _Source(NamedTuple):
    """One module: digests of its code and of its registry literals, its imports, and the data files that it names."""

    meaning: str
    literals: str
    imports: tuple[str, ...]
    data: tuple[Path, ...]


@functools.cache
def _source(module: str) -> _Source:
    path = own_path(module)
    if path is None:
        raise ConesError("there is no such module", where=module, next_step="restore the file, or correct the name")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    literals = [node for node in tree.body if _is_for_a_registry(node)]
    tree.body = [node for node in tree.body if node not in literals]
    imported, texts = {module.rpartition(".")[0]}, set()
    for node in ast.walk(tree):
        imported |= _imported(node, package)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.add(node.value)
        _drop_docstring(node)
    data = tuple(sorted(_named_files(texts, path)))
    meaning = [ast.dump(tree), *(hashlib.sha256(file.read_bytes()).hexdigest() for file in data)]
    return _Source(
        meaning=_sha256(" ".join(meaning)),
        literals=_sha256(" ".join(map(ast.dump, literals))),
        imports=tuple(sorted(name for name in imported if name and own_path(name))),
        data=data,
    )


def _imported(node: ast.AST, package: str) -> set[str]:
    """The dotted names that an import statement in a module of `package` may mean."""
    if isinstance(node, ast.Import):
        return {name.name for name in node.names}
    if not isinstance(node, ast.ImportFrom):
        return set()
    above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    base = ".".join([*above, *([node.module] if node.module else [])])
    return {base, *(f"{base}.{name.name}" for name in node.names)}


def _named_files(texts: set[str], path: Path) -> set[Path]:
    """The files beside the module at `path` that its texts name: `with_name("words.txt")`, `with_suffix(".yaml")`."""
    files = set()
    for text in texts:
        if re.fullmatch(r"[\w.-][\w./-]*", text) and "." in text and not text.endswith((".py", ".")):
            file = path.with_suffix(text) if re.fullmatch(r"\.\w+", text) else path.parent / text
            if file.is_file() and file != path:
                files.add(file.resolve())
    return files


def _is_for_a_registry(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) in LITERALS


def _digest_of(meanings: dict[str, str]) -> str:
    joined = "".join(f"{module} {meaning}\n" for module, meaning in sorted(meanings.items()))
    return _sha256(joined)[:12]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_library() -> str:
    """`<digest of bytes>-<digest of code>` of the project's sources, which a run was planned with (`CONES_LIBRARY`)."""
    return f"{_bytes_digest()}-{_library_meaning()}"


def is_library_of(digest: str) -> bool:
    """Whether the code of the project is still that of a `digest_of_library`; it is parsed only if a byte changed."""
    content, _, meaning = digest.partition("-")
    try:
        return _bytes_digest() == content or _library_meaning() == meaning
    except (OSError, SyntaxError, UnicodeDecodeError):  # in the middle of an edit
        return False


def _library_meaning() -> str:
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in map(Path, source_files()))
    sources = {name: _source(name) for name in (module.removesuffix(".__init__") for module in names)}
    return _digest_of({name: f"{source.meaning} {source.literals}" for name, source in sources.items()})


def _bytes_digest() -> str:
    digest = hashlib.sha256()
    for path in map(Path, source_files()):
        digest.update(f"{path.relative_to(ROOT)} ".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _drop_docstring(node: ast.AST) -> None:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
        node.body = node.body[1:]


def settings_digest(settings: object) -> str:
    """Twelve hex digits of a pydantic object or plain value: a step re-runs when, and only when, they change."""
    value = settings.model_dump(mode="json") if hasattr(settings, "model_dump") else settings
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def revision() -> str | None:
    """The commit of this checkout, with `+changes` if tracked files differ; None outside a git checkout."""
    try:
        command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+changes", "--abbrev=12"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def run_provenance(*, inputs: dict[str, str], settings: dict, device: str) -> dict:
    """The part of `run.json` every step shares: command, settings, digests of inputs, revision, versions, machine."""
    names = ("torch", "numpy", "pycocotools", "pillow", "safetensors", "tokenizers", "snakemake")
    names += ("diffusers", "transformers")
    return {
        "command": ["python", "-m", "cones", *sys.argv[1:]],
        "overrides": json.loads(os.environ.get("CONES_SET", "{}")),
        "settings": settings,
        "inputs_sha256": inputs,
        "revision": revision(),
        "versions": {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in names}},
        "device": device,
        "machine": machine(device),
        "platform": platform.platform(terse=True),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
