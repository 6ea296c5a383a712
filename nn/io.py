"""Models in files: safetensors, which hold arrays and nothing that could run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from autodiff.files import write_atomically
from nn.module import Module


def save(model: Module, path: str | os.PathLike[str]) -> None:
    """Write the parameters of a model to a safetensors file.

    The file is written under another name first and then renamed, so that at every moment the path holds either the
    whole old file or the whole new one.

    Args:
        model: whose `Module.state_dict` is written.
        path: of the file, by custom with the ending ".safetensors".

    Raises:
        OSError: the path cannot be written.
        TypeError: ``model`` is not a Module.

    Example:
        >>> import nn, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> nn.save(nn.MLP([2, 1], rng=0), folder.name + "/model.safetensors")
        >>> nn.load(nn.MLP([2, 1], rng=1), folder.name + "/model.safetensors")
        MLP(2 → 1): 3 parameters
          layers.0: Linear(2, 1): weight (2, 1), bias (1,), 3 parameters
        >>> folder.cleanup()
    """
    if not isinstance(model, Module):
        raise TypeError(f"save: expected a Module and then a path, got {model!r}")
    # safetensors writes an array's memory as it lies, whatever its strides say
    arrays = {name: np.asarray(array, order="C") for name, array in model.state_dict().items()}
    write_atomically(Path(path), safetensors.numpy.save(arrays))


def load(model: Module, path: str | os.PathLike[str]) -> Module:
    """Read a safetensors file into the parameters of a model of the same architecture, and return the model.

    Args:
        model: whose parameters are overwritten.
        path: of a file that `save` wrote.

    Raises:
        OSError: the path cannot be read.
        ValueError: the file is not safetensors or incomplete, or its entries do not fit the model; nothing is loaded.
    """
    content = Path(path).read_bytes()
    try:
        arrays: dict[str, Any] = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ValueError(f"load: {path} is not a complete safetensors file of dtypes that NumPy has: {error}") from None
    try:
        model.load_state_dict(arrays)
    except ValueError as error:
        raise ValueError(f"load: {path} does not fit the model: {error}") from None
    return model
