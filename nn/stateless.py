"""A model's output with other parameters than its own, which makes it a function of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from threading import RLock
from typing import Any

import numpy as np

import autodiff as ad
from autodiff.core.record import constant, data_of, unary
from autodiff.core.tensor import alias
from nn.module import Buffer, Module, Parameter, check_model, fitted

_one_at_a_time = RLock()


def functional_call(
    model: Module,
    parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    args: Any = (),
    kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """Call a model with other parameters and buffers in place of its own, as `torch.func.functional_call` does.

    Afterwards it has its own again, also if the call failed. So it is a function of parameters, as `ad.grad` and
    `ad.vmap` take it: ``ad.vmap(ad.grad(loss), in_axes=(None, 0, 0))`` gives the gradients of single examples, and
    `ad.vmap` over parameters that are stacked along a first axis an ensemble.

    Args:
        model: a Module.
        parameters: Tensors or arrays by the names of `Module.named_parameters` and `Module.named_buffers`, or several
            dicts of them. Those that are missing are the model's own. One that stands in several places has the first
            name, and takes all places. What the model changes in a buffer, it changes in the Buffer that is given, or
            in a copy of anything else.
        args: of the model: a tuple of them, or the only one.
        kwargs: keyword arguments of the model.

    Threads wait for each other in this function, but must not call or save the model in another way meanwhile. What
    holds on to a parameter itself, as a closure may, goes on to use that one.

    Raises:
        TypeError: the model is no Module, or the parameters are no dict.
        ValueError: names are unknown or given twice, shapes are not the model's, or values are no real numbers. The
            message names all of them.

    Example:
        >>> model = nn.Linear(2, 1, rng=0)
        >>> def loss(parameters, x, y):
        ...     return nn.functional.mse_loss(nn.functional_call(model, parameters, x), y)
        >>> parameters = {"weight": np.array([[3.0], [4.0]]), "bias": np.array([0.5])}
        >>> X, y = np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([[11.0], [0.0]])
        >>> ad.vmap(ad.grad(loss), in_axes=(None, 0, 0))(parameters, X, y)["bias"]
        array([[1.],
               [9.]])
    """
    check_model("functional_call", model)
    with _one_at_a_time:
        others = _others(model, parameters)
        places = [place for module in model.modules() for place in _places(vars(module))]
        changed = [(*place, value) for place in places if (value := _with(place[2], others)) is not place[2]]
        try:
            for container, key, _, value in changed:
                container[key] = value
            return model(*(args if isinstance(args, tuple) else (args,)), **(kwargs or {}))
        finally:
            for container, key, before, _ in changed:
                container[key] = before


def _others(model: Module, parameters: Any) -> dict[int, ad.Tensor]:
    """Give the Tensors that take the places of the model's own, by the identity of these."""
    given: dict[str, Any] = {}
    for one in parameters if isinstance(parameters, list | tuple) else [parameters]:
        if not isinstance(one, Mapping):
            raise TypeError(f"functional_call: expected a dict of parameters by name, got {type(one).__name__}")
        if twice := given.keys() & one.keys():
            raise ValueError(f"functional_call: several dicts have {', '.join(sorted(twice))}")
        given |= one
    own = model.by_path()
    values, problems = fitted(own, given, _taken)
    if problems:
        if any("has shape" in problem for problem in problems):
            problems.append("parameters of several models at once are mapped over, by ad.vmap")
        raise ValueError(f"functional_call: {type(model).__name__} is not called: {'; '.join(problems)}")
    return {id(own[path]): _stand_in(value, own[path], path) for path, value in values.items()}


def _taken(value: Any) -> Any:
    """Give an array, or a Tensor, as a Tensor holds it."""
    array = value if hasattr(value, "__array_function__") else np.asarray(value)
    return array[()] if type(array) is np.ndarray and not array.shape else array


def _stand_in(value: Any, own: ad.Tensor, path: str) -> ad.Tensor:
    """Give a Parameter or Buffer that has a value, so that it is found in the model as its own is."""
    kind = Buffer if isinstance(own, Buffer) else Parameter
    if isinstance(value, kind):
        return value
    if isinstance(value, ad.Tensor) and value.requires_grad:
        tensor = unary(alias, value)
    else:
        tensor = constant(data_of(value) if kind is Parameter else data_of(value).copy())
    tensor.__class__, tensor.name = kind, getattr(value, "name", None) or path
    return tensor


def _places(container: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Give the places in a container, and in those in it, where something can be put, and what stands there."""
    for key, value in list(container.items() if isinstance(container, dict) else enumerate(container)):
        if isinstance(value, Parameter | Buffer | tuple) and not isinstance(container, tuple):
            yield container, key, value
        if isinstance(value, list | dict | tuple):
            yield from _places(value)


def _with(value: Any, others: Mapping[int, ad.Tensor]) -> Any:
    """Give what is to stand in a place: the value itself, where nothing in it is another's."""
    if not isinstance(value, tuple):
        return others.get(id(value), value)
    items = [_with(item, others) for item in value]
    is_same = all(item is before for item, before in zip(items, value, strict=True))
    return value if is_same else value._make(items) if hasattr(value, "_make") else type(value)(items)
