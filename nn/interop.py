"""Parameters for PyTorch and from PyTorch, as dicts of arrays; PyTorch itself is not needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

import autodiff as ad
from autodiff.core.rule import Array
from nn.checks import to_array
from nn.containers import Sequential
from nn.layers import Linear
from nn.module import Buffer, Module, Parameter, _members, check_model


def to_torch(model: Module) -> dict[str, Array]:
    """Give the parameters and buffers of a model by the names, and in the layout, of the same model in PyTorch.

    A Linear layer's weight is transposed, since PyTorch's has the shape ``(out_features, in_features)``. The layers of
    a `Sequential` are called by their position alone, ``0.weight`` for ``layers.0.weight``, and all else by its path.
    What stands in several places has, as there, a name for each.

    Args:
        model: whose counterpart in PyTorch has the same layers, under the same attributes.

    Returns:
        Copies, contiguous and of the model's dtypes. With ``torch_model.load_state_dict({name: torch.from_numpy(array)
        for name, array in to_torch(model).items()})`` PyTorch has them, with ``safetensors.numpy.save_file`` a file
        that PyTorch reads.

    Raises:
        TypeError: ``model`` is not a Module.

    Example:
        >>> {name: array.shape for name, array in nn.to_torch(nn.MLP([4, 3, 2])).items()}
        {'0.weight': (3, 4), '0.bias': (3,), '2.weight': (2, 3), '2.bias': (2,)}
    """
    _by_path("to_torch", model)
    return {entry.name: _turned(entry.tensor.data, entry.transposed) for entry in _entries(model)}


def from_torch(model: Module, state: Mapping[str, Any]) -> dict[str, Array]:
    """Give the ``state_dict`` of a PyTorch model as one for `Module.load_state_dict` of the same model here.

    It undoes `to_torch`, whose text says what differs. A file that PyTorch wrote is read by
    ``model.load_state_dict(from_torch(model, safetensors.numpy.load_file(path)))``.

    Args:
        model: says which entries there are, and which are weights of Linear layers. It is not changed.
        state: PyTorch's tensors, on the CPU and without gradient as ``state_dict`` gives them, or arrays, by name. What
            stands in several places needs one of its names, since PyTorch's files have only one.

    Returns:
        Arrays by their paths in the model, copied.

    Raises:
        TypeError: ``model`` is not a Module, ``state`` is no dict, or an entry cannot be made an array.
        ValueError: entries are missing, unexpected, of another shape, or different under two names of the same thing.
            The message names all of them.

    Example:
        >>> model = nn.MLP([2, 1])
        >>> state = {"0.weight": np.array([[1.0, 2.0]]), "0.bias": np.array([3.0])}
        >>> loaded = model.load_state_dict(nn.from_torch(model, state))
        >>> model(np.array([[10.0, 20.0]])).data
        array([[53.]], dtype=float32)
    """
    paths = _by_path("from_torch", model)
    if not isinstance(state, Mapping):
        raise TypeError(
            f"from_torch: expected a dict of arrays by name, such as torch_model.state_dict(), got "
            f"{type(state).__name__}"
        )
    arrays = {name: _array(name, value) for name, value in state.items()}
    sources: dict[int, tuple[str, Array]] = {}  # by the id of a Tensor, where its array was and what it is
    problems = []
    missing: dict[int, str] = {}
    expected = set()
    for name, tensor, transposed in _entries(model):
        expected.add(name)
        shape = tensor.shape[::-1] if transposed else tensor.shape
        if name not in arrays:
            missing.setdefault(id(tensor), f"missing {name} of shape {shape}")
        elif arrays[name].shape != shape:
            problems.append(f"{name} has shape {arrays[name].shape}, not {shape}")
        else:
            array = _turned(arrays[name], transposed)
            first, other = sources.setdefault(id(tensor), (name, array))
            if array.tobytes() != other.tobytes():
                problems.append(f"{name} differs from {first}, which is the same here")
    problems += [text for tensor, text in missing.items() if tensor not in sources]
    problems += [f"unexpected {name}" for name in arrays if name not in expected]
    if problems:
        raise ValueError(
            f"from_torch: the entries are not those of this {type(model).__name__} in PyTorch: {'; '.join(problems)}"
        )
    return {path: sources[id(tensor)][1] for path, tensor in paths.items()}


def _by_path(caller: str, model: Module) -> dict[str, ad.Tensor]:
    """Give the parameters and buffers of a model by their path here, and refuse one in which two share a path."""
    check_model(caller, model)
    return model.by_path()


class _Entry(NamedTuple):
    """A place of a parameter or buffer."""

    name: str  # in PyTorch
    tensor: Parameter | Buffer
    transposed: bool  # whether it lies transposed there


def _entries(module: Module, prefix: str = "", around: tuple[Module, ...] = ()) -> Iterator[_Entry]:
    """Give every place of every parameter and buffer; what a container keeps its Modules in has no name."""
    around = (*around, module)
    nameless = "layers" if isinstance(module, Sequential) else module._nameless
    for attribute, value in vars(module).items():
        within = "" if attribute == nameless else attribute
        for path, part in _members(value, within):
            name = prefix + path.removeprefix(".")
            if not isinstance(part, Module):
                yield _Entry(name, part, attribute == "weight" and isinstance(module, Linear))
            elif part not in around:
                yield from _entries(part, f"{name}.", around)


def _turned(array: Array, transposed: bool) -> Array:
    """Give a copy of an array in the other layout."""
    return np.array(array.T if transposed else array, order="C")


def _array(name: str, value: Any) -> Array:
    try:
        return np.asarray(to_array("from_torch", name, ad.stop_gradient(value)))
    except (RuntimeError, TypeError, ValueError) as error:
        raise TypeError(
            f"from_torch: {name} cannot be made an array: {error}; try value.detach().cpu().float()"
        ) from None
