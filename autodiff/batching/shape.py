"""Functions that move elements without changing them."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from autodiff.arrays.placement import scatter_add
from autodiff.batching.array import Level
from autodiff.batching.reductions import along, axes_of, flat
from autodiff.batching.table import as_composition, batched, composed, enter, lined_up, of_first, opened, wrapped
from autodiff.core.rule import Array, Function
from autodiff.core.tensor import as_array

Sizes = int | tuple[int, ...]


def _sizes(shape: Any) -> tuple[int, ...]:
    return tuple(shape) if np.ndim(shape) else (shape,)


# Other shapes and orders of axes


def _reshape(x: Array, shape: Sizes, order: str = "C", **options: Any) -> Array:
    sizes = _sizes(shape)
    if -1 in sizes:
        known = math.prod(size for size in sizes if size != -1)
        sizes = tuple(math.prod(x.shape[1:]) // known if size == -1 else size for size in sizes)
    if order == "C":
        return np.reshape(x, (x.shape[0], *sizes), **options)
    if order != "F":
        return NotImplemented  # it depends on memory
    return _transpose(np.reshape(_transpose(x), (x.shape[0], *sizes[::-1]), **options))


def _transpose(x: Array, axes: Any = None) -> Array:
    order = range(x.ndim - 1, 0, -1) if axes is None else axes_of(x, tuple(axes))
    return np.transpose(x, (0, *order))


def _squeeze(x: Array, axis: Any = None) -> Array:
    ones = tuple(k for k in range(1, x.ndim) if x.shape[k] == 1)
    return np.squeeze(x, ones if axis is None else axes_of(x, axis))


def _expand_dims(x: Array, axis: Any) -> Array:
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    ndim = x.ndim - 1 + len(axes)
    if not all(-ndim <= one < ndim for one in axes):
        return NotImplemented
    return np.expand_dims(x, tuple(one % ndim + 1 for one in axes))


def _rollaxis(x: Array, axis: int, start: int = 0) -> Array:
    if not 1 - x.ndim <= start < x.ndim:
        return NotImplemented
    return np.rollaxis(x, axes_of(x, axis), (start + x.ndim - 1 if start < 0 else start) + 1)


def _roll(x: Array, shift: Any, axis: Any = None) -> Array:
    if axis is None:
        return np.reshape(np.roll(flat(x), shift, 1), x.shape)
    return np.roll(x, shift, axes_of(x, axis))


of_first(np.reshape, _reshape)
of_first(np.ravel, lambda x, order="C": _reshape(x, (-1,), order) if x.size else flat(x))
of_first(np.transpose, _transpose)
of_first(np.matrix_transpose, lambda x: np.matrix_transpose(x) if x.ndim > 2 else NotImplemented)
of_first(np.linalg.matrix_transpose, lambda x: np.matrix_transpose(x) if x.ndim > 2 else NotImplemented)
of_first(np.squeeze, _squeeze)
of_first(np.expand_dims, _expand_dims)
of_first(np.swapaxes, lambda x, axis1, axis2: np.swapaxes(x, axes_of(x, axis1), axes_of(x, axis2)))
of_first(np.moveaxis, lambda x, source, to: np.moveaxis(x, axes_of(x, source), axes_of(x, to)))
of_first(np.rollaxis, _rollaxis)
of_first(np.roll, _roll)
along(np.flip)
of_first(np.fliplr, lambda m: np.flip(m, axes_of(m, 1)))
of_first(np.flipud, lambda m: np.flip(m, axes_of(m, 0)))
of_first(np.rot90, lambda m, k=1, axes=(0, 1): np.rot90(m, k, axes_of(m, axes)))
for _shift in (np.fft.fftshift, np.fft.ifftshift):
    of_first(_shift, lambda x, axes=None, f=_shift: f(x, axes_of(x, axes)))


def _at_least(count: int, x: Array) -> Array:
    """Give an array at least so many axes: a vector is a row, and a matrix has a third axis after its own."""
    x = as_array(x)
    shapes = {0: (1,) * count, 1: (1, *x.shape, 1)[2 - min(count, 2) or None : count] if count > 1 else x.shape}
    if x.ndim >= count:
        return x
    return np.reshape(x, (*x.shape, 1) if x.ndim == 2 else shapes[x.ndim])


for _count, _function in enumerate((np.atleast_1d, np.atleast_2d, np.atleast_3d), start=1):
    as_composition(
        _function,
        lambda *xs, count=_count: tuple(_at_least(count, x) for x in xs) if len(xs) > 1 else _at_least(count, xs[0]),
    )

# Elements in several places


def _broadcast_to(x: Array, shape: Sizes, **options: Any) -> Array:
    sizes = _sizes(shape)
    if x.ndim - 1 > len(sizes):
        return NotImplemented
    missing = len(sizes) + 1 - x.ndim
    return np.broadcast_to(np.reshape(x, (x.shape[0], *(1,) * missing, *x.shape[1:])), (x.shape[0], *sizes))


def _broadcast_arrays(*xs: Array) -> tuple[Array, ...]:
    shape = np.broadcast_shapes(*map(np.shape, xs))
    return tuple(np.broadcast_to(x, shape) for x in xs)


def _meshgrid(*xs: Array, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Array, ...]:
    places = list(range(len(xs)))
    if indexing == "xy":
        places[:2] = places[:2][::-1]
    grids = [np.reshape(x, [-1 if k == place else 1 for k in range(len(xs))]) for x, place in zip(xs, places)]
    return tuple(grids) if sparse else _broadcast_arrays(*grids)


def _tile(x: Array, reps: Any) -> Array:
    repetitions = _sizes(reps)
    ndim = max(len(repetitions), x.ndim - 1)
    shape = (x.shape[0], *(1,) * (ndim - x.ndim + 1), *x.shape[1:])
    return np.tile(np.reshape(x, shape), (1, *(1,) * (ndim - len(repetitions)), *repetitions))


def _resize(x: Array, new_shape: Sizes) -> Array:
    shape, rows = _sizes(new_shape), flat(x)
    size = math.prod(shape)
    if not rows.shape[1]:
        return NotImplemented
    return np.reshape(np.tile(rows, (1, -(-size // rows.shape[1])))[:, :size], (x.shape[0], *shape))


def _pad(x: Array, pad_width: Any, mode: Any = "constant", **options: Any) -> Array:
    ndim = x.ndim - 1
    if isinstance(pad_width, dict):
        pad_width = [np.broadcast_to(pad_width.get(k, pad_width.get(k - ndim, 0)), 2) for k in range(ndim)]
    if callable(mode):
        return NotImplemented
    pairs = {name: np.broadcast_to(value, (ndim, 2)).tolist() for name, value in options.items() if np.ndim(value)}
    options |= {name: [(1, 1), *value] for name, value in pairs.items()}
    return np.pad(x, [(0, 0), *np.broadcast_to(pad_width, (ndim, 2)).tolist()], mode, **options)


of_first(np.broadcast_to, _broadcast_to)
as_composition(np.broadcast_arrays, _broadcast_arrays)
as_composition(np.meshgrid, _meshgrid)
of_first(np.tile, _tile)
along(np.repeat, np.delete, place=2, is_flat=True)
of_first(np.resize, _resize)
of_first(np.pad, _pad)

# Joining and cutting


def _joining(function: Function, ndim: int = 0) -> None:
    """Say that a function joins arrays along an axis that it counts from the first."""

    def rule(level: Level, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        arrays, *rest = args
        options = dict(kwargs)
        axis = rest.pop(0) if rest else options.pop("axis", 0)
        arrays = opened(list(arrays), level)
        if rest or any(batched(value, level) for value in options.values()):
            return NotImplemented
        if axis is None:
            arrays, axis = [flat(x) for x in arrays], 0
        ndim = arrays[0].ndim - (function is np.concatenate)
        if not -ndim <= axis < ndim:
            return NotImplemented
        return wrapped(function(arrays, axis=axis % ndim + 1, **options), level)

    enter(function, rule)


def _stacking(axis: int, ndim: int) -> Function:
    """Make the composition of joining along an axis, where arrays of less than so many axes get more."""

    def joined(tup: Any, **options: Any) -> Any:
        parts = [_at_least(ndim, x) for x in tup]
        return np.concatenate(parts, axis=min(axis, parts[0].ndim - 1), **options)

    return joined


def _column_stack(tup: Any) -> Any:
    columns = [as_array(x) for x in tup]
    return np.concatenate([np.reshape(x, (-1, 1)) if x.ndim < 2 else x for x in columns], axis=1)


def _append(arr: Array, values: Array, axis: int | None = None) -> Any:
    return np.concatenate([np.ravel(arr), np.ravel(values)] if axis is None else [arr, values], axis=axis or 0)


def _insert(level: Level, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Values at a single place lie with their first axis along the one along which they go in."""
    arr, obj, values, axis = (*args, *[kwargs.get("axis")] * (4 - len(args)))
    if batched(obj, level):
        return NotImplemented
    if axis is None:
        arr, axis = np.ravel(arr), 0
    axis %= arr.ndim
    arr, values = lined_up((arr, as_array(values)), level) if np.ndim(values) <= arr.ndim else (None, None)
    arr = arr if batched(args[0], level) else np.broadcast_to(arr, (level.size, *np.shape(arr)))
    if not isinstance(obj, slice) and not np.ndim(obj):
        obj = [obj]
        missing = arr.ndim - values.ndim
        values = np.moveaxis(np.reshape(values, (1,) * missing + values.shape), 1, axis + 1)
    return wrapped(np.insert(arr, obj, values, axis + 1), level)


