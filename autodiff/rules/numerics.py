"""Differences, integrals, convolutions, interpolation, covariances and polynomials.

Most are compositions of other functions; where these branch, it is on shapes and options only.
"""

import math
from typing import Any

import numpy as np

from autodiff.arrays.whole import is_numpy, look_up
from autodiff.core.rule import Array, defvjp
from autodiff.core.tape import conj
from autodiff.core.tensor import Tensor, as_array, is_complex
from autodiff.transforms.composition import defcomposition


def _along(axis: int, part: slice) -> tuple[Any, ...]:
    """Give the index that takes a part of one axis, which is not negative."""
    return (slice(None),) * axis + (part,)


# Differences and integrals


def _diff(a: Array, n: int = 1, axis: int = -1, prepend: Array = None, append: Array = None) -> Array:
    a = as_array(a)
    if n == 0:
        return a  # without what is prepended or appended
    axis %= a.ndim
    joined = []
    for part in (prepend, a, append):
        if isinstance(part, complex | int | float | list) or hasattr(part, "dtype"):
            edge = (*a.shape[:axis], 1, *a.shape[axis + 1 :])
            joined.append(np.broadcast_to(part, edge) if np.ndim(part) == 0 else part)
    a = np.concatenate(joined, axis=axis) if len(joined) > 1 else a
    for _ in range(n):
        a = a[_along(axis, slice(1, None))] - a[_along(axis, slice(None, -1))]
    return a


def _ediff1d(ary: Array, to_end: Array = None, to_begin: Array = None) -> Array:
    flat = np.ravel(ary)
    parts = [to_begin, flat[1:] - flat[:-1], to_end]
    return np.concatenate([np.ravel(part) for part in parts if part is not None])


def _trapezoid(y: Array, x: Array = None, dx: float = 1.0, axis: int = -1) -> Array:
    y = np.moveaxis(as_array(y), axis, -1)
    if x is not None:
        x = as_array(x)
        x = x if x.ndim == 1 else np.moveaxis(x, axis, -1)
        dx = x[..., 1:] - x[..., :-1]
    return np.sum(dx * (y[..., 1:] + y[..., :-1]) / 2, axis=-1)


