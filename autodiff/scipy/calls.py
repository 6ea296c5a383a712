"""How a function of SciPy's in Python, which would make plain arrays of Tensors, becomes one call on the tape."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from autodiff.arrays.whole import is_numpy, whole
from autodiff.core.record import primitive
from autodiff.core.rule import Array, name_of

F = TypeVar("F", bound=Callable[..., Any])


def call_of_scipy(function: F) -> F:
    """Make a function that calls SciPy's one call on the tape, and to all who record calls or hold batches."""
    return primitive(whole(function))


def call_of_arrays(function: F) -> F:
    """Do the same, and refuse arrays of other libraries, of which SciPy would make plain ones."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for arg in args:
            if is_foreign(arg):
                raise TypeError(
                    f"{name_of(function)}: SciPy takes arrays of NumPy's only, not a {type(arg).__name__}: make one of "
                    "it first"
                )
        return function(*args, **kwargs)

    return call_of_scipy(call)  # type: ignore[return-value]


def is_foreign(*arrays: Array) -> bool:
    """Whether one is an array of another library, which SciPy would make plain, and NumPy's functions would not."""
    return any(hasattr(x, "__array_function__") and not is_numpy(x) for x in arrays)
