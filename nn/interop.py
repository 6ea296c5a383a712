"""Parameters for PyTorch and from PyTorch, as dicts of arrays; PyTorch itself is not needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

import autodiff as ad
from nn.layers import Linear, Sequential
from nn.module import Module


def to_torch(model: Module) -> dict[str, Any]:
    """Give the parameters and buffers of a model by the names, and in the layout, of the same model in PyTorch.

    A Linear layer's weight is transposed, since PyTorch's has the shape ``(out_features, in_features)``. The layers of
    a `Sequential` are called by their position alone, ``0.weight`` for ``layers.0.weight``, and all else by its path.
    A layer that stands in several places has the name of the first.

    Args:
        model: whose counterpart in PyTorch has the same layers, under the same attributes.

    Returns:
        Copies, contiguous and of the model's dtypes. With ``torch_model.load_state_dict({name: torch.from_numpy(array)
        for name, array in to_torch(model).items()})`` PyTorch has them, with ``safetensors.numpy.save_file`` a file
        that PyTorch reads.

    Raises:
        TypeError: ``model`` is not a Module.

    Example:
        >>> import nn
        >>> {name: array.shape for name, array in to_torch(nn.MLP([4, 3, 2])).items()}
        {'0.weight': (3, 4), '0.bias': (3,), '2.weight': (2, 3), '2.bias': (2,)}
    """
    state = _state("to_torch", model)
    return {name: _turned(state[path], transposed) for path, (name, transposed) in _entries(model, state).items()}


def from_torch(model: Module, state: Mapping[str, Any]) -> dict[str, Any]:
    """Give the ``state_dict`` of a PyTorch model as one for `Module.load_state_dict` of the same model here.

    It undoes `to_torch`, whose text says what differs. A file that PyTorch wrote is read by
    ``model.load_state_dict(from_torch(model, safetensors.numpy.load_file(path)))``.

    Args:
        model: says which entries there are, and which are weights of Linear layers. It is not changed.
        state: PyTorch's tensors, on the CPU and without gradient as ``state_dict`` gives them, or arrays, by name.

    Returns:
        Arrays by their paths in the model, copied.

    Raises:
        TypeError: ``model`` is not a Module, ``state`` is no dict, or an entry cannot be made an array.
        ValueError: entries are missing, unexpected or of another shape. The message names all of them.

    Example:
        >>> import nn
        >>> model = nn.MLP([2, 1])
        >>> state = {"0.weight": np.array([[1.0, 2.0]]), "0.bias": np.array([3.0])}
        >>> model.load_state_dict(from_torch(model, state))
        >>> model(np.array([[10.0, 20.0]])).data
        array([[53.]])
    """
    own = _state("from_torch", model)
    if not isinstance(state, Mapping):
        raise TypeError(f"from_torch: expected a dict of arrays by name, got {type(state).__name__}")
    entries = _entries(model, own)
    arrays = {name: _array(name, value) for name, value in state.items()}
    problems = []
    for path, (name, transposed) in entries.items():
        shape = own[path].shape[::-1] if transposed else own[path].shape
        if name not in arrays:
            problems.append(f"missing {name} of shape {shape}")
        elif arrays[name].shape != shape:
            problems.append(f"{name} has shape {arrays[name].shape}, not {shape}")
    expected = {name for name, _ in entries.values()}
    problems += [f"unexpected {name}" for name in arrays if name not in expected]
    if problems:
        raise ValueError(
            f"from_torch: the entries are not those of this {type(model).__name__} in PyTorch: {'; '.join(problems)}"
        )
    return {path: _turned(arrays[name], transposed) for path, (name, transposed) in entries.items()}


def _state(caller: str, model: Any) -> dict[str, Any]:
    if not isinstance(model, Module):
        raise TypeError(f"{caller}: expected a Module, got {model!r}")
    return model.state_dict()


def _entries(model: Module, paths: Iterable[str]) -> dict[str, tuple[str, bool]]:
    """Give for each path PyTorch's name and whether it is the weight of a Linear layer, which lies transposed there.

    The name is the path without the lists in which a Sequential keeps its layers.
    """
    modules = dict(model.named_modules())
    lists = {f"{path}.layers" if path else "layers" for path, part in modules.items() if isinstance(part, Sequential)}
    entries = {}
    for path in paths:
        parts = path.split(".")
        kept = [part for end, part in enumerate(parts, start=1) if ".".join(parts[:end]) not in lists]
        owner, _, last = path.rpartition(".")
        entries[path] = ".".join(kept), last == "weight" and isinstance(modules.get(owner), Linear)
    return entries


def _turned(array: Any, transposed: bool) -> Any:
    """Give a copy of an array in the other layout."""
    return np.array(array.T if transposed else array, order="C")


def _array(name: str, value: Any) -> Any:
    try:
        return np.asarray(ad.stop_gradient(value))
    except (RuntimeError, TypeError, ValueError) as error:
        raise TypeError(
            f"from_torch: {name} cannot be made an array: {error}; try value.detach().cpu().float()"
        ) from None
