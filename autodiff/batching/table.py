"""How functions act on a batch: the kinds of rules that the table is made of, and `defbatch` for a user's functions.

The table stands in the files beside this one, family by family, as the rules of derivatives do.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from autodiff.batching.array import (
    FOUND_LATER,
    RULES,
    Batched,
    BatchRule,
    Level,
    keep_rule,
    member_by_member,
    stacked,
    youngest,
)
from autodiff.core.rule import Function, facts_of

Args = tuple[Any, ...]
Options = Mapping[str, Any]


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


# What the rules here do not take, or NumPy refuses, goes member by member: it is refused in words about a member.
_REFUSALS = (ValueError, TypeError, IndexError, AttributeError, ArithmeticError)


def enter(function: Function, rule: BatchRule) -> None:
    """Write a rule down. What it raises, or returns NotImplemented for, the function does member by member."""

    def batch_rule(level: Level, args: Args, kwargs: Options) -> Any:
        try:
            result = rule(level, args, kwargs)
        except _REFUSALS:
            result = NotImplemented
        return member_by_member(function, level, args, kwargs) if result is NotImplemented else result

    RULES[function] = batch_rule


def of_each_element(*functions: Function) -> None:
    """Say that functions take each element by itself and broadcast their arguments."""
    for function in functions:
        enter(function, partial(_of_each_element, function))


def _of_each_element(function: Function, level: Level, args: Args, kwargs: Options) -> Any:
    if len(args) == 1 and not kwargs:
        return wrapped(function(_as_one(args[0]).array), level)
    given = lined_up((*args, *kwargs.values()), level)
    return wrapped(function(*given[: len(args)], **dict(zip(kwargs, given[len(args) :]))), level)


def _as_one(x: Any) -> Any:
    """Give a list or tuple of arrays, of which one has a batch, as one array, as NumPy makes it of one."""
    return np.stack(list(map(_as_one, x))) if type(x) in (list, tuple) and youngest(x) else x


def lined_up(xs: Iterable[Any], level: Level, core: Sequence[int] = ()) -> list[Any]:
    """Give arrays of all members with axes of length one before their own, so that they broadcast as members do.

    Args:
        xs: arrays and other arguments, which stay as they are.
        level: the batch.
        core: how many of the last axes of each do not broadcast.
    """
    xs = [_as_one(x) for x in xs]
    cores = [*core, *[0] * len(xs)][: len(xs)]
    ndims = [x.ndim if hasattr(x, "ndim") else np.ndim(x) if type(x) in (list, tuple) else 0 for x in xs]
    longest = max(ndim - own for ndim, own in zip(ndims, cores))
    result = []
    for x, ndim, own in zip(xs, ndims, cores):
        if ndim < own:
            raise ValueError(f"an array of {ndim} axes has too few")
        if batched(x, level):
            missing = longest - ndim + own
            x = np.reshape(x.array, (level.size, *(1,) * missing, *x.shape)) if missing else x.array
        result.append(x)
    return result


def of_first(function: Function, rule: Callable[..., Any]) -> None:
    """Say how a function acts on a batch of its first argument: ``rule(x, ...)`` of all arrays, the batch first.

    Where another argument has a batch, but for a mask, the function runs member by member.
    """

    def batch_rule(level: Level, args: Args, kwargs: Options) -> Any:
        args, kwargs = by_position(function, level, args, kwargs)
        first, *others = args
        first = _as_one(first)
        if batched(mask := kwargs.get("where"), level):
            first, kwargs["where"] = _spread(first, level), lined_up((first, mask), level)[1]
        if not batched(first, level) or any(batched(x, level) for x in (*others, *kwargs.values())):
            return NotImplemented
        result = rule(first.array, *others, **kwargs)
        return result if result is NotImplemented else wrapped(result, level)

    enter(function, batch_rule)


def _spread(x: Any, level: Level) -> Batched:
    return x if batched(x, level) else Batched(stacked(x, level), level)


def of_matrices(*functions: Function) -> None:
    """Say that functions take stacks of matrices by themselves."""
    for function in functions:
        of_first(
            function, lambda x, *rest, f=function, **options: f(x, *rest, **options) if x.ndim > 2 else NotImplemented
        )


def as_composition(function: Function, composition: Callable[..., Any]) -> None:
    """Say in which calls, of one member's arrays, a function acts on a batch."""
    enter(function, lambda level, args, kwargs: composition(*args, **kwargs))


def _as_itself(function: Function) -> None:
    as_composition(function, function)


def found_later(function: Function) -> BatchRule | None:
    """Make the rule of a function that has no line in the table, if there is one for all of its kind."""
    owner: Any = getattr(function, "__self__", function)
    plain = getattr(function, "__wrapped__", None)
    if not isinstance(owner, np.ufunc):
        if plain is None or not plain.__module__.startswith("autodiff.") or hasattr(function, "is_whole"):
            return None
        (of_each_element if facts_of(function).broadcasts else _as_itself)(plain)
        return RULES[plain]
    if owner is function and owner.signature:
        core = [len(axes.split(",")) * bool(axes) for axes in re.findall(r"\((.*?)\)", owner.signature)]
        enter(owner, lambda level, args, kwargs: wrapped(owner(*lined_up(args, level, core), **kwargs), level))
    elif owner is function:
        of_each_element(owner)
    elif function.__name__ in METHODS:
        METHODS[function.__name__](function)
    return RULES.get(function)


METHODS: dict[str, Callable[[Function], None]] = {}  # how methods of ufuncs get their rules
FOUND_LATER.append(found_later)


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

    def batch_rule(level: Level, args: Args, kwargs: Options) -> Any:
        args, kwargs = by_position(function, level, args, kwargs)
        if any(batched(x, level) for x in kwargs.values()):
            return member_by_member(function, level, args, kwargs)
        flags = tuple(batched(x, level) for x in args)
        return wrapped(rule(flags, *(opened(x, level) for x in args), **kwargs), level)

    keep_rule(function, batch_rule)


def by_position(function: Function, level: Level, args: Args, kwargs: Options) -> tuple[Args, dict[str, Any]]:
    """Move arguments that have a batch from their keywords to their positions, where the function tells these."""
    kwargs = dict(kwargs)
    if any(batched(x, level) for x in kwargs.values()):
        try:
            bound = inspect.signature(function).bind(*args, **kwargs)
        except (TypeError, ValueError):
            return args, kwargs
        return bound.args, bound.kwargs
    return args, kwargs
