"""Arrays that remember the calls they were made by: what flows through a rule when its formula is wanted."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator, Mapping
from inspect import unwrap
from types import FunctionType
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from autodiff.core.rule import Function, facts_of
from autodiff.core.tensor import Tensor
from autodiff.drawing.text import function_name


class OpaqueError(TypeError):
    """A rule asks for the numbers of a symbol, or what it gives has no notation here."""


class Symbol(NDArrayOperatorsMixin):
    """An array that remembers the call it was made by.

    Attributes:
        value: the array itself.
        name: how a symbol is written that no call made.
        function: the function that was called, or None.
        args: its arguments, symbols among them.
        kwargs: its options.
        calls: the number of calls in the whole expression.
    """

    def __init__(
        self,
        value: Any,
        name: str = "",
        function: Function | None = None,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(function, FunctionType) and not hasattr(function, "is_whole"):
            function = unwrap(function)  # as a primitive is written
        self.value, self.name, self.function, self.args, self.kwargs = value, name, function, args, kwargs or {}
        self.calls: int = (function is not None) + sum(one.calls for one in symbols_in(args))

    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)
    ndim = property(lambda self: self.value.ndim)
    size = property(lambda self: self.value.size)
    T = property(lambda self: np.transpose(self))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *args: Any, **kwargs: Any) -> Any:
        if any(isinstance(arg, Tensor) for arg in args):
            return NotImplemented  # in a rule that is a composition, a Tensor may hold a symbol
        return _call(ufunc if method == "__call__" else getattr(ufunc, method), args, kwargs)

    def __array_function__(self, function: Function, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if any(issubclass(kind, Tensor) for kind in types):
            return NotImplemented
        return _call(function, args, kwargs)

    def __array_call__(self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return _call(function, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        """Give a method of arrays as the function of the same name."""
        function = getattr(np, name, None) if hasattr(np.ndarray, name) else None
        if function is None:
            raise AttributeError(f"a symbol has no {name}")
        return functools.partial(function, self)

    def __getitem__(self, index: Any) -> Any:
        return _call(operator.getitem, (self, index), {})

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Any]:
        return (self[position] for position in range(len(self)))

    def __iadd__(self, other: Any) -> Any:
        return self + other

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise OpaqueError("a symbol is not to be looked into")

    __array__ = __bool__ = __float__ = __int__ = __index__ = __complex__ = _refuse


def _call(function: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Run a function on the values of symbols, and give its result as symbols that remember the call."""
    if kwargs.get("out") is not None:
        raise OpaqueError("a symbol is never written into")
    value = function(*values_of(args), **values_of(kwargs))
    if facts_of(function).is_question:
        return value  # which is none of the numbers
    if hasattr(value, "dtype"):
        return Symbol(value, function=function, args=args, kwargs=kwargs)
    if not isinstance(value, list | tuple):
        raise OpaqueError(f"{function_name(function)} gives {value!r}, which only the numbers of a symbol can tell")
    whole = Symbol(value, function=function, args=args, kwargs=kwargs)
    parts = [Symbol(one, function=operator.getitem, args=(whole, k)) for k, one in enumerate(value)]
    return value._make(parts) if hasattr(value, "_make") else type(value)(parts)


def values_of(args: Any) -> Any:
    """Give the values of symbols, also of those in lists and dicts, and anything else as it is."""
    if isinstance(args, Symbol):
        return args.value
    if isinstance(args, dict):
        return {key: values_of(arg) for key, arg in args.items()}
    return type(args)(map(values_of, args)) if type(args) in (list, tuple) else args


def symbols_in(args: Any) -> Iterator[Symbol]:
    """Give the symbols in a list, also those in lists in it."""
    for arg in args:
        if isinstance(arg, Symbol):
            yield arg
        elif type(arg) in (list, tuple):
            yield from symbols_in(arg)


def call(function: Any, *args: Any) -> Symbol:
    """Give the symbol of a call."""
    return Symbol(function(*values_of(args)), function=function, args=args)
