"""Functions whose formula is right, but loses digits when it is differentiated: each is one call, with its own rule."""

from typing import Any

import numpy as np

from autodiff.arrays.activations import sigmoid
from autodiff.core.record import primitive
from autodiff.core.rule import Array, defvjp


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


def lead(x: Array, y: Array) -> Any:
    """``x - y``, and 0 for equal infinities."""
    fills = np.isinf(x) & (x == y)
    return np.where(fills, 0, x) - np.where(fills, 0, y)
