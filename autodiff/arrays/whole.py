"""Calls that an array type may take as a whole, and the few functions that must be taken so.

NumPy hands its own functions to any array type that asks for them. For functions of Python, an array type asks by a
method ``__array_call__(function, args, kwargs)``: it gives the result, or NotImplemented where the function may run as
it is, on the array itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from autodiff.arrays.foreign import PLAIN

F = TypeVar("F", bound=Callable[..., Any])


def taken_whole(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Offer a call to the array types among its arguments: the result of the first that takes it, or NotImplemented."""
    for arg in (*args, *kwargs.values()):
        if type(arg) in PLAIN:
            continue
        for item in arg if type(arg) in (list, tuple) else (arg,):
            if hasattr(item, "__array_call__"):
                result = item.__array_call__(function, args, kwargs)
                if result is not NotImplemented:
                    return result
    return NotImplemented


def offered(function: F) -> F:
    """Make a function that is offered whole to the array types among its arguments, unless it is one already."""
    if hasattr(function, "is_whole"):
        return function

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = taken_whole(call, args, kwargs)
        return function(*args, **kwargs) if result is NotImplemented else result

    return call  # type: ignore[return-value]


def whole(function: F) -> F:
    """Make a function that looks into arrays, or is made of several calls, one call to those who record calls."""
    call = offered(function)
    call.is_whole = True  # type: ignore[attr-defined]
    return call


def is_numpy(x: Any) -> bool:
    """Whether something is an array or number of NumPy's own, or says that it takes all that one takes."""
    return isinstance(x, np.ndarray | np.generic) or hasattr(x, "takes_all_of_numpy")


def is_lazy(x: Any) -> bool:
    """Whether an array is one that is computed later, in blocks, as Dask's are; nothing is to compute it unasked.

    Example:
        >>> is_lazy(np.ones(2))
        False
    """
    return type(x) is not np.ndarray and hasattr(x, "map_blocks")


def innermost(x: Any) -> Any:
    """Give an array, of a batch that of all its members."""
    while hasattr(x, "members"):
        x = x.members
    return x


def looked_at(x: Any) -> Any:
    """Give an array of NumPy's own, of a batch that of all its members; None for one that cannot be looked into."""
    x = innermost(x)
    return x if isinstance(x, np.ndarray | np.generic) else None


def holds_any(condition: Any) -> bool:
    """Whether a condition holds anywhere, also in any member of a batch; not where it cannot be looked into."""
    array = looked_at(condition)
    return array is not None and bool(np.any(array))


def held_as(array: Any, like: Any) -> Any:
    """Give an array of NumPy's in the batches that another is in: what undoes `looked_at`."""
    return like.holding(held_as(array, like.members)) if hasattr(like, "members") else array


def as_float(x: Any) -> Any:
    """Give a Python number of a NumPy one, or have that recorded; one that is computed later stays as it is."""
    if hasattr(x, "as_float"):
        return x.as_float()
    return x if is_lazy(x) else float(x)


@whole
def look_up(table: Any, indices: Any) -> Any:
    """Give ``table[indices]``, also where an array that records calls is the index and a plain one the table."""
    return table[indices]


@whole
def require(condition: Any, error: type[Exception], message: str, *values: Any) -> None:
    """Raise an error unless a condition on values holds.

    Args:
        condition: a boolean, or an array of them, all of which must be true.
        error: the type of the error.
        message: its text, with a pair of braces for each of the values.
        values: what is put in their places: numbers, or arrays that broadcast to the shape of an array of conditions,
            of which the element is shown where it first does not hold.

    Raises:
        NotImplementedError: the condition is lazy. What can be checked later is checked by `lazy.checked`.

    Example:
        >>> require(np.array([1.0, -1.0]) > 0, ValueError, "must be positive, got {}", np.array([1.0, -1.0]))
        Traceback (most recent call last):
        ValueError: must be positive, got -1.0
    """
    if is_lazy(condition):
        raise NotImplementedError(
            f"{message.partition(':')[0]}: its check would compute a lazy array; give what x.compute() returns"
        )
    if getattr(condition, "shape", ()):
        if not condition.all():
            raise error(message.format(*(np.broadcast_to(value, condition.shape)[~condition][0] for value in values)))
    elif not condition:
        raise error(message.format(*values))
