"""Models in files: safetensors, which hold arrays and nothing that could run, with a digest of each to check it by."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from autodiff.files import write_atomically
from nn.checks import check_path
from nn.module import Module

_DIGESTS = "autodiff.digests"  # of the file's metadata
_DEEPEST = 100


def save(model: Module, path: str | os.PathLike[str]) -> None:
    """Write the parameters of a model to a safetensors file.

    The file is written under another name first and then renamed, so that at every moment the path holds either the
    whole old file or the whole new one. It keeps its permissions; a link stays, and the file it leads to is written.
    Beside the arrays is a SHA-256 digest of each, by which `load` finds damage; other readers of safetensors pass over
    them.

    Args:
        model: whose `Module.state_dict` is written.
        path: of the file, by custom with the ending ".safetensors".

    Raises:
        OSError: the path cannot be written, or is that of a folder, a device, a pipe or a socket.
        TypeError: ``model`` is not a Module, a parameter complex128, which such files do not have, or ``path`` no path.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> nn.save(nn.MLP([2, 1], rng=0), folder.name + "/model.safetensors")
        >>> nn.load(nn.MLP([2, 1], rng=1), folder.name + "/model.safetensors")
        MLP(2 → 1): 3 parameters
          layers.0: Linear(2, 1): weight (2, 1), bias (1,), 3 parameters
        >>> folder.cleanup()
    """
    _check_model("save", model)
    write_arrays(check_path("save", path), model.state_dict())


def load(model: Module, path: str | os.PathLike[str]) -> Module:
    """Read a safetensors file into the parameters of a model of the same architecture, and return the model.

    Args:
        model: whose parameters are overwritten.
        path: of a file that `save` wrote, or another library; that of another has no digests, and damage to its
            numbers is not found.

    Raises:
        OSError: the path cannot be read.
        TypeError: ``model`` is not a Module, or ``path`` no path.
        ValueError: the file is not safetensors or incomplete, an entry is not what was written, or the entries do not
            fit the model; nothing is loaded.
    """
    _check_model("load", model)
    arrays, _ = read_arrays("load", check_path("load", path))
    try:
        model.load_state_dict(arrays)
    except ValueError as error:
        raise ValueError(f"load: {path} does not fit the model: {error}") from None
    return model


def _check_model(caller: str, model: Any) -> None:
    if not isinstance(model, Module):
        raise TypeError(f"{caller}: expected a Module and then a path, got {model!r}")


def write_arrays(path: Path, arrays: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Write arrays by name to a safetensors file, as `save` does, with texts by name beside them.

    Raises:
        OSError: the path cannot be written.
        TypeError: an array is complex128.
    """
    # safetensors writes an array's memory as it lies, whatever its strides say
    ordered = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    texts = dict(metadata or {})
    wide = [name for name, array in ordered.items() if array.dtype.kind == "c" and array.dtype != np.complex64]
    if wide:
        names = ", ".join(wide)
        raise TypeError(f"{path}: safetensors files have complex64 only, and {names} of more digits: use np.savez")
    write_atomically(path, safetensors.numpy.save(ordered, texts | {_DIGESTS: json.dumps(_digests(ordered, texts))}))


def parsed(text: str) -> Any:
    """Read JSON of no great depth; what is deeper may end Python, if its limit of recursion was raised.

    Raises:
        ValueError: the text is no JSON, or nested deeper than anything that is written here.
    """
    steps = {"[": 1, "{": 1, "]": -1, "}": -1}
    brackets = (steps.get(one, 0) for one in re.findall(r'"(?:[^"\\]|\\.)*"|[][{}]', text))
    if max(itertools.accumulate(brackets), default=0) > _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} times")
    return json.loads(text)


def read_arrays(caller: str, path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Read the arrays and the texts of a safetensors file.

    Raises:
        OSError: the path cannot be read.
        ValueError: the file is not safetensors, or incomplete, or what it holds is not what was written.
    """
    content = path.read_bytes()
    try:
        arrays = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ValueError(
            f"{caller}: {path} is not a complete safetensors file of dtypes that NumPy has: {error}"
        ) from None
    # A file begins with the length of its header, which is JSON and was read just now.
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    texts: dict[str, str] = header.get("__metadata__", {})
    if _DIGESTS in texts:
        try:
            written = dict(parsed(texts.pop(_DIGESTS)))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{caller}: {path} is damaged: its digests are no dict: {error}") from None
        now = _digests(arrays, texts)
        damaged = [name for name in {**written, **now} if written.get(name) != now.get(name)]
        if damaged:
            raise ValueError(f"{caller}: {path} is damaged: these are not what was written: {', '.join(damaged)}")
    return arrays, texts


def digest(array: Any) -> str:
    """Give a SHA-256 digest of an array's dtype, shape and numbers.

    A CRC would find a flipped bit as surely, in half the time, but 32 bits are too few to tell other data apart; and
    processors that have instructions for SHA-256 are faster at it than at BLAKE2.
    """
    array = np.asarray(array, order="C")
    of = hashlib.sha256(f"{array.dtype.name}{array.shape}".encode())
    of.update(array.astype(array.dtype.newbyteorder("<"), copy=False).reshape(-1).view(np.uint8))
    return of.hexdigest()


def _digests(arrays: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, str]:
    """Give a digest of each entry of a file by what is to be said of it if it is damaged."""
    of_texts = {f"text {name}": hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    return {f"array {name}": digest(array) for name, array in arrays.items()} | of_texts
