"""Functions that select elements, and those that put elements in place of others."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from autodiff.arrays import placement
from autodiff.arrays.placement import is_basic, without_ones
from autodiff.arrays.whole import look_up
from autodiff.batching.array import Batched, Level, stacked
from autodiff.batching.reductions import flat
from autodiff.batching.table import as_composition, batched, enter, lined_up, wrapped
from autodiff.core.rule import Array, Function
from autodiff.core.tensor import as_array

Args = tuple[Any, ...]
Options = Mapping[str, Any]


class _Index(NamedTuple):
    """An index into the arrays of all members.

    Attributes:
        parts: the index.
        source: axes of what it selects that lie elsewhere than the batch first and then those of a member.
        destination: where they belong.
        ndim: how many axes a member has of what is selected of it.
    """

    parts: tuple[Any, ...]
    source: Sequence[int]
    destination: Sequence[int]
    ndim: int

    def of(self, array: Array) -> Any:
        selected = array[self.parts]
        return np.moveaxis(selected, self.source, self.destination) if self.source else selected


def _index(index: Any, ndim: int, of_batch: bool, level: Level) -> _Index:
    """Give the index into the arrays of all members.

    Where arrays in an index stand side by side, the axes that they make lie where they stand, and else before all.

    Args:
        index: into a member, of which parts may have a batch.
        ndim: how many axes a member has.
        of_batch: whether the array has a batch, or is the same for each member.
        level: the batch.
    """
    given = index if isinstance(index, tuple) else (index,)
    is_same = not batched(list(given), level)
    parts = [part for one in given for part in _parts(one, is_same, level)]
    taken = sum(max(1, part.ndim) if _is_mask(part) else part is not None for part in parts)
    if (k := next((k for k, part in enumerate(parts) if part is Ellipsis), None)) is None:
        k, taken = len(parts), taken + 1
        parts.append(Ellipsis)
    parts[k : k + 1] = [slice(None)] * (ndim - taken + 1)
    places = [k for k, part in enumerate(parts) if part is not None and not isinstance(part, slice)]
    axes = max((1 if _is_mask(parts[k]) else np.ndim(parts[k]) for k in places), default=0)
    before = places[0] if places and places[-1] - places[0] == len(places) - 1 else 0
    is_apart = bool(places) and places[-1] - places[0] != len(places) - 1
    ndim = len(parts) - len(places) + axes
    if is_same:
        return _Index((slice(None), *parts), [axes] * is_apart, [0] * is_apart, ndim)
    for k in places:  # with a batch, they make one axis more, the batch before the others
        if batched(part := parts[k], level):
            parts[k] = np.reshape(part.array, (level.size, *(1,) * (axes - part.ndim), *part.shape))
    if not of_batch:
        return _Index(tuple(parts), [before], [0], ndim)
    members = np.reshape(np.arange(level.size), (level.size, *(1,) * axes))
    source = range(1, 1 + axes)
    return _Index((members, *parts), source, [before + one for one in source], ndim)


def _parts(part: Any, is_same: bool, level: Level) -> Sequence[Any]:
    """Give arrays for lists, and integers for a mask beside what has a batch."""
    if isinstance(part, list):
        part = np.stack(part) if batched(part, level) else np.asarray(part) if part else np.zeros(0, int)
    if isinstance(part, slice) and not is_basic(part):
        raise IndexError("how much it selects depends on values")
    if isinstance(part, bool | np.bool_) or _is_mask(part):
        if np.ndim(part) == 0 or batched(part, level):
            raise IndexError("how much it selects may depend on values")
        return [part] if is_same else np.nonzero(part)
    return [part]


def _is_mask(part: Any) -> bool:
    return getattr(part, "dtype", None) == np.bool_


def _getitem(level: Level, args: Args, kwargs: Options) -> Any:
    x, index = args
    if batched(x, level):
        if type(index) in (int, slice) and x.array.ndim > 1:
            return Batched(x.array[:, index], level)
        return Batched(_index(index, x.ndim, True, level).of(x.array), level)
    return Batched(_index(index, x.ndim, False, level).of(x), level)


def _take(a: Array, indices: Any, axis: int | None = None, out: None = None, mode: str = "raise") -> Any:
    a, indices = as_array(a), as_array(indices)
    if axis is None or not a.ndim:
        a, axis = np.ravel(a), 0
    if mode != "raise":
        size = a.shape[axis]
        indices = np.mod(indices, size) if mode == "wrap" else np.clip(indices, 0, size - 1)
    if not -a.ndim <= axis < a.ndim:
        return NotImplemented
    return look_up(a, (slice(None),) * (axis % a.ndim) + (indices,))


def _take_along_axis(level: Level, args: Args, kwargs: Options) -> Any:
    arr, indices, axis = (*args, *[kwargs.get("axis", -1)] * (3 - len(args)))
    if axis is not None and np.ndim(arr) != np.ndim(indices):
        return NotImplemented
    arr, indices = (x.array if batched(x, level) else as_array(x)[None] for x in (arr, indices))
    if axis is None:
        arr, axis = flat(arr), 0
    ndim = arr.ndim - 1
    return wrapped(np.take_along_axis(arr, indices, axis % ndim + 1), level) if -ndim <= axis < ndim else NotImplemented


def _choose(level: Level, args: Args, kwargs: Options) -> Any:
    a, choices = args
    rows = choices if isinstance(choices, list | tuple) else [choices[k] for k in range(len(choices))]
    a, *rows = lined_up((a, *rows), level)
    return wrapped(np.choose(a, rows, **kwargs), level)


def _select(level: Level, args: Args, kwargs: Options) -> Any:
    conditions, choices, default = (*args, *[kwargs.get("default", 0)] * (3 - len(args)))
    count = len(conditions)
    *given, default = lined_up((*conditions, *choices, default), level)
    return wrapped(np.select(given[:count], given[count:], default), level)


def _searchsorted(level: Level, args: Args, kwargs: Options) -> Any:
    a, v, *rest = args
    if batched(a, level) or batched([*rest, *kwargs.values()], level):
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


def _scatter_add(level: Level, args: Args, kwargs: Options) -> Any:
    values, index, shape = args
    found = _index(index, len(shape), True, level)
    values = np.moveaxis(stacked(values, level), found.destination, found.source)
    return Batched(placement.scatter_add(values, found.parts, (level.size, *shape)), level)


def _placing(function: Function) -> None:
    def rule(level: Level, args: Args, kwargs: Options) -> Any:
        x, index, values = args
        found = _index(index, np.ndim(x), True, level)
        values = values.array if batched(values, level) else np.asarray(values, getattr(values, "dtype", x.dtype))[None]
        shape = without_ones(values.shape[1:], found.ndim)
        values = np.reshape(values, (len(values), *(1,) * (found.ndim - len(shape)), *shape))
        values = np.moveaxis(values, found.destination, found.source)
        return Batched(function(stacked(x, level), found.parts, values), level)

    enter(function, rule)


enter(placement.scatter_add, _scatter_add)
for _function in (placement.set_at, placement.add_at, placement.multiply_at):
    _placing(_function)
