"""An option at its default is no option: calls without what NumPy would do anyway."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Function = Callable[..., Any]
Call = tuple[tuple[Any, ...], Mapping[str, Any]]

_unsaid: Any = np._NoValue  # what stands in NumPy's signatures for an option that was not given

# What NumPy does not tell, or only since 2.4. It hands over all options of ufuncs and their methods by keyword.


def _ufunc(
    *inputs: Any, where: Any = True, casting: Any = "same_kind", order: Any = "K", dtype: Any = None,
    subok: Any = True, signature: Any = None, axes: Any = _unsaid, axis: Any = _unsaid, keepdims: Any = False,
) -> None: ...  # fmt: skip


_METHODS: dict[str, Function] = {
    "reduce": lambda array, *, axis=0, dtype=None, keepdims=False, initial=_unsaid, where=True: None,
    "accumulate": lambda array, *, axis=0, dtype=None: None,
    "outer": _ufunc,
}
_UNTOLD: dict[Function, Function] = {
    np.concatenate: lambda arrays, axis=0, out=None, *, dtype=None, casting="same_kind": None,
    np.dot: lambda a, b, out=None: None,
    np.einsum: lambda *operands, out=None, dtype=None, order="K", casting="safe", optimize=False: None,
}

# What to write in place of an option that has no derivative rule.
WAYS_OUT = {
    "where": "call np.where(mask, x, other) on what goes in or on what comes out",
    "dtype": "call astype on what goes in or on what comes out",
}


def _parameters(function: Function) -> dict[str, inspect.Parameter]:
    """Give the parameters of a function in their order, none where it does not tell them."""
    return _parameters_of_numpys(function) if _is_numpys(function) else _parameters_anew(function)


def _is_numpys(function: Function) -> bool:
    return isinstance(function, np.ufunc) or (getattr(function, "__module__", None) or "").startswith("numpy")


def _parameters_anew(function: Function) -> dict[str, inspect.Parameter]:
    source = _UNTOLD.get(function, function)
    if isinstance(function, np.ufunc):
        source = _ufunc
    elif isinstance(getattr(function, "__self__", None), np.ufunc):
        source = _METHODS.get(function.__name__, function)
    try:
        parameters = dict(inspect.signature(source).parameters)
    except ValueError:
        return {}
    return parameters if function is not np.clip else {**inspect.signature(_ufunc).parameters, **parameters}


_parameters_of_numpys = functools.cache(_parameters_anew)  # others may be made anew, and are to be let go


def has_option(function: Function, name: str) -> bool:
    """Whether a function takes an option of a name; of one that is not NumPy's, nothing is known."""
    parameters = _parameters(function) if _is_numpys(function) else {}
    open_ended = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    return not parameters or open_ended or name in parameters


def names_option(function: Function, name: str) -> bool:
    """Whether a function, anybody's, has a parameter of a name."""
    return name in _parameters(function)


def without_defaults(function: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any], positions: int) -> Call:
    """Leave out of a call what is the default of its function.

    Arguments beyond the ``positions`` that its rules know are given by keyword.

    Example:
        >>> without_defaults(np.max, (1.0, 0, None, True), {"initial": np._NoValue}, 2)
        ((1.0, 0), {'keepdims': True})
    """
    parameters = _parameters(function)
    defaults = {name: one.default for name, one in parameters.items()}
    kwargs = {key: value for key, value in kwargs.items() if value is not _unsaid}
    if function is np.clip and not kwargs.keys().isdisjoint(("min", "max")):
        kwargs = {"a_min": kwargs.pop("min", None), "a_max": kwargs.pop("max", None)} | kwargs  # as the rules call them
    if function is np.diff and "append" in kwargs and len(args) < 4:
        kwargs.setdefault("prepend", _no_elements(*args, **kwargs))  # which a Tensor given by position comes after
    names = [name for name, one in parameters.items() if one.kind is one.POSITIONAL_OR_KEYWORD]
    first = sum(one.kind is one.POSITIONAL_ONLY for one in parameters.values())
    if max(first, positions) < len(args) <= first + len(names):
        args, kwargs = args[:positions], dict(zip(names[positions - first :], args[positions:])) | kwargs
    return args, {key: value for key, value in kwargs.items() if not _same(value, defaults.get(key, _unsaid))}


def _no_elements(a: Any, n: int = 1, axis: int = -1, **edges: Any) -> Any:
    shape = list(np.shape(a))
    shape[axis] = 0
    return np.zeros(shape, bool)


def _same(value: Any, default: Any) -> bool:
    """Whether a value is the default: an array never is, nor is a zero of the other sign."""
    plain = type(value) is type(default) and type(value) in (bool, int, float, str)
    return value is default or (plain and repr(value) == repr(default))
