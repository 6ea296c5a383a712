"""Sums that keep the digits of short floats, where NumPy's own lose them.

NumPy adds neighbours in memory in pairs, so that the rounding of a long sum hardly grows. Along any other axis it adds
one element after the other: in float32, a million rows are then a sum with an error of 1e-5 if all are positive and of
1e-2 if they nearly cancel, and in float16 a sum of ones ends at 2,048. Here such a sum is made of blocks, each a
product with ones, as BLAS is fast at, and the blocks are added in float64. It takes no longer than NumPy's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.arrays.whole import is_numpy

Axis = int | tuple[int, ...] | None

LONGEST = {"e": 16, "f": 1024}  # how many numbers of these types may be added one by one
_BLOCK = 256
_NUMPYS = (np.ndarray, np.generic)


def is_short(x: Any) -> bool:
    """Whether an array of NumPy's is so small that no sum of its elements loses digits; told at once."""
    return type(x) is np.ndarray and x.size <= LONGEST.get(x.dtype.char, 1024)


def total(x: Any, axis: Axis = None, *, keepdims: bool = False, **options: Any) -> Any:
    """Sum over axes: NumPy's `sum` without its detours; long sums of float32 and float16 keep their digits.

    Example:
        >>> float(total(np.ones((4096, 2), np.float16), axis=0)[0])
        4096.0
    """
    if x.size > LONGEST.get(x.dtype.char, math.inf) and not options.keys() - {"where", "initial"}:
        axes = _long_axes(x, axis)
        if axes is not None:
            return _long_sum(x, axes, keepdims, **options)
    sum_over = np.add.reduce if isinstance(x, _NUMPYS) else np.sum  # other arrays know only np.sum
    return sum_over(x, axis=axis, keepdims=keepdims, **options)


total.__name__ = "sum"  # as it is called in pictures


def added(x: Any, axis: Any = None, keepdims: Any = False) -> Any:
    """Sum by the ufunc, as is fastest; arrays that do not take a ufunc's reduce, as Dask's, know the function."""
    try:
        return np.add.reduce(x, axis=axis, keepdims=keepdims)
    except TypeError:
        return np.sum(x, axis=axis, keepdims=keepdims)


def largest(x: Any, axis: Any = None, keepdims: Any = False) -> Any:
    """Give the maximum, by the ufunc where an array takes that."""
    try:
        return np.maximum.reduce(x, axis=axis, keepdims=keepdims)
    except TypeError:
        chunks = getattr(x, "chunks", ())
        if any(0 in sizes for sizes in chunks) and x.size:  # of an empty chunk, Dask knows no maximum
            x = x.rechunk(tuple(tuple(size for size in sizes if size) for sizes in chunks))
        return np.max(x, axis=axis, keepdims=keepdims)


def mean(x: Any, axis: Axis = None, *, keepdims: bool = False, where: Any = True, **options: Any) -> Any:
    """Average over axes as NumPy's `mean`, of sums that keep their digits."""
    axes = None if options else _long_axes(x, axis)
    if axes is None:
        options |= {} if where is True else {"where": where}
        return np.mean(x, axis=axis, keepdims=keepdims, **options)
    if where is True:
        count: Any = math.prod(x.shape[one] for one in axes)
    else:
        count = np.sum(np.broadcast_to(where, x.shape), axis=axes, keepdims=keepdims)
    wide = _of_dtype(x, np.float32)  # the sum of float16 may be too large for one
    return _of_dtype(total(wide, axes, keepdims=keepdims, where=where) / count, x.dtype)


def variance(x: Any, axis: Axis = None, *, keepdims: bool = False, ddof: float = 0, **options: Any) -> Any:
    """Average the squares of deviations over axes as NumPy's `var`, of sums that keep their digits."""
    axes = None if options else _long_axes(x, axis)
    if axes is None:
        return np.var(x, axis=axis, keepdims=keepdims, ddof=ddof, **options)
    deviations = _of_dtype(x - mean(x, axes, keepdims=True), np.float32)
    count = math.prod(x.shape[one] for one in axes)
    return _of_dtype(total(deviations * deviations, axes, keepdims=keepdims) / max(count - ddof, 0), x.dtype)


