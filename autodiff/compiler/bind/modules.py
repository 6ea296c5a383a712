"""The text of a program as a module, of which a traceback shows the lines."""

from __future__ import annotations

import ast
import hashlib
import itertools
import linecache
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any
from weakref import finalize

Build = Callable[..., Callable[..., Any]]
_numbers = itertools.count(1)


def build_of(source: str, called: str, backend: str) -> Build:
    """Make the function ``build`` of a source, which a traceback shows under the name of its step."""
    filename = f"<program of {called} {next(_numbers)}>"
    return _in_machine_code(source, filename) if backend == "numba" else _run(source, source, filename, {})


def _run(source: str, code: Any, filename: str, space: dict[str, Any]) -> Build:
    """Run a source, or what was made of it."""
    linecache.cache[filename] = len(source), None, source.splitlines(keepends=True), filename
    exec(compile(code, filename, "exec"), space)
    build: Build = space["build"]
    finalize(build, linecache.cache.pop, filename, None).atexit = False
    return build


def _in_machine_code(source: str, filename: str) -> Build:
    """Run a source whose functions Numba compiles: once, since machine code stays where it is."""
    from autodiff.compiler.bind.cache import keep_machine_code  # which needs Numba

    name = f"autodiff_program_{hashlib.sha256(source.encode()).hexdigest()[:32]}"
    if name not in sys.modules:
        module = ModuleType(name)
        code = ast.parse(source)
        for node in code.body:  # Numba would keep files itself, if the text was in one
            for made_by in getattr(node, "decorator_list", ()):
                if isinstance(made_by, ast.Call):
                    made_by.keywords = [option for option in made_by.keywords if option.arg != "cache"]
        _run(source, code, filename, vars(module))
        keep_machine_code(module, source)
        sys.modules[name] = module  # where Numba looks for it
    build: Build = sys.modules[name].build
    return build
