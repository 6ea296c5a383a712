"""Functions that move elements without changing them: the gradient moves back the same way.

An element that comes to several places gets the sum of what comes back from them.
"""

import itertools
import math
from typing import Any

import numpy as np

from autodiff.arrays.sums import total
from autodiff.arrays.whole import is_numpy
from autodiff.core.record import data_of
from autodiff.core.rule import Array, defvjp, describe
from autodiff.core.tape import unbroadcast
from autodiff.core.tensor import as_array
from autodiff.rules.elementwise import through
from autodiff.rules.indexing import scatter_add
from autodiff.transforms.composition import defcomposition, pull_through


def _shape(x: Array) -> tuple[int, ...]:
    """Give the shape of an array or number, or of nested lists of them, in which there may be Tensors."""
    return (len(x), *(_shape(x[0]) if x else ())) if isinstance(x, list | tuple) else np.shape(x)


# Other shapes and orders of axes


def _ravel(g: Array, out: Array, x: Array, order: Any = "C") -> Array:
    # Other kinds of arrays know only the one order, and no name for it.
    return np.reshape(g, x.shape) if order == "C" else np.reshape(g, x.shape, order=order)


def _refuse_order(x: Array, *shape: Any, order: Any = "C", copy: bool | None = None) -> None:
    order = shape[-1] if shape and isinstance(shape[-1], str) else order
    if order not in ("C", "F"):
        raise NotImplementedError(f'order="{order}" depends on memory and has no derivative rule: use "C" or "F"')


def _reshape(g: Array, out: Array, x: Array, shape: Any, order: Any = "C", *, copy: bool | None = None) -> Array:
    return _ravel(g, out, x, order)


def _transpose(g: Array, out: Array, x: Array, axes: Any = None) -> Array:
    return np.transpose(g, None if axes is None else tuple(np.argsort([axis % x.ndim for axis in axes])))


def _rollaxis(g: Array, out: Array, a: Array, axis: int, start: int = 0) -> Array:
    """Move the axis back from where it is: before the one that ``start`` was."""
    axis, start = axis % a.ndim, start + a.ndim if start < 0 else start
    return np.moveaxis(g, start - (axis < start), axis)


def _atleast(g: Any, out: Any, arrays: Any) -> Any:
    """Undo it for each array. Of a single one, the result is no list."""
    return [np.reshape(one, np.shape(x)) for one, x in zip(g if len(arrays) > 1 else [g], arrays, strict=True)]


defvjp(np.reshape, _reshape)
defvjp(np.ravel, _ravel)
describe(np.reshape, np.ravel, refuses=_refuse_order)
defvjp(np.squeeze, lambda g, out, x, axis=None: np.reshape(g, x.shape))
defvjp(np.expand_dims, lambda g, out, x, axis: np.reshape(g, x.shape))
defvjp(np.transpose, _transpose)
defvjp(np.matrix_transpose, lambda g, out, x: np.swapaxes(g, -1, -2))
defvjp(np.swapaxes, lambda g, out, x, axis1, axis2: np.swapaxes(g, axis1, axis2))
defvjp(np.moveaxis, lambda g, out, x, source, destination: np.moveaxis(g, destination, source))
defvjp(np.rollaxis, _rollaxis)
for _at_least in (np.atleast_1d, np.atleast_2d, np.atleast_3d):
    defvjp(_at_least, _atleast, variadic=True)


def _astype(g: Array, out: Array, x: Array, dtype: Any, *, copy: bool = True, device: Any = None) -> Array:
    """Nothing comes back from integers, which move in steps. The tape gives the gradient the dtype of x."""
    return through(g, dtype)


defvjp(np.astype, _astype)

# Elements in several places