def deviation(x: Any, axis: Axis = None, **options: Any) -> Any:
    """Take the square root of the variance, as NumPy's `std`."""
    short = options.keys() - {"keepdims", "ddof"} or _long_axes(x, axis) is None
    return np.std(x, axis=axis, **options) if short else np.sqrt(variance(x, axis, **options))


def unless_long(reduce: Callable[..., Any], precise: Callable[..., Any], axis: Axis = None) -> Callable[..., Any]:
    """Make the function that reduces as NumPy does, and where that would lose digits, more precisely."""

    def reduced(x: Any, axis: Axis = axis, *rest: Any, **options: Any) -> Any:
        return (reduce if _long_axes(x, axis) is None else precise)(x, axis, *rest, **options)

    return reduced


def of_numbers(reduce: Callable[..., Any]) -> Callable[..., Any]:
    """Make a reduction leave out NaNs."""

    def reduced(x: Any, axis: Axis = None, *, where: Any = True, **options: Any) -> Any:
        return reduce(x, axis, where=np.logical_and(np.logical_not(np.isnan(x)), where), **options)

    return reduced


def _long_axes(x: Any, axis: Axis) -> tuple[int, ...] | None:
    """List the axes of a sum in which NumPy would add too many numbers one by one; None for any other sum."""
    shape = getattr(x, "shape", ())
    if len(shape) < 2 or (longest := LONGEST.get(x.dtype.char)) is None:
        return None
    if x.size <= longest or (max(shape) <= longest and type(axis) is int) or not is_numpy(x):
        return None  # told first, as it is most often so
    if axis is None and (x.flags.c_contiguous or x.flags.f_contiguous):
        return None
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    try:
        is_long = math.prod([shape[one] for one in axes]) > longest
    except IndexError:
        return None  # NumPy says which axis is not there
    axes = tuple(one % x.ndim for one in axes)
    return axes if is_long and len(set(axes)) == len(axes) else None  # NumPy refuses an axis that is named twice


def _long_sum(x: Any, axes: tuple[int, ...], keepdims: bool, where: Any = True, initial: Any = None) -> Any:
    x = x if where is True else np.where(where, x, 0)
    sums = _of_dtype(_in_blocks(_of_dtype(x, np.float32), axes), x.dtype)
    sums = np.expand_dims(sums, axes) if keepdims else sums
    return sums if initial is None else _of_dtype(sums + initial, x.dtype)


def _of_dtype(x: Any, dtype: Any) -> Any:
    return x if x.dtype == dtype else x.astype(dtype)


def _in_blocks(x: Any, axes: tuple[int, ...]) -> Any:
    """Sum along one axis after the other, beginning with the one that is nearest in memory."""
    order = sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))
    kept = [axis for axis in order if axis not in axes]
    x = x if order == sorted(order) else np.transpose(x, order)
    while (place := max((k for k, axis in enumerate(order) if axis in axes), default=-1)) >= 0:
        places: tuple[int, ...] = (place,)
        if not x.strides[place]:  # the same again and again, as in what was broadcast
            x = x[(slice(None),) * place + (0,)] * x.shape[place]
        elif place == x.ndim - 1:
            first = place
            while first and order[first - 1] in axes and x.strides[first - 1] == x.strides[first] * x.shape[first]:
                first -= 1
            places = tuple(range(first, x.ndim))
            x = np.add.reduce(x, axis=places)
        elif x.shape[place] <= _BLOCK:
            x = np.add.reduce(x, axis=place)
        else:
            x = _along(x, place)
        del order[places[0] : place + 1]
    return x if kept == sorted(kept) else np.transpose(x, np.argsort(kept).tolist())


def _along(x: Any, axis: int) -> Any:
    """Sum along an axis in blocks."""
    before, count, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    rest = count % _BLOCK
    blocks = x[(slice(None),) * axis + (slice(count - rest),)] if rest else x
    blocks = np.reshape(blocks, (*before, count // _BLOCK, _BLOCK, math.prod(after)))
    sums = np.add.reduce(np.ones((1, _BLOCK), x.dtype) @ blocks, axis=axis, dtype=np.float64)
    sums = np.reshape(sums, (*before, *after))
    if rest:
        sums = sums + np.add.reduce(x[(slice(None),) * axis + (slice(count - rest, None),)], axis=axis)
    return sums.astype(x.dtype)
