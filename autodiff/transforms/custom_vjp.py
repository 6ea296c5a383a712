"""Functions whose derivative is given by hand, where that of the calls they are made of is right but inexact."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import update_wrapper
from typing import Any

import numpy as np

from autodiff.core.clock import tick
from autodiff.core.record import constant, data_of, is_variable, variable
from autodiff.core.rule import Array, defvjp, name_of
from autodiff.core.tape import is_recording, recording
from autodiff.core.tensor import Tensor, stop_gradient
from autodiff.transforms.checkpoint import as_one_call
from autodiff.transforms.containers import flatten, walk
from autodiff.transforms.run import used_from_outside


class custom_vjp:  # noqa: N801 (a decorator)
    """Give a function a derivative of your own, where that of its calls is right but numerically worse.

    ``f.defvjp(forward, backward)`` says how: ``forward(*args)`` returns the pair of the result and whatever the
    backward pass needs; ``backward(saved, g)`` is given that and the gradient of the result, and returns a tuple with
    one gradient for each argument, None for none. Both are written in NumPy calls on Tensors, so that they can be
    differentiated again. Keyword arguments are constants, handed to both ``function`` and ``forward``.

    Args:
        function: computes the result where no gradient is wanted.

    Raises:
        TypeError: ``function``, ``forward`` or ``backward`` is not callable, or they do not return what they should.
        RuntimeError: it is called without ``defvjp``.

    Example:
        >>> @ad.custom_vjp
        ... def log1pexp(x):
        ...     return np.log(1 + np.exp(x))
        >>> def forward(x):
        ...     return log1pexp(x), x
        >>> def backward(x, g):
        ...     return (g * (1 - 1 / (1 + np.exp(x))),)
        >>> log1pexp.defvjp(forward, backward)
        >>> x = ad.Tensor(0.0)
        >>> log1pexp(x).backward()
        >>> float(x.grad)
        0.5
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        if not callable(function):
            raise TypeError(f"custom_vjp: the argument must be a function, got {function!r}")
        update_wrapper(self, function)
        self._function = function
        self._forward: Callable[..., Any] | None = None
        self._backward: Callable[..., Any] | None = None
        self._in_forward: ContextVar[bool] = ContextVar("in_forward", default=False)

        defvjp(self, self._rule)

    def defvjp(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        """Say how the function and its derivative are computed together."""
        for what, rule in (("forward", forward), ("backward", backward)):
            if not callable(rule):
                raise TypeError(f"custom_vjp({name_of(self._function)}): {what} must be a function, got {rule!r}")
        self._forward, self._backward = forward, backward

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the result; where a gradient is wanted, by ``forward``."""
        name = name_of(self._function)
        if self._forward is None:
            raise RuntimeError(f"custom_vjp({name}): say {name}.defvjp(forward, backward) before it is called")
        variables = [leaf for leaf in flatten(args)[0] if is_variable(leaf)]
        if not variables or not is_recording.get() or self._in_forward.get():
            return self._function(*args, **kwargs)
        if any(is_variable(leaf) for leaf in flatten(kwargs)[0]):
            raise TypeError(f"custom_vjp({name}): pass Tensors by position; keyword arguments are constants")
        leaves, rebuild = flatten((args, kwargs))
        recipe = rebuild(leaves)  # a copy of the containers, which may be changed
        began = tick()
        result, saved = self._pair(args, kwargs)
        for tensor in used_from_outside(flatten(result)[0], began, variables):
            raise TypeError(
                f"custom_vjp({name}): forward uses a {tensor._label()} that it is not given, so no gradient would flow "
                "to it; pass it as an argument, or detach() it"
            )
        saved_leaves, rebuild_saved = flatten(saved)
        saved = rebuild_saved([stop_gradient(leaf) for leaf in saved_leaves])
        # The result has no graph of its own; each Tensor in it counts as made by this one call.
        leaves, rebuild = flatten(result)
        result = rebuild([variable(leaf._array) if isinstance(leaf, Tensor) else leaf for leaf in leaves])
        return as_one_call(self, result, variables, (*recipe, saved))

    def _pair(self, args: Any, kwargs: Any) -> tuple[Any, Any]:
        token = self._in_forward.set(True)  # forward may call the function itself
        try:
            pair = self._forward(*args, **kwargs)  # type: ignore[misc]
        finally:
            self._in_forward.reset(token)
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(
                f"custom_vjp({name_of(self._function)}): forward must return the pair of the result and what backward "
                f"needs, got {type(pair).__name__}"
            )
        return pair

    def _rule(self, g: Array, out: Array, tensors: Any, recipe: Any) -> list[Any]:
        args, kwargs, saved = recipe
        parts = flatten(g)[0]
        create_graph = any(isinstance(one, Tensor) for one in parts)
        with recording(create_graph):
            if create_graph:
                _, saved = self._pair(args, kwargs)  # once more, for its own graph
            cotangents = [one if isinstance(one, Tensor) else constant(one) for one in parts]
            gradients = self._backward(saved, cotangents[0] if len(parts) == 1 else tuple(cotangents))  # type: ignore[misc]
        if not isinstance(gradients, tuple) or len(gradients) != len(args):
            raise TypeError(
                f"custom_vjp({name_of(self._function)}): backward must return a tuple with one gradient for each of "
                f"{len(args)} arguments, got {len(gradients) if isinstance(gradients, tuple) else repr(gradients)}"
            )
        for_variables: list[Any] = []
        for arg, gradient in zip(args, gradients, strict=True):
            leaves, pieces = list(walk(arg)), dict(walk(gradient))
            if not pieces.keys() <= dict(leaves).keys():
                raise TypeError(
                    f"custom_vjp({name_of(self._function)}): backward gave gradients at {', '.join(pieces)} for an "
                    f"argument with arrays at {', '.join(dict(leaves))}"
                )
            for path, leaf in leaves:
                if is_variable(leaf):
                    piece = pieces.get(path)
                    piece = np.zeros_like(leaf._array) if piece is None else piece
                    for array in map(data_of, parts):
                        piece = array.for_each(piece) if hasattr(array, "for_each") else piece  # of a batch
                    for_variables.append(piece if create_graph else data_of(piece))
        return for_variables
