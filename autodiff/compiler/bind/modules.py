"""The text of a program as a module: in memory, or in a file beside which its machine code is kept."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import itertools
import linecache
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import finalize

from autodiff.files import write_atomically

Build = Callable[..., Callable[..., Any]]
_numbers = itertools.count(1)


def build_of(source: str, called: str, backend: str) -> Build:
    """Make the function ``build`` of a source: for Numba from a file, for all others here, under the step's name."""
    return _from_file(source) if backend == "numba" else _from_text(source, called)


def _from_text(source: str, called: str) -> Build:
    """Run a source whose lines a traceback shows."""
    filename = f"<program of {called} {next(_numbers)}>"
    linecache.cache[filename] = len(source), None, source.splitlines(keepends=True), filename
    space: dict[str, Any] = {}
    exec(compile(source, filename, "exec"), space)
    build: Build = space["build"]
    finalize(build, linecache.cache.pop, filename, None).atexit = False
    return build


def _from_file(source: str) -> Build:
    """Import a source from a file of its own, beside which Numba keeps its machine code for the next process.

    The files lie in the folder that the environment variable ``AUTODIFF_CACHE_DIR`` names, by default
    ``~/.cache/autodiff``, or in one for temporary files where that cannot be written.
    """
    called = Path(__file__).parents[1].joinpath("kernels.py").read_bytes()
    digest = hashlib.sha256(called + source.encode()).hexdigest()[:32]
    path = _cache_folder() / f"autodiff_program_{digest}.py"
    if not path.exists():
        write_atomically(path, source.encode())
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"compile: cannot import {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # where Numba looks for it
    spec.loader.exec_module(module)
    build: Build = module.build
    return build


def _cache_folder() -> Path:
    wish = Path(os.environ.get("AUTODIFF_CACHE_DIR") or Path.home() / ".cache" / "autodiff")
    with contextlib.suppress(OSError):
        wish.mkdir(parents=True, exist_ok=True)
    return wish if os.access(wish, os.W_OK) else Path(tempfile.mkdtemp(prefix="autodiff-"))
