"""Functions that select elements, and those that put elements in place of others.

What an index selects, it selects of the places of a member's elements too, and these say where they lie in a row.
"""

import operator
from typing import Any

import numpy as np

from autodiff.arrays import placement
from autodiff.arrays.placement import is_basic, without_ones
from autodiff.arrays.whole import look_up
from autodiff.batching.array import Batched, Level, stacked
from autodiff.batching.reductions import flat
from autodiff.batching.table import Args, Options, as_composition, batched, enter, lined_up, wrapped
from autodiff.core.rule import Array, Function
from autodiff.core.tensor import as_array


def _places(index: Any, shape: tuple[int, ...], level: Level) -> Any:
    """Give the places that an index selects in a member; where it has a batch, those of all, the batch first.

    Where arrays in an index stand side by side, the axes that they make lie where they stand, and else before all.
    """
    places = np.arange(int(np.prod(shape))).reshape(shape)
    given = list(index) if isinstance(index, tuple) else [index]
    if not batched(given, level):
        return places[index]
    parts = [part for one in given for part in _parts(one)]
    if Ellipsis in (ellipses := [part for part in parts if part is None or part is Ellipsis]):
        taken = len(parts) - len(ellipses)
        k = next(k for k, part in enumerate(parts) if part is Ellipsis)
        parts[k : k + 1] = [slice(None)] * (len(shape) - taken)
    arrays = [k for k, part in enumerate(parts) if part is not None and not isinstance(part, slice)]
    before = arrays[0] if arrays[-1] - arrays[0] == len(arrays) - 1 else 0
    for k, array in zip(arrays, lined_up([parts[k] for k in arrays], level), strict=True):
        parts[k] = array
    return np.moveaxis(look_up(places, tuple(parts)), before, 0)


def _parts(part: Any) -> Any:
    """Give integers for a mask, which stand side by side."""
    part = np.stack(part) if isinstance(part, list) else part
    if isinstance(part, slice) and not is_basic(part):
        raise IndexError("how much it selects depends on values")
    if isinstance(part, bool) or getattr(part, "dtype", None) == np.bool_:
        if type(part) is not np.ndarray or not part.ndim:
            raise IndexError("how much it selects may depend on values")
        return np.nonzero(part)
    return [part]


def _getitem(level: Level, args: Args, kwargs: Options) -> Any:
    x, index = args
    if batched(x, level) and is_basic(index):
        return Batched(x.array[(slice(None), *index) if isinstance(index, tuple) else (slice(None), index)], level)
    places = _places(index, x.shape, level)
    if not batched(x, level):
        return Batched(np.take(np.ravel(x), places), level)
    if not batched(list(index) if isinstance(index, tuple) else index, level):
        return Batched(np.take(flat(x.array), places, axis=1), level)
    return Batched(np.reshape(np.take_along_axis(flat(x.array), flat(places), axis=1), places.shape), level)


def _take(a: Array, indices: Any, axis: int | None = None, out: None = None, mode: str = "raise") -> Any:
    a, indices = as_array(a), as_array(indices)
    if axis is None or not a.ndim:
        a, axis = np.ravel(a), 0
    if mode != "raise":
        size = a.shape[axis]
        indices = np.mod(indices, size) if mode == "wrap" else np.clip(indices, 0, size - 1)
    return look_up(a, (slice(None),) * (axis % a.ndim) + (indices,)) if -a.ndim <= axis < a.ndim else NotImplemented


def _take_along_axis(level: Level, args: Args, kwargs: Options) -> Any:
    arr, indices, axis = (*args, *[kwargs.get("axis", -1)] * (3 - len(args)))
    ndim = 1 if axis is None else np.ndim(arr)
    arr, indices = (x.array if batched(x, level) else as_array(x)[None] for x in (arr, indices))
    arr, axis = (flat(arr), 0) if axis is None else (arr, axis)
    if indices.ndim != ndim + 1 or not -ndim <= axis < ndim:
        return NotImplemented
    return Batched(np.take_along_axis(arr, indices, axis % ndim + 1), level)


def _choose(level: Level, args: Args, kwargs: Options) -> Any:
    a, choices = args
    a, *rows = lined_up((a, *(choices[k] for k in range(len(choices)))), level)
    return wrapped(np.choose(a, rows, **kwargs), level)


def _select(level: Level, args: Args, kwargs: Options) -> Any:
    conditions, choices, default = (*args, *[kwargs.get("default", 0)] * (3 - len(args)))
    *given, default = lined_up((*conditions, *choices, default), level)
    return wrapped(np.select(given[: len(conditions)], given[len(conditions) :], default), level)


def _searchsorted(level: Level, args: Args, kwargs: Options) -> Any:
    a, v, *rest = args
    if batched([a, *rest, *kwargs.values()], level):
        return NotImplemented
    return wrapped(np.searchsorted(a, v.array, *rest, **kwargs), level)


enter(operator.getitem, _getitem)
enter(look_up, _getitem)
as_composition(np.take, _take)
as_composition(np.compress, lambda condition, a, axis=None: np.take(a, np.flatnonzero(condition), axis))
as_composition(np.extract, lambda condition, arr: np.take(arr, np.flatnonzero(condition)))
enter(np.take_along_axis, _take_along_axis)
enter(np.choose, _choose)
enter(np.select, _select)
enter(np.searchsorted, _searchsorted)

# Putting elements in place of others


def _in_rows(index: Any, shape: tuple[int, ...], level: Level) -> tuple[tuple[int, ...], tuple[Any, Any]]:
    """Give the shape of what an index selects of a member, and the index of its places in the rows of all."""
    places = _places(index, shape, level)
    if not batched(list(index) if isinstance(index, tuple) else index, level):
        return places.shape, (slice(None), np.ravel(places))
    return places.shape[1:], (np.arange(level.size)[:, None], flat(places))


def _scatter_add(level: Level, args: Args, kwargs: Options) -> Any:
    values, index, shape = args
    if type(index) is slice and type(values) is Batched and type(values.array) is np.ndarray:  # most are so
        array = np.zeros((level.size, *shape), values.array.dtype)
        array[:, index] = values.array
        return Batched(array, level)
    if is_basic(index):
        parts = (slice(None), *index) if isinstance(index, tuple) else (slice(None), index)
        return Batched(placement.scatter_add(stacked(values, level), parts, (level.size, *shape)), level)
    _, places = _in_rows(index, shape, level)
    rows = placement.scatter_add(flat(stacked(values, level)), places, (level.size, int(np.prod(shape))))
    return Batched(np.reshape(rows, (level.size, *shape)), level)


def _placing(function: Function) -> None:
    def rule(level: Level, args: Args, kwargs: Options) -> Any:
        x, index, values = args
        selected, places = _in_rows(index, np.shape(x), level)
        values = values if hasattr(values, "dtype") else np.asarray(values, x.dtype)
        values = np.broadcast_to(np.reshape(values, without_ones(np.shape(values), len(selected))), selected)
        array = stacked(x, level)
        rows = function(flat(array), places, flat(stacked(values, level)))
        return Batched(np.reshape(rows, array.shape), level)

    enter(function, rule)


enter(placement.scatter_add, _scatter_add)
for _function in (placement.set_at, placement.add_at, placement.multiply_at):
    _placing(_function)
