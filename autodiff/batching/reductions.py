"""Functions that take many elements to one, or to running ones, and those that bring them in order."""

import functools
import inspect
import math
from typing import Any

import numpy as np

from autodiff.arrays import sums
from autodiff.batching.array import Level, stacked
from autodiff.batching.table import METHODS, Args, Options, as_composition, batched, enter, of_first, wrapped
from autodiff.core.rule import Array, Function
from autodiff.transforms.composition import composition_of


def axes_of(x: Array, axis: Any) -> Any:
    """Give the axes of a member as those of all members; None are all of them."""
    ndim = x.ndim - 1
    if axis is None:
        return tuple(range(1, ndim + 1))
    if isinstance(axis, tuple | list | range):
        return tuple(axes_of(x, one) for one in axis)
    if not -ndim <= axis < ndim:
        raise np.exceptions.AxisError(axis, ndim)
    return axis % ndim + 1


def flat(x: Array) -> Array:
    """Give the elements of each member in a row."""
    return np.reshape(x, (x.shape[0], math.prod(x.shape[1:])))


def along(
    *functions: Function, place: int = 1, default: Any = None, is_flat: bool = False, on_batch: Any = None
) -> None:
    """Say that functions act along axes of their first argument.

    Args:
        functions: the functions.
        place: at which place the axes are given.
        default: which they are if none are given.
        is_flat: None is one axis, along which all elements lie, and not all axes.
        on_batch: the function in whose place it runs on the arrays of all.
    """
    for function in functions:
        of_first(function, functools.partial(_along, on_batch or function, place, default, is_flat))


def _along(function: Function, place: int, default: Any, is_flat: bool, x: Array, *others: Any, **options: Any) -> Any:
    by_position = len(others) >= place
    axis = others[place - 1] if by_position else options.pop("axis", default)
    if axis is None and is_flat:
        if "keepdims" in options:
            return NotImplemented
        x, axis = flat(x), 1
    elif x.ndim == 1 and axis not in (None, ()):
        return NotImplemented  # of a number, some functions take the axis 0
    else:
        axis = axes_of(x, axis)
    if by_position:
        return function(x, *others[: place - 1], axis, *others[place:], **options)
    return function(x, *others, axis=axis, **options)


def _if_scattered(reduce: Function, precise: Function) -> Function:
    """Make the function that reduces with more digits where members do not lie one after the other in memory.

    There, NumPy would add one by one what it adds in pairs in a single member.
    """

    def reduced(x: Array, axis: Any, *rest: Any, **options: Any) -> Any:
        return (reduce if x.flags.c_contiguous or rest else precise)(x, axis, *rest, **options)

    return reduced


along(np.sum, on_batch=_if_scattered(np.sum, sums.total))
along(np.mean, on_batch=_if_scattered(np.mean, sums.mean))
along(np.var, on_batch=_if_scattered(np.var, sums.variance))
along(np.std, on_batch=_if_scattered(np.std, sums.deviation))
along(np.add.reduce, default=0, on_batch=_if_scattered(np.add.reduce, sums.total))
along(np.prod, np.max, np.min, np.amax, np.amin, np.all, np.any, np.ptp, np.median, np.count_nonzero)
along(np.nansum, np.nanprod, np.nanmean, np.nanvar, np.nanstd, np.nanmax, np.nanmin, np.nanmedian)
along(np.argmax, np.argmin, np.nanargmax, np.nanargmin, is_flat=True)
along(np.cumsum, np.cumprod, np.nancumsum, np.nancumprod, is_flat=True)
along(np.sort, np.argsort, default=-1, is_flat=True)
along(np.partition, np.argpartition, place=2, default=-1, is_flat=True)
along(np.unwrap, place=2, default=-1)
METHODS["reduce"] = METHODS["accumulate"] = functools.partial(along, default=0)


def _cumulative(function: Function) -> None:
    def rule(x: Array, *, axis: Any = None, **options: Any) -> Array:
        return function(x, axis=1 if axis is None and x.ndim == 2 else axes_of(x, axis), **options)

    of_first(function, rule)


def _quantile(function: Function) -> None:
    """The places come first in the result, as many axes as ``q`` has."""

    def rule(x: Array, q: Any, axis: Any = None, *rest: Any, **options: Any) -> Array:
        if not len(x):
            return NotImplemented  # NumPy forgets the shape
        return np.moveaxis(function(x, q, axes_of(x, axis), *rest, **options), np.ndim(q), 0)

    of_first(function, rule)


_cumulative(np.cumulative_sum)
_cumulative(np.cumulative_prod)
for _function in (np.quantile, np.percentile, np.nanquantile, np.nanpercentile):
    _quantile(_function)


def _average(level: Level, args: Args, kwargs: Options) -> Any:
    bound = inspect.signature(np.average).bind(*args, **kwargs).arguments
    x, weights, axis = bound.pop("a"), bound.pop("weights", None), bound.pop("axis", None)
    if np.shape(weights) == np.shape(x):
        x, weights = (stacked(one, level) for one in (x, weights))
    elif batched(weights, level):
        return NotImplemented
    else:
        x = x.array
    return wrapped(np.average(x, axes_of(x, axis), weights, **bound), level)


def _interp(level: Level, args: Args, kwargs: Options) -> Any:
    x, *points = args
    return (
        NotImplemented
        if batched([*points, *kwargs.values()], level)
        else wrapped(np.interp(x.array, *points, **kwargs), level)
    )


enter(np.average, _average)
enter(np.interp, _interp)
along(np.diff, place=2, default=-1)
as_composition(np.trapezoid, composition_of(np.trapezoid))
