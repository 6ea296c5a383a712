"""Functions that reduce over axes, and running sums: the gradient is spread back over the elements that took part.

Equal maxima (and minima) share the gradient evenly, as in PyTorch's amax, and so do the NaNs that a maximum is made of;
an initial value that equals them takes a share too. The standard deviation of equal elements has derivative 0, as in
PyTorch's std, and no second one, but its square has. Medians and quantiles give theirs to the one or two elements they
are computed from; of equal elements, to those that a stable sort puts in their place. Elements that a mask leaves out
have gradient 0 whatever they are, as have NaNs in the functions whose names begin with nan. A sum in an integer dtype
moves in steps, and has gradient 0.
"""

import math
from functools import wraps
from typing import Any

import numpy as np

from autodiff.arrays import sums
from autodiff.arrays.sums import Axis, total
from autodiff.core.record import data_of
from autodiff.core.rule import Array, defvjp, describe
from autodiff.core.tape import conj
from autodiff.rules.elementwise import in_steps, through, zero
from autodiff.rules.limits import convention, over_root
from autodiff.transforms.composition import defcomposition


def _restore_axes(g: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    """Put the reduced axes back with length one, so that ``g`` broadcasts against ``x``."""
    return g if keepdims or axis is None or x.ndim == 0 else np.expand_dims(g, axis)


def _axes(x: Array, axis: Axis) -> tuple[int, ...]:
    """List the axes that are reduced."""
    if axis is None or x.ndim == 0:
        return tuple(range(x.ndim))
    return axis if isinstance(axis, tuple) else (axis,)


def _count(x: Array, axis: Axis, where: Any = True) -> Array:
    """Count the elements that were reduced into one; if only some took part, along axes of length one."""
    if where is True:
        return math.prod(x.shape[one] for one in _axes(x, axis))
    return np.sum(np.broadcast_to(where, x.shape), axis=axis, keepdims=True)


def _converted(x: Array, dtype: Any) -> Array:
    """Give the numbers that were reduced."""
    return x if dtype is None or in_steps(dtype) else x.astype(dtype)


def _taking_part(x: Array, where: Any, neutral: float) -> Array:
    """Put what changes nothing in place of the elements that did not take part, whatever they are."""
    return x if where is True else np.where(where, x, neutral)


def _spread(g: Array, x: Array, dtype: Any, where: Any) -> Array:
    """Give ``g`` to the elements that took part, and 0 to the others."""
    g = _taking_part(g, where, 0)
    if type(x) is not np.ndarray and hasattr(data_of(x), "chunks") and x.size:
        # Chunk by chunk: what is broadcast is one chunk, which may be larger than memory once it is computed with.
        return through(g + np.zeros_like(x, g.dtype), dtype)
    return through(np.broadcast_to(g, x.shape), dtype)


def _sum(
    g: Array,
    out: Array,
    x: Array,
    axis: Axis = None,
    *,
    dtype: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = True,
) -> Array:
    return _spread(_restore_axes(g, x, axis, keepdims), x, dtype, where)


def _mean(
    g: Array, out: Array, x: Array, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False, where: Any = True
) -> Array:
    if where is True:
        return _sum(g / _count(x, axis), out, x, axis, dtype=dtype, keepdims=keepdims)
    return _spread(_restore_axes(g, x, axis, keepdims) / np.maximum(_count(x, axis, where), 1), x, dtype, where)


def _var(
    g: Array,
    out: Array,
    x: Array,
    axis: Axis = None,
    *,
    dtype: Any = None,
    ddof: float = 0,
    keepdims: bool = False,
    where: Any = True,
    mean: Array = None,
    correction: float | None = None,
) -> Array:
    """``2 conj(x - mean) / (n - ddof)``, for a given mean too; ``correction`` is another name of ``ddof``."""
    x = _converted(x, dtype)
    count = _count(x, axis, where)
    freedom = count - (ddof if correction is None else correction)
    if where is True:
        mean = sums.mean(x, axis, keepdims=True) if mean is None else mean
        return through(_restore_axes(2 * g / max(freedom, 0), x, axis, keepdims) * conj(x - mean), dtype)
    if mean is None:
        mean = total(np.where(where, x, 0), axis, keepdims=True) / np.maximum(count, 1)
    deviation = conj(np.where(where, x - mean, 0))
    slope = 2 * _restore_axes(g, x, axis, keepdims) / np.where(freedom > 0, freedom, np.nan)
    return _spread(slope * deviation, x, dtype, where)


def _square_root(variance: Any) -> Any:
    """Make the rule of the standard deviation from that of the variance: 0 where the standard deviation is 0."""

    @wraps(variance)
    def rule(g: Array, out: Array, x: Array, axis: Axis = None, **options: Any) -> Array:
        if in_steps(options.get("dtype")):
            return zero(x)
        if _count(x, axis) == 1 and not (options.get("ddof") or options.get("correction")):
            return _taking_part(x - x, options.get("where", True), 0)  # an element does not deviate from itself
        quotient, is_kink = over_root(g, out)
        gradient = variance(quotient / 2, out, x, axis, **options)
        if is_kink is None:
            return gradient
        g, is_kink = (_restore_axes(one, x, axis, options.get("keepdims", False)) for one in (g, is_kink))
        return gradient + g * convention(x, is_kink)

    return rule


def _extremum(
    g: Array,
    out: Array,
    x: Array,
    axis: Axis = None,
    *,
    dtype: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = True,
) -> Array:
    top = _restore_axes(out, x, axis, keepdims)
    is_extreme = _taking_part(_equal(top, _converted(x, dtype)), where, False)
    share = _sharers(is_extreme, top, axis, initial)
    share = share if where is True else np.maximum(share, 1)  # where all are NaN, none takes part in nanmax
    return through(np.where(is_extreme, _restore_axes(g, x, axis, keepdims) / share, 0), dtype)


def _equal(top: Array, x: Array) -> Array:
    return (x == top) | (np.isnan(x) & np.isnan(top))


def _sharers(is_extreme: Array, top: Array, axis: Axis, initial: Any) -> Array:
    """Count those that share a gradient, the initial value among them if it is extreme too."""
    count = np.sum(is_extreme, axis=axis, keepdims=True)
    return count if initial is None else count + _equal(top, np.asarray(initial, top.dtype))


def _prod(
    g: Array,
    out: Array,
    x: Array,
    axis: Axis = None,
    *,
    dtype: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = True,
) -> Array:
    """``g`` times the product of the other elements, which needs no division and so is right with zeros."""
    if in_steps(dtype):
        return zero(x)
    axes = _axes(x, axis)
    last = tuple(range(-len(axes), 0))
    moved = np.moveaxis(_taking_part(_converted(x, dtype), where, 1), axes, last)
    rows = np.reshape(moved, (*moved.shape[: x.ndim - len(axes)], _count(x, axis)))
    others = np.reshape(_product_of_others(rows), moved.shape)
    g = _restore_axes(g if initial is None else g * initial, x, axis, keepdims)
    return _spread(g * np.moveaxis(others, last, axes), x, dtype, where)


def _product_of_others(x: Array) -> Array:
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


def _average(
    x: Array, axis: Axis = None, weights: Array = None, returned: bool = False, *, keepdims: bool = False
) -> Any:
    """``sum(w x) / sum(w)``, and ``sum(w)`` if asked for; weights of another shape than x lie along the axes."""
    if weights is None:
        mean = sums.mean(x, axis, keepdims=keepdims)
        return (mean, np.full_like(mean, _count(x, axis))) if returned else mean
    weights = np.stack(weights) if isinstance(weights, list | tuple) else weights
    if weights.shape != x.shape:
        axes = [one % x.ndim for one in _axes(x, axis)]
        in_order = np.transpose(weights, tuple(np.argsort(axes)))
        weights = np.expand_dims(in_order, tuple(k for k in range(x.ndim) if k not in axes))
    weights = np.broadcast_to(weights, x.shape)
    whole = total(weights, axis, keepdims=keepdims)
    mean = total(x * weights, axis, keepdims=keepdims) / whole
    return (mean, whole) if returned else mean


defvjp(np.sum, _sum)
defvjp(total, _sum)
defvjp(np.mean, _mean)
defvjp(np.var, _var)
defvjp(np.std, _square_root(_var))
for _extreme in (np.max, np.min, np.amax, np.amin):
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


def _without_nans(rule: Any) -> Any:
    """Give the rule of a reduction in which NaNs do not take part."""

    @wraps(rule)
    def rule_without(g: Array, out: Array, x: Array, axis: Axis = None, *, where: Any = True, **options: Any) -> Array:
        return rule(g, out, x, axis, where=np.logical_and(np.logical_not(np.isnan(x)), where), **options)

    return rule_without


for _function, _of_all in (
    (np.nansum, _sum), (np.nanprod, _prod), (np.nanmean, _mean), (np.nanvar, _var), (np.nanstd, _square_root(_var)),
    (np.nanmax, _extremum), (np.nanmin, _extremum),
):  # fmt: skip
    defvjp(_function, _without_nans(_of_all))


def _along_first(rule: Any) -> Any:
    """Give the rule of a ufunc's reduce, which is the same but for its default axis."""
    return wraps(rule)(lambda g, out, x, axis=0, **options: rule(g, out, x, axis, **options))


def _log_sum_exp(
    g: Array,
    out: Array,
    x: Array,
    axis: Axis = None,
    *,
    dtype: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = True,
) -> Array:
    """``exp(x - out)``; where the sum is infinite, the infinities share it evenly."""
    x = _taking_part(_converted(x, dtype), where, -math.inf)
    top = _restore_axes(out, x, axis, keepdims)
    fills = np.isinf(top) & (x == top)
    share = np.maximum(_sharers(_taking_part(fills, where, False), top, axis, initial), 1)
    part = np.exp(np.where(fills, 0, x) - np.where(fills, 0, top)) / share
    return _spread(_restore_axes(g, x, axis, keepdims) * part, x, dtype, where)


defvjp(np.add.reduce, _along_first(_sum))
defvjp(np.multiply.reduce, _along_first(_prod))
for _ufunc in (np.maximum, np.minimum, np.fmax, np.fmin):
    defvjp(_ufunc.reduce, _along_first(_extremum))
defvjp(np.logaddexp.reduce, _along_first(_log_sum_exp))

for _reduce, _precise in (
    (np.sum, total), (np.add.reduce, sums.unless_long(np.add.reduce, total, axis=0)),
    (np.nansum, sums.unless_long(np.nansum, sums.of_numbers(total))),
    (np.mean, sums.mean), (np.nanmean, sums.unless_long(np.nanmean, sums.of_numbers(sums.mean))),
    (np.var, sums.variance), (np.std, sums.deviation), (np.average, sums.unless_long(np.average, _average)),
):  # fmt: skip
    describe(_reduce, precisely=_precise)

# Running sums and products


def _reversed(x: Array, axis: int) -> Array:
    return x[(slice(None),) * (axis % x.ndim) + (slice(None, None, -1),)]


def _cumsum(g: Array, out: Array, x: Array, axis: int | None = None, dtype: Any = None) -> Array:
    """Each element takes part in its own sum and in all after it."""
    if axis is None or x.ndim == 0:
        return np.reshape(_cumsum(g, out, np.reshape(x, (-1,)), 0, dtype), x.shape)
    return through(_reversed(np.cumsum(_reversed(g, axis), axis=axis), axis), dtype)


def _cumprod(g: Array, out: Array, x: Array, axis: int | None = None, dtype: Any = None) -> Array:
    """For each element, the product of all before it times the sum of ``g`` times the products that begin after it.

    Of these sums, each is ``g`` plus the next element times the next sum, which needs no division and so is right with
    zeros.
    """
    if in_steps(dtype):
        return zero(x)
    if axis is None or x.ndim == 0:
        return np.reshape(_cumprod(g, out, np.reshape(x, (-1,)), 0, dtype), x.shape)
    x, g, out = (np.moveaxis(one, axis, -1) for one in (_converted(x, dtype), g, out))
    ones = np.ones_like(x[..., :1])
    before = np.concatenate([ones, out[..., :-1]], axis=-1)
    later = _recurrence(np.concatenate([x[..., 1:], ones], axis=-1), g)
    return np.moveaxis((before * later)[..., : x.shape[-1]], -1, axis)


def _recurrence(factors: Array, terms: Array) -> Array:
    """Solve ``s[k] = terms[k] + factors[k] s[k + 1]`` along the last axis, in a logarithmic number of calls.

    Each step carries every s twice as far on: it puts what s[k + step] is made of in its place.
    """
    step = 1
    while step < terms.shape[-1]:
        nearer = terms[..., :-step] + factors[..., :-step] * terms[..., step:]
        terms = np.concatenate([nearer, terms[..., -step:]], axis=-1)
        factors = np.concatenate([factors[..., :-step] * factors[..., step:], factors[..., -step:]], axis=-1)
        step *= 2
    return terms


def _cumulative(rule: Any) -> Any:
    """Give the rule of the array API's name, which may put the value of no elements first: a constant."""

    def cumulative(
        g: Array, out: Array, x: Array, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
    ) -> Array:
        if include_initial:
            later = (slice(None),) * ((axis or 0) % x.ndim) + (slice(1, None),)
            g, out = g[later], out[later]
        return rule(g, out, x, axis, dtype)

    return cumulative


defvjp(np.cumsum, _cumsum)
defvjp(np.cumprod, _cumprod)
defvjp(np.add.accumulate, lambda g, out, x, axis=0, dtype=None: _cumsum(g, out, x, axis, dtype))
defvjp(np.multiply.accumulate, lambda g, out, x, axis=0, dtype=None: _cumprod(g, out, x, axis, dtype))
defvjp(np.cumulative_sum, _cumulative(_cumsum))
defvjp(np.cumulative_prod, _cumulative(_cumprod))
defcomposition(np.nancumsum, lambda x, axis=None, dtype=None: np.cumsum(np.where(np.isnan(x), 0, x), axis, dtype))
defcomposition(np.nancumprod, lambda x, axis=None, dtype=None: np.cumprod(np.where(np.isnan(x), 1, x), axis, dtype))

# Medians and quantiles: a weighted mean of two neighbours in the order of size


def _in_order(x: Array, axis: Axis) -> Array:
    """Sort what is reduced, as the last axis; NaNs come last."""
    axes = _axes(x, axis)
    moved = np.moveaxis(x, axes, tuple(range(-len(axes), 0)))
    return np.sort(np.reshape(moved, (*moved.shape[: x.ndim - len(axes)], _count(x, axis))), axis=-1)


def _between(ordered: Array, places: Array, x: Array, q: Array, axis: Axis, keepdims: bool) -> Array:
    """Give the elements at fractional places of the last axis, in the shape of quantiles."""
    low = np.clip(np.floor(places).astype(int), 0, ordered.shape[-1] - 1)
    high = np.minimum(low + 1, ordered.shape[-1] - 1)
    below, above = np.take_along_axis(ordered, low, axis=-1), np.take_along_axis(ordered, high, axis=-1)
    result = np.moveaxis(below + (above - below) * (places - low).astype(x.dtype), -1, 0)
    reduced = [one % x.ndim for one in _axes(x, axis)] if x.ndim else []
    shape = [1 if k in reduced else n for k, n in enumerate(x.shape) if keepdims or k not in reduced]
    return np.reshape(result, (*np.shape(q), *shape))


def _quantile(x: Array, q: Array, axis: Axis = None, *, method: str = "linear", keepdims: bool = False) -> Array:
    ordered = _in_order(x, axis)
    # The quantiles of 0, 1, 2, ... are the places, whatever the method.
    places = np.quantile(np.arange(float(ordered.shape[-1])), np.ravel(q), method=method)  # type: ignore[call-overload]
    rows = np.broadcast_to(places, (*ordered.shape[:-1], places.size))
    return _between(ordered, rows, x, q, axis, keepdims)


def _nanquantile(x: Array, q: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
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
