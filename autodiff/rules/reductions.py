"""Functions that reduce over axes, and running sums: the gradient is spread back over the elements that took part.

Equal maxima (and minima) share the gradient evenly, as in PyTorch's amax, and so do the NaNs that a maximum is made of.
The standard deviation of equal elements has derivative 0, as in PyTorch's std. Medians and quantiles give theirs to the
one or two elements they are computed from; of equal elements, to those that a stable sort puts in their place. The
functions whose names begin with nan give NaNs the gradient 0.
"""

import math
from typing import Any

import numpy as np

from autodiff.composition import defcomposition
from autodiff.core.rule import defvjp
from autodiff.core.tensor import Axis, total


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


def _var(
    g: Any,
    out: Any,
    x: Any,
    axis: Axis = None,
    *,
    ddof: float = 0,
    keepdims: bool = False,
    correction: float | None = None,
) -> Any:
    """``2 (x - mean) / (n - ddof)``; ``correction`` is another name of ``ddof``."""
    deviation = x - np.mean(x, axis=axis, keepdims=True)
    freedom = _count(x, axis) - (ddof if correction is None else correction)
    return _restore_axes(2 * g / freedom, x, axis, keepdims) * deviation


def _nanvar(
    g: Any,
    out: Any,
    x: Any,
    axis: Axis = None,
    *,
    ddof: float = 0,
    keepdims: bool = False,
    correction: float | None = None,
) -> Any:
    deviation = np.where(np.isnan(x), 0, x - np.nanmean(x, axis=axis, keepdims=True))
    freedom = _count_numbers(x, axis, keepdims=True) - (ddof if correction is None else correction)
    return 2 * _restore_axes(g, x, axis, keepdims) / freedom * deviation


def _count_numbers(x: Any, axis: Axis, keepdims: bool) -> Any:
    """Count the elements other than NaN, in floats of the dtype of x."""
    return np.sum(np.where(np.isnan(x), 0, np.ones_like(x)), axis=axis, keepdims=keepdims)


def _square_root(variance: Any) -> Any:
    """Make the rule of the standard deviation from that of the variance: 0 where the standard deviation is 0."""

    def rule(
        g: Any,
        out: Any,
        x: Any,
        axis: Axis = None,
        *,
        ddof: float = 0,
        keepdims: bool = False,
        correction: float | None = None,
    ) -> Any:
        half = np.where(out == 0, 0, g / (2 * np.where(out == 0, 1, out)))
        return variance(half, out, x, axis, ddof=ddof, keepdims=keepdims, correction=correction)

    return rule


