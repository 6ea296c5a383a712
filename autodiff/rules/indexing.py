"""Functions that select elements, and those that put elements in place of others: each undoes the other."""

import functools
import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from autodiff.arrays import placement
from autodiff.arrays.placement import is_basic, last_ones, ranks, rounds, spread, spread_out, without_ones
from autodiff.arrays.whole import is_numpy
from autodiff.core.record import data_of, primitive
from autodiff.core.rule import Array, defvjp, describe
from autodiff.core.tape import unbroadcast

scatter_add = primitive(placement.scatter_add)
set_at = primitive(placement.set_at)
add_at = primitive(placement.add_at)
multiply_at = primitive(placement.multiply_at)

# Selecting, and adding what was selected back


def _take(g: Array, out: Array, a: Array, indices: Array, axis: int | None = None, *, mode: str = "raise") -> Array:
    """Scatter to the same places of the axis, or of the flattened array."""
    if mode != "raise":
        size = a.size if axis is None or a.ndim == 0 else a.shape[axis]
        indices = np.mod(indices, size) if mode == "wrap" else np.clip(indices, 0, size - 1)
    if axis is None or a.ndim == 0:
        return np.reshape(scatter_add(g, (indices,), (a.size,)), a.shape)
    return scatter_add(g, (slice(None),) * (axis % a.ndim) + (indices,), a.shape)


def _take_along_axis(g: Array, out: Array, arr: Array, indices: Array, axis: int | None = -1) -> Array:
    """Scatter to the same places: along ``axis`` those of ``indices``, along every other its own."""
    if axis is None:
        return np.reshape(scatter_add(g, (indices,), (arr.size,)), arr.shape)
    if not is_numpy(indices):
        # What is computed from data of another kind cannot be looked into, only be compared with.
        axis %= arr.ndim
        places = np.reshape(np.arange(arr.shape[axis]), (-1,) + (1,) * (arr.ndim - axis))
        here = np.expand_dims(indices % arr.shape[axis], axis) == places
        return unbroadcast(np.sum(np.where(here, np.expand_dims(g, axis), 0), axis=axis + 1), arr.shape)
    grid: list[Any] = list(np.ogrid[tuple(slice(size) for size in arr.shape)])
    grid[axis] = indices
    return scatter_add(g, tuple(grid), arr.shape)


def _compress(g: Array, out: Array, condition: Array, a: Array, axis: int | None = None) -> Array:
    return _take(g, out, a, np.flatnonzero(condition), axis)


def _extract(g: Array, out: Array, condition: Array, arr: Array) -> Array:
    return _take(g, out, arr, np.flatnonzero(condition))


def _select(g: Array, out: Array, condlist: Any, choicelist: Any, default: Array = 0) -> Any:
    """``g`` for each choice where its condition is the first that holds."""
    firsts = zip(_firsts(condlist), choicelist, strict=True)
    return [unbroadcast(np.where(first, g, 0), np.shape(choice)) for first, choice in firsts]


def _select_default(g: Array, out: Array, condlist: Any, choicelist: Any, default: Array = 0) -> Array:
    return unbroadcast(np.where(functools.reduce(operator.or_, condlist), 0, g), np.shape(default))


def _firsts(conditions: Any) -> Iterator[Array]:
    """For each condition, where it holds and none before it does."""
    earlier: Array = False
    for condition in conditions:
        yield condition & np.logical_not(earlier)
        earlier = condition | earlier


def _choose(g: Array, out: Array, a: Array, choices: Any, *, mode: str = "raise") -> Array:
    """``g`` for each choice where its number stands."""
    count = len(choices)
    chosen = np.mod(a, count) if mode == "wrap" else np.clip(a, 0, count - 1)
    pieces = [unbroadcast(np.where(chosen == k, g, 0), np.shape(choice)) for k, choice in enumerate(choices)]
    return pieces if isinstance(choices, list | tuple) else np.stack(pieces)


def _rearranged(g: Array, out: Array, a: Array, axis: int | None) -> Array:
    """Take each gradient back to where its element came from: both sides have the same elements in order of size."""
    if axis is None:
        return np.reshape(_rearranged(g, out, np.ravel(a), -1), a.shape)
    ordered = np.take_along_axis(g, np.argsort(out, axis=axis, kind="stable"), axis=axis)
    ranks = np.argsort(np.argsort(a, axis=axis, kind="stable"), axis=axis)
    return np.take_along_axis(ordered, ranks, axis=axis)


def _sort(g: Array, out: Array, a: Array, axis: int | None = -1, kind: Any = None, *, stable: Any = None) -> Array:
    return _rearranged(g, out, a, axis)


def _partition(g: Array, out: Array, a: Array, kth: Any, axis: int | None = -1, kind: Any = "introselect") -> Array:
    return _rearranged(g, out, a, axis)


def _picked(g: Array, index: Any) -> Array:
    """Give ``g[index]``; what not every kind of array can do, in one index into the flat array."""
    if is_numpy(data_of(g)) or is_basic(index):
        return g[index]
    places, _ = ranks(index, g.shape)
    return np.reshape(np.ravel(g)[np.ravel(places)], places.shape)


defvjp(operator.getitem, lambda g, out, x, index: scatter_add(g, index, x.shape))
defvjp(scatter_add, lambda g, out, values, index, shape: _picked(g, index))
defvjp(np.take, _take)
defvjp(np.take_along_axis, _take_along_axis)
defvjp(np.compress, None, _compress)
defvjp(np.extract, None, _extract)
describe(np.select, np.choose, takes_list=True)
defvjp(np.select, None, _select, _select_default)
defvjp(np.choose, None, _choose)
defvjp(np.sort, _sort)
defvjp(np.sort_complex, lambda g, out, a: _rearranged(g, out, a, -1))
defvjp(np.partition, _partition)


# Putting elements in place of others: what `x.at[index]` does


def _summed_to(g: Array, values: Array) -> Array:
    """Give the gradient of values that were broadcast as in an assignment."""
    shape = np.shape(values)
    return np.reshape(unbroadcast(g, without_ones(shape, g.ndim)), shape)


def _set_at_values(g: Array, out: Array, x: Array, index: Any, values: Array) -> Array:
    comes_last, _ = last_ones(index, x.shape)
    return _summed_to(np.where(comes_last, _picked(g, index), 0), values)


def _multiply_at_values(g: Array, out: Array, x: Array, index: Any, values: Array) -> Array:
    """``g x``, times the other values that fall on the same element."""
    _, turns = ranks(index, x.shape)
    factors = spread_out(values, index, x)
    spreads = [spread(factors, source, 1) for source in rounds(index, x.shape)]
    total = _picked(g * x, index)
    for number in range(len(spreads)):
        for other in (*spreads[:number], *spreads[number + 1 :]):
            total = np.where(turns == number, total * _picked(other, index), total)
    return _summed_to(total, values)


defvjp(
    placement.set_at,
    lambda g, out, x, index, values: np.where(last_ones(index, x.shape)[1] < 0, g, 0),
    None,
    _set_at_values,
)
defvjp(
    add_at,
    lambda g, out, x, index, values: g,
    None,
    lambda g, out, x, index, values: _summed_to(_picked(g, index), values),
)
defvjp(multiply_at, lambda g, out, x, index, values: multiply_at(g, index, values), None, _multiply_at_values)
