"""Functions that put elements in place of others, and what an index selects.

An array of NumPy's own is copied and written into. Other kinds of arrays may refuse that, so for them the same is said
in calls: slices by padding with zeros, everything else by a selection from the values and one more, where none lands.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from autodiff.arrays.sums import LONGEST
from autodiff.arrays.whole import is_lazy, is_numpy, look_up, looked_at, whole


def _are_numpys(*arrays: Any) -> bool:
    return all(is_numpy(array) or not hasattr(array, "dtype") for array in arrays)


@whole
def scatter_add(values: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Give zeros with ``values`` added at ``index``; what is selected twice is added twice."""
    if _are_numpys(values):
        out = np.zeros(shape, values.dtype)
        if not _selects_once(index):
            return _accumulated(np.add, out, index, values)
        out[index] = values
        return out
    if is_basic(index):
        return _pad(values, _expanded(index, len(shape)), shape)
    spreads = [spread(values, source, 0) for source in rounds(index, shape)]
    return functools.reduce(operator.add, spreads) if spreads else np.broadcast_to(np.sum(values), shape)


@whole
def set_at(x: Any, index: Any, values: Any) -> Any:
    """Give a copy of ``x`` with ``values`` at ``index``; what is selected twice takes the last."""
    if _are_numpys(x, values):
        out = _copy_for(values, x)
        out[index] = values
        return out if out.ndim else out[()]
    _, last = last_ones(index, x.shape)
    return np.where(last < 0, x, spread(spread_out(values, index, x), last, 0))


@whole
def add_at(x: Any, index: Any, values: Any) -> Any:
    """Give a copy of ``x`` with ``values`` added at ``index``; what is selected twice is added to twice."""
    if _are_numpys(x, values):
        return _combined(np.add, x, index, values)
    return x + scatter_add(spread_out(values, index, x), index, x.shape)


@whole
def multiply_at(x: Any, index: Any, values: Any) -> Any:
    """Give a copy of ``x`` multiplied by ``values`` at ``index``; what is selected twice is multiplied twice."""
    if _are_numpys(x, values):
        return _combined(np.multiply, x, index, values)
    values = spread_out(values, index, x)
    return functools.reduce(operator.mul, (spread(values, source, 1) for source in rounds(index, x.shape)), x)


def _copy_for(values: Any, x: Any) -> Any:
    """Copy an array for values to be put into, which NumPy does to complex ones by leaving their imaginary part out."""
    if np.iscomplexobj(values) and not np.iscomplexobj(x):
        raise TypeError(f"at: complex values cannot be put into {x.dtype}; make it complex, as with x.astype(complex)")
    return np.array(x)


def _combined(operate: np.ufunc, x: Any, index: Any, values: Any) -> Any:
    out = _copy_for(values, x)
    if _selects_once(index):
        out[index] = operate(out[index], values)
    else:
        out = _accumulated(operate, out, index, values)
    return out if out.ndim else out[()]


def _accumulated(operate: np.ufunc, out: Any, index: Any, values: Any) -> Any:
    """Apply a ufunc to elements and values one by one; where many short floats may meet in one, in float64."""
    longest = LONGEST.get(out.dtype.char)
    if longest is None or _count(index) <= longest:
        operate.at(out, index, values)
        return out
    wide = out.astype(np.float64)
    operate.at(wide, index, np.asarray(values, np.float64))  # NumPy is slow at what it must convert
    return wide.astype(out.dtype)


def _count(index: Any) -> int:
    """Count how often at most an index of arrays selects one element."""
    if type(index) is np.ndarray:
        return index.size
    parts = [np.asarray(part) for part in (index if isinstance(index, tuple) else (index,)) if not is_basic(part)]
    shapes = [(np.count_nonzero(part),) if part.dtype == np.bool_ else part.shape for part in parts]
    return math.prod(np.broadcast_shapes(*shapes))


def spread_out(values: Any, index: Any, x: Any) -> Any:
    """Broadcast values to the shape that the index selects, as an assignment does."""
    shape = look_up(np.empty(x.shape, bool), index).shape
    values = values if hasattr(values, "dtype") else np.asarray(values, x.dtype)
    return np.broadcast_to(np.reshape(values, without_ones(values.shape, len(shape))), shape)


def without_ones(shape: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """Drop leading axes (of length one) until there are at most ``ndim``."""
    return shape[max(0, len(shape) - ndim) :]


# Where elements go. Indices are plain numbers and so is everything that is found out about them.


def is_basic(index: Any) -> bool:
    """Whether an index is made of integers, slices from integer to integer, None and an ellipsis only.

    It then selects a view, and the same elements in whatever array: what a program has computed is no integer here.
    """
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        all(end is None or _is_integer(end) for end in (part.start, part.stop, part.step))
        if isinstance(part, slice)
        else part is None or part is Ellipsis or _is_integer(part)
        for part in parts
    )


