"""A model's output with other parameters than its own, which makes it a function of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from threading import RLock
from typing import Any

import numpy as np

import autodiff as ad
from autodiff.core.record import constant
from nn.module import Buffer, Module, Parameter, fitted

_Slot = tuple[dict[Any, Any] | list[Any], Any, Any]  # a container, the key in it, and what stands there

_one_at_a_time = RLock()


def functional_call(
    model: Module,
    parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    args: Any = (),
    kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """Call a model with other parameters and buffers in place of its own, as `torch.func.functional_call` does.

    Afterwards the model has its own again, also if the call failed. So it is a function of its parameters, to be given
    to `ad.grad`, `ad.vmap` and the like: ``ad.vmap(ad.grad(loss), in_axes=(None, 0, 0))`` gives the gradients of single
    examples, and `ad.vmap` over parameters that are stacked along a first axis is an ensemble of models.

    Args:
        model: a Module.
        parameters: Tensors or arrays by the names of `Module.named_parameters` and `Module.named_buffers`, or several
            dicts of them. Those that are missing are the model's own. One that a model has in several places stands
            under its first name, and takes all places. What the model changes in a buffer, it changes in the Tensor
            that is given for it; of an array it changes a copy.
        args: of the model: a tuple of them, or the only one.
        kwargs: keyword arguments of the model.

    Threads wait for each other in this function. But the model has other parameters meanwhile, and must not be called
    in another way by another thread, nor saved; and what holds on to a parameter itself, as a closure may, goes on to
    use that one.

    Raises:
        TypeError: the model is no Module, or the parameters are no dict.
        ValueError: names are unknown or given twice, shapes are not the model's, or values are no real numbers. The
            message names all of them.

    Example:
        >>> model = nn.Linear(2, 1, rng=0)
        >>> parameters = {"weight": np.array([[3.0], [4.0]]), "bias": np.array([0.5])}
        >>> nn.functional_call(model, parameters, np.array([1.0, 2.0])).data
        array([11.5])
        >>> def loss(parameters, x, y):
        ...     return nn.functional.mse_loss(nn.functional_call(model, parameters, x), y)
        >>> X, y = np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([[11.0], [0.0]])
        >>> ad.vmap(ad.grad(loss), in_axes=(None, 0, 0))(parameters, X, y)["bias"]
        array([[1.],
               [9.]])
    """
    if not isinstance(model, Module):
        raise TypeError(f"functional_call: expected a Module, got {model!r}")
    own = model.by_path()
    others = _others(model, own, parameters)
    with _one_at_a_time:
        slots = [
            slot for module in model.modules() for slot in _slots(vars(module)) if _with(slot[2], others) is not slot[2]
        ]
        try:
            for container, key, value in slots:
                container[key] = _with(value, others)
            return model(*(args if isinstance(args, tuple) else (args,)), **(kwargs or {}))
        finally:
            for container, key, value in slots:
                container[key] = value


def _others(model: Module, own: Mapping[str, ad.Tensor], parameters: Any) -> dict[int, ad.Tensor]:
    """Give the Tensors that take the places of the model's own, by the identity of these."""
    dicts = list(parameters) if isinstance(parameters, list | tuple) else [parameters]
    given: dict[str, Any] = {}
    for one in dicts:
        if not isinstance(one, Mapping):
            raise TypeError(f"functional_call: expected a dict of parameters by name, got {type(one).__name__}")
        if twice := given.keys() & one.keys():
            raise ValueError(f"functional_call: several dicts have {', '.join(sorted(twice))}")
        given |= one
    values, problems = fitted(own, given, _taken)
    if problems:
        stacked = "; parameters of several models at once are mapped over, by ad.vmap"
        raise ValueError(
            f"functional_call: {type(model).__name__} is not called: {'; '.join(problems)}"
            f"{stacked if any('has shape' in problem for problem in problems) else ''}"
        )
    tensors = {}
    for path, value in values.items():
        if not isinstance(value, ad.Tensor):
            value = constant(value.copy() if isinstance(own[path], Buffer) else value)
            value.name = path
        tensors[id(own[path])] = value
    return tensors


def _taken(value: Any) -> Any:
    """Give an array, or a Tensor, as a Tensor holds it."""
    array = value if hasattr(value, "__array_function__") else np.asarray(value)
    return array[()] if type(array) is np.ndarray and not array.shape else array


def _slots(container: Any) -> Iterator[_Slot]:
    """Give the places in a container, and in those in it, where something can be put that may be another's."""
    for key, value in list(container.items() if isinstance(container, dict) else enumerate(container)):
        if isinstance(value, Parameter | Buffer | tuple) and not isinstance(container, tuple):
            yield container, key, value
        if isinstance(value, list | dict | tuple):
            yield from _slots(value)


def _with(value: Any, others: Mapping[int, ad.Tensor]) -> Any:
    """Give what is to stand in a place: the value itself, where nothing in it is another's."""
    if not isinstance(value, tuple):
        return others.get(id(value), value)
    items = [_with(item, others) for item in value]
    if all(item is before for item, before in zip(items, value, strict=True)):
        return value
    return value._make(items) if hasattr(value, "_make") else type(value)(items)
