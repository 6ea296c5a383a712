"""Functions that select elements, and the one that puts them back: each is the derivative of the other."""

import operator
from typing import Any

import numpy as np

from autodiff.tape import defvjp
from autodiff.tensor import primitive, stop_gradient


@primitive
def scatter_add(values: Any, index: Any, like: Any) -> Any:
    """Give zeros of the shape of ``like`` with ``values`` added at ``index``; what is selected twice is added twice."""
    out = np.zeros_like(like, dtype=values.dtype)
    if _selects_once(index):
        out[index] = values
    else:
        np.add.at(out, index, values)
    return out


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


def _getitem(g: Any, out: Any, x: Any, index: Any) -> Any:
    return scatter_add(g, index, stop_gradient(x))


def _take_along_axis(g: Any, out: Any, arr: Any, indices: Any, axis: int | None = -1) -> Any:
    """Scatter to the same places: along ``axis`` those of ``indices``, along every other its own."""
    if axis is None:
        return np.reshape(scatter_add(g, (indices,), np.zeros(arr.size)), arr.shape)
    places: list[Any] = list(np.ogrid[tuple(slice(size) for size in arr.shape)])
    places[axis] = indices
    return scatter_add(g, tuple(places), stop_gradient(arr))


def _take(g: Any, out: Any, a: Any, indices: Any, axis: int | None = None) -> Any:
    """Scatter to the same places of the axis, or of the flattened array."""
    if axis is None or a.ndim == 0:
        return np.reshape(scatter_add(g, (indices,), np.zeros(a.size)), a.shape)
    return scatter_add(g, (slice(None),) * (axis % a.ndim) + (indices,), stop_gradient(a))


defvjp(operator.getitem, _getitem)
defvjp(np.take, _take)
defvjp(scatter_add, lambda g, out, values, index, like: g[index])
defvjp(np.take_along_axis, _take_along_axis)
