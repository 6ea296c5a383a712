"""Functions that turn a function into its derivative."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from autodiff.tape import is_recording, name_of, pullback, recording
from autodiff.tensor import Tensor, alias, constant, data_of

Argnums = int | Sequence[int]

_nested: ContextVar[bool] = ContextVar("nested", default=False)


def grad(function: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """Make the function that gives the gradient of a scalar-valued function.

    Args:
        function: takes arrays or Tensors and returns a scalar Tensor (an array of one element).
        argnums: which positional argument to differentiate by, or a tuple or list of several.

    Returns:
        A function of the same arguments that returns the gradient: an array of the argument's shape and dtype, or a
        tuple of them if ``argnums`` are several. It can be differentiated again. For an argument that is a Tensor, or
        where the function uses Tensors from outside that require a gradient, it is a Tensor; gradients flow through it.

    Raises:
        TypeError: ``function`` is not callable, an argument is not real numbers, or the result is not a number.
        ValueError: an argnum is out of range, or the result is not a scalar.

    Example:
        >>> import numpy as np
        >>> cube = lambda x: x**3
        >>> float(grad(cube)(2.0)), float(grad(grad(cube))(2.0)), float(grad(grad(grad(cube)))(2.0))
        (12.0, 12.0, 6.0)
        >>> grad(lambda x: np.sin(x).sum())(np.zeros(3))
        array([1., 1., 1.])
    """
    both = _value_and_grad("grad", function, argnums)

    @functools.wraps(function)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return gradient


def value_and_grad(function: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """Make the function that gives the value and the gradient of a scalar-valued function, in one pass.

    Arguments, result and errors are those of `grad`, but the result is the pair ``(value, gradient)``.

    Example:
        >>> value, (dx, dy) = value_and_grad(lambda x, y: x * x * y, argnums=(0, 1))(3.0, 2.0)
        >>> float(value), float(dx), float(dy)
        (18.0, 12.0, 9.0)
    """
    return functools.wraps(function)(_value_and_grad("value_and_grad", function, argnums))


def _value_and_grad(caller: str, function: Callable[..., Any], argnums: Argnums) -> Callable[..., tuple[Any, Any]]:
    if not callable(function):
        raise TypeError(f"{caller}: the first argument must be a function, got {function!r}")
    several = isinstance(argnums, Sequence)
    positions = tuple(argnums) if isinstance(argnums, Sequence) else (argnums,)
    if not positions or not all(isinstance(position, int | np.integer) for position in positions):
        raise TypeError(f"{caller}: argnums must be an integer or several, got {argnums!r}")

    def both(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        called = f"{caller}({name_of(function)})"
        for position in positions:
            if not -len(args) <= position < len(args):
                raise ValueError(f"{called}: argnums {argnums} is out of range for {len(args)} positional arguments")
        chosen = [position % len(args) for position in positions]
        # Tensors come out where Tensors go in, or take part in the function from outside, and inside of another
        # derivative, which is to pass through this one: then the gradient needs a graph, unless recording is off.
        record_gradient = is_recording.get()
        given = [args[k] for k in chosen if isinstance(args[k], Tensor)]
        variables = {k: _variable(args[k], record_gradient) for k in chosen}
        token = _nested.set(True)
        try:
            with recording(True):
                output = function(*(variables.get(k, arg) for k, arg in enumerate(args)), **kwargs)
                seed = _seed(called, output)
                inputs = list(variables.values())
                create_graph = record_gradient and (token.old_value is True or _depends_on_others(output, inputs))
                reached: dict[Tensor, Any] = {}
                if isinstance(output, Tensor) and output.requires_grad:
                    reached = pullback([(output, constant(seed) if create_graph else seed)], create_graph, inputs)
        finally:
            _nested.reset(token)
        results = [output if create_graph else data_of(output)]
        results += [reached.get(x, np.zeros_like(data_of(x))[()]) for x in map(variables.__getitem__, chosen)]
        if given or create_graph or _nested.get():
            results = [result if isinstance(result, Tensor) else constant(result) for result in results]
        value, *gradients = results
        return value, tuple(gradients) if several else gradients[0]

    return both


def _variable(arg: Any, create_graph: bool) -> Tensor:
    """Give the Tensor to differentiate by, which hangs on the argument only where a gradient is to pass through."""
    return alias(arg) if create_graph and isinstance(arg, Tensor) and arg.requires_grad else Tensor(data_of(arg))


def _depends_on_others(output: Any, inputs: Sequence[Tensor]) -> bool:
    """Whether Tensors that require a gradient took part in the output, other than the inputs or through them."""
    found = [output]
    seen = {id(tensor) for tensor in inputs if tensor.is_leaf}
    while found:
        tensor = found.pop()
        if isinstance(tensor, list | tuple):
            found += tensor
        elif isinstance(tensor, Tensor) and tensor.requires_grad and id(tensor) not in seen:
            if tensor.is_leaf:
                return True
            seen.add(id(tensor))
            found += tensor._args
    return False


def _seed(called: str, output: Any) -> Any:
    """Check the result of the function, and give the gradient of one that a walk begins with."""
    if not isinstance(output, Tensor | np.ndarray | np.generic | int | float):
        raise TypeError(f"{called}: the function must return a scalar Tensor, got {type(output).__name__}")
    if np.size(output) != 1:
        raise ValueError(
            f"{called}: the function must return a scalar, got shape {np.shape(output)}; reduce it, as with .sum()"
        )
    return np.ones_like(data_of(output))
