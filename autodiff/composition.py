"""Derivatives of functions that are made of others: the backward pass runs the composition again and walks through it.

Nothing needs to be kept of the forward pass but the arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import partial, update_wrapper, wraps
from inspect import Parameter, signature
from itertools import compress
from typing import Any, TypeVar

import numpy as np

from autodiff.core.clock import tick
from autodiff.core.record import constant, data_of, is_variable, packed, variable
from autodiff.core.record import result as called
from autodiff.core.rule import Function, defvjp, name_of
from autodiff.core.tape import Outputs, is_recording, pullback, recording
from autodiff.core.tensor import Tensor, alias, is_float, stop_gradient
from autodiff.tree import flatten, walk

F = TypeVar("F", bound=Callable[..., Any])


def defcomposition(
    function: Function, composition: Callable[..., Any], arguments: int = 1, variadic: bool = False
) -> None:
    """Give a function the derivative of a composition of differentiable functions that computes the same.

    The function itself is what runs forward, and what a picture shows.

    Args:
        function: a NumPy function, or one made by `primitive`.
        composition: takes the function's arguments and gives its result, in functions that have a derivative.
        arguments: how many leading arguments are differentiable.
        variadic: as for `defvjp`; the composition takes the last differentiable argument as one list.

    Example:
        >>> from autodiff import Tensor, primitive
        >>> @primitive
        ... def norm(x):
        ...     return np.sqrt(np.sum(x * x))
        >>> defcomposition(norm, lambda x: np.sqrt(np.sum(x * x)))
        >>> x = Tensor([3.0, 4.0])
        >>> norm(x).backward()
        >>> x.grad
        array([0.6, 0.8])
    """
    rules: list[Any] = [partial(_rule, composition, position) for position in range(arguments)]
    parameters = signature(composition).parameters.values()
    leading = [Parameter(name, Parameter.POSITIONAL_ONLY) for name in ("g", "out")]
    for rule in rules:
        # What `defvjp` reads off a rule: which arguments and options the function may be called with.
        rule.__signature__ = signature(composition).replace(parameters=[*leading, *parameters])
    defvjp(function, *rules, variadic=variadic)


def _rule(composition: Callable[..., Any], position: int, g: Any, out: Any, *args: Any, **kwargs: Any) -> Any:
    """Give the gradient of one argument, an array or a list of them."""
    return pull_through(composition, g, args, kwargs, position)[0]


def pull_through(
    function: Callable[..., Any],
    g: Any,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    position: int,
    others: Sequence[Tensor] = (),
) -> tuple[Any, list[Any]]:
    """Run a function again and carry the gradient of its output back to one of its arguments.

    Args:
        function: the function, of Tensors.
        g: the gradient of its output, or a tuple of those of its outputs. Where it is a Tensor, so is the result.
        args: the arguments, which may be nested containers of arrays.
        kwargs: the function's options.
        position: which argument the gradient is wanted of.
        others: Tensors that the function uses without being given them, whose gradients are wanted too.

    Returns:
        The gradient of the argument, in the same container, and those of the others.
    """
    gradients = flatten(g)[0]
    create_graph = any(isinstance(one, Tensor) for one in gradients)
    leaves, rebuild = flatten(args[position])
    with recording(True):
        opened = [_opened(leaf, create_graph) for leaf in leaves]
        outputs = flatten(function(*args[:position], rebuild(opened), *args[position + 1 :], **kwargs))[0]
        ends = [leaf for leaf in opened if isinstance(leaf, Tensor)]
        with recording(create_graph):
            reached = pullback(seeds_of(outputs, gradients, create_graph), create_graph, [*ends, *others])

    def gradient_of(leaf: Any) -> Any:
        found = reached.get(leaf) if isinstance(leaf, Tensor) else None
        return np.zeros_like(data_of(leaf)) if found is None else found

    return rebuild(list(map(gradient_of, opened))), list(map(gradient_of, others))


def _opened(leaf: Any, create_graph: bool) -> Any:
    """Give the variable that stands for an array; anything else as it is."""
    if not is_float(leaf) or not hasattr(leaf, "dtype"):
        return leaf  # a Python float is a constant: what a Tensor holds has a dtype
    return alias(leaf) if create_graph and is_variable(leaf) else variable(data_of(leaf))


def seeds_of(outputs: Sequence[Any], gradients: Sequence[Any], create_graph: bool) -> list[tuple[Tensor, Any]]:
    """Pair outputs that have a graph with their gradients, made Tensors or arrays: what `pullback` begins with."""
    seeds = []
    for output, gradient in zip(outputs, gradients, strict=True):
        if is_variable(output):
            tensor = gradient if isinstance(gradient, Tensor) else constant(gradient)
            seeds.append((output, tensor if create_graph else data_of(gradient)))
    return seeds


def checkpoint(function: F) -> F:
    """Make a function that forgets its intermediate results, and computes them again in the backward pass.

    What it keeps is its arguments and result. A chain of ``n`` calls that is cut into ``√n`` such pieces needs memory
    for ``2 √n`` results in place of ``n``, and about one more forward pass of time.

    Args:
        function: takes and returns Tensors, or nested containers of them. It may use other Tensors, such as a model's
            parameters, and must give the same result when it is called again: what is random is drawn outside.

    Raises:
        TypeError: ``function`` is not callable.
        RuntimeError: in the backward pass, the function gave another result than the first time.

    Example:
        >>> x = variable(np.linspace(0, 1, 3))
        >>> y = checkpoint(lambda x: np.tanh(np.tanh(x)))(x)
        >>> y.sum().backward()
        >>> x.grad.round(4)
        array([1.    , 0.6398, 0.2469])
    """
    if not callable(function):
        raise TypeError(f"checkpoint: the argument must be a function, got {function!r}")

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        began = tick()
        result = function(*args, **kwargs)
        leaves, rebuild = flatten((args, kwargs))
        wanted = list(map(is_variable, leaves))  # now: a Tensor may be frozen before the backward pass
        given = list(compress(leaves, wanted))
        used = _used_from_outside(flatten(result)[0], began, given)

        def again(inputs: Sequence[Any]) -> Any:
            supply = iter(inputs)
            args, kwargs = rebuild([next(supply) if one else leaf for leaf, one in zip(leaves, wanted, strict=True)])
            return list(filter(is_variable, flatten(function(*args, **kwargs))[0]))

        return _as_one_call(checkpoint, result, [*given, *used], (again, len(given), used))

    return call  # type: ignore[return-value]


def _used_from_outside(outputs: Sequence[Any], began: int, given: Sequence[Tensor]) -> list[Tensor]:
    """List the Tensors that took part in the outputs and were there before, other than those given."""
    seen = set(map(id, given))
    found, pending = [], list(outputs)
    while pending:
        tensor = pending.pop()
        if is_variable(tensor) and id(tensor) not in seen:
            seen.add(id(tensor))
            if tensor._age > began:  # the clock counts down
                found.append(tensor)
            elif not tensor.is_leaf:
                pending += tensor._args
    return found


def _as_one_call(function: Function, result: Any, tensors: list[Tensor], recipe: Any) -> Any:
    """Give a result with its Tensors made by one call of ``tensors``, in place of the graph that made them."""
    leaves, rebuild = flatten(result)
    data = [leaf._data for leaf in leaves if is_variable(leaf)]
    if not data:
        return result
    used = packed(tensors)
    node = called(
        data[0] if len(data) == 1 else Outputs(data), function, (used, recipe), (used._data, recipe), {}, True
    )
    supply = iter([node] if len(data) == 1 else node)
    return rebuild([next(supply) if is_variable(leaf) else leaf for leaf in leaves])


def _agree(new: Tensor, old: Any) -> bool:
    """Whether two results are the same; of arrays that may be lazy, nothing is said."""
    return not isinstance(new._data, np.ndarray | np.generic) or np.array_equal(new._data, data_of(old), equal_nan=True)


def _checkpoint(g: Any, out: Any, tensors: Any, recipe: Any) -> list[Any]:
    again, count, used = recipe

    def checked(inputs: Sequence[Any]) -> Any:
        outputs, before = again(inputs), flatten(out)[0]
        if len(outputs) != len(before) or not all(map(_agree, outputs, before)):
            raise RuntimeError(
                "checkpoint: the function gave another result in the backward pass than before; what it draws at "
                "random or counts must come from its arguments, and what it uses must not be changed"
            )
        return outputs

    first, others = pull_through(checked, g, (tensors[:count],), {}, 0, used)
    return [*first, *others]


defvjp(checkpoint, _checkpoint)


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
        >>> @custom_vjp
        ... def log1pexp(x):
        ...     return np.log(1 + np.exp(x))
        >>> def forward(x):
        ...     return log1pexp(x), x
        >>> def backward(x, g):
        ...     return (g * (1 - 1 / (1 + np.exp(x))),)
        >>> log1pexp.defvjp(forward, backward)
        >>> x = variable(np.float64(0.0))
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
        for what, given in (("forward", forward), ("backward", backward)):
            if not callable(given):
                raise TypeError(f"custom_vjp({name_of(self._function)}): {what} must be a function, got {given!r}")
        self._forward, self._backward = forward, backward

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the result; where a gradient is wanted, by ``forward``."""
        name = name_of(self._function)
        if self._forward is None:
            raise RuntimeError(f"custom_vjp({name}): say {name}.defvjp(forward, backward) before it is called")
        given = [leaf for leaf in flatten(args)[0] if is_variable(leaf)]
        if not given or not is_recording.get() or self._in_forward.get():
            return self._function(*args, **kwargs)
        if any(is_variable(leaf) for leaf in flatten(kwargs)[0]):
            raise TypeError(f"custom_vjp({name}): pass Tensors by position; keyword arguments are constants")
        began = tick()
        result, saved = self._pair(args, kwargs)
        for tensor in _used_from_outside(flatten(result)[0], began, given):
            raise TypeError(
                f"custom_vjp({name}): forward uses a {tensor._label()} that it is not given, so no gradient would flow "
                "to it; pass it as an argument, or detach() it"
            )
        kept, rebuild_saved = flatten(saved)
        saved = rebuild_saved([stop_gradient(leaf) for leaf in kept])
        # The result has no graph of its own; each Tensor in it counts as made by this one call.
        leaves, rebuild = flatten(result)
        result = rebuild([variable(leaf._data) if isinstance(leaf, Tensor) else leaf for leaf in leaves])
        return _as_one_call(self, result, given, (args, kwargs, saved))

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

    def _rule(self, g: Any, out: Any, tensors: Any, recipe: Any) -> list[Any]:
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
        found: list[Any] = []
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
                    piece = np.zeros_like(leaf._data) if piece is None else piece
                    found.append(piece if create_graph else data_of(piece))
        return found
