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
def require(condition: Any, error: type[Exception], message: str, *values: Any) -> None:
    """Raise an error unless a condition on values holds.

    Args:
        condition: a boolean.
        error: the type of the error.
        message: its text, with a pair of braces for each of the values.
        values: what is put in their places.

    Example:
        >>> require(2 < 1, ValueError, "must be below {}, got {}", 1, 2)
        Traceback (most recent call last):
        ValueError: must be below 1, got 2
    """
    if not condition:
        raise error(message.format(*values))
