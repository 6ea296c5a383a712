"""Functions that move elements without changing them."""

import math

import numpy as np

from autodiff.batching.reductions import axes_of
from autodiff.batching.table import of_first
from autodiff.core.rule import Array


def _reshape(x: Array, shape: int | tuple[int, ...], order: str = "C") -> Array:
    shape = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    if -1 in shape:
        known = math.prod(size for size in shape if size != -1)
        shape = tuple(math.prod(x.shape[1:]) // known if size == -1 else size for size in shape)
    return np.reshape(x, (x.shape[0], *shape))


def _transpose(x: Array, axes: tuple[int, ...] | None = None) -> Array:
    order = range(x.ndim - 1, 0, -1) if axes is None else axes_of(x, tuple(axes))
    return np.transpose(x, (0, *order))


of_first(np.reshape, _reshape)
of_first(np.transpose, _transpose)
of_first(np.swapaxes, lambda x, axis1, axis2: np.swapaxes(x, axes_of(x, axis1), axes_of(x, axis2)))
of_first(np.ravel, lambda x, order="C": np.reshape(x, (x.shape[0], math.prod(x.shape[1:]))))
of_first(np.zeros_like, lambda x, **options: np.zeros_like(x, **options))
of_first(np.ones_like, lambda x, **options: np.ones_like(x, **options))
