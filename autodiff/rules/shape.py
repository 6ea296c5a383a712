"""Functions that move elements without changing them: the gradient moves back the same way."""

import itertools
import math
from typing import Any

import numpy as np

from autodiff.tape import defvjp, unbroadcast


def _reshape(g: Any, out: Any, x: Any, shape: Any, order: Any = "C") -> Any:
    return _ravel(g, out, x, order)


def _ravel(g: Any, out: Any, x: Any, order: Any = "C") -> Any:
    if order not in ("C", "F"):
        raise NotImplementedError(f'order="{order}" depends on memory and has no derivative rule: use "C" or "F"')
    return np.reshape(g, x.shape, order=order)


def _transpose(g: Any, out: Any, x: Any, axes: Any = None) -> Any:
    return np.transpose(g, None if axes is None else tuple(np.argsort([axis % x.ndim for axis in axes])))


def _concatenate(g: Any, out: Any, arrays: Any, axis: int | None = 0) -> Any:
    """Cut the gradient where the arrays were joined. They come in a list, or are the rows of one array."""
    along = 0 if axis is None else axis % g.ndim
    shapes = [np.shape(array) for array in arrays]
    lengths = [math.prod(shape) if axis is None else shape[along] for shape in shapes]
    stops = list(itertools.accumulate(lengths))[:-1]
    pieces = [np.reshape(piece, shape) for piece, shape in zip(np.split(g, stops, axis=along), shapes, strict=True)]
    return pieces if isinstance(arrays, list | tuple) else np.stack(pieces)


def _stack(g: Any, out: Any, arrays: Any, axis: int = 0) -> Any:
    slices = np.moveaxis(g, axis, 0)
    return [slices[position] for position in range(len(arrays))] if isinstance(arrays, list | tuple) else slices


def _split(g: Any, out: Any, x: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    return np.concatenate(list(g), axis=axis)


defvjp(np.reshape, _reshape)
defvjp(np.ravel, _ravel)
defvjp(np.squeeze, lambda g, out, x, axis=None: np.reshape(g, x.shape))
defvjp(np.expand_dims, lambda g, out, x, axis: np.reshape(g, x.shape))
defvjp(np.transpose, _transpose)
defvjp(np.swapaxes, lambda g, out, x, axis1, axis2: np.swapaxes(g, axis1, axis2))
defvjp(np.moveaxis, lambda g, out, x, source, destination: np.moveaxis(g, destination, source))
defvjp(np.broadcast_to, lambda g, out, x, shape: unbroadcast(g, x.shape))
defvjp(np.concatenate, _concatenate)
defvjp(np.stack, _stack)
defvjp(np.split, _split)
