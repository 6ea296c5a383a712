"""Draws of the gamma distribution, as a function of its parameter: what others are drawn by."""

from __future__ import annotations

from inspect import unwrap

import numpy as np

from autodiff.arrays.whole import whole
from autodiff.batching.table import of_each_element
from autodiff.core.record import primitive
from autodiff.core.rule import Array, defvjp
from autodiff.transforms.composition import pull_through

# Where the trapezoidal rule takes an integral from 0 to infinity of what falls as exp(-x) does, and its weights.
_STEPS = np.arange(-28, 41) / 8
_POINTS = np.exp(_STEPS - np.exp(-_STEPS))
_WEIGHTS = _POINTS * (1 + np.exp(-_STEPS)) / 8


@primitive
@whole
def log_gamma(concentration: Array, level: Array) -> Array:
    """Logarithm of the draw of which a share ``level`` of all draws, uniform from 0 to 1, is below.

    Its derivative by the concentration is that of the draw at the same level: Figurnov, Mohamed and Mnih, Implicit
    reparameterization gradients (2018), equation 5. Logarithms, as draws of small concentrations underflow.
    """
    from scipy import special

    level = np.maximum(level, 2.0**-54)  # which is as likely as 0 is to be drawn
    near_zero = (np.log(level) + special.gammaln(concentration + 1.0)) / concentration
    is_near = near_zero < -600
    return np.where(is_near, near_zero, np.log(np.where(is_near, 1, special.gammaincinv(concentration, level))))


def _slope(a: Array, log_z: Array) -> Array:
    """Derivative ``-∂F/∂a / (z ∂F/∂z)`` of ``log z``, with ``F`` the distribution function.

    Both are integrals of the density from 0 to z, or beyond z, whichever is less of it: with ``y`` for the distance of
    logarithms from that of z, ``∫ exp(a y - z (exp(y) - 1)) (y + log z - digamma(a)) dy``. It is taken by Takahasi and
    Mori's rule (1974), on both sides of the largest draws and the smallest to twelve digits.
    """
    from scipy import special

    z = np.exp(log_z)
    above = np.greater(z, a)
    width = 1 / np.minimum(np.maximum(a, z), np.absolute(z - a) + np.sqrt(z))
    centre, total = log_z - special.digamma(a), 0.0
    for point, weight in zip(_POINTS, _WEIGHTS):
        x = point * width
        y = np.where(above, np.log1p(x), -x)
        growth = np.exp(a * y - z * np.where(above, x, np.expm1(-x)))
        total = total + weight * growth * (centre + y) / np.where(above, 1 + x, 1)
    return np.where(above, width, -width) * total


_log_gamma_slope = primitive(whole(_slope))
defvjp(log_gamma, lambda g, out, a, level: g * _log_gamma_slope(a, out), elementwise=True)
defvjp(
    _log_gamma_slope,
    lambda g, out, a, log_z: pull_through(_slope, g, (a, log_z), {}, 0)[0],
    lambda g, out, a, log_z: pull_through(_slope, g, (a, log_z), {}, 1)[0],
    elementwise=True,
)
of_each_element(unwrap(log_gamma), unwrap(_log_gamma_slope))