def _meshgrid(g: Any, out: Any, xs: Any, *, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    """Sum over the axes of the others."""
    axes = list(range(len(xs)))
    if indexing == "xy":
        axes[:2] = reversed(axes[:2])
    sums = [total(one, tuple({*axes} - {axis})) for one, axis in zip(g, axes, strict=True)]
    return [np.reshape(one, np.shape(x)) for one, x in zip(sums, xs, strict=True)]


def _tile(g: Array, out: Array, A: Array, reps: Any) -> Array:
    """Give the repetitions axes of their own, and sum over them."""
    reps = np.ravel(reps).tolist()
    ndim = max(len(reps), A.ndim)
    pairs = zip([1] * (ndim - len(reps)) + reps, (1,) * (ndim - A.ndim) + A.shape, strict=True)
    apart = np.reshape(g, [size for pair in pairs for size in pair])
    return np.reshape(total(apart, tuple(range(0, 2 * ndim, 2))), A.shape)


def _repeat(g: Array, out: Array, a: Array, repeats: Any, axis: int | None = None) -> Array:
    shape = (a.size,) if axis is None else a.shape
    along = 0 if axis is None else axis % a.ndim
    if np.size(repeats) == 1:
        apart = np.reshape(g, (*shape[: along + 1], int(np.ravel(repeats)[0]), *shape[along + 1 :]))
        return np.reshape(total(apart, along + 1), a.shape)
    return np.reshape(_put_back(g, np.repeat(np.arange(shape[along]), repeats), shape, along), a.shape)


def _put_back(g: Array, places: Array, shape: tuple[int, ...], axis: int) -> Array:
    """Bring each gradient along an axis to the place that its element was taken from."""
    return scatter_add(g, (slice(None),) * axis + (places,), (*g.shape[:axis], shape[axis], *g.shape[axis + 1 :]))


def _resize(g: Array, out: Array, a: Array, new_shape: Any) -> Array:
    """Fill up the last repetition with zeros and sum over the repetitions."""
    if a.size == 0:
        return np.zeros_like(a)
    filled = np.pad(np.ravel(g), (0, -g.size % a.size))
    return np.reshape(total(np.reshape(filled, (-1, a.size)), 0), a.shape)


def _pad(
    g: Array,
    out: Array,
    array: Array,
    pad_width: Any,
    mode: Any = "constant",
    *,
    constant_values: Any = 0,
    end_values: Any = 0,
    stat_length: Any = None,
    reflect_type: str = "even",
) -> Array:
    """Cut constants off; everywhere else, bring the gradient back to the element that was copied there."""
    if isinstance(pad_width, dict):
        widths: list[Any] = [pad_width.get(axis, pad_width.get(axis - array.ndim, 0)) for axis in range(array.ndim)]
        pad_width = [np.broadcast_to(width, 2) for width in widths]
    pairs = np.broadcast_to(pad_width, (array.ndim, 2)).tolist()
    if mode == "linear_ramp" or _PADDINGS[mode]:
        return pull_through(_computed_pad, g, (array, pairs, mode, end_values, stat_length), {}, 0)[0]
    for axis, (before, after) in enumerate(pairs):
        n = array.shape[axis]
        if mode == "constant":
            g = g[(slice(None),) * axis + (slice(before, before + n),)]
        elif before or after:
            g = _put_back(g, np.pad(np.arange(n), (before, after), mode=mode), array.shape, axis)
    return g


def _refuse_pad(
    array: Array, pad_width: Any, mode: Any = "constant", *, reflect_type: str = "even", **options: Any
) -> None:
    if mode not in _PADDINGS or reflect_type != "even":
        raise NotImplementedError(
            f"pad with mode={mode!r}, reflect_type={reflect_type!r} has no derivative rule: use one of the modes "
            f"{', '.join(_PADDINGS)} with reflect_type='even', or np.concatenate"
        )


def _computed_pad(array: Array, pairs: list[list[int]], mode: str, end_values: Any, stat_length: Any) -> Array:
    """Pad axis by axis, with what is computed of the lines along it."""
    ends = np.broadcast_to(end_values, (array.ndim, 2)).tolist()
    lengths = np.broadcast_to(np.inf if stat_length is None else stat_length, (array.ndim, 2)).tolist()
    for axis, pair in enumerate(pairs):
        sides = []
        for number, width in enumerate(pair):
            size = 1 if mode == "linear_ramp" else min(array.shape[axis], lengths[axis][number])
            part = slice(int(size)) if number == 0 else slice(array.shape[axis] - int(size), None)
            line = array[(slice(None),) * axis + (part,)]
            if mode == "linear_ramp":
                t = np.arange(width) / max(width, 1)
                t = np.reshape(t if number == 0 else t[::-1], (-1,) + (1,) * (array.ndim - axis - 1))
                sides.append(ends[axis][number] + t * (line - ends[axis][number]))
            else:
                value = _PADDINGS[mode](line, axis=axis, keepdims=True)
                sides.append(np.broadcast_to(value, (*value.shape[:axis], width, *value.shape[axis + 1 :])))
        array = np.concatenate([sides[0], array, sides[1]], axis=axis)
    return array


# The modes of np.pad, and what some compute of the elements next to the edge
_PADDINGS: dict[str, Any] = {
    "constant": None, "edge": None, "reflect": None, "symmetric": None, "wrap": None, "linear_ramp": None,
    "maximum": np.max, "minimum": np.min, "mean": np.mean, "median": np.median,
}  # fmt: skip
defvjp(np.broadcast_to, lambda g, out, x, shape: unbroadcast(g, x.shape))
defvjp(
    np.broadcast_arrays,
    lambda g, out, arrays: [unbroadcast(one, np.shape(x)) for one, x in zip(g, arrays, strict=True)],
    variadic=True,
)
defvjp(np.meshgrid, _meshgrid, variadic=True)
defvjp(np.tile, _tile)
defvjp(np.repeat, _repeat)
defvjp(np.resize, _resize)
defvjp(np.pad, _pad)
describe(np.pad, refuses=_refuse_pad)

# Joining and cutting

describe(np.concatenate, np.stack, np.hstack, np.vstack, np.dstack, np.column_stack, np.block, takes_list=True)


def _cut(g: Array, arrays: Any, lengths: list[int], axis: int) -> Any:
    """Cut a gradient where arrays were joined. They come in a list, or are the rows of one array."""
    stops = list(itertools.accumulate(lengths))
    if is_numpy(data_of(g)):
        pieces = np.split(g, stops[:-1], axis=axis)
    else:
        # Other kinds of arrays do not know split.
        pieces = [g[(slice(None),) * axis + (slice(stop - n, stop),)] for stop, n in zip(stops, lengths, strict=True)]
    pieces = [np.reshape(piece, _shape(array)) for piece, array in zip(pieces, arrays, strict=True)]
    return pieces if isinstance(arrays, list | tuple) else np.stack(pieces)


def _concatenate(
    g: Array, out: Array, arrays: Any, axis: int | None = 0, *, dtype: Any = None, casting: Any = None
) -> Any:
    g = through(g, dtype)
    along = 0 if axis is None else axis % g.ndim
    shapes = map(_shape, arrays)
    return _cut(g, arrays, [math.prod(shape) if axis is None else shape[along] for shape in shapes], along)


def _joined(axis: int, ndim: int) -> Any:
    """Make the rule for joining along an axis, where arrays of less than ``ndim`` axes have length one."""

    def rule(g: Array, out: Array, tup: Any, *, dtype: Any = None, casting: Any = None) -> Any:
        along, g = min(axis, g.ndim - 1), through(g, dtype)
        return _cut(g, tup, [shape[along] if len(shape) >= ndim else 1 for shape in map(_shape, tup)], along)

    return rule


def _stack(g: Array, out: Array, arrays: Any, axis: int = 0, *, dtype: Any = None, casting: Any = None) -> Any:
    slices = np.moveaxis(through(g, dtype), axis, 0)
    return [slices[position] for position in range(len(arrays))] if isinstance(arrays, list | tuple) else slices


def _block(arrays: Any) -> Any:
    """Join the innermost lists along the last axis, the lists of these along the one before, and so on."""
    depth, part = 0, arrays
    while isinstance(part, list):
        depth, part = depth + 1, part[0]

    def ndim_of(part: Any) -> int:
        return max(map(ndim_of, part)) if isinstance(part, list) else np.ndim(part)

    ndim = max(depth, ndim_of(arrays))

    def joined(part: Any, depth: int) -> Any:
        if isinstance(part, list):
            return np.concatenate([joined(one, depth - 1) for one in part], axis=-depth)
        return np.reshape(part, (1,) * (ndim - np.ndim(part)) + np.shape(part))

    return joined(arrays, depth)


def _split(g: Any, out: Any, ary: Array, indices_or_sections: Any, axis: int = 0) -> Array:
    return np.concatenate(list(g), axis=axis)


defvjp(np.concatenate, _concatenate)
defvjp(np.hstack, _joined(1, ndim=1))
defvjp(np.vstack, _joined(0, ndim=2))
defvjp(np.dstack, _joined(2, ndim=3))
defvjp(np.column_stack, _joined(1, ndim=2))
defvjp(
    np.append,
    lambda g, out, arr, values, axis=None: _concatenate(g, out, [arr, values], axis)[0],
    lambda g, out, arr, values, axis=None: _concatenate(g, out, [arr, values], axis)[1],
)
defvjp(np.stack, _stack)
defcomposition(np.block, _block)
for _splitting in (np.split, np.array_split):
    defvjp(_splitting, _split)
defvjp(np.hsplit, lambda g, out, ary, indices_or_sections: np.concatenate(list(g), axis=min(1, ary.ndim - 1)))
defvjp(np.vsplit, lambda g, out, ary, indices_or_sections: np.concatenate(list(g), axis=0))
defvjp(np.dsplit, lambda g, out, ary, indices_or_sections: np.concatenate(list(g), axis=2))
defvjp(np.unstack, lambda g, out, x, *, axis=0: np.stack(list(g), axis=axis))


# Putting elements between others, and leaving some out


def _inserted(g: Array, arr: Array, obj: Any, axis: int | None) -> tuple[int, Array, Array]:
    """Give the axis, the places along it of what was there before, and those of the values in their order."""
    along, n = (0, arr.size) if axis is None else (axis % arr.ndim, arr.shape[axis])
    came_from = np.insert(np.full(n, -1), obj, np.arange(g.shape[along] - n))
    return along, np.flatnonzero(came_from < 0), np.argsort(came_from, kind="stable")[n:]


def _insert_arr(g: Array, out: Array, arr: Array, obj: Any, values: Array, axis: int | None = None) -> Array:
    along, old, _ = _inserted(g, arr, obj, axis)
    return np.reshape(np.take(g, old, axis=along), arr.shape)


def _insert_values(g: Array, out: Array, arr: Array, obj: Any, values: Array, axis: int | None = None) -> Array:
    along, _, new = _inserted(g, as_array(arr), obj, axis)
    part = np.take(g, new, axis=along)
    # At a single place, the first axis of the values is the one along which they go in.
    return unbroadcast(part if isinstance(obj, slice) or np.ndim(obj) else np.moveaxis(part, along, 0), _shape(values))


def _delete(arr: Array, obj: Any, axis: int | None = None) -> Array:
    n = arr.size if axis is None else arr.shape[axis]
    return np.take(arr, np.delete(np.arange(n), obj), axis=axis)


defvjp(np.insert, _insert_arr, None, _insert_values)
defcomposition(np.delete, _delete)

# Turning around


def _roll(g: Array, out: Array, a: Array, shift: Any, axis: Any = None) -> Array:
    return np.roll(g, tuple(np.negative(shift).tolist()) if np.ndim(shift) else -shift, axis)


defvjp(np.flip, lambda g, out, m, axis=None: np.flip(g, axis))
defvjp(np.fliplr, lambda g, out, m: np.fliplr(g))
defvjp(np.flipud, lambda g, out, m: np.flipud(g))
defvjp(np.rot90, lambda g, out, m, k=1, axes=(0, 1): np.rot90(g, -k, axes))
defvjp(np.roll, _roll)


# Windows that slide


def _windows(g: Array, out: Array, x: Array, window_shape: Any, axis: Any = None) -> Array:
    """Add to each element what comes back from each window that it is in, one axis after the other."""
    axes = range(x.ndim) if axis is None else [axis] if isinstance(axis, int | np.integer) else axis
    for one in reversed([one % x.ndim for one in axes]):
        # A row for each place in the window, with zeros behind it; cut anew, into rows that are shorter by one, each
        # row begins one element further to the right than the one before, and so columns are elements.
        rows = np.moveaxis(g, one, -1)
        width, count = rows.shape[-2:]
        rows = np.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(0, width)])
        flat = np.reshape(rows, (*rows.shape[:-2], -1))[..., : width * (count + width - 1)]
        g = np.moveaxis(np.sum(np.reshape(flat, (*flat.shape[:-1], width, -1)), axis=-2), -1, one)
    return g


defvjp(np.lib.stride_tricks.sliding_window_view, _windows)