def _is_integer(x: Any) -> bool:
    return isinstance(x, int | np.integer) and not isinstance(x, bool)


def _expanded(index: Any, ndim: int) -> list[Any]:
    """Give one integer or slice of a basic index for each axis."""
    parts = [part for part in (index if isinstance(index, tuple) else (index,)) if part is not None]
    k = parts.index(Ellipsis) if Ellipsis in parts else len(parts)
    count = len(parts) - (k < len(parts))
    return parts[:k] + [slice(None)] * (ndim - count) + parts[k + 1 :]


def _selects_once(index: Any) -> bool:
    """Whether no element can be selected twice: slices, integers and masks, but not arrays of integers."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        part is None
        or part is Ellipsis
        or isinstance(part, slice | int | np.integer)
        or getattr(part, "dtype", None) == np.bool_
        for part in parts
    )


@whole
def ranks(index: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Give the place of each selected element in the flat array, and how often it was selected before.

    Raises:
        NotImplementedError: the index is lazy, and would have to be computed for it.
    """
    if any(map(is_lazy, index if isinstance(index, tuple) else (index,))):
        raise NotImplementedError(
            "getitem: there is no gradient by what a lazy index selects: give index.compute(), or use "
            "nn.functional.embedding(index, table) for rows"
        )
    places = np.arange(int(np.prod(shape))).reshape(shape)[index]
    order = np.argsort(places, axis=None, kind="stable")
    ordered = np.ravel(places)[order]
    begins = np.searchsorted(ordered, ordered)  # where the run of the same place begins
    turns = np.empty(places.size, int)
    turns[order] = np.arange(places.size) - begins
    return places, turns.reshape(places.shape)


def rounds(index: Any, shape: tuple[int, ...]) -> Iterator[Any]:
    """For each element of the array, the position of the value that lands on it, or -1 for none.

    Where several land on one element, each comes in a round of its own.
    """
    places, turns = ranks(index, shape)
    array = looked_at(turns)
    for number in range(int(np.max(turns if array is None else array, initial=-1)) + 1):
        yield _round(places, turns == number, shape)


@whole
def _round(places: Any, is_now: Any, shape: tuple[int, ...]) -> Any:
    source = np.full(int(np.prod(shape)), -1)
    source[places[is_now]] = np.flatnonzero(is_now)
    return source.reshape(shape)


def spread(values: Any, source: Any, empty: float) -> Any:
    """Put each value where its position stands in ``source``, and ``empty`` elsewhere."""
    extended = np.concatenate([np.ravel(values), np.full(1, empty, values.dtype)])
    source_of_each = np.ravel(source)  # -1 is the last as well
    is_plain = type(extended) is np.ndarray
    return np.reshape(look_up(extended, source_of_each) if is_plain else extended[source_of_each], source.shape)


def _pad(values: Any, parts: list[Any], shape: tuple[int, ...]) -> Any:
    """Put values at a slice or integer of each axis, and zeros elsewhere."""
    widths = []
    sizes = [len(range(*part.indices(n))) if isinstance(part, slice) else 1 for part, n in zip(parts, shape)]
    if 0 in sizes:
        return np.broadcast_to(np.sum(values), shape)  # nothing arrives
    values = np.reshape(values, sizes)
    for axis, (part, n, size) in enumerate(zip(parts, shape, sizes)):
        start, _, step = part.indices(n) if isinstance(part, slice) else (part % n, None, 1)
        if step < 0:
            values = np.flip(values, axis)
            start, step = start + (size - 1) * step, -step
        if step > 1:
            # Between the values come zeros: a new axis, padded, then both axes as one.
            apart = [(0, 0)] * (values.ndim + 1)
            apart[axis + 1] = (0, step - 1)
            merged = (*values.shape[:axis], size * step, *values.shape[axis + 1 :])
            values = np.reshape(np.pad(np.expand_dims(values, axis + 1), apart), merged)
            values = values[(slice(None),) * axis + (slice(0, (size - 1) * step + 1),)]
        widths.append((start, n - start - values.shape[axis]))
    return np.pad(values, widths) if widths else values


@whole
def last_ones(index: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Tell which of the selected elements come last at their place, and for each place the position of that one."""
    last = np.full(shape, -1)
    positions = np.arange(last[index].size).reshape(last[index].shape)
    last[index] = positions
    return last[index] == positions, last
