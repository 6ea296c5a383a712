"""The text of a program becomes a module, whose ``build`` makes the function that runs."""

from __future__ import annotations

import builtins
import itertools
import linecache
from collections.abc import Callable
from typing import Any
from weakref import finalize

_numbers = itertools.count(1)


def build_of(source: str, name: str) -> Callable[..., Callable[..., Any]]:
    """Make the function ``build`` of a source, whose lines a traceback shows."""
    filename = f"<program of {name} {next(_numbers)}>"
    linecache.cache[filename] = len(source), None, source.splitlines(keepends=True), filename
    space: dict[str, Any] = {}
    exec(builtins.compile(source, filename, "exec"), space)
    build: Callable[..., Callable[..., Any]] = space["build"]
    finalize(build, linecache.cache.pop, filename, None).atexit = False
    return build