def _extremum(g: Any, out: Any, x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    top = _restore_axes(out, x, axis, keepdims)
    is_extreme = (x == top) | (np.isnan(x) & np.isnan(top))
    share = np.sum(is_extreme, axis=axis, keepdims=True)
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


def _average(x: Any, axis: Axis = None, weights: Any = None, *, keepdims: bool = False) -> Any:
    """``sum(w x) / sum(w)``; weights of another shape than x lie along the axes."""
    if weights is None:
        return np.mean(x, axis=axis, keepdims=keepdims)
    weights = np.stack(weights) if isinstance(weights, list | tuple) else weights
    if weights.shape != x.shape:
        axes = [one % x.ndim for one in _axes(x, axis)]
        in_order = np.transpose(weights, tuple(np.argsort(axes)))
        weights = np.expand_dims(in_order, tuple(k for k in range(x.ndim) if k not in axes))
    weights = np.broadcast_to(weights, x.shape)
    return np.sum(x * weights, axis=axis, keepdims=keepdims) / np.sum(weights, axis=axis, keepdims=keepdims)


defvjp(np.sum, _sum)
defvjp(total, _sum)
defvjp(np.mean, _mean)
defvjp(np.var, _var)
defvjp(np.std, _square_root(_var))
for _extreme in (np.max, np.min, np.amax, np.amin, np.nanmax, np.nanmin):
    defvjp(_extreme, _extremum)
defvjp(np.prod, _prod)
defcomposition(np.average, _average, arguments=3)
defcomposition(
    np.ptp,
    lambda x, axis=None, *, keepdims=False: (
        np.max(x, axis=axis, keepdims=keepdims) - np.min(x, axis=axis, keepdims=keepdims)
    ),
)

# Without the NaNs


def _without_nans(rule: Any, fill: float) -> Any:
    """Make the rule of a reduction that puts ``fill`` in place of NaNs from that of the one that does not."""

    def rule_without(g: Any, out: Any, x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
        nans = np.isnan(x)
        return np.where(nans, 0, rule(g, out, np.where(nans, fill, x), axis, keepdims=keepdims))

    return rule_without


defvjp(np.nansum, _without_nans(_sum, 0))
defvjp(np.nanprod, _without_nans(_prod, 1))
defcomposition(
    np.nanmean,
    lambda x, axis=None, *, keepdims=False: (
        np.nansum(x, axis=axis, keepdims=keepdims) / _count_numbers(x, axis, keepdims)
    ),
)
defvjp(np.nanvar, _nanvar)
defvjp(np.nanstd, _square_root(_nanvar))


def _along_first(rule: Any) -> Any:
    """Give the rule of a ufunc's reduce, which is the same but for its default axis."""
    return lambda g, out, x, axis=0, *, keepdims=False: rule(g, out, x, axis, keepdims=keepdims)


def _log_sum_exp(g: Any, out: Any, x: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """``exp(x - out)``; where the sum is infinite, the infinities share it evenly."""
    top = _restore_axes(out, x, axis, keepdims)
    fills = np.isinf(top) & (x == top)
    share = np.maximum(np.sum(fills, axis=axis, keepdims=True), 1)
    return _restore_axes(g, x, axis, keepdims) * np.exp(np.where(fills, 0, x) - np.where(fills, 0, top)) / share


defvjp(np.add.reduce, _along_first(_sum))
defvjp(np.multiply.reduce, _along_first(_prod))
for _ufunc in (np.maximum, np.minimum, np.fmax, np.fmin):
    defvjp(_ufunc.reduce, _along_first(_extremum))
defvjp(np.logaddexp.reduce, _along_first(_log_sum_exp))

# Running sums and products


def _reversed(x: Any, axis: int) -> Any:
    return x[(slice(None),) * (axis % x.ndim) + (slice(None, None, -1),)]


def _cumsum(g: Any, out: Any, x: Any, axis: int | None = None) -> Any:
    """Each element takes part in its own sum and in all after it."""
    if axis is None or x.ndim == 0:
        return np.reshape(_cumsum(g, out, np.reshape(x, (-1,)), 0), x.shape)
    return _reversed(np.cumsum(_reversed(g, axis), axis=axis), axis)


def _cumprod(g: Any, out: Any, x: Any, axis: int | None = None) -> Any:
    """For each element, the product of all before it times the sum of ``g`` times the products that begin after it.

    Of these sums, each is ``g`` plus the next element times the next sum, which needs no division and so is right with
    zeros.
    """
    if axis is None or x.ndim == 0:
        return np.reshape(_cumprod(g, out, np.reshape(x, (-1,)), 0), x.shape)
    x, g, out = (np.moveaxis(one, axis, -1) for one in (x, g, out))
    ones = np.ones_like(x[..., :1])
    before = np.concatenate([ones, out[..., :-1]], axis=-1)
    sums = _recurrence(np.concatenate([x[..., 1:], ones], axis=-1), g)
    return np.moveaxis((before * sums)[..., : x.shape[-1]], -1, axis)


def _recurrence(factors: Any, terms: Any) -> Any:
    """Solve ``s[k] = terms[k] + factors[k] s[k + 1]`` along the last axis, in a logarithmic number of calls.

    Each step carries every s twice as far on: it puts what s[k + step] is made of in its place.
    """
    step = 1
    while step < terms.shape[-1]:
        carried = terms[..., :-step] + factors[..., :-step] * terms[..., step:]
        terms = np.concatenate([carried, terms[..., -step:]], axis=-1)
        factors = np.concatenate([factors[..., :-step] * factors[..., step:], factors[..., -step:]], axis=-1)
        step *= 2
    return terms


def _cumulative(rule: Any) -> Any:
    """Give the rule of the array API's name, which may put the value of no elements first: a constant."""

    def cumulative(g: Any, out: Any, x: Any, *, axis: int | None = None, include_initial: bool = False) -> Any:
        if include_initial:
            later = (slice(None),) * ((axis or 0) % x.ndim) + (slice(1, None),)
            g, out = g[later], out[later]
        return rule(g, out, x, axis)

    return cumulative


defvjp(np.cumsum, _cumsum)
defvjp(np.cumprod, _cumprod)
defvjp(np.add.accumulate, lambda g, out, x, axis=0: _cumsum(g, out, x, axis))
defvjp(np.multiply.accumulate, lambda g, out, x, axis=0: _cumprod(g, out, x, axis))
defvjp(np.cumulative_sum, _cumulative(_cumsum))
defvjp(np.cumulative_prod, _cumulative(_cumprod))
defcomposition(np.nancumsum, lambda x, axis=None: np.cumsum(np.where(np.isnan(x), 0, x), axis=axis))
defcomposition(np.nancumprod, lambda x, axis=None: np.cumprod(np.where(np.isnan(x), 1, x), axis=axis))

# Medians and quantiles: a weighted mean of two neighbours in the order of size


def _in_order(x: Any, axis: Axis) -> Any:
    """Sort what is reduced, as the last axis; NaNs come last."""
    axes = _axes(x, axis)
    moved = np.moveaxis(x, axes, tuple(range(-len(axes), 0)))
    return np.sort(np.reshape(moved, (*moved.shape[: x.ndim - len(axes)], _count(x, axis))), axis=-1)


def _between(ordered: Any, places: Any, x: Any, q: Any, axis: Axis, keepdims: bool) -> Any:
    """Give the elements at fractional places of the last axis, in the shape of quantiles."""
    low = np.clip(np.floor(places).astype(int), 0, ordered.shape[-1] - 1)
    high = np.minimum(low + 1, ordered.shape[-1] - 1)
    below, above = np.take_along_axis(ordered, low, axis=-1), np.take_along_axis(ordered, high, axis=-1)
    found = np.moveaxis(below + (above - below) * (places - low).astype(x.dtype), -1, 0)
    reduced = [one % x.ndim for one in _axes(x, axis)] if x.ndim else []
    kept = [1 if k in reduced else n for k, n in enumerate(x.shape) if keepdims or k not in reduced]
    return np.reshape(found, (*np.shape(q), *kept))


def _quantile(x: Any, q: Any, axis: Axis = None, *, method: str = "linear", keepdims: bool = False) -> Any:
    ordered = _in_order(x, axis)
    # The quantiles of 0, 1, 2, ... are the places, whatever the method.
    places = np.quantile(np.arange(float(ordered.shape[-1])), np.ravel(q), method=method)  # type: ignore[call-overload]
    rows = np.broadcast_to(places, (*ordered.shape[:-1], places.size))
    return _between(ordered, rows, x, q, axis, keepdims)


def _nanquantile(x: Any, q: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    count = np.count_nonzero(np.logical_not(np.isnan(x)), axis=axis)
    places = np.expand_dims(count - 1, -1) * np.ravel(q)
    return _between(_in_order(x, axis), places, x, q, axis, keepdims)


defcomposition(np.quantile, _quantile)
defcomposition(
    np.percentile,
    lambda x, q, axis=None, *, method="linear", keepdims=False: _quantile(
        x, np.divide(q, 100), axis, method=method, keepdims=keepdims
    ),
)
defcomposition(np.median, lambda x, axis=None, *, keepdims=False: _quantile(x, 0.5, axis, keepdims=keepdims))
defcomposition(np.nanquantile, _nanquantile)
defcomposition(
    np.nanpercentile,
    lambda x, q, axis=None, *, keepdims=False: _nanquantile(x, np.divide(q, 100), axis, keepdims=keepdims),
)
defcomposition(np.nanmedian, lambda x, axis=None, *, keepdims=False: _nanquantile(x, 0.5, axis, keepdims=keepdims))
