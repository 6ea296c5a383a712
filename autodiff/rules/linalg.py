"""Products of vectors, matrices and stacks of them."""

import math
from typing import Any

import numpy as np

from autodiff.tape import defvjp, unbroadcast
from autodiff.tensor import as_array


def _swap_last_axes(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


def _matmul_x(g: Any, out: Any, x: Any, y: Any) -> Any:
    """``g yᵀ``; a vector counts as a row (x) or a column (y) of a matrix. Stacks that broadcast, the tape sums."""
    y = as_array(y)
    if y.ndim == 1:
        return g[..., None] * y
    if x.ndim == 1:
        return (y @ g[..., None])[..., 0]
    return g @ _swap_last_axes(y)


def _matmul_y(g: Any, out: Any, x: Any, y: Any) -> Any:
    """``xᵀ g``, with vectors and stacks as in `_matmul_x`."""
    x = as_array(x)
    if x.ndim == 1:
        return g[..., None] * x if y.ndim == 1 else x[:, None] * g[..., None, :]
    if y.ndim == 1:
        return (_swap_last_axes(x) @ g[..., None])[..., 0]
    return _swap_last_axes(x) @ g


defvjp(np.matmul, _matmul_x, _matmul_y)


# dot(x, y) sums over the last axis of x and the last but one of y: a product of two matrices, once the other axes of
# each are rolled into one.


def _as_columns(y: Any) -> Any:
    """Give y with the axis that dot sums over first, and all others as one."""
    return np.reshape(np.moveaxis(y, -2, 0) if y.ndim > 1 else y, (y.shape[-2:][0], _other_sizes(y)))


def _other_sizes(y: Any) -> int:
    return math.prod((*y.shape[:-2], *y.shape[-1:])) if y.ndim > 1 else 1


def _dot_x(g: Any, out: Any, x: Any, y: Any) -> Any:
    y = as_array(y)
    if x.ndim == 0 or y.ndim == 0:
        return unbroadcast(g * y, x.shape)
    columns = _as_columns(y)
    return np.reshape(np.reshape(g, (math.prod(x.shape[:-1]), columns.shape[1])) @ _swap_last_axes(columns), x.shape)


def _dot_y(g: Any, out: Any, x: Any, y: Any) -> Any:
    x = as_array(x)
    if x.ndim == 0 or y.ndim == 0:
        return unbroadcast(g * x, y.shape)
    rows = np.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))
    rolled = _swap_last_axes(rows) @ np.reshape(g, (rows.shape[0], _other_sizes(y)))
    if y.ndim == 1:
        return np.reshape(rolled, y.shape)
    return np.moveaxis(np.reshape(rolled, (y.shape[-2], *y.shape[:-2], y.shape[-1])), 0, -2)


defvjp(np.dot, _dot_x, _dot_y)
