"""An array type that speaks NumPy's two protocols and nothing else.

It refuses every conversion to an array or a number, every truth value and every write: a derivative rule that needs
more than NumPy calls, operators and indexing fails on it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np

from autodiff.arrays.whole import require

_WHOLE = tuple(f"autodiff.scipy.{name}" for name in ("fft", "linalg", "signal"))


class StrictArray:
    """An array behind a wall. What is asked of it by NumPy's protocols is answered with another of its kind."""

    def __init__(self, data: Any) -> None:
        self._inside = np.asarray(data)

    shape = property(lambda self: self._inside.shape)
    dtype = property(lambda self: self._inside.dtype)
    ndim = property(lambda self: self._inside.ndim)
    size = property(lambda self: self._inside.size)
    T = property(lambda self: StrictArray(self._inside.T))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if kwargs.get("out") is not None or method == "at":
            raise TypeError("a StrictArray is never written into")
        return _wrap(getattr(ufunc, method)(*_unwrap(inputs), **_unwrap(kwargs)))

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        return _wrap(function(*_unwrap(args), **_unwrap(kwargs)))

    def __array_call__(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Take calls of SciPy whole, for which there are no NumPy calls, and checks, which look into arrays."""
        is_vectors = function.__name__.startswith("multivariate_normal")
        if function.__module__ not in _WHOLE and not is_vectors and function is not require:
            return NotImplemented
        return _wrap(function(*_unwrap(args), **_unwrap(kwargs)))

    def __getitem__(self, index: Any) -> StrictArray:
        return StrictArray(self._inside[_unwrap(index)])

    def __iter__(self) -> Iterator[StrictArray]:
        return map(StrictArray, self._inside)

    def __len__(self) -> int:
        return len(self._inside)

    def copy(self) -> StrictArray:
        return StrictArray(self._inside.copy())

    def astype(self, dtype: Any) -> StrictArray:
        return StrictArray(self._inside.astype(dtype))

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("a StrictArray is not to be looked into")

    __array__ = __bool__ = __float__ = __int__ = __index__ = __setitem__ = item = tolist = _refuse
    __hash__ = None  # type: ignore[assignment]


def reveal(array: Any) -> Any:
    """Give the array behind the wall, for a test to look at."""
    assert type(array) is StrictArray, f"{type(array).__name__} is not a StrictArray"
    return array._inside


def _unwrap(value: Any) -> Any:
    if isinstance(value, StrictArray):
        return value._inside
    if type(value) in (list, tuple):
        return type(value)(map(_unwrap, value))
    return {key: _unwrap(item) for key, item in value.items()} if type(value) is dict else value


def _wrap(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return StrictArray(value)
    return type(value)(map(_wrap, value)) if type(value) in (list, tuple) else value


def _define(name: str) -> None:
    """Define an operator and its reflected twin, but none that works in place."""
    function = getattr(operator, f"__{name}__")

    def forward(self: StrictArray, other: Any) -> Any:
        return _wrap(function(self._inside, _unwrap(other)))

    def reflected(self: StrictArray, other: Any) -> Any:
        return _wrap(function(_unwrap(other), self._inside))

    setattr(StrictArray, f"__{name}__", forward)
    if name not in ("eq", "ne", "lt", "le", "gt", "ge"):
        setattr(StrictArray, f"__r{name}__", reflected)


def _define_unary(name: str) -> None:
    function = getattr(operator, f"__{name}__")
    setattr(StrictArray, f"__{name}__", lambda self: StrictArray(function(self._inside)))


for _name in (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and",
    "or",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
):
    _define(_name)
for _name in ("neg", "pos", "abs", "invert"):
    _define_unary(_name)