def _gradient(f: Array, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    axes = range(f.ndim) if axis is None else np.ravel(axis).tolist()
    spacings = list(varargs) if len(varargs) > 1 else list(varargs or [1.0]) * len(axes)
    slopes = tuple(_slope(f, one % f.ndim, spacing, edge_order) for one, spacing in zip(axes, spacings, strict=True))
    return slopes[0] if len(slopes) == 1 else slopes


def _slope(f: Array, axis: int, spacing: Any, edge_order: int) -> Array:
    """Take central differences, and at the edges those of first or second order from one side.

    With steps ``h`` to the left and ``k`` to the right, Taylor's formula gives the weights
    ``-k / h (h + k)``, ``(k - h) / h k`` and ``h / k (h + k)``.
    """
    f = np.moveaxis(f, axis, -1)
    steps = np.diff(spacing) if np.ndim(spacing) else np.full(f.shape[-1] - 1, float(spacing))
    steps = steps.astype(f.dtype)
    h, k = steps[:-1], steps[1:]
    middle = -k / (h * (h + k)) * f[..., :-2] + (k - h) / (h * k) * f[..., 1:-1] + h / (k * (h + k)) * f[..., 2:]
    if edge_order == 1:
        first = (f[..., 1:2] - f[..., :1]) / steps[0]
        last = (f[..., -1:] - f[..., -2:-1]) / steps[-1]
    else:
        first = _edge(f[..., :1], f[..., 1:2], f[..., 2:3], steps[0], steps[1])
        last = -_edge(f[..., -1:], f[..., -2:-1], f[..., -3:-2], steps[-1], steps[-2])
    return np.moveaxis(np.concatenate([first, middle, last], axis=-1), -1, axis)


def _edge(f0: Array, f1: Array, f2: Array, h: float, k: float) -> Array:
    """Give the slope at the first of three points that are ``h`` and then ``k`` apart."""
    return -(2 * h + k) / (h * (h + k)) * f0 + (h + k) / (h * k) * f1 - h / (k * (h + k)) * f2


defcomposition(np.diff, _diff, arguments=5)
defcomposition(np.ediff1d, _ediff1d, arguments=3)
defcomposition(np.trapezoid, _trapezoid, arguments=3)
defcomposition(np.gradient, _gradient)

# Convolutions


def _whole(g: Array, a: Array, v: Array, mode: Any) -> Array:
    """Put the gradient of a part of the convolution where that part lies in the whole."""
    longer, shorter = max(np.size(a), np.size(v)), min(np.size(a), np.size(v))
    if isinstance(mode, int):
        mode = ("valid", "same", "full")[mode]
    start = {"full": 0, "same": (shorter - 1) // 2, "valid": shorter - 1}[mode]
    return np.pad(g, (start, longer + shorter - 1 - start - g.shape[0]))


def _convolve_a(g: Array, out: Array, a: Array, v: Array, mode: Any = "full") -> Array:
    return np.reshape(np.correlate(_whole(g, a, v, mode), conj(np.ravel(v)), mode="valid"), a.shape)


def _convolve_v(g: Array, out: Array, a: Array, v: Array, mode: Any = "full") -> Array:
    return np.reshape(np.correlate(_whole(g, a, v, mode), conj(np.ravel(a)), mode="valid"), v.shape)


def _correlate(a: Array, v: Array, mode: Any = "valid") -> Array:
    """Convolve with the other one conjugated and reversed; the shorter is the one that slides."""
    v = conj(v)
    if len(v) > len(a):
        return np.flip(np.convolve(v, np.flip(a), mode=mode))
    return np.convolve(a, np.flip(v), mode=mode)


defvjp(np.convolve, _convolve_a, _convolve_v)
defcomposition(np.correlate, _correlate, arguments=2)

# Interpolation and counting


def _interp(x: Array, xp: Array, fp: Array, left: Array = None, right: Array = None, period: Any = None) -> Array:
    """Draw lines between the points. The derivative by x is their slope, at a point that of the line to the right."""
    x, xp, fp = as_array(x), as_array(xp), as_array(fp)
    x, xp = x.astype(np.float64), xp.astype(np.float64)  # as NumPy does
    fp = fp if fp.dtype.kind == "c" else fp.astype(np.float64)  # what is complex is refused later, and not cut
    if period is not None:
        left, right, period = None, None, abs(period)
        x, xp = x % period, xp % period
        order = np.argsort(xp)
        xp, fp = np.take_along_axis(xp, order, axis=0), np.take_along_axis(fp, order, axis=0)
        xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp = np.concatenate([fp[-1:], fp, fp[:1]])
    is_left, is_right = x < xp[0], x > xp[-1]
    x = np.where(is_left | is_right, xp[0], x)  # or infinity would make NaNs of the gradients
    lower = np.searchsorted(xp, x, side="right") - 1
    if is_numpy(lower):
        lower = np.clip(lower, 0, max(0, xp.shape[0] - 2))
        upper = np.minimum(lower + 1, xp.shape[0] - 1)
        step = _at(xp, upper) - _at(xp, lower)
        is_jump = np.equal(step, 0)  # between two points that are one, or the only one
        share = np.where(is_jump, 1, (x - _at(xp, lower)) / np.where(is_jump, 1, step))
        line = _at(fp, lower) + share * (_at(fp, upper) - _at(fp, lower))
    else:
        # Other kinds of arrays are not used as an index: each line says how much of it lies to the left of x.
        begin, end, t = xp[:-1], xp[1:], x[..., None]
        share = np.where(t < begin, 0, np.where(t < end, (t - begin) / (end - begin), 1))
        line = fp[0] + np.sum(share * (fp[1:] - fp[:-1]), axis=-1)
    line = np.where(is_left, fp[0] if left is None else left, line)
    return np.where(is_right, fp[-1] if right is None else right, line)


def _at(points: Array, k: Array) -> Array:
    """Give ``points[k]``, whichever of the two records it."""
    return points[k] if isinstance(points, Tensor) else look_up(points, k)


defcomposition(np.interp, _interp, arguments=5)
defvjp(np.bincount, None, lambda g, out, x, weights, minlength=0: np.take(g, x))

# Covariances


def _variables(m: Array, rowvar: bool) -> Array:
    """Give one row for each variable."""
    m = as_array(m)
    if m.ndim < 2:
        return np.reshape(m, (1, m.size))
    return m if rowvar else np.transpose(m)


def _cov(
    m: Array,
    y: Array = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: float | None = None,
    fweights: Array = None,
    aweights: Array = None,
    *,
    dtype: Any = None,
) -> Array:
    """Give ``Σ w (x - mean) conj(x - mean)ᵀ / freedom``, of which each weight is a count times an importance."""
    rows = _variables(m, rowvar)
    if y is not None:
        y = _variables(y, True)
        rows = np.concatenate([rows, y if rowvar or y.shape[0] == 1 else np.transpose(y)], axis=0)
    rows = rows.astype(np.result_type(rows.dtype, np.float64) if dtype is None else dtype)
    ddof = (0 if bias else 1) if ddof is None else ddof
    if fweights is None and aweights is None:
        deviations = rows - np.mean(rows, axis=1, keepdims=True)
        return np.squeeze(deviations @ conj(np.transpose(deviations)) / max(rows.shape[1] - ddof, 0))
    importance = 1.0 if aweights is None else as_array(aweights)
    weights = importance if fweights is None else importance * as_array(fweights)
    whole = np.sum(weights)
    deviations = rows - np.expand_dims(rows @ weights / whole, 1)
    freedom = np.maximum(whole - ddof * np.sum(weights * importance) / whole, 0)
    return np.squeeze(deviations * weights @ conj(np.transpose(deviations)) / freedom)


def _corrcoef(x: Array, y: Array = None, rowvar: bool = True, *, dtype: Any = None) -> Array:
    c = _cov(x, y, rowvar, dtype=dtype)
    if c.ndim == 0:
        return c / c
    spread = np.sqrt(np.real(np.diagonal(c)) if is_complex(c) else np.diagonal(c))
    return c / spread[:, None] / spread


defcomposition(np.cov, _cov, arguments=7)
defcomposition(np.corrcoef, _corrcoef, arguments=2)

# Polynomials, highest power first


def _polyval(p: Array, x: Array) -> Array:
    """Horner's scheme. The first step adds nothing to a constant: ``0 * x`` would make NaNs of infinite gradients."""
    x = as_array(x)
    value = np.zeros_like(x)
    for k in range(len(p)):
        value = value * x + p[k] if k else value + p[k]
    return value


def _aligned(a: Array, size: int) -> Array:
    return np.pad(a, (size - a.shape[0], 0))


def _polyadd(a1: Array, a2: Array) -> Array:
    a1, a2 = (np.reshape(as_array(a), (-1,)) for a in (a1, a2))
    size = max(a1.shape[0], a2.shape[0])
    return _aligned(a1, size) + _aligned(a2, size)


def _polysub(a1: Array, a2: Array) -> Array:
    return _polyadd(a1, np.negative(a2))


def _polyder(p: Array, m: int = 1) -> Array:
    n = p.shape[0]
    factors = [math.perm(n - 1 - k, m) for k in range(max(0, n - m))]
    return p[: max(0, n - m)] * np.array(factors, float)


def _polyint(p: Array, m: int = 1, k: Any = None) -> Array:
    constants = np.ravel(np.zeros(m) if k is None else np.broadcast_to(k, m) if np.size(k) == 1 else k)
    for step in range(m):
        n = p.shape[0]
        p = np.concatenate([p / np.arange(n, 0, -1.0), constants[step : step + 1]])
    return p


defcomposition(np.polyval, _polyval, arguments=2)
defcomposition(np.polyadd, _polyadd, arguments=2)
defcomposition(np.polysub, _polysub, arguments=2)
defcomposition(np.polyder, _polyder)
defcomposition(np.polyint, _polyint)
