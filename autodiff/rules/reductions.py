"""Functions that reduce over axes: the gradient is spread back over the elements that were reduced.

Equal maxima (and minima) share the gradient evenly, as in PyTorch's amax, and the standard deviation of equal elements
has derivative 0, as in its std.
"""

import math
from typing import Any

import numpy as np

from autodiff.tape import defvjp
from autodiff.tensor import Axis, total


def _restore_axes(g: Any, x: Any, axis: Axis, keepdims: bool) -> Any:
    """Put the reduced axes back with length one, so that ``g`` broadcasts against ``x``."""
    return g if keepdims or axis is None or x.ndim == 0 else np.expand_dims(g, axis)


def _axes(x: Any, axis: Axis) -> tuple[int, ...]:
    """List the axes that are reduced."""
    if axis is None or x.ndim == 0:
        return tuple(range(x.ndim))
    return axis if isinstance(axis, tuple) else (axis,)


def _count(x: Any, axis: Axis) -> int:
    """Count the elements that were reduced into one."""
    return math.prod(x.shape[one] for one in _axes(x, axis))


def _sum(g: Any, out: Any, x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    return np.broadcast_to(_restore_axes(g, x, axis, keepdims), x.shape)


def _mean(g: Any, out: Any, x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    return _sum(g / _count(x, axis), out, x, axis, keepdims=keepdims)


def _var(g: Any, out: Any, x: Any, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False) -> Any:
    """``2 (x - mean) / (n - ddof)``."""
    deviation = x - np.mean(x, axis=axis, keepdims=True)
    return _restore_axes(2 * g / (_count(x, axis) - ddof), x, axis, keepdims) * deviation


def _std(g: Any, out: Any, x: Any, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False) -> Any:
    """``(x - mean) / ((n - ddof) std)``, and 0 where the standard deviation is 0."""
    spread = np.where(out == 0, 0, g / (2 * np.where(out == 0, 1, out)))
    return _var(spread, out, x, axis, ddof=ddof, keepdims=keepdims)


def _extremum(g: Any, out: Any, x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    is_extreme = x == _restore_axes(out, x, axis, keepdims)
    share = np.add.reduce(is_extreme, axis=axis, keepdims=True)
    return np.where(is_extreme, _restore_axes(g, x, axis, keepdims) / share, 0)


def _prod(g: Any, out: Any, x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """``g`` times the product of the other elements, which needs no division and so is right with zeros."""
    axes = _axes(x, axis)
    last = tuple(range(-len(axes), 0))
    moved = np.moveaxis(x, axes, last)
    rows = np.reshape(moved, (*moved.shape[: x.ndim - len(axes)], _count(x, axis)))
    others = np.reshape(_product_of_others(rows), moved.shape)
    return _restore_axes(g, x, axis, keepdims) * np.moveaxis(others, last, axes)


def _product_of_others(x: Any) -> Any:
    """For each element of the last axis, the product of all others.

    Products of pairs, of pairs of pairs and so on go up a binary tree; on the way down, each element takes the product
    of its sibling along: linear work in a logarithmic number of calls.
    """
    size = x.shape[-1]
    levels = [x]
    while levels[-1].shape[-1] > 1:
        level = levels[-1]
        if level.shape[-1] % 2:
            levels[-1] = level = np.concatenate([level, np.ones_like(level[..., :1])], axis=-1)
        levels.append(level[..., ::2] * level[..., 1::2])
    others = np.ones_like(levels.pop())
    for level in reversed(levels):
        others = others[..., : level.shape[-1] // 2]
        pairs = np.stack([others * level[..., 1::2], others * level[..., ::2]], axis=-1)
        others = np.reshape(pairs, level.shape)
    return others[..., :size]


defvjp(np.sum, _sum)
defvjp(total, _sum)
defvjp(np.mean, _mean)
defvjp(np.var, _var)
defvjp(np.std, _std)
defvjp(np.max, _extremum)
defvjp(np.min, _extremum)
defvjp(np.prod, _prod)


def _along_first(rule: Any) -> Any:
    """Give the rule of a ufunc's reduce, which is the same but for its default axis."""
    return lambda g, out, x, axis=0, *, keepdims=False: rule(g, out, x, axis, keepdims=keepdims)


defvjp(np.add.reduce, _along_first(_sum))
defvjp(np.multiply.reduce, _along_first(_prod))
defvjp(np.maximum.reduce, _along_first(_extremum))
defvjp(np.minimum.reduce, _along_first(_extremum))
