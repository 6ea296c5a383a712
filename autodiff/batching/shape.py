"""Functions that move elements without changing them."""

from functools import partial
from typing import Any

import numpy as np

from autodiff.batching.array import Batched, Level, spread, stacked
from autodiff.batching.reductions import along, flat
from autodiff.batching.table import Args, Options, as_composition, batched, enter, opened, wrapped
from autodiff.core.rule import Array, Function
from autodiff.core.tensor import as_array

# Any of them: the places of a member's elements, counted from 1, are moved once; 0 comes where no element does.


def moving(*functions: Function, arrays: tuple[int, ...] = (0,)) -> None:
    """Say that functions only move elements of their arguments at some positions, and put zeros where none come."""
    for function in functions:
        enter(function, partial(moved, function, arrays=arrays))


def moved(function: Function, level: Level, args: Args, kwargs: Options, arrays: tuple[int, ...] = (0,)) -> Any:
    """Move elements by a function that moves places alike."""
    pieces: list[Any] = []

    def numbered(x: Any) -> Any:
        if isinstance(x, list | tuple):
            return type(x)(list(map(numbered, x)))
        begin = 1 + sum(piece.shape[1] for piece in pieces)
        pieces.append(flat(stacked(as_array(x), level)))
        return np.arange(begin, begin + pieces[-1].shape[1]).reshape(np.shape(x))

    def selected(places: Any) -> Any:
        if isinstance(places, list | tuple):
            return type(places)(list(map(selected, places)))
        if not source.size:
            return Batched(np.zeros((len(source), *places.shape), source.dtype), level)
        elements = np.take(source, places - 1, axis=1)
        return Batched(elements if places.all() else np.where(places, elements, np.zeros((), source.dtype)), level)

    others = [arg for position, arg in enumerate(args) if position not in arrays]
    if batched([*others, *kwargs.values()], level) or "dtype" in kwargs:
        return NotImplemented
    places = function(*(numbered(arg) if k in arrays else arg for k, arg in enumerate(args)), **kwargs)
    if len({piece.dtype for piece in pieces}) > 1:
        return NotImplemented
    source = np.concatenate(pieces, axis=1) if len(pieces) > 1 else pieces[0]
    return selected(places)


def _pad(level: Level, args: Args, kwargs: Options) -> Any:
    mode = args[2] if len(args) > 2 else kwargs.get("mode", "constant")
    is_moving = mode in ("constant", "edge", "reflect", "symmetric", "wrap") and not kwargs.keys() - {"mode"}
    return moved(np.pad, level, args, kwargs) if is_moving else NotImplemented


moving(np.roll, np.fliplr, np.flipud, np.rot90, np.fft.fftshift, np.fft.ifftshift, np.diagonal, np.linalg.diagonal)
moving(np.tile, np.repeat, np.resize, np.delete, np.tril, np.triu, np.diag, np.diagflat)
moving(np.split, np.array_split, np.hsplit, np.vsplit, np.dsplit, np.unstack)
moving(np.hstack, np.vstack, np.dstack, np.column_stack, np.block)
moving(np.append, arrays=(0, 1))
moving(np.insert, arrays=(0, 2))
moving(np.atleast_1d, np.atleast_2d, np.atleast_3d, np.broadcast_arrays, np.meshgrid, arrays=(*range(64),))
enter(np.pad, _pad)

# The most frequent, most of which only look at an array in another way: how is asked of a member without contents


def _in_order(function: Function) -> None:
    def rule(level: Level, args: Args, kwargs: Options) -> Any:
        x, *rest = args
        if "order" in kwargs or any(isinstance(one, str) for one in rest):
            return moved(function, level, args, kwargs)
        return Batched(
            np.reshape(x.array, (level.size, *function(np.empty(x.shape, bool), *rest, **kwargs).shape)), level
        )

    enter(function, rule)


def _permuting(function: Function) -> None:
    def rule(level: Level, args: Args, kwargs: Options) -> Any:
        x, *rest = args
        of_such_lengths = np.broadcast_to(False, range(1, x.ndim + 1))
        return Batched(np.transpose(x.array, (0, *function(of_such_lengths, *rest, **kwargs).shape)), level)

    enter(function, rule)


def _broadcast_to(level: Level, args: Args, kwargs: Options) -> Any:
    x, shape = args
    shape = tuple(shape) if np.ndim(shape) else (shape,)
    missing = (1,) * (len(shape) - x.ndim)
    return Batched(np.broadcast_to(np.reshape(x.array, (level.size, *missing, *x.shape)), (level.size, *shape)), level)


def _joining(function: Function, more: int = 0) -> None:
    """Say that a function joins arrays along an axis, of as many axes as they have and some more."""

    def rule(level: Level, args: Args, kwargs: Options) -> Any:
        arrays, *rest = args
        axis, options = (*rest, kwargs.get("axis", 0))[0], {k: v for k, v in kwargs.items() if k != "axis"}
        arrays = opened(list(arrays), level)
        ndim = arrays[0].ndim - 1 + more
        if axis is None or len(rest) > 1 or not -ndim <= axis < ndim:
            return moved(function, level, args, kwargs)
        return wrapped(function(arrays, axis=axis % ndim + 1, **options), level)

    enter(function, rule)


_function: Any
for _function in (np.reshape, np.ravel, np.squeeze, np.expand_dims):
    _in_order(_function)
for _function in (np.transpose, np.swapaxes, np.moveaxis, np.rollaxis, np.matrix_transpose, np.linalg.matrix_transpose):
    _permuting(_function)
along(np.flip)
enter(np.broadcast_to, _broadcast_to)
_joining(np.concatenate)
_joining(np.stack, 1)

# Arrays like another one


def _like(function: Function) -> None:
    def rule(level: Level, args: Args, kwargs: Options) -> Any:
        x, *rest = args
        same = function(np.empty(x.shape, x.dtype), *rest, **kwargs)
        same.flags.writeable = False  # so that a program knows it for ever
        return spread(same, level)

    enter(function, rule)


def _full_like(a: Array, fill_value: Any, dtype: Any = None, *, shape: Any = None, **options: Any) -> Array:
    full = np.broadcast_to(fill_value, np.shape(a) if shape is None else shape)
    return full.astype(a.dtype if dtype is None else dtype)


for _function in (np.zeros_like, np.ones_like, np.empty_like):
    _like(_function)
as_composition(np.full_like, _full_like)
