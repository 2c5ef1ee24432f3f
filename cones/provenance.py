"""Where a result comes from: digests of the sources behind a step, versions, device, revision."""

import ast
import datetime
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from cones.machine import machine
from cones.sources import PACKAGES, ROOT, source_files


def code_digest(*modules: str) -> str:
    """Twelve hex digits over the sources of modules and of everything of ours they import, directly or not.

    Snakemake does not see edits in an imported package; as a `params` value this digest re-runs exactly the steps that
    depend on the edited file. Comments, docstrings and layout do not count.
    """
    seen: set[str] = set()
    todo = list(modules)
    while todo:
        module = todo.pop()
        if module not in seen:
            seen.add(module)
            todo += _source(module)[1]
    joined = "".join(f"{module} {_source(module)[0]}\n" for module in sorted(seen))
    return hashlib.sha256(joined.encode()).hexdigest()[:12]


@functools.cache
def _source(module: str) -> tuple[str, tuple[str, ...]]:
    """(digest of the module's meaning, our modules it imports)."""
    path = ROOT / Path(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imported.add(node.module)
            imported |= {f"{node.module}.{name.name}" for name in node.names}
        _drop_docstring(node)
    ours = {name for name in imported if name.split(".")[0] in PACKAGES and _exists(name)}
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), tuple(sorted(ours))


def digest_of_library() -> str:
    """`<bytes>-<meaning>` of all our sources: what a run was planned with (`CONES_LIBRARY`)."""
    return f"{_bytes_digest()}-{code_digest(*_all_modules())}"


def is_library_of(digest: str) -> bool:
    """Whether our sources still mean what `digest_of_library` said; they are parsed only if a byte of them changed."""
    content, _, meaning = digest.partition("-")
    try:
        return _bytes_digest() == content or code_digest(*_all_modules()) == meaning
    except (OSError, SyntaxError, UnicodeDecodeError):  # in the middle of an edit
        return False


def _all_modules() -> list[str]:
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in map(Path, source_files()))
    return [name.removesuffix(".__init__") for name in names]


def _bytes_digest() -> str:
    digest = hashlib.sha256()
    for path in map(Path, source_files()):
        digest.update(f"{path.relative_to(ROOT)} ".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _drop_docstring(node: ast.AST) -> None:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
        node.body = node.body[1:]


def _exists(module: str) -> bool:
    path = ROOT / Path(*module.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def revision() -> str | None:
    """The commit of this checkout, with `+changes` if tracked files differ; None outside a git checkout."""
    try:
        command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+changes", "--abbrev=12"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def how(*, inputs: dict[str, str], settings: dict, device: str) -> dict:
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
