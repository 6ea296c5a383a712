"""Functions that are one call to an array that records calls, though they are made of several, or look into arrays."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])


def recordable(function: F) -> F:
    """Let an array that records calls write a call of this function down as a whole, whatever happens in it."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for arg in args:
            for item in arg if type(arg) is tuple else (arg,):
                if hasattr(item, "record_call"):
                    return item.record_call(call, args, kwargs)
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]


def is_numpy(x: Any) -> bool:
    """Whether something is an array or number of NumPy's own, or records what would be done to one."""
    return isinstance(x, np.ndarray | np.generic) or hasattr(x, "record_call")


def as_float(x: Any) -> Any:
    """Give a Python number of a NumPy one, or have that recorded."""
    return x.as_float() if hasattr(x, "record_call") else float(x)


@recordable
def look_up(table: Any, indices: Any) -> Any:
    """Give ``table[indices]``, also where an array that records calls is the index and a plain one the table."""
    return table[indices]


@recordable
def require(condition: Any, error: type[Exception], message: str, *values: Any) -> None:
    """Raise an error unless a condition on values holds.

    Args:
        condition: a boolean, or an array of them, all of which must be true.
        error: the type of the error.
        message: its text, with a pair of braces for each of the values.
        values: what is put in their places: numbers, or arrays that broadcast to the shape of an array of conditions,
            of which the element is shown where it first does not hold.

    Example:
        >>> require(np.array([1.0, -1.0]) > 0, ValueError, "must be positive, got {}", np.array([1.0, -1.0]))
        Traceback (most recent call last):
        ValueError: must be positive, got -1.0
    """
    if isinstance(condition, np.ndarray):
        if not condition.all():
            raise error(message.format(*(np.broadcast_to(value, condition.shape)[~condition][0] for value in values)))
    elif not condition:
        raise error(message.format(*values))
