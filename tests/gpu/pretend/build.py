"""Compiles `guard.cpp` for the PyTorch that is installed, once per machine."""

import getpass
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from filelock import FileLock

SOURCE = Path(__file__).with_name("guard.cpp")
COMPILER = "g++"


def guard() -> Path:
    """The shared library; later calls find it in a folder of the user's under the temporary ones."""
    import torch
    from torch.utils.cpp_extension import include_paths, library_paths

    abi = int(torch._C._GLIBCXX_USE_CXX11_ABI)
    flags = ["-O1", "-std=c++20", "-shared", "-fPIC", f"-D_GLIBCXX_USE_CXX11_ABI={abi}"]
    flags += [f"-I{path}" for path in include_paths()]
    linked = [flag for path in library_paths() for flag in (f"-L{path}", f"-Wl,-rpath,{path}")]
    command = [COMPILER, *flags, str(SOURCE), *linked, "-lc10", "-ltorch_cpu"]
    digest = hashlib.sha256(f"{torch.__version__} {command} {SOURCE.read_text()}".encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"cones-pretended-gpu-{getpass.getuser()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    library = folder / f"{digest}.so"
    with FileLock(f"{library}.lock"):
        if not library.exists():
            unfinished = library.with_suffix(".part")
            subprocess.run([*command, "-o", str(unfinished)], check=True)
            os.replace(unfinished, library)
    return library


def compiler_is_there() -> bool:
    return shutil.which(COMPILER) is not None
