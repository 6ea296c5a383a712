"""Activations: nonlinear functions of each element, and the softmax and its relatives, of each row.

At kinks the derivative is the one that PyTorch takes, also the second one. At infinities the functions of elements
and their derivatives have their limits; only `leaky_relu` of slope 0 is NaN at -inf, as in PyTorch.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any, Literal

import numpy as np

import autodiff as ad
from autodiff.arrays import activations
from autodiff.arrays.sums import added, largest
from autodiff.core.rule import Array
from autodiff.extras import install
from autodiff.rules.digits import logistic
from nn.checks import check_choice, check_flag, check_integer, check_number, check_real, with_known_options

_relu = ad.primitive(activations.relu)
_sigmoid = ad.primitive(activations.sigmoid)


@ad.primitive
def _leaky_relu(x: Array, negative_slope: float) -> Array:
    return np.where(x > 0, x, negative_slope * x)


@ad.primitive
def _elu(x: Array, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.where(x > 0, 0, x)))


@ad.primitive
def _gelu(x: Array) -> Array:
    out = np.maximum(x, -_GELU_FAR) * _scipy_special().ndtr(x)
    return out.astype(x.dtype) if x.dtype == np.float16 else out  # for which SciPy takes a wider one


@ad.primitive
def _tanh_gelu(x: Array) -> Array:
    return np.clip(x, -_GELU_FAR, np.inf) * (0.5 + 0.5 * _gelu_tangent(*_gelu_near(x)))


def _gelu_near(x: Array) -> tuple[Array, Array]:
    """Give x and its square, both within the bounds beyond which nothing happens any more."""
    near = np.clip(x, -_GELU_FAR, _GELU_FAR)
    return near, np.square(near)


def _gelu_tangent(near: Array, square: Array) -> Array:
    return np.tanh(near * (_ROOT_TWO_OVER_PI + _CUBIC * square))


@ad.primitive
def _silu(x: Array) -> Array:
    return np.maximum(x, -_FAR) * activations.sigmoid(x)


@ad.primitive
def _softplus(x: Array, beta: float, threshold: float) -> Array:
    scaled = beta * x
    return np.where(scaled > threshold, x, (np.maximum(scaled, 0) + _excess(scaled)) / beta)


@ad.primitive
def _log_sigmoid(x: Array) -> Array:
    return np.minimum(x, 0) - _excess(x)


def _excess(x: Array) -> Array:
    """How far ``log(1 + exp(x))`` lies above ``max(x, 0)``."""
    return np.log1p(np.exp(-np.absolute(x)))


@ad.primitive
def _hardtanh(x: Array, min_val: float, max_val: float) -> Array:
    return np.clip(x, min_val, max_val)


_ROOT_TWO_OVER_PI = math.sqrt(2 / math.pi)
_ROOT_TWO_PI = math.sqrt(2 * math.pi)
_CUBIC = 0.044715 * _ROOT_TWO_OVER_PI  # the number was found by Hendrycks and Gimpel
# From these on the functions are 0 or x in every dtype, so that infinities need not be multiplied by zeros.
_FAR = 2e4
_GELU_FAR = 64  # small enough for float16, in which its square is taken


def _scipy_special() -> ModuleType:
    try:
        from scipy import special  # slow to import, and only the exact gelu needs it
    except ImportError:
        command = install("special")
        raise ImportError(f'gelu needs SciPy: {command}; gelu(x, approximate="tanh") does without') from None
    return special


def _tanh_gelu_x(g: Array, out: Array, x: Array) -> Array:
    near, square = _gelu_near(x)
    tangent = _gelu_tangent(near, square)
    slope = _ROOT_TWO_OVER_PI + 3 * _CUBIC * square
    return g * (0.5 * (1 + tangent + near * (1 - tangent * tangent) * slope))


def _gelu_x(g: Array, out: Array, x: Array) -> Array:
    near, square = _gelu_near(x)
    return g * (_scipy_special().ndtr(near) + near * np.exp(square / -2) / _ROOT_TWO_PI)


def _silu_x(g: Array, out: Array, x: Array) -> Array:
    probability = _sigmoid(x)
    return g * (probability + np.minimum(out, _FAR) * (1 - probability))


ad.defvjp(_leaky_relu, lambda g, out, x, negative_slope: np.where(x > 0, g, g * negative_slope))
ad.defvjp(_elu, lambda g, out, x, alpha: np.where(x > 0, g, g * (alpha * np.exp(np.where(x >= 0, 0, x)))))
ad.defvjp(_gelu, _gelu_x)
ad.defvjp(_tanh_gelu, _tanh_gelu_x)
ad.defvjp(_silu, _silu_x)
ad.defvjp(_softplus, lambda g, out, x, beta, threshold: np.where(beta * x > threshold, g, g * logistic(beta * x)))
ad.defvjp(_log_sigmoid, lambda g, out, x: g * logistic(-x))
ad.defvjp(_hardtanh, lambda g, out, x, min_val, max_val: np.where((x > min_val) & (x < max_val), g, 0))


def relu(x: Array) -> Array:
    """Rectified linear unit ``max(x, 0)``, elementwise; at 0 its derivative is 0.

    Nair and Hinton, Rectified linear units improve restricted Boltzmann machines (2010), section 2.

    Args:
        x: of any shape.

    Raises:
        TypeError: ``x`` is not real numbers; so it is for every activation, but `tanh` and `sigmoid` take complex ones.

    Example:
        >>> nn.functional.relu(np.array([-1.0, 2.0]))
        array([0., 2.])
    """
    return _relu(_numbers("relu", x))


def sigmoid(x: Array) -> Array:
    """Logistic function ``1 / (1 + exp(-x))``, elementwise, without overflow and to full relative precision.

    Example:
        >>> nn.functional.sigmoid(np.array([-1e4, 0.0, 1e4]))
        array([0. , 0.5, 1. ])
    """
    return _sigmoid(check_real("sigmoid", "x", x, "fiuc"))


def tanh(x: Array) -> Array:
    """Hyperbolic tangent, elementwise; the same as `numpy.tanh`.

    Example:
        >>> float(nn.functional.tanh(0.0))
        0.0
    """
    return np.tanh(check_real("tanh", "x", x, "fiuc"))


def silu(x: Array) -> Array:
    """Sigmoid linear unit ``x sigmoid(x)``, elementwise, also called swish.

    Elfwing, Uchibe and Doya, Sigmoid-weighted linear units (2018), equation 6.

    Example:
        >>> nn.functional.silu(np.array([-1e4, 0.0, 1e4]))
        array([   -0.,     0., 10000.])
    """
    return _silu(_numbers("silu", x))


def log_sigmoid(x: Array) -> Array:
    """Logarithm of `sigmoid`, ``-log(1 + exp(-x))``, elementwise, finite where the sigmoid itself rounds to zero.

    Example:
        >>> nn.functional.log_sigmoid(np.array([-1e4, 1e4]))
        array([-10000.,      0.])
    """
    return _log_sigmoid(_numbers("log_sigmoid", x))


def leaky_relu(x: Array, negative_slope: float = 0.01) -> Array:
    """Leaky rectified linear unit, elementwise: ``x``, or ``negative_slope x`` where x is negative.

    Maas, Hannun and Ng, Rectifier nonlinearities improve neural network acoustic models (2013), section 2.

    Args:
        x: of any shape.
        negative_slope: a number.

    Raises:
        TypeError: ``negative_slope`` is no number.
        ValueError: it is not finite.

    Example:
        >>> nn.functional.leaky_relu(np.array([-1.0, 2.0]))
        array([-0.01,  2.  ])
    """
    check_number("leaky_relu", "negative_slope", negative_slope, lambda slope: True, "finite")
    return _leaky_relu(_numbers("leaky_relu", x), negative_slope)


def elu(x: Array, alpha: float = 1.0) -> Array:
    """Exponential linear unit, elementwise: ``x``, or ``alpha (exp(x) - 1)`` where x is not positive.

    Clevert, Unterthiner and Hochreiter, Fast and accurate deep network learning by exponential linear units (2016),
    equation 15.

    Args:
        x: of any shape.
        alpha: a number; the function goes to ``-alpha`` at the left.

    Raises:
        TypeError: ``alpha`` is no number.
        ValueError: it is not finite.

    Example:
        >>> nn.functional.elu(np.array([-1e4, 0.0, 1e4]))
        array([-1.e+00,  0.e+00,  1.e+04])
    """
    check_number("elu", "alpha", alpha, lambda alpha: True, "finite")
    return _elu(_numbers("elu", x), alpha)


def gelu(x: Array, approximate: Literal["none", "tanh"] = "none") -> Array:
    """Gaussian error linear unit, elementwise: ``x Φ(x)``, with the distribution function of the standard normal.

    Hendrycks and Gimpel, Gaussian error linear units (2016), section 2.

    Args:
        x: of any shape.
        approximate: "none", which needs SciPy, or "tanh" for ``x/2 (1 + tanh(sqrt(2/π) (x + 0.044715 x³)))``.

    Raises:
        ImportError: SciPy, which the exact function needs, is not installed.
        TypeError: the approximation is no text.
        ValueError: it is unknown.

    Example:
        >>> nn.functional.gelu(np.array([-1.0, 0.0, 1.0]), approximate="tanh").round(4)
        array([-0.1588,  0.    ,  0.8412])
    """
    check_choice("gelu", "approximation", approximate, ("none", "tanh"))
    return (_gelu if approximate == "none" else _tanh_gelu)(_numbers("gelu", x))


def softplus(x: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """Smooth rectified linear unit ``log(1 + exp(beta x)) / beta``, elementwise.

    Dugas et al., Incorporating second-order functional knowledge for better option pricing (2001), equation 3.

    Args:
        x: of any shape.
        beta: positive; the larger, the sharper the bend.
        threshold: where ``beta x`` is larger than this, the result is ``x``.

    Raises:
        TypeError: ``beta`` or ``threshold`` is no number.
        ValueError: ``beta`` is not positive, or one of them is not finite.

    Example:
        >>> nn.functional.softplus(np.array([-1e4, 0.0, 1e4])).round(4)
        array([0.000e+00, 6.931e-01, 1.000e+04])
    """
    check_number("softplus", "beta", beta, lambda beta: beta > 0, "positive")
    check_number("softplus", "threshold", threshold, lambda threshold: True, "finite")
    return _softplus(_numbers("softplus", x), beta, threshold)


def hardtanh(x: Array, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """Clip each element to an interval; the derivative is 0 on its ends, as it is outside.

    Collobert, Large scale machine learning (2004), section 6.2.

    Args:
        x: of any shape.
        min_val: the lower end.
        max_val: the upper end.

    Raises:
        TypeError: an end is no number.
        ValueError: an end is not finite, or the lower one is above the upper one.

    Example:
        >>> nn.functional.hardtanh(np.array([-3.0, 0.5, 3.0]))
        array([-1. ,  0.5,  1. ])
    """
    check_number("hardtanh", "max_val", max_val, lambda high: True, "finite")
    check_number("hardtanh", "min_val", min_val, lambda low: low <= max_val, f"at most max_val, {max_val!r}")
    return _hardtanh(_numbers("hardtanh", x), min_val, max_val)


def _numbers(caller: str, x: Array) -> Array:
    """Give real numbers as an array or a Tensor; booleans, which cannot be subtracted, are none."""
    return check_real(caller, "x", x, "fiu")


# Softmax and its relatives


@ad.primitive
def _softmax(x: Array, axis: int) -> Array:
    weights = np.exp(x - largest(x, axis, keepdims=True))
    return weights / added(weights, axis, keepdims=True)


@ad.primitive
def _logsumexp(x: Array, axis: int | tuple[int, ...] | None) -> Array:
    top = largest(x, axis, keepdims=True) if x.size else np.zeros((), x.dtype)
    top = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore", over="ignore"):
        return top + np.log(added(np.exp(x - top), axis, keepdims=True))


@ad.primitive
def _log_softmax(x: Array, axis: int) -> Array:
    shifted = x - largest(x, axis, keepdims=True)
    return shifted - np.log(added(np.exp(shifted), axis, keepdims=True))


def _logsumexp_x(g: Array, out: Array, x: Array, axis: int | tuple[int, ...] | None) -> Array:
    """``exp(x - out)``; of elements that are all -inf, each has the same part."""
    nothing = out == -np.inf
    return g * np.exp(x - np.where(nothing, 0, out)) + np.where(nothing, g * (out.size / max(x.size, 1)), 0)


ad.defvjp(_softmax, lambda g, out, x, axis: out * (g - added(g * out, axis, keepdims=True)))
ad.defvjp(_logsumexp, _logsumexp_x)
ad.defvjp(_log_softmax, lambda g, out, x, axis: g - np.exp(out) * added(g, axis, keepdims=True))


@with_known_options
def softmax(x: Array, axis: int = -1) -> Array:
    """Turn logits into probabilities, ``exp(x) / sum(exp(x))`` along an axis.

    It serves for training and for reporting probabilities; the most probable class is ``argmax`` of the logits.

    Args:
        x: logits, of any shape with at least one axis.
        axis: along which the probabilities sum to one.

    Returns:
        Of the shape of ``x``; empty if that is.

    Example:
        >>> nn.functional.softmax(np.array([1e4, 1e4, -1e4]))
        array([0.5, 0.5, 0. ])
    """
    x = _logits("softmax", x, axis)
    return _softmax(x, axis) if x.size else np.exp(x)


@with_known_options
def log_softmax(x: Array, axis: int = -1) -> Array:
    """Logarithm of `softmax`, ``x - log(sum(exp(x)))``, finite where the softmax itself rounds to zero.

    Example:
        >>> nn.functional.log_softmax(np.array([0.0, 1e4]))
        array([-10000.,      0.])
    """
    x = _logits("log_softmax", x, axis)
    return _log_softmax(x, axis) if x.size else np.exp(x)


@with_known_options
def logsumexp(x: Array, axis: int | tuple[int, ...] | None = -1, keepdims: bool = False) -> Array:
    """Logarithm of the sum of exponentials, ``log(sum(exp(x)))``, over one or several axes; that of none is -inf.

    Args:
        x: of any shape.
        axis: over which to sum; None for all.
        keepdims: keep the axes with length one.

    The derivatives by the elements sum to one. Where all elements are -inf, they are equal, as those of
    `numpy.logaddexp`; by an element that is inf, the derivative is NaN, as in PyTorch.

    Raises:
        TypeError: ``x`` is not real numbers, an axis not an integer, or ``keepdims`` not True or False.

    Example:
        >>> float(nn.functional.logsumexp(np.array([1000.0, 1000.0])) - 1000)
        0.693147180559...
    """
    x = _numbers("logsumexp", x)
    check_flag("logsumexp", "keepdims", keepdims)
    for one in axis if isinstance(axis, tuple) else () if axis is None else (axis,):
        check_integer("logsumexp", "axis", one, "an integer, a tuple of them, or None")
    out = _logsumexp(x, axis)
    return out if keepdims else np.squeeze(out, axis=axis if axis is not None else tuple(range(np.ndim(x))))


def _logits(caller: str, x: Array, axis: Any) -> Array:
    """Give logits as an array or a Tensor that has the axis."""
    x = _numbers(caller, x)
    if x.ndim == 0:
        raise ValueError(f"{caller}: the input needs at least one axis, got a scalar")
    check_integer(caller, "axis", axis)
    if not -x.ndim <= axis < x.ndim:
        raise np.exceptions.AxisError(f"{caller}: there is no axis {axis} in an input of shape {x.shape}")
    return x
