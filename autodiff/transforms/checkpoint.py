"""Functions that forget what they computed on the way, and compute it again in the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from itertools import compress
from typing import Any, TypeVar

import numpy as np

from autodiff.core.clock import tick
from autodiff.core.record import NO_KEYWORDS, data_of, is_variable, packed
from autodiff.core.record import result as result_of
from autodiff.core.rule import Array, Function, defvjp
from autodiff.core.tape import Outputs
from autodiff.core.tensor import Tensor
from autodiff.transforms.composition import pull_through
from autodiff.transforms.containers import flatten
from autodiff.transforms.run import used_from_outside

F = TypeVar("F", bound=Callable[..., Any])


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
        >>> x = ad.Tensor(np.linspace(0, 1, 3))
        >>> y = ad.checkpoint(lambda x: np.tanh(np.tanh(x)))(x)
        >>> y.sum().backward()
        >>> x.grad.round(4)
        array([1.    , 0.6398, 0.2469])
    """
    if not callable(function):
        raise TypeError(f"checkpoint: the argument must be a function, got {function!r}")

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        leaves, rebuild = flatten((args, kwargs))  # now, since the function or the caller may change the containers
        are_variables = list(map(is_variable, leaves))
        variables = list(compress(leaves, are_variables))
        began = tick()
        result = function(*args, **kwargs)
        others = list(used_from_outside(flatten(result)[0], began, variables, leaves=True))

        def again(inputs: Sequence[Any]) -> Any:
            supply = iter(inputs)
            args, kwargs = rebuild(
                [next(supply) if one else leaf for leaf, one in zip(leaves, are_variables, strict=True)]
            )
            return list(filter(is_variable, flatten(function(*args, **kwargs))[0]))

        return as_one_call(checkpoint, result, [*variables, *others], (again, len(variables), others))

    return call  # type: ignore[return-value]


def as_one_call(function: Function, result: Any, tensors: list[Tensor], recipe: Any) -> Any:
    """Give a result with its Tensors made by one call of ``tensors``, in place of the graph that made them."""
    leaves, rebuild = flatten(result)
    data = [leaf._array for leaf in leaves if is_variable(leaf)]
    if not data:
        return result
    whole, operands = data[0] if len(data) == 1 else Outputs(data), packed(tensors)
    node = result_of(whole, function, (operands, recipe), (operands._array, recipe), NO_KEYWORDS, True)
    supply = iter([node] if len(data) == 1 else node)
    return rebuild([next(supply) if is_variable(leaf) else leaf for leaf in leaves])


def _agree(new: Tensor, old: Any) -> bool:
    """Whether two results are the same; of arrays that may be lazy, nothing is said."""
    return not isinstance(new._array, np.ndarray | np.generic) or np.array_equal(
        new._array, data_of(old), equal_nan=True
    )


def _checkpoint(g: Array, out: Array, tensors: Any, recipe: Any) -> list[Any]:
    again, count, others = recipe

    def checked(inputs: Sequence[Any]) -> Any:
        outputs, before = again(inputs), flatten(out)[0]
        if len(outputs) != len(before) or not all(map(_agree, outputs, before)):
            raise RuntimeError(
                "checkpoint: the function gave another result in the backward pass than before; what it draws at "
                "random or counts must come from its arguments, and what it uses must not be changed"
            )
        return outputs

    first, others = pull_through(checked, g, (tensors[:count],), {}, 0, others)
    return [*first, *others]


defvjp(checkpoint, _checkpoint)
