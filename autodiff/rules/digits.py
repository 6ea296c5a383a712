"""Where a formula that is right loses digits: functions that are one call with a rule of their own, and series."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.arrays.activations import sigmoid
from autodiff.core.record import primitive
from autodiff.core.rule import Array, defvjp
from autodiff.core.tensor import is_complex
from autodiff.rules.limits import by_convention


@primitive
def logistic(x: Array) -> Any:
    """`sigmoid`, but its derivative has all its digits, which takes another exponential."""
    return sigmoid(x)


@primitive
def one_less_square(x: Array) -> Any:
    """``1 - x²``, with all its digits near 1, and those of its derivative near 0."""
    return (1 - x) * (1 + x)


@primitive
def cosine(x: Array, y: Array, radius: Array) -> Any:
    """``x / radius``, of which the derivative by x is ``y² / radius³``; the radius is that of x and y."""
    return x / radius


defvjp(logistic, lambda g, out, x: g * (out * logistic(-x)), elementwise=True)
defvjp(one_less_square, lambda g, out, x: g * (-2 * x), elementwise=True)
defvjp(
    cosine,
    lambda g, out, x, y, radius: g * np.square(cosine(y, x, radius)) / radius,
    lambda g, out, x, y, radius: -g * out * cosine(y, x, radius) / radius,
    lambda g, out, x, y, radius: np.where(False, g, 0),
    elementwise=True,
)


def root_of_one_less_square(x: Array) -> Any:
    """``√(1 - x²)``; of a complex number, from the side of the branch cuts on which the sign of a zero says x is."""
    return np.sqrt(-(x - 1)) * np.sqrt(x - -1) if is_complex(x) else np.sqrt(one_less_square(x))


def lead(x: Array, y: Array) -> Any:
    """``x - y``, and 0 for equal infinities."""
    fills = np.isinf(x) & (x == y)
    return np.where(fills, 0, x) - np.where(fills, 0, y)


def over_square(x: Array, a: Array, b: Array) -> Array:
    """``x / (a² + b²)``, for x one of a and b, without overflow; 0 where both are, by convention."""
    origin = np.equal(a, 0) & np.equal(b, 0)
    radius = np.hypot(np.where(origin, 1, a), b)
    return by_convention(np.where(origin, 0, x / radius / radius), x, origin)


def series(coefficients: Sequence[float], x: Array) -> Array:
    """``Σ c_k x^k``, by Horner's scheme."""
    value: Array = 0.0
    for coefficient in reversed(coefficients):
        value = value * x + coefficient
    return value


# Functions of NumPy whose derivatives are sums

_SINC_SLOPE = [(-1) ** k * 2 * k * math.pi ** (2 * k) / math.factorial(2 * k + 1) for k in range(1, 11)]


def _sinc(g: Array, out: Array, x: Array) -> Array:
    """``(cos πx - sinc x) / x``; near 0, where that cancels, its Taylor series, exact also when differentiated."""
    small = np.absolute(x) < 0.25
    near = np.where(small, x, 0)
    far = np.where(small, 1, x)
    taylor = series(_SINC_SLOPE, near * near) * near
    angle = math.pi * (far if is_complex(far) else np.remainder(far, 2))
    return g * np.where(small, taylor, (np.cos(angle) - np.sinc(far)) / far)


defvjp(np.sinc, _sinc)

# The modified Bessel function of order 1, the derivative of np.i0, is the mean of cos θ exp(x cos θ) over the circle.
# Of a periodic function, equally spaced points give the mean to within rounding: so many for every x whose i0 is
# finite. By symmetry a quarter of the circle is enough, with its ends counted half.
_QUARTER = np.cos(np.linspace(0, math.pi / 2, 65))
_WEIGHTS = np.where(np.arange(65) % 64, 1, 0.5) / 64 * _QUARTER

defvjp(np.i0, lambda g, out, x: g * np.sum(_WEIGHTS * np.sinh(np.expand_dims(x, -1) * _QUARTER), axis=-1))
