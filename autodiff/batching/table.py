"""How functions act on a batch: the kinds of rules that the table is made of, and `defbatch` for a user's functions.

The table stands in the files beside this one, family by family, as the rules of derivatives do.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from autodiff.batching.array import RULES, Batched, BatchRule, Level, keep_rule, mapped, member_by_member, stacked
from autodiff.core.rule import Function, name_of

Args = tuple[Any, ...]


def batched(x: Any, level: Level) -> bool:
    """Whether an argument, or an item of a list, is a member of a batch."""
    if type(x) in (list, tuple):
        return any(batched(item, level) for item in x)
    return type(x) is Batched and x.level is level


def opened(x: Any, level: Level) -> Any:
    """Give the arrays of all members for an argument; in a list with one that has a batch, for each."""
    if type(x) in (list, tuple):
        return [stacked(item, level) for item in x] if batched(x, level) else x
    return x.array if batched(x, level) else x


def wrapped(result: Any, level: Level) -> Any:
    """Give results with the batch first as batched arrays."""
    if isinstance(result, list | tuple):
        items = [wrapped(item, level) for item in result]
        return result._make(items) if hasattr(result, "_make") else type(result)(items)
    return Batched(result, level)


def of_each_element(*functions: Function) -> None:
    """Say that functions take each element by itself and broadcast their arguments."""
    for function in functions:
        RULES[function] = _of_each_element(function)


def _of_each_element(function: Function) -> BatchRule:
    def rule(level: Level, args: Args, kwargs: Mapping[str, Any]) -> Any:
        if len(args) == 1 and not kwargs:
            return wrapped(function(args[0].array), level)
        given = (*args, *kwargs.values())
        ndim = max([np.ndim(x) for x in given])
        lined_up = [_lined_up(x, ndim, level) for x in given]
        result = function(*lined_up[: len(args)], **dict(zip(kwargs, lined_up[len(args) :])))
        return wrapped(result, level)

    return rule


def _lined_up(x: Any, ndim: int, level: Level) -> Any:
    """Give arrays of all members with axes of length one before their own, so that they broadcast as members do."""
    if not batched(x, level):
        return x
    missing = ndim - x.ndim
    return np.reshape(x.array, (level.size, *(1,) * missing, *x.shape)) if missing else x.array


def of_first(function: Function, rule: Callable[..., Any]) -> None:
    """Say how a function acts on a batch of its first argument: ``rule(x, ...)`` of all arrays, the batch first.

    Where another argument has a batch, the function runs member by member.
    """

    def batch_rule(level: Level, args: Args, kwargs: Mapping[str, Any]) -> Any:
        args, kwargs = by_position(function, level, args, kwargs)
        first, *others = args
        if not batched(first, level) or any(batched(x, level) for x in (*others, *kwargs.values())):
            return member_by_member(function, level, args, kwargs)
        return wrapped(rule(opened(first, level), *others, **kwargs), level)

    RULES[function] = batch_rule


def as_composition(function: Function, composition: Callable[..., Any]) -> None:
    """Say in which calls, of one member's arrays, a function acts on a batch."""
    RULES[function] = lambda level, args, kwargs: composition(*args, **kwargs)


def defbatch(function: Function, rule: Callable[..., Any]) -> None:
    """Say how a function acts on a batch; without a rule, it runs on one member after the other.

    A rule is called as ``rule(batched, *args, **kwargs)``. In ``batched`` there is a boolean for each positional
    argument, that says whether it is the arrays of all members, the batch along its first axis. The others are as they
    were given, the same for each member. It returns the results of all members, the batch along the first axis. In a
    list or tuple of which an item has a batch, each has one.

    Args:
        function: a NumPy function, or one made by `primitive`.
        rule: the function above, written in NumPy calls.

    Raises:
        TypeError: the function or the rule is not callable.

    Example:
        >>> import numpy as np, autodiff as ad
        >>> @ad.primitive
        ... def norm(x):
        ...     return np.sqrt(x @ x)
        >>> ad.defbatch(norm, lambda batched, x: np.sqrt(np.vecdot(x, x)))
        >>> ad.vmap(norm)(np.array([[3.0, 4.0], [6.0, 8.0]]))
        array([ 5., 10.])
    """
    for what, given in (("function", function), ("rule", rule)):
        if not callable(given):
            raise TypeError(f"defbatch: the {what} must be callable, got {given!r}")
    function = getattr(function, "__wrapped__", function)

    def batch_rule(level: Level, args: Args, kwargs: Mapping[str, Any]) -> Any:
        args, kwargs = by_position(function, level, args, kwargs)
        if any(batched(x, level) for x in kwargs.values()):
            return member_by_member(function, level, args, kwargs)
        flags = tuple(batched(x, level) for x in args)
        return wrapped(rule(flags, *(opened(x, level) for x in args), **kwargs), level)

    keep_rule(function, batch_rule)


def by_position(function: Function, level: Level, args: Args, kwargs: Mapping[str, Any]) -> tuple[Args, dict[str, Any]]:
    """Move arguments that have a batch from their keywords to their positions, where the function tells these."""
    kwargs = dict(kwargs)
    if any(batched(x, level) for x in kwargs.values()):
        try:
            bound = inspect.signature(function).bind(*args, **kwargs)
        except (TypeError, ValueError):
            return args, kwargs
        return bound.args, bound.kwargs
    return args, kwargs


__all__ = ["as_composition", "batched", "defbatch", "mapped", "name_of", "of_each_element", "of_first", "opened"]
