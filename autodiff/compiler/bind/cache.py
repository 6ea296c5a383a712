"""Machine code in files, so that the next process need not compile it. Importing this module needs Numba.

The folder is the one that the environment variable ``AUTODIFF_CACHE_DIR`` names, else ``autodiff`` in
``XDG_CACHE_HOME`` or ``~/.cache``. It holds at most as many megabytes as ``AUTODIFF_CACHE_SIZE`` says, 256 if it says
nothing: what was not used for longest goes first, and with 0 nothing is kept. Where the folder cannot be written
nothing is kept either.

Nowhere else does the package run what a file holds, and a file is read only if nobody else can have written it: it and
the folder belong to the user, and no other may write into them (Windows is not asked: there the folder lies in the
user's own). Who may write into a folder around that could put another in its place, but only one of the user's own. A
file begins with a digest of what it holds and of all that this was made of: half a file, or one for another program or
another version, is none. Numba's own files are loaded without any such look, and the variables that say where they lie
would have these lie there too, so they are not used.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import os
import pickle
import stat
import sys
import tempfile
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core.compiler import CompileResult
from numba.core.dispatcher import Dispatcher
from numba.core.serialize import dumps

_BEGINNING = "autodiff_program_"  # of the names of all files
_KERNELS = Path(__file__).parents[1].joinpath("kernels.py").read_bytes()  # which programs call
_VERSIONS = sys.version, numba.__version__, llvmlite.__version__, np.__version__


def keep_machine_code(module: ModuleType, source: str) -> None:
    """Let the functions of a module be loaded from files, if they are there, and be written into some.

    Args:
        module: its functions are not compiled yet.
        source: its text.

    Raises:
        ValueError: the environment variable for the size is no number of megabytes.
    """
    limit = _limit()
    folder = _folder() if limit else None
    functions: list[Any] = [one for one in vars(module).values() if isinstance(one, Dispatcher)]
    for function in functions:
        if folder is not None and function.py_func.__module__ == module.__name__:
            function._cache = MachineCode(folder, limit, f"{function.__name__} of {source}".encode() + _KERNELS)


class MachineCode:
    """The files of one function, as Numba asks for them before it compiles, and fills them afterwards.

    Attributes:
        cache_path: where they lie.
    """

    def __init__(self, folder: Path, limit: float, made_of: bytes) -> None:
        self.cache_path = folder
        self._limit = limit
        self._made_of = made_of

    def load_overload(self, signature: Any, target: Any) -> Any:
        """Give the function for arguments of such types, or None: it must be compiled."""
        target.refresh()
        key = self._key(signature, target.codegen())
        path = self._path(key)
        content = _read(path)
        digest, code = content[: len(key)], content[len(key) :]
        if digest != _digest(key + code):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        try:
            return CompileResult._rebuild(target, *pickle.loads(code))
        except Exception:  # of whatever kind: it is Numba's, of which versions may differ in what they do not say
            return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Write a function that was compiled for arguments of such types."""
        if compiled.library.has_dynamic_globals:  # addresses in this process
            return
        key = self._key(signature, compiled.codegen)
        code = dumps(compiled._reduce())
        with contextlib.suppress(OSError):
            _write(self._path(key), _digest(key + code) + code, self._limit)

    def _key(self, signature: Any, codegen: Any) -> bytes:
        """Give the digest of all that the machine code depends on."""
        return _digest(repr((str(signature), codegen.magic_tuple(), _VERSIONS)).encode() + self._made_of)

    def _path(self, key: bytes) -> Path:
        return self.cache_path / f"{_BEGINNING}{key.hex()[:32]}.machinecode"


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _limit() -> float:
    """Give how many bytes all files may have.

    Raises:
        ValueError: the environment variable says nothing that could be meant.
    """
    text = os.environ.get("AUTODIFF_CACHE_SIZE") or "256"
    megabytes = math.nan
    with contextlib.suppress(ValueError):
        megabytes = float(text)
    if not megabytes >= 0:
        raise ValueError(
            "compile: the environment variable AUTODIFF_CACHE_SIZE must say how many megabytes of machine code are "
            f"kept, 0 for none, got {text!r}"
        )
    return megabytes * 1e6


def _folder() -> Path | None:
    """Give the folder of the files, made if it is not there, or None: nothing can be kept."""
    try:
        path = _wish()
        path.mkdir(0o700, parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            return None
        problem = _problem(path.lstat()) or _problem(path.stat())
    except (OSError, RuntimeError):  # there is no folder for the user
        return None
    if problem:
        _say(
            f"compile: no machine code is kept in {path}, since it {problem}: let only yourself write there, or name "
            "another folder in the environment variable AUTODIFF_CACHE_DIR"
        )
    return None if problem else path


def _wish() -> Path:
    if wish := os.environ.get("AUTODIFF_CACHE_DIR"):
        return Path(wish).absolute()
    caches = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (caches if caches.is_absolute() else Path.home() / ".cache") / "autodiff"


def _problem(status: os.stat_result) -> str | None:
    """Say why others could have written a file, or into a folder, or None; a link has no rights of its own."""
    if sys.platform == "win32":
        return None
    if status.st_uid != os.geteuid():
        return f"belongs to the user {status.st_uid}, and not to you"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not stat.S_ISLNK(status.st_mode):
        return "may be written by others"
    return None


@functools.cache
def _say(text: str) -> None:
    """Warn, of each thing once."""
    warnings.warn(text, RuntimeWarning, stacklevel=2)


def _read(path: Path) -> bytes:
    """Read a file, or give nothing where there is none that could be trusted."""
    try:
        status = path.lstat()
        problem = _problem(status) if stat.S_ISREG(status.st_mode) else "is no file"
        if not problem:
            with path.open("rb") as file:
                return file.read() if os.path.samestat(status, os.fstat(file.fileno())) else b""
    except OSError:  # it is not there, or not any more
        return b""
    _say(f"compile: the machine code in {path} is not used, since it {problem}: it is made anew")
    return b""


def _write(path: Path, content: bytes, limit: float) -> None:
    """Write a file where there is room for it, which the files that were not used for longest may have to make.

    Raises:
        OSError: it cannot be written.
    """
    if len(content) > limit:
        return
    _make_room(path.parent, limit - len(content))
    descriptor, draft = tempfile.mkstemp(".tmp", _BEGINNING, path.parent)  # which only the user may read and write
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
        os.replace(draft, path)
    finally:
        Path(draft).unlink(missing_ok=True)


def _make_room(folder: Path, limit: float) -> None:
    """Remove what was not used for longest, also a former version's, until all files have no more bytes than that."""
    found = []
    for path in (*folder.glob(f"{_BEGINNING}*"), *folder.glob(f"__pycache__/{_BEGINNING}*")):
        with contextlib.suppress(OSError):  # another process has just removed it
            status = path.lstat()
            found.append((status.st_mtime_ns, status.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= limit:
            break
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            total -= size
