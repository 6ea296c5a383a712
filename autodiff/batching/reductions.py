"""Functions that take many elements to one, or to running ones."""

import numpy as np

from autodiff.arrays.sums import total
from autodiff.batching.table import of_first
from autodiff.core.rule import Array, Function


def axes_of(x: Array, axis: int | tuple[int, ...] | None) -> int | tuple[int, ...]:
    """Give the axes of a member as those of all members; None are all of them."""
    if axis is None:
        return tuple(range(1, x.ndim))
    if isinstance(axis, tuple):
        return tuple(_axis_of(x, one) for one in axis)
    return _axis_of(x, axis)


def _axis_of(x: Array, axis: int) -> int:
    ndim = x.ndim - 1
    if not -ndim <= axis < ndim:
        raise np.exceptions.AxisError(axis, ndim)
    return axis % ndim + 1


def _reduction(function: Function, **defaults: object) -> None:
    def rule(x: Array, axis: int | tuple[int, ...] | None = None, *rest: object, **options: object) -> Array:
        return function(x, axes_of(x, axis), *rest, **options)

    of_first(function, rule)


for _function in (np.sum, np.mean, np.prod, np.max, np.min, np.amax, np.amin, np.var, np.std, np.all, np.any, total):
    _reduction(_function)