_joining(np.concatenate)
_joining(np.stack)
as_composition(np.hstack, _stacking(1, 1))
as_composition(np.vstack, _stacking(0, 2))
as_composition(np.dstack, _stacking(2, 3))
as_composition(np.column_stack, _column_stack)
as_composition(np.append, _append)
composed(np.block)
enter(np.insert, _insert)
along(np.split, np.array_split, place=2, default=0)
of_first(np.hsplit, lambda x, parts: np.split(x, parts, axes_of(x, min(1, x.ndim - 2))))
of_first(np.vsplit, lambda x, parts: np.split(x, parts, 1) if x.ndim > 2 else NotImplemented)
of_first(np.dsplit, lambda x, parts: np.split(x, parts, axes_of(x, 2)))
along(np.unstack, default=0)

# Diagonals and triangles


def _triangle(function: Function) -> None:
    def rule(m: Array, k: int = 0) -> Array:
        return function(np.broadcast_to(m[:, None], (*m.shape, m.shape[1])) if m.ndim == 2 else m, k)

    of_first(function, rule)


def _diag(v: Array, k: int = 0) -> Array:
    if v.ndim == 3:
        return np.diagonal(v, k, 1, 2)
    rows = np.arange(v.shape[1]) + max(0, -k)
    size = v.shape[1] + abs(k)
    return scatter_add(v, (slice(None), rows, rows + k), (v.shape[0], size, size))


for _function in (np.tril, np.triu):
    _triangle(_function)
of_first(np.diag, _diag)
of_first(np.diagflat, lambda v, k=0: _diag(flat(v), k))
for _function in (np.trace, np.diagonal):
    of_first(
        _function,
        lambda x, offset=0, axis1=0, axis2=1, *rest, f=_function, **options: f(
            x, offset, axes_of(x, axis1), axes_of(x, axis2), *rest, **options
        ),
    )

# Arrays like another one


def _like(function: Function) -> None:
    def rule(x: Array, *args: Any, shape: Any = None, **options: Any) -> Array:
        return function(x, *args, shape=x.shape if shape is None else (x.shape[0], *_sizes(shape)), **options)

    of_first(function, rule)


def _full_like(a: Array, fill_value: Any, dtype: Any = None, *, shape: Any = None, **options: Any) -> Array:
    full = np.broadcast_to(fill_value, np.shape(a) if shape is None else _sizes(shape))
    return full.astype(a.dtype if dtype is None else dtype)


for _function in (np.zeros_like, np.ones_like, np.empty_like):
    _like(_function)
as_composition(np.full_like, _full_like)
